//! What the table says holds together.

use super::*;

#[test]
fn names_aliases_and_cases_are_found_and_others_get_the_nearest() {
    assert_eq!(find("cifar10").unwrap().name, "cifar-10");
    assert_eq!(find("CIFAR-100").unwrap().name, "cifar-100");
    assert_eq!(find("fashion-mnist").unwrap().shape, Shape::Image(1, 28, 28));
    let error = find("fashion-mnits").unwrap_err();
    assert_eq!(error.hint.unwrap(), "did you mean `fashion-mnist`?");
    assert!(find("imagenet").unwrap_err().message.contains("fashion-mnist, mnist, cifar-10, cifar-100, kmnist"));
}

#[test]
fn another_set_is_not_taken_for_a_mistyped_one() {
    for name in ["emnist", "svhn", "Tiny_ImageNet"] {
        let error = find(name).unwrap_err();
        assert!(error.message.contains("is not a known data set; expected one of fashion-mnist, mnist"), "{error}");
        let hint = error.hint.unwrap();
        assert!(!hint.contains("did you mean") && hint.starts_with("choose one"), "{hint}");
    }
    assert_eq!(find("KMNIST").unwrap().name, "kmnist");
    assert_eq!(find("emnist_letters").unwrap().classes, 26);
}

#[test]
fn files_are_known_by_their_checksums_whatever_they_are_called() {
    assert_eq!(owner("bdb82020997e1d708af4cf47b453dcf7"), Some(("kmnist", "train-images-idx3-ubyte")));
    assert_eq!(owner("f4a8712d7a061bf5bd6d2ca38dc4d50a"), Some(("fashion-mnist", "train-images-idx3-ubyte")));
    assert_eq!(owner("bb300cfdad3c16e7a12a480ee83cd310"), Some(("fashion-mnist", "t10k-labels-idx1-ubyte")));
    assert_eq!(owner("f0ef6b0ae62326f3e7ffdfab6717acfc"), Some(("cifar-100", "test")));
    assert_eq!(owner("900150983cd24fb0d6963f7d28e17f72"), None);
    assert_eq!(owner(""), None);
}

#[test]
fn sizes_in_the_table_agree_with_shapes_and_published_counts() {
    for known in &CATALOGUE {
        let expected: Vec<u64> = match known.source {
            Source::Made => vec![],
            Source::Idx { torchvision: "MNIST" | "FashionMNIST" | "KMNIST", .. } => {
                vec![16 + 60_000 * 784, 8 + 60_000, 16 + 10_000 * 784, 8 + 10_000]
            }
            Source::Idx { .. } => {
                assert_eq!(known.files()[0].bytes, 16 + known.train_images as u64 * 784);
                continue;
            }
            Source::Cifar { format, train, .. } => {
                assert_eq!(format.classes, known.classes);
                assert_eq!(format.record(), format.label_bytes + known.shape.size());
                let mut sizes = vec![50_000 / train.len() as u64 * format.record() as u64; train.len()];
                sizes.push(10_000 * format.record() as u64);
                sizes
            }
        };
        assert_eq!(known.files().iter().map(|file| file.bytes).collect::<Vec<_>>(), expected, "{}", known.name);
        assert!(known.files().is_empty() || known.base_url.ends_with('/'));
    }
}

#[test]
fn no_checksum_is_mistyped_or_used_twice() {
    let mut sums: Vec<&str> = CATALOGUE
        .iter()
        .flat_map(Known::files)
        .chain(CATALOGUE.iter().flat_map(Known::python_files))
        .flat_map(|file| [Some(file.md5).filter(|md5| !md5.is_empty()), file.compressed_md5])
        .flatten()
        .collect();
    let count = sums.len();
    assert!(sums.iter().all(|sum| sum.len() == 32 && sum.bytes().all(|digit| b"0123456789abcdef".contains(&digit))));
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), count);
}
