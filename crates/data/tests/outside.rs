//! Sets that the libraries of others write, read to the same values that they read themselves (`tests/outside/data_files.py`,
//! `pictures.py`), and images filtered as others filter them (`filters.py`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tombola_data::example::{Content, Label, Numbers, Reader, SetParts};
use tombola_data::filter::FrequencyFilter;
use tombola_data::own::{Wanted, decode_picture};
use tombola_data::readers;
use tombola_words::error::Result;
use tombola_words::value::{ImageFilter, Value as _};
use tombola_words::{Alpha, AxesOrder, DataOptions, Resize, Shape};

const MODULES: &str = "import numpy, pandas, PIL, pyarrow, safetensors, scipy, sklearn, torchvision";

/// What a script says, in the folder that it wrote; nothing where there is no Python for it.
fn written(test: &str, script: &str) -> Option<(tempfile::TempDir, Value)> {
    let program = std::env::var("TOMBOLA_TEST_PYTHON").unwrap_or_else(|_| "python3".to_string());
    if !Command::new(&program).args(["-c", MODULES]).output().is_ok_and(|output| output.status.success()) {
        if let Some(path) = std::env::var_os("TOMBOLA_SKIPPED_TESTS") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{test}: `{program}` cannot `{MODULES}`").unwrap();
        }
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/outside").join(script);
    let output = Command::new(&program).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = serde_json::from_slice(&output.stdout).unwrap();
    Some((folder, said))
}

fn options(said: &Value) -> DataOptions {
    let text = |key: &str| said.get(key).and_then(Value::as_str).map(str::to_string);
    let axes = text("axes").map(|axes| if axes == "first" { AxesOrder::First } else { AxesOrder::Last });
    DataOptions {
        axes,
        train: text("train"),
        test: text("test"),
        values: text("values"),
        labels: text("labels"),
        ..DataOptions::default()
    }
}

/// The examples of a part in the words of `data_files.py`.
fn examples(reader: &dyn Reader) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    reader.read(&mut |example| {
        let label = match example.label {
            Label::Number(number) => Value::from(number),
            Label::Word(word) => Value::from(word),
        };
        all.push(match example.content {
            Content::File(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                serde_json::json!({"label": label, "file": hex})
            }
            Content::Damaged(why) => serde_json::json!({"label": label, "damaged": why}),
            Content::Array(array) => {
                let shape: Vec<usize> = array.shape.dimensions().collect();
                let (kind, numbers) = match array.numbers {
                    Numbers::Bytes(bytes) => ("bytes", bytes.into_iter().map(Value::from).collect::<Vec<_>>()),
                    Numbers::Whole(numbers) => ("whole", numbers.into_iter().map(Value::from).collect()),
                    Numbers::Floats(numbers) => {
                        ("floats", numbers.into_iter().map(|one| f64::from(one).into()).collect())
                    }
                };
                serde_json::json!({"label": label, "shape": shape, "kind": kind, "numbers": numbers})
            }
        });
        Ok(())
    })?;
    Ok(all)
}

/// Floats as they were before they were written: the reader of JSON loses their last digit of 64 bits.
fn exact(example: &Value) -> Value {
    let mut example = example.clone();
    if example["kind"] == "floats"
        && let Some(numbers) = example["numbers"].as_array_mut()
    {
        numbers.iter_mut().for_each(|number| *number = f64::from(number.as_f64().unwrap() as f32).into());
    }
    example
}

fn compare(parts: &SetParts, said: &Value, what: &str) {
    let own = [("train", Some(&parts.train)), ("validation", parts.validation.as_ref()), ("test", parts.test.as_ref())];
    for (name, reader) in own {
        let expected = &said["parts"][name];
        let found = reader.map(|reader| examples(&**reader).unwrap_or_else(|error| panic!("{what}: {error}")));
        assert_eq!(found.is_none(), expected.is_null(), "{what}: {name}");
        let (found, expected) = (found.unwrap_or_default(), expected.as_array().cloned().unwrap_or_default());
        assert_eq!(found.len(), expected.len(), "{what}: {name}");
        for (index, (own, other)) in found.iter().zip(&expected).enumerate() {
            let first = |value: &Value| value["numbers"].as_array().map(|list| list[..list.len().min(12)].to_vec());
            let short =
                |value: &Value| format!("{} {} {} {:?}", value["label"], value["shape"], value["kind"], first(value));
            assert!(*own == exact(other), "{what}: {name} {index}: {} and not {}", short(own), short(other));
        }
    }
}

#[test]
fn sets_of_other_libraries_have_the_values_that_those_read() {
    let Some((folder, said)) = written("sets_of_other_libraries_have_the_values_that_those_read", "data_files.py")
    else {
        return;
    };
    let sets = said["sets"].as_array().unwrap();
    for set in sets {
        let name = set["path"].as_str().unwrap();
        let parts = readers::open(&folder.path().join(name), &options(&set["options"]));
        compare(&parts.unwrap_or_else(|error| panic!("{name}: {error}")), set, name);
    }
    assert!(sets.len() > 100, "{}", sets.len());
    for set in said["refused"].as_array().unwrap() {
        let (name, words) = (set["path"].as_str().unwrap(), set["words"].as_str().unwrap());
        let error = refused(&folder.path().join(name)).unwrap_err();
        assert!(error.message.contains(words) && error.hint.is_some(), "{name}: {error}");
    }
}

