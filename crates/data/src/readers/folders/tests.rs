//! Trees of folders as people have them.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;
use crate::samples::examples;

fn tree(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        if file.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    folder
}

fn opened(folder: &tempfile::TempDir) -> SetParts {
    open(folder.path(), &DataOptions::default()).unwrap()
}

fn names(reader: &dyn Reader) -> Vec<String> {
    examples(reader).unwrap().into_iter().map(|example| example.name).collect()
}

fn words(classes: &[&str]) -> Option<Vec<Label>> {
    Some(classes.iter().map(|class| Label::Word(class.to_string())).collect())
}

#[test]
fn a_folder_is_a_class_and_names_are_sorted_by_their_bytes() {
    let folder =
        tree(&["b/10.png", "b/9.JPG", "b/deep/1.webp", "a/x.tiff", "Z/y.bmp", "Z/Thumbs.db", "Z/.DS_Store", "a.txt"]);
    let parts = opened(&folder);
    assert_eq!(names(&*parts.train), ["Z/y.bmp", "a/x.tiff", "b/10.png", "b/9.JPG", "b/deep/1.webp"]);
    assert_eq!(parts.classes, words(&["Z", "a", "b"]));
    assert!(parts.validation.is_none() && parts.test.is_none());
    assert_eq!(parts.notes, ["2 files that are no images left aside, `Z/Thumbs.db` among them"]);
    assert_eq!(examples(&*parts.train).unwrap()[0].content, Content::File(b"Z/y.bmp".to_vec()));
    assert!(are_here(folder.path(), &DataOptions::default()).unwrap());
}

#[test]
fn a_link_that_leads_back_is_no_class_and_no_folder_is_two() {
    let folder = tree(&["set/a/1.png", "set/b/2.png"]);
    let set = folder.path().join("set");
    symlink(&set, set.join("self")).unwrap();
    symlink(folder.path(), set.join("up")).unwrap();
    let parts = open(&set, &DataOptions::default()).unwrap();
    assert_eq!((names(&*parts.train).len(), parts.classes), (2, words(&["a", "b"])));
    assert!(parts.notes[0].starts_with("2 links in "), "{:?}", parts.notes);
    symlink(set.join("a"), set.join("c")).unwrap();
    let error = open(&set, &DataOptions::default()).err().unwrap();
    assert!(error.message.contains("`c` and `a`") && error.message.contains("are one folder"), "{error}");
}

#[test]
fn parts_are_folders_under_any_of_their_usual_names() {
    let folder = tree(&["Train/a/1.png", "Train/b/2.png", "valid/a/3.png", "test/b/4.png", "test/c/5.png"]);
    let parts = opened(&folder);
    assert_eq!(names(&*parts.train), ["Train/a/1.png", "Train/b/2.png"]);
    assert_eq!(names(&*parts.validation.unwrap()), ["valid/a/3.png"]);
    assert_eq!(names(&*parts.test.unwrap()), ["test/b/4.png", "test/c/5.png"]);
    assert_eq!(parts.classes, words(&["a", "b", "c"]));
    assert!(parts.notes[0].contains("not trained on: `c`"), "{:?}", parts.notes);
}

#[test]
fn a_class_may_be_called_as_a_part() {
    let parts = opened(&tree(&["bus/1.png", "train/2.png", "test/3.png"]));
    assert_eq!(parts.classes, words(&["bus", "test", "train"]));
    assert!(parts.test.is_none());
}

#[test]
fn other_names_of_parts_are_those_that_options_say() {
    let folder = tree(&["fold1/a/1.png", "fold1/b/2.png", "fold2/a/3.png", "fold2/b/3.png"]);
    let options = DataOptions { train: Some("fold1".into()), test: Some("fold2".into()), ..DataOptions::default() };
    let parts = open(folder.path(), &options).unwrap();
    assert_eq!((names(&*parts.train).len(), names(&*parts.test.unwrap()).len()), (2, 2));
    assert_eq!(parts.classes, words(&["a", "b"]));
}

#[test]
fn a_validation_part_without_a_test_is_reported_as_with_imagenet() {
    let folder = tree(&["train/n1/1.JPEG", "train/n2/2.JPEG", "val/n1/3.JPEG", "test/4.JPEG"]);
    let parts = opened(&folder);
    assert!(parts.validation.is_none());
    assert_eq!(names(&*parts.test.unwrap()), ["val/n1/3.JPEG"]);
    assert!(parts.notes.iter().any(|note| note.contains("`test/` left aside: its images have no labels")));
    assert!(parts.notes.iter().any(|note| note.contains("taken for it, as is usual for ImageNet")));
}

