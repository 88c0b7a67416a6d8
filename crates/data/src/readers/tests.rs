//! Whole sets as they lie on disks: what is recognised, and what is said of the rest.

use std::path::Path;

use super::*;
use crate::example::Label;
use crate::samples::{cifar_pickle, cifar_record, examples, idx_images, idx_labels, npy, tar_gz, zipped};

struct Set(tempfile::TempDir);

impl Set {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Self(folder)
    }

    fn open(&self, name: &str, options: &DataOptions) -> Result<SetParts> {
        open(&self.0.path().join(name), options)
    }
}

/// Format, and examples for training, validation and test.
fn counts(parts: &SetParts) -> (&'static str, [usize; 3]) {
    let count =
        |part: Option<&Box<dyn crate::example::Reader>>| part.map_or(0, |part| examples(&**part).unwrap().len());
    (parts.format, [count(Some(&parts.train)), count(parts.validation.as_ref()), count(parts.test.as_ref())])
}

fn bytes_array(count: usize) -> (Vec<u8>, Vec<u8>) {
    let x = npy("'|u1'", false, &format!("({count}, 2)"), &vec![1; 2 * count]);
    (x, npy("'|u1'", false, &format!("({count},)"), &vec![0; count]))
}

#[test]
fn sets_of_torchvision_are_recognised_in_their_folders() {
    let none = DataOptions::default();
    let (images, labels) = (idx_images(2, 2, &[1; 8]), idx_labels(&[0, 1]));
    let mnist = Set::of(&[
        ("MNIST/raw/train-images-idx3-ubyte", &images),
        ("MNIST/raw/train-images-idx3-ubyte.gz", &crate::samples::gzip(&images)),
        ("MNIST/raw/train-labels-idx1-ubyte", &labels),
        ("MNIST/raw/t10k-images-idx3-ubyte", &images),
        ("MNIST/raw/t10k-labels-idx1-ubyte", &labels),
    ]);
    assert_eq!(counts(&mnist.open("", &none).unwrap()), ("IDX files", [2, 0, 2]));
    assert_eq!(counts(&mnist.open("MNIST/raw", &none).unwrap()), ("IDX files", [2, 0, 2]));
    let planes = vec![7; 3072];
    let (first, test) = (cifar_pickle("labels", &[4], &planes), cifar_pickle("labels", &[5], &planes));
    let ten = Set::of(&[
        ("cifar-10-batches-py/data_batch_1", &first),
        ("cifar-10-batches-py/data_batch_2", &first),
        ("cifar-10-batches-py/test_batch", &test),
        ("cifar-10-batches-py/batches.meta", b"\x80\x02}q\x01."),
        ("cifar-10-batches-py/readme.html", b"<html>"),
    ]);
    let parts = ten.open("", &none).unwrap();
    assert_eq!(counts(&parts), ("the Python version of CIFAR", [2, 0, 1]));
    assert_eq!(parts.classes.unwrap().len(), 10);
    let fine = cifar_pickle("fine_labels", &[99], &planes);
    let hundred = Set::of(&[("train", &fine), ("test", &fine), ("meta", b"\x80\x02}q\x01.")]);
    let parts = hundred.open("", &none).unwrap();
    assert_eq!((counts(&parts), parts.classes.unwrap().len()), (("the Python version of CIFAR", [1, 0, 1]), 100));
    let binary =
        Set::of(&[("b/data_batch_1.bin", &cifar_record(&[1], 0)), ("b/test_batch.bin", &cifar_record(&[1], 0))]);
    assert_eq!(counts(&binary.open("", &none).unwrap()), ("the binary version of CIFAR", [1, 0, 1]));
    let stl = vec![1; 3 * 96 * 96];
    let stl = Set::of(&[
        ("train_X.bin", &stl),
        ("train_y.bin", &[1]),
        ("test_X.bin", &stl),
        ("test_y.bin", &[2]),
        ("unlabeled_X.bin", &stl),
    ]);
    let parts = stl.open("", &none).unwrap();
    assert_eq!(counts(&parts), ("STL-10", [1, 0, 1]));
    assert!(parts.notes[0].contains("unlabeled_X.bin"));
}

#[test]
fn arrays_are_taken_from_files_and_folders() {
    let none = DataOptions::default();
    let ((x, y), (few, one)) = (bytes_array(3), bytes_array(1));
    let folder = Set::of(&[("x_train.npy", &x), ("y_train.npy", &y), ("test/x.npy", &few), ("test/y.npy", &one)]);
    assert_eq!(counts(&folder.open("", &none).unwrap()), ("arrays of NumPy (.npy)", [3, 0, 1]));
    let keras = zipped(&[("x_train.npy", &x), ("y_train.npy", &y), ("x_test.npy", &few), ("y_test.npy", &one)], true);
    let files = Set::of(&[("mnist.npz", &keras), ("train.npz", &zipped(&[("x.npy", &x), ("y.npy", &y)], false))]);
    assert_eq!(counts(&files.open("mnist.npz", &none).unwrap()), ("arrays of NumPy (.npz)", [3, 0, 1]));
    let parts = Set::of(&[
        ("train.npz", &zipped(&[("arr_0.npy", &x), ("arr_1.npy", &y)], false)),
        ("valid.npz", &zipped(&[("arr_0.npy", &few), ("arr_1.npy", &one)], false)),
        ("test.npz", &zipped(&[("arr_0.npy", &few), ("arr_1.npy", &one)], false)),
    ]);
    assert_eq!(counts(&parts.open("", &none).unwrap()), ("arrays of NumPy (.npz)", [3, 1, 1]));
}

