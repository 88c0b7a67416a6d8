//! Tables as people write them.

use super::*;
use crate::samples::{examples, gzip};

fn opened(bytes: &[u8], options: &DataOptions) -> Result<crate::example::SetParts> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.keep().join("set.csv");
    std::fs::write(&path, bytes).unwrap();
    let mut parts = PartReaders::default();
    add(&mut parts, &path, SetPart::Train, options)?;
    parts.finish("tables", options)
}

fn rows(text: &str) -> Result<Vec<(Label, Numbers)>> {
    let parts = opened(text.as_bytes(), &DataOptions::default())?;
    Ok(examples(&*parts.train)?.into_iter().map(pair).collect())
}

fn pair(example: Example) -> (Label, Numbers) {
    match example.content {
        Content::Array(array) => (example.label, array.numbers),
        other => panic!("{other:?}"),
    }
}

fn word(word: &str) -> Label {
    Label::Word(word.to_string())
}

#[test]
fn headers_separators_and_columns_are_found() {
    let floats = |list: &[f32]| Numbers::Floats(list.to_vec());
    let cat = &[(word("cat"), floats(&[1.5, 2.0]))];
    assert_eq!(rows("a,label,b\n1.5,cat,2\n").unwrap(), *cat);
    assert_eq!(rows("\u{feff}\"a\";b;\"Class\"\r\n\"1.5\";2;cat\r\n").unwrap(), *cat);
    assert_eq!(rows("a\tb\tkind\n1.5\t2\tcat\n").unwrap(), *cat);
    assert_eq!(rows("id,a,b,y\n7,1.5,2,cat\n").unwrap(), *cat);
    assert_eq!(rows("1.5,2,cat\n").unwrap(), *cat);
    assert_eq!(
        rows("0,255,3\n7,8,1.0\n").unwrap(),
        [(Label::Number(3), Numbers::Whole(vec![0, 255])), (Label::Number(1), Numbers::Whole(vec![7, 8])),]
    );
    let packed = opened(&gzip(b"a,y\n1,0\n"), &DataOptions::default()).unwrap();
    assert_eq!(examples(&*packed.train).unwrap().len(), 1);
}

#[test]
fn columns_without_names_are_numbered_and_two_labels_are_asked_about() {
    let whole = |list: &[i64]| Numbers::Whole(list.to_vec());
    assert_eq!(
        rows("0,1,2\n7,8,1\n9,9,0\n").unwrap(),
        [(Label::Number(1), whole(&[7, 8])), (Label::Number(0), whole(&[9, 9]))]
    );
    for (text, two) in
        [("a,target,label\n1,0,0\n", "`label` and `target`"), ("class,a,y\ncat,1,0\n", "`class` and `y`")]
    {
        let error = rows(text).unwrap_err();
        assert!(error.message.contains(two), "{text:?}: {error}");
    }
    let options = DataOptions { labels: Some("target".into()), values: Some("a".into()), ..DataOptions::default() };
    let parts = opened(b"a,target,label\n1,0,0\n", &options).unwrap();
    assert_eq!(pair(examples(&*parts.train).unwrap().remove(0)), (Label::Number(0), whole(&[1])));
}

#[test]
fn many_columns_take_time_by_their_number() {
    let row = vec!["1"; 400_000].join(",");
    let begun = std::time::Instant::now();
    assert_eq!(rows(&format!("{row}\n{row}\n")).unwrap().len(), 2);
    // By the square of the number they take over ten seconds.
    assert!(begun.elapsed().as_secs_f64() < 5.0, "{:?}", begun.elapsed());
}

#[test]
fn options_name_columns_and_parts() {
    let text = b"kind,p1,p2,other,split\ncat,1,2,9,train\ndog,3,4,9,test\ncat,5,6,9,train\n";
    let options = DataOptions { labels: Some("kind".into()), values: Some("p*".into()), ..DataOptions::default() };
    let parts = opened(text, &options).unwrap();
    let train: Vec<_> = examples(&*parts.train).unwrap().into_iter().map(pair).collect();
    assert_eq!(train, [(word("cat"), Numbers::Whole(vec![1, 2])), (word("cat"), Numbers::Whole(vec![5, 6]))]);
    assert_eq!(examples(&*parts.test.unwrap()).unwrap()[0].name.split(" of").next(), Some("row 3"));
    let error = opened(text, &DataOptions { labels: Some("kinds".into()), ..DataOptions::default() }).err().unwrap();
    assert!(error.message.contains("no column `kinds`") && error.hint.unwrap().contains("`kind`"));
}

#[test]
fn folds_are_parts_where_options_say_which() {
    let text = b"a,fold,y\n1,0,0\n2,1,1\n3,2,0\n";
    let options = DataOptions { train: Some("0".into()), test: Some("2".into()), ..DataOptions::default() };
    let parts = opened(text, &options).unwrap();
    let values = |reader: &dyn Reader| examples(reader).unwrap().into_iter().map(|one| pair(one).1).collect::<Vec<_>>();
    assert_eq!(values(&*parts.train), [Numbers::Whole(vec![1])]);
    assert_eq!(values(&*parts.test.unwrap()), [Numbers::Whole(vec![3])]);
    let error = opened(b"a,split,y\n1,train,0\n2,other,1\n", &DataOptions::default()).err().unwrap();
    assert!(error.message.contains("row 3, column `split`: found `other`"), "{error}");
}

#[test]
fn what_is_missing_or_no_number_is_named_with_row_and_column() {
    for (text, expected) in [
        ("a,b,y\n1,,0\n", "row 2, column `b`: a value is missing"),
        ("a,b,y\n1,2,\n", "row 2, column `y`: a value is missing"),
        ("a,b,y\n1,nan,0\n", "row 2, column `b`: a value is missing"),
        ("a,b,y\n1,2,0\n1,x,0\n", "row 3, column `b`: found `x`; expected a number"),
        ("a,b,y\n1,2,0\n1,2\n", "row 3 has 2 columns; expected 3"),
        ("a,b,y\n1,2,0.5\n", "the label 0.5 is no whole number"),
        ("a\n1\n", "has 1 columns"),
        ("", "has 0 columns"),
    ] {
        let error = rows(text).unwrap_err();
        assert!(error.message.contains(expected) && error.hint.is_some(), "{text:?}: {error}");
    }
}

#[test]
fn decimal_commas_are_told_as_such() {
    for text in ["a;b;y\n1,5;2;0\n", "1,5;2,5;cat\n1,5;2,5;cat\n"] {
        let error = rows(text).unwrap_err();
        assert!(error.hint.as_ref().unwrap().contains("decimal commas"), "{text:?}: {error}");
    }
}

#[test]
fn a_part_of_a_table_may_be_left_aside() {
    let options = DataOptions { test: Some(String::new()), ..DataOptions::default() };
    let parts = opened(b"a,split,y\n1,train,0\n2,test,1\n", &options).unwrap();
    assert!(parts.test.is_none() && parts.notes[0].contains("test part is left aside"), "{:?}", parts.notes);
    assert_eq!(examples(&*parts.train).unwrap().len(), 1);
}

#[test]
fn a_row_without_end_is_not_held() {
    let open_quote = [&b"a,b\n\""[..], &b"1,2\n".repeat(10 << 20)].concat();
    for endless in [vec![b'1'; 40 << 20], open_quote] {
        let read = opened(&gzip(&endless), &DataOptions::default()).and_then(|parts| examples(&*parts.train));
        let error = read.unwrap_err();
        assert!(error.message.contains("a row has more than"), "{error}");
    }
}