#[test]
fn tiny_imagenet_has_a_list_and_an_order_of_its_own() {
    let folder = tree(&[
        "tiny/train/n2/images/n2_0.JPEG",
        "tiny/train/n2/n2_boxes.txt",
        "tiny/train/n1/images/n1_0.JPEG",
        "tiny/val/images/val_1.JPEG",
        "tiny/val/images/val_0.JPEG",
        "tiny/test/images/test_0.JPEG",
    ]);
    let root = folder.path().join("tiny");
    std::fs::write(root.join("wnids.txt"), "n2\nn1\n").unwrap();
    std::fs::write(root.join("val/val_annotations.txt"), "val_0.JPEG\tn2\t0\t0\t1\t1\nval_1.JPEG\tn1\t0\t0\t1\t1\n")
        .unwrap();
    let parts = opened(&folder);
    assert_eq!(names(&*parts.train), ["train/n1/images/n1_0.JPEG", "train/n2/images/n2_0.JPEG"]);
    let test = examples(&*parts.test.unwrap()).unwrap();
    assert_eq!((test[0].name.as_str(), &test[0].label), ("val/val_1.JPEG", &Label::Word("n1".into())));
    assert_eq!(test[1].content, Content::File(b"tiny/val/images/val_0.JPEG".to_vec()));
    assert_eq!(parts.classes, words(&["n2", "n1"]));
    std::fs::write(root.join("val/val_annotations.txt"), "../../x\tn2\n").unwrap();
    let error = open(folder.path(), &DataOptions::default()).err().unwrap();
    assert!(error.message.contains("line 1: found"), "{error}");
}

#[test]
fn what_cannot_be_read_is_damaged_and_the_rest_is_read() {
    let folder = tree(&["a/1.png", "a/2.png/", "b/2.png", "empty/"]);
    symlink("nowhere", folder.path().join("a/broken.png")).unwrap();
    symlink("/dev/zero", folder.path().join("a/device.png")).unwrap();
    symlink("..", folder.path().join("a/circle")).unwrap();
    symlink("../b/2.png", folder.path().join("a/link.png")).unwrap();
    std::fs::write(folder.path().join("b/none.png"), "").unwrap();
    let parts = opened(&folder);
    let all = examples(&*parts.train).unwrap();
    let damaged: Vec<&str> =
        all.iter().filter(|one| matches!(one.content, Content::Damaged(_))).map(|one| one.name.as_str()).collect();
    assert_eq!(damaged, ["a/broken.png", "a/device.png", "b/none.png"]);
    assert_eq!(all.len(), 6);
    assert!(parts.notes.iter().any(|note| note == "the class `empty` has no image"), "{:?}", parts.notes);
    assert!(parts.notes.iter().any(|note| note.contains("links that lead back")));
}

#[test]
fn names_that_are_no_text_do_not_become_one_class() {
    let folder = tree(&["a/1.png"]);
    for name in [&b"x\xff"[..], b"x\xfe"] {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff.png")), "1").unwrap();
    }
    let error = open(folder.path(), &DataOptions::default()).err().unwrap();
    assert!(error.message.contains("two folders"), "{error}");
}

#[test]
fn images_without_folders_are_no_set() {
    let error = open(tree(&["1.png", "2.png"]).path(), &DataOptions::default()).err().unwrap();
    assert!(error.message.contains("has no folders of images") && error.hint.is_some());
}

fn asked(train: Option<&str>, validation: Option<&str>, test: Option<&str>) -> DataOptions {
    let [train, validation, test] = [train, validation, test].map(|word| word.map(str::to_string));
    DataOptions { train, validation, test, ..DataOptions::default() }
}

#[test]
fn a_part_that_is_misspelled_or_named_twice_is_refused() {
    let folder = tree(&["train/a/1.png", "train/b/2.png", "val/a/3.png", "test/b/4.png"]);
    let refused = |options: &DataOptions| super::super::open(folder.path(), options).err().unwrap();
    for train in ["nix", "Train"] {
        let error = refused(&asked(Some(train), None, None));
        assert_eq!(error.message, format!("nothing is `{train}`, which `train` names"));
    }
    for (options, expected) in [
        (asked(Some("train"), None, Some("train")), "`train` and `test` are the same: `train`"),
        (asked(Some("train"), None, Some("./train")), "`train` and `test` are the same: `./train/`"),
        (asked(None, Some("val"), Some("val/")), "`validation` and `test` are the same: `val`"),
        (asked(Some(""), None, None), "`train` is empty"),
    ] {
        let error = refused(&options);
        assert!(error.message.contains(expected) && error.hint.is_some(), "{error}");
    }
}

#[test]
fn what_is_left_aside_beside_parts_is_noted() {
    let folder =
        tree(&["train/a/1.png", "train/b/2.png", "training/a/1.png", "val/a/3.png", "dev/a/4.png", "more/5.png"]);
    let parts = open(folder.path(), &asked(None, Some("val"), Some(""))).unwrap();
    assert!(parts.validation.is_some() && parts.test.is_none());
    let parts = opened(&folder);
    for expected in [
        "`training/` left aside: the training part is `train/`",
        "`val/` left aside: the validation part is `dev/`",
        "`more/` left aside: it is none of the parts",
    ] {
        assert!(parts.notes.iter().any(|note| note == expected), "{expected}: {:?}", parts.notes);
    }
    let folder = tree(&["train/a/1.png", "train/b/2.png", "test/b/4.png"]);
    let parts = open(folder.path(), &asked(None, None, Some(""))).unwrap();
    assert!(parts.test.is_none());
    assert_eq!(parts.notes, ["the test part is left aside, as `test = \"\"` says"]);
}

#[test]
fn names_with_control_characters_are_shown_escaped() {
    let folder = tree(&["a/\u{1b}[31m.png", "b/\n.png", "b/\u{7}.txt"]);
    let parts = opened(&folder);
    assert_eq!(names(&*parts.train), ["a/\\u{1b}[31m.png", "b/\\n.png"]);
    assert!(!parts.notes.concat().contains(char::is_control), "{:?}", parts.notes);
}