#[test]
fn shards_and_tables_are_named_by_patterns_and_options() {
    let none = DataOptions::default();
    let shard = tar_gz(&[("1.jpg", b"a"), ("1.cls", b"1")]);
    let shards =
        Set::of(&[("s-00.tar", &shard), ("s-01.tar", &shard), ("s-02.tar.gz", &shard), ("test-00.tar", &shard)]);
    assert_eq!(counts(&shards.open("s-{00..01}.tar", &none).unwrap()), ("shards of WebDataset (.tar)", [2, 0, 0]));
    assert_eq!(counts(&shards.open("s-*", &none).unwrap()), ("shards of WebDataset (.tar)", [3, 0, 0]));
    let options = DataOptions { train: Some("s-*".into()), ..DataOptions::default() };
    assert_eq!(counts(&shards.open("", &options).unwrap()), ("shards of WebDataset (.tar)", [3, 0, 1]));
    let table: &[u8] = b"a,b,label\n1,2,cat\n";
    let tables = Set::of(&[("train.csv", table), ("dev.csv", table), ("test.csv", table), ("notes.md", b"# notes")]);
    assert_eq!(counts(&tables.open("", &none).unwrap()), ("tables (.csv)", [1, 1, 1]));
    assert_eq!(counts(&tables.open("test.csv", &none).unwrap()), ("tables (.csv)", [1, 0, 0]));
}

#[test]
fn images_in_folders_come_before_files_that_lie_beside_them() {
    let set = Set::of(&[
        ("train/a/1.png", b"1"),
        ("train/b/1.png", b"1"),
        ("train.tar", b"x"),
        ("labels.csv", b"a,b\n1,2\n"),
    ]);
    let parts = set.open("", &DataOptions::default()).unwrap();
    assert_eq!(parts.format, "folders of images");
    assert_eq!(parts.classes, Some(vec![Label::Word("a".into()), Label::Word("b".into())]));
}

#[test]
fn options_that_a_format_has_no_use_for_are_refused() {
    let set = Set::of(&[("a/1.png", b"1"), ("b/1.png", b"1"), ("t.csv", b"a,label\n1,2\n")]);
    let options = DataOptions { labels: Some("label".into()), ..DataOptions::default() };
    assert!(set.open("", &options).err().unwrap().message.contains("folders of images have no use for `labels`"));
    assert!(set.open("t.csv", &options).is_ok());
    let options = DataOptions { axes: Some(tombola_words::AxesOrder::First), ..DataOptions::default() };
    assert!(set.open("t.csv", &options).err().unwrap().message.contains("tables (.csv) have no use for `axes`"));
}

#[test]
fn files_are_not_trained_on_if_nothing_has_the_name_that_options_say() {
    let (x, y) = bytes_array(2);
    let zip = zipped(&[("x.npy", &x), ("y.npy", &y)], false);
    let set = Set::of(&[("t.csv", b"a,split,y\n1,train,0\n2,test,1\n"), ("u.csv", b"a,y\n1,0\n"), ("z.npz", &zip)]);
    let asked = |train: &str| DataOptions { train: Some(train.into()), ..DataOptions::default() };
    for name in ["t.csv", "u.csv", "z.npz"] {
        let error = set.open(name, &asked("nix")).err().unwrap();
        assert!(error.message.contains("nothing is `nix`, which `train` names"), "{name}: {error}");
    }
    assert!(set.open("t.csv", &asked("train")).is_ok());
    let aside = DataOptions { test: Some(String::new()), ..DataOptions::default() };
    let (few, one) = bytes_array(1);
    let files: [(&str, &[u8]); 4] =
        [("train/x.npy", &x), ("train/y.npy", &y), ("test/x.npy", &few), ("test/y.npy", &one)];
    let parts = Set::of(&files).open("", &aside).unwrap();
    assert!(parts.test.is_none() && parts.notes[0].contains("left aside"), "{:?}", parts.notes);
}

#[test]
fn what_is_not_read_is_named_with_all_that_is() {
    let none = DataOptions::default();
    let refused = |files: &[(&str, &[u8])], name: &str| {
        let error = Set::of(files).open(name, &none).err().unwrap();
        assert!(error.hint.is_some(), "{error}");
        error.message
    };
    assert!(refused(&[("notes.md", b"words")], "").contains("read are folders of images"));
    assert!(refused(&[("a.xyz", b"words")], "a.xyz").contains("`.safetensors`, `.csv`"));
    assert!(refused(&[("a.h5", b"\x89HDF\r\n\x1a\n")], "").contains("is HDF5"));
    assert!(refused(&[("a.arrow", b"ARROW1\0\0")], "a.arrow").contains("Arrow"));
    assert!(refused(&[("a.pkl", b"\x80\x04N.")], "a.pkl").contains("a pickle"));
    assert!(refused(&[("x.npy", &bytes_array(1).0)], "x.npy").contains("one array"));
    assert!(refused(&[("a.png", b"\x89PNG\r\n\x1a\n")], "a.png").contains("one image"));
    assert!(refused(&[("a.png", b"\x89PNG\r\n\x1a\n")], "").contains("has no folders of images"));
    assert!(refused(&[("a/1.gif", b"GIF89a"), ("b/2.PGM", b"P5")], "").contains("not read (`.gif`, `.pgm`)"));
    assert!(refused(&[], "nothing").contains("nothing"));
    assert!(refused(&[], "*.tar").contains("no file of a format"));
    assert!(open(Path::new("/dev/zero"), &none).err().unwrap().message.contains("device"));
}
