//! Sets where people and other programs keep them.

use std::fs;

use super::*;
use crate::samples::{cifar_pickle, cifar_record, gzip, idx_images, idx_labels};
use tombola_words::error::Kind;

fn places_with(variables: &'static [(&'static str, &'static str)]) -> Vec<PathBuf> {
    places_by(None, |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
}

#[test]
fn places_are_searched_in_the_documented_order() {
    let all = places_with(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x"), ("TOMBOLA_DATA", "/t")]);
    assert_eq!(all, ["/t", "/x/tombola", SYSTEM].map(PathBuf::from));
    assert_eq!(places_with(&[("HOME", "/h")]), ["/h/.local/share/tombola", SYSTEM].map(PathBuf::from));
    assert_eq!(
        places_with(&[("HOME", "/h"), ("XDG_DATA_HOME", "relative"), ("TOMBOLA_DATA", "")])[0],
        Path::new("/h/.local/share/tombola")
    );
    assert_eq!(places_by(Some(Path::new("only")), |_| Some("/t".into())), [PathBuf::from("only")]);
}

#[test]
fn fetched_files_never_go_to_the_system_folder_unasked() {
    let nowhere = places_with(&[]);
    assert_eq!(place_to_fill(&nowhere, None).unwrap_err().kind, Kind::Environment);
    let asked = PathBuf::from(SYSTEM);
    assert_eq!(place_to_fill(std::slice::from_ref(&asked), Some(&asked)).unwrap(), asked);
}

/// Two training images and one test image of MNIST's form.
fn write_idx(folder: &Path, side: u32, compressed: bool) {
    fs::create_dir_all(folder).unwrap();
    let size = (side * side) as usize;
    for (name, bytes) in [
        ("train-images-idx3-ubyte", idx_images(side, side, &vec![1; 2 * size])),
        ("train-labels-idx1-ubyte", idx_labels(&[3, 9])),
        ("t10k-images-idx3-ubyte", idx_images(side, side, &vec![2; size])),
        ("t10k-labels-idx1-ubyte", idx_labels(&[0])),
    ] {
        match compressed {
            true => fs::write(folder.join(format!("{name}.gz")), gzip(&bytes)).unwrap(),
            false => fs::write(folder.join(name), bytes).unwrap(),
        }
    }
}

#[test]
fn idx_sets_are_loaded_plain_and_compressed_with_one_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(&folder.path().join("mnist"), 28, false);
    write_idx(&folder.path().join("fashion-mnist"), 28, true);
    let plain = load("mnist", Some(folder.path())).unwrap();
    let packed = load("fashion-mnist", Some(folder.path())).unwrap();
    assert_eq!((plain.name.as_str(), plain.train.len(), plain.test.len()), ("mnist", 2, 1));
    assert_eq!((&plain.train, &plain.test, &plain.fingerprint), (&packed.train, &packed.test, &packed.fingerprint));
}

#[test]
fn images_of_another_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(&folder.path().join("mnist"), 8, false);
    let error = load("mnist", Some(folder.path())).unwrap_err();
    assert!(error.message.ends_with("holds images of 1x8x8; `mnist` has images of 1x28x28"), "{error}");
}

#[test]
fn a_missing_set_names_the_places_searched_and_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        load_known(catalogue::find("fashion-mnist").unwrap(), &["/one".into(), "/two".into()], None).unwrap_err();
    assert_eq!(error.message, "data set `fashion-mnist` not found in `/one/fashion-mnist`, `/two/fashion-mnist`");
    let hint = error.hint.unwrap();
    for part in ["`tombola data fetch fashion-mnist`", "--data-dir", "apt install dataset-fashion-mnist"] {
        assert!(hint.contains(part), "{hint}");
    }
    let error = load("mnist", Some(folder.path())).unwrap_err();
    assert!(error.hint.unwrap().contains(&format!("tombola data fetch mnist --data-dir {}", folder.path().display())));
    assert!(load("synthetic", None).unwrap_err().message.contains("no files"));
}

#[test]
fn an_incomplete_set_names_what_is_missing_and_gives_way_to_a_complete_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    for place in [&first, &second] {
        write_idx(&place.join("mnist"), 28, false);
    }
    fs::remove_file(first.join("mnist/t10k-labels-idx1-ubyte")).unwrap();
    let known = catalogue::find("mnist").unwrap();
    let error = load_known(known, std::slice::from_ref(&first), None).unwrap_err();
    assert!(error.message.ends_with("is incomplete: `t10k-labels-idx1-ubyte` missing"), "{error}");
    assert!(load_known(known, &[first, second], None).is_ok());
}

#[test]
fn loose_files_are_pointed_out_because_two_sets_share_their_names() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path(), 28, true);
    let hint = load("mnist", Some(folder.path())).unwrap_err().hint.unwrap();
    assert!(hint.contains("lie directly in"), "{hint}");
}

fn write_cifar_10(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for batch in 1..=5 {
        fs::write(folder.join(format!("data_batch_{batch}.bin")), cifar_record(&[batch as u8], batch)).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), cifar_record(&[0], 0)).unwrap();
}