fn refused(path: &Path) -> Result<usize> {
    examples(&*readers::open(path, &DataOptions::default())?.train).map(|all| all.len())
}

#[test]
fn images_have_the_pixels_that_pillow_decodes_and_resizes() {
    let Some((folder, said)) = written("images_have_the_pixels_that_pillow_decodes_and_resizes", "pictures.py") else {
        return;
    };
    let cases = said.as_array().unwrap();
    assert!(cases.len() > 100, "{}", cases.len());
    for case in cases {
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let wanted = Wanted {
            channels: number(&case["channels"]),
            bits: number(&case["bits"]) as u8,
            size: (number(&case["size"][0]), number(&case["size"][1])),
            resize: if case["resize"] == "crop" { Resize::Crop } else { Resize::Stretch },
            alpha: match case.get("alpha").and_then(Value::as_str) {
                Some("white") => Alpha::White,
                Some("black") => Alpha::Black,
                _ => Alpha::Drop,
            },
        };
        let read = |key: &str| std::fs::read(folder.path().join(case[key].as_str().unwrap())).unwrap();
        if let Some(told) = case.get("refused").and_then(Value::as_str) {
            let error = decode_picture(&read("file"), &wanted).unwrap_err();
            assert!(error.contains(told), "{case}: {error}");
            continue;
        }
        let found = decode_picture(&read("file"), &wanted).unwrap_or_else(|why| panic!("{case}: {why}"));
        let expected = read("values");
        match found {
            Numbers::Bytes(found) => {
                assert_eq!(found.len(), expected.len(), "{case}");
                // Colours of which little is seen are left out where a case says so.
                let seen = case.get("least_alpha").map_or(0, number);
                let apart =
                    found.chunks(wanted.channels).zip(expected.chunks(wanted.channels)).flat_map(|(one, other)| {
                        let colours = if usize::from(other[other.len() - 1]) < seen { 0 } else { other.len() };
                        one.iter().zip(other).take(colours).map(|(one, other)| one.abs_diff(*other))
                    });
                let apart = apart.max().unwrap();
                assert!(usize::from(apart) <= number(&case["tolerance"]), "{case}: {apart}");
            }
            Numbers::Floats(found) => {
                let expected =
                    expected.as_chunks().0.iter().map(|value| f32::from(u16::from_le_bytes(*value)) / 65_535.0);
                assert!(found.iter().copied().eq(expected), "{case}");
            }
            Numbers::Whole(_) => panic!("{case}: whole numbers"),
        }
    }
}

/// SciPy adds by a fast Fourier transform, in another order: a number that is nearly whole may be cut off to the byte below. Of bars, many
/// places have the same number, and so more than one the least or the greatest, which are whole: of each look the share that differs
/// at most.
const MOST_APART: [(&str, f64); 3] = [("noise", 1e-4), ("soft", 1e-4), ("bars", 0.01)];

#[test]
fn filtered_images_are_those_of_scipy_and_pillow() {
    let Some((folder, said)) = written("filtered_images_are_those_of_scipy_and_pillow", "filters.py") else {
        return;
    };
    let cases = said.as_array().unwrap();
    assert!(cases.len() > 300, "{}", cases.len());
    let mut counts = MOST_APART.map(|(look, most)| (look, most, 0, 0));
    for case in cases {
        let sizes: Vec<usize> = serde_json::from_value(case["size"].clone()).unwrap();
        let filter = ImageFilter::parse(case["filter"].as_str().unwrap()).unwrap();
        let shape = Shape::Image(sizes[0], sizes[1], sizes[2]);
        let filter = FrequencyFilter::of(filter, case["sigma"].as_f64().unwrap(), shape, true).unwrap().unwrap();
        let read = |ending: &str| {
            std::fs::read(folder.path().join(format!("{}.{ending}", case["name"].as_str().unwrap()))).unwrap()
        };
        let (mut found, expected) = (read("image"), read("filtered"));
        filter.apply(&mut found);
        assert_eq!(found.len(), expected.len(), "{case}");
        let apart = || found.iter().zip(&expected).map(|(one, other)| one.abs_diff(*other));
        assert!(apart().all(|levels| levels <= 1), "{case}: {:?}", apart().max());
        let (.., differ, all) = counts.iter_mut().find(|(look, ..)| case["look"] == *look).unwrap();
        *differ += apart().filter(|levels| *levels > 0).count();
        *all += found.len();
    }
    assert!(counts.iter().all(|(_, most, differ, all)| *differ as f64 <= most * *all as f64), "{counts:?}");
    assert!(counts.iter().all(|(.., all)| *all > 10_000), "{counts:?}");
}