#[test]
fn cifar_is_found_in_each_of_its_places() {
    for inner in ["cifar-10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar-10"] {
        let folder = tempfile::tempdir().unwrap();
        write_cifar_10(&folder.path().join(inner));
        let data = load("cifar10", Some(folder.path())).unwrap();
        assert_eq!((data.train.labels.as_slice(), data.test.labels.as_slice()), (&[1, 2, 3, 4, 5][..], &[0][..]));
        let known = catalogue::find("cifar-10").unwrap();
        assert_eq!((data.train.shape, data.train.classes), (known.shape, known.classes));
    }
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("cifar-100-binary");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("train.bin"), cifar_record(&[1, 42], 0)).unwrap();
    fs::write(inner.join("test.bin"), cifar_record(&[1, 43], 0)).unwrap();
    assert_eq!(load("cifar-100", Some(folder.path())).unwrap().test.labels, [43]);
}

#[test]
fn what_torchvision_keeps_is_the_same_set() {
    let folder = tempfile::tempdir().unwrap();
    let (own, theirs) = (folder.path().join("own"), folder.path().join("theirs"));
    for (name, torchvision) in [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")] {
        write_idx(&own.join(name), 28, false);
        write_idx(&theirs.join(torchvision).join("raw"), 28, true);
        let [own, theirs] = [&own, &theirs].map(|place| load(name, Some(place)).unwrap());
        assert_eq!((&own.fingerprint, own.name), (&theirs.fingerprint, theirs.name));
    }
    write_cifar_10(&own.join("cifar-10"));
    let python = theirs.join("cifar-10-batches-py");
    fs::create_dir_all(&python).unwrap();
    for batch in 0..=5_u8 {
        let record = cifar_record(&[batch], batch.into());
        let name = if batch == 0 { "test_batch".to_string() } else { format!("data_batch_{batch}") };
        fs::write(python.join(name), cifar_pickle("labels", &record[..1], &record[1..])).unwrap();
    }
    let [own, theirs] = [&own, &theirs].map(|place| load("cifar-10", Some(place)).unwrap());
    assert_eq!((&own.train, &own.fingerprint), (&theirs.train, &theirs.fingerprint));
    assert_eq!(strangers("cifar-10", Some(&folder.path().join("theirs"))).unwrap().len(), 6);
    fs::remove_file(python.join("data_batch_3")).unwrap();
    assert!(load("cifar-10", Some(&folder.path().join("theirs"))).unwrap_err().message.contains("not found"));
}

#[test]
fn emnist_is_turned_and_its_labels_begin_at_zero() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("EMNIST/raw");
    fs::create_dir_all(&place).unwrap();
    let mut lying = vec![0; 784];
    lying[3 * 28 + 7] = 9;
    for part in ["train", "test"] {
        let name = |what: &str| place.join(format!("emnist-letters-{part}-{what}"));
        fs::write(name("images-idx3-ubyte"), idx_images(28, 28, &lying)).unwrap();
        fs::write(name("labels-idx1-ubyte.gz"), gzip(&idx_labels(&[26]))).unwrap();
    }
    let data = load("emnist-letters", Some(folder.path())).unwrap();
    assert_eq!((data.train.labels.as_slice(), data.train.classes), (&[25][..], 26));
    assert_eq!(data.train.values[7 * 28 + 3], 9);
    fs::write(place.join("emnist-letters-train-labels-idx1-ubyte.gz"), idx_labels(&[0])).unwrap();
    assert!(load("emnist-letters", Some(folder.path())).unwrap_err().message.contains("expected at least 1"));
    let error = load("emnist-digits", Some(folder.path())).unwrap_err();
    assert!(error.hint.unwrap().contains("gzip.zip"));
}

#[test]
fn the_class_is_the_first_number_of_qmnist() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("qmnist");
    fs::create_dir(&place).unwrap();
    let wide = |class: u32| -> Vec<u8> {
        [0xc02, 1, 8, class, 4, 0, 0, 7, 1, 1, 1].iter().flat_map(|number: &u32| number.to_be_bytes()).collect()
    };
    for part in ["train", "test"] {
        fs::write(place.join(format!("qmnist-{part}-images-idx3-ubyte")), idx_images(28, 28, &[1; 784])).unwrap();
        fs::write(place.join(format!("qmnist-{part}-labels-idx2-int")), wide(7)).unwrap();
    }
    assert_eq!(load("qmnist", Some(folder.path())).unwrap().train.labels, [7]);
    fs::write(place.join("qmnist-test-labels-idx2-int"), wide(300)).unwrap();
    assert!(load("qmnist", Some(folder.path())).unwrap_err().message.contains("no class from 0 to 255"));
}

#[test]
fn the_real_fashion_mnist_is_read_where_it_is_installed() {
    if !Path::new(SYSTEM).join("fashion-mnist").is_dir() {
        let reason = format!("no {SYSTEM}/fashion-mnist (`apt install dataset-fashion-mnist`)");
        return crate::skipped("the_real_fashion_mnist_is_read_where_it_is_installed", &reason);
    }
    let data = load("fashion-mnist", Some(Path::new(SYSTEM))).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
    assert_eq!((data.train.shape, data.train.classes), (tombola_words::Shape::Image(1, 28, 28), 10));
    assert_eq!(data.train.images_per_class(), [6000; 10]);
    assert_eq!(data.test.images_per_class(), [1000; 10]);
    // The mean and standard deviation that everybody uses for this set, of all training images.
    let all = crate::Normalisation::of(&data.train, 0..60_000).unwrap();
    assert!((all.mean[0] - 0.2860).abs() < 5e-5 && (all.standard_deviation[0] - 0.3530).abs() < 5e-5, "{all:?}");
}
