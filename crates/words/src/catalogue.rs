//! The table of known data sets: what they look like, where their publishers keep them, and their checksums.
//!
//! It only says; nothing is read here. Shapes and classes are known without the data, so that a sweep can be planned
//! on a machine that has none.

use crate::Shape;
use crate::error::{Error, Result, nearest};

/// The name of the data set that is made.
pub const SYNTHETIC: &str = "synthetic";

/// How the records of a file look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Bytes before the pixels; the last of them is the label that is used (CIFAR-100: coarse, then fine).
    pub label_bytes: usize,
    /// Number of classes of that label.
    pub classes: usize,
}

impl Format {
    /// One label of ten classes.
    pub const CIFAR_10: Self = Self { label_bytes: 1, classes: 10 };
    /// A coarse label, which is skipped, then a fine one of a hundred classes.
    pub const CIFAR_100: Self = Self { label_bytes: 2, classes: 100 };

    /// Bytes of one image with its labels.
    pub fn record(self) -> usize {
        self.label_bytes + 3 * 32 * 32
    }
}

/// A file as its publisher made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicFile {
    /// Name without `.gz`.
    pub name: &'static str,
    /// MD5 of the uncompressed content.
    pub md5: &'static str,
    /// Size of the uncompressed content.
    pub bytes: u64,
    /// MD5 of `NAME.gz` as its publisher compressed it. Others (the Debian package, mirrors) compress the same content
    /// anew, so a file that differs here is still right if its content is.
    pub compressed_md5: Option<&'static str>,
}

/// An archive that holds the files of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicArchive {
    /// Name, which ends in `.tar.gz`.
    pub name: &'static str,
    /// MD5 of the archive.
    pub md5: &'static str,
    /// The folder in the archive, and on disk, in which the files lie.
    pub folder: &'static str,
    /// The folder of the Python version, which is not read.
    pub python_folder: &'static str,
}

/// Where images come from and how they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Made by `tombola_data::synthetic`.
    Made,
    /// Four IDX files: training images and labels, test images and labels.
    Idx {
        /// In this order.
        files: [PublicFile; 4],
    },
    /// Binary CIFAR files.
    Cifar {
        /// What they are fetched in.
        archive: PublicArchive,
        /// Training files, in order.
        train: &'static [PublicFile],
        /// Test files, in order.
        test: &'static [PublicFile],
        /// How records look.
        format: Format,
    },
}

/// A data set that Tombola knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its name, which is also its folder below a data directory.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// One line for people.
    pub about: &'static str,
    /// Channels, height and width. Of `synthetic`: what it is unless settings say otherwise.
    pub shape: Shape,
    /// Number of classes; of `synthetic` as above.
    pub classes: usize,
    /// Number of training images, validation included; of `synthetic` as above.
    pub train_images: usize,
    /// Where its publisher keeps the files; ends in a slash. Empty if there is nothing to fetch.
    pub base_url: &'static str,
    /// The system package that brings it, if one does.
    pub debian_package: Option<&'static str>,
    /// How it is read.
    pub source: Source,
}

impl Known {
    /// Every file of the set, training before test; none if it is made.
    pub fn files(&self) -> Vec<PublicFile> {
        match &self.source {
            Source::Made => Vec::new(),
            Source::Idx { files } => files.to_vec(),
            Source::Cifar { train, test, .. } => [*train, *test].concat(),
        }
    }
}

const fn idx(name: &'static str, bytes: u64, md5: &'static str, compressed_md5: &'static str) -> PublicFile {
    PublicFile { name, md5, bytes, compressed_md5: Some(compressed_md5) }
}

const fn unpacked(name: &'static str, bytes: u64, md5: &'static str) -> PublicFile {
    PublicFile { name, md5, bytes, compressed_md5: None }
}

/// All of them.
pub static CATALOGUE: [Known; 5] = [
    Known {
        name: "fashion-mnist",
        aliases: &["fashionmnist", "fashion_mnist"],
        about: "60,000 + 10,000 grey images of clothing, 28x28, 10 classes",
        shape: Shape::Image(1, 28, 28),
        classes: 10,
        train_images: 60_000,
        base_url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        debian_package: Some("dataset-fashion-mnist"),
        source: Source::Idx {
            files: [
                idx(
                    "train-images-idx3-ubyte",
                    47_040_016,
                    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                ),
                idx(
                    "train-labels-idx1-ubyte",
                    60_008,
                    "9018921c3c673c538a1fc5bad174d6f9",
                    "25c81989df183df01b3e8a0aad5dffbe",
                ),
                idx(
                    "t10k-images-idx3-ubyte",
                    7_840_016,
                    "8181f5470baa50b63fa0f6fddb340f0a",
                    "bef4ecab320f06d8554ea6380940ec79",
                ),
                idx(
                    "t10k-labels-idx1-ubyte",
                    10_008,
                    "15d484375f8d13e6eb1aabb0c3f46965",
                    "bb300cfdad3c16e7a12a480ee83cd310",
                ),
            ],
        },
    },
    Known {
        name: "mnist",
        aliases: &[],
        about: "60,000 + 10,000 grey images of handwritten digits, 28x28, 10 classes",
        shape: Shape::Image(1, 28, 28),
        classes: 10,
        train_images: 60_000,
        base_url: "https://ossci-datasets.s3.amazonaws.com/mnist/",
        debian_package: None,
        source: Source::Idx {
            files: [
                idx(
                    "train-images-idx3-ubyte",
                    47_040_016,
                    "6bbc9ace898e44ae57da46a324031adb",
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                ),
                idx(
                    "train-labels-idx1-ubyte",
                    60_008,
                    "a25bea736e30d166cdddb491f175f624",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                ),
                idx(
                    "t10k-images-idx3-ubyte",
                    7_840_016,
                    "2646ac647ad5339dbf082846283269ea",
                    "9fb629c4189551a2d022fa330f9573f3",
                ),
                idx(
                    "t10k-labels-idx1-ubyte",
                    10_008,
                    "27ae3e4e09519cfbb04c329615203637",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                ),
            ],
        },
    },
    Known {
        name: "cifar-10",
        aliases: &["cifar10"],
        about: "50,000 + 10,000 colour images, 32x32, 10 classes",
        shape: Shape::Image(3, 32, 32),
        classes: 10,
        train_images: 50_000,
        base_url: "https://www.cs.toronto.edu/~kriz/",
        debian_package: None,
        source: Source::Cifar {
            archive: PublicArchive {
                name: "cifar-10-binary.tar.gz",
                md5: "c32a1d4ab5d03f1284b67883e8d87530",
                folder: "cifar-10-batches-bin",
                python_folder: "cifar-10-batches-py",
            },
            train: &[
                unpacked("data_batch_1.bin", 30_730_000, "5dd7e06a14cb22eb9f671a540d1b7c25"),
                unpacked("data_batch_2.bin", 30_730_000, "5ea93a67294ea407fff1d09f752e9692"),
                unpacked("data_batch_3.bin", 30_730_000, "942cd6a4bcdd0dd3c604fbe906cb4421"),
                unpacked("data_batch_4.bin", 30_730_000, "ae636b3ba5c66a11e91e8cb52e771fcb"),
                unpacked("data_batch_5.bin", 30_730_000, "53f37980c15c3d472c316c40844f3f0d"),
            ],
            test: &[unpacked("test_batch.bin", 30_730_000, "803d5f7f4d78ea53de84dbe85f74fb6d")],
            format: Format::CIFAR_10,
        },
    },
    Known {
        name: "cifar-100",
        aliases: &["cifar100"],
        about: "50,000 + 10,000 colour images, 32x32, 100 classes (fine labels)",
        shape: Shape::Image(3, 32, 32),
        classes: 100,
        train_images: 50_000,
        base_url: "https://www.cs.toronto.edu/~kriz/",
        debian_package: None,
        source: Source::Cifar {
            archive: PublicArchive {
                name: "cifar-100-binary.tar.gz",
                md5: "03b5dce01913d631647c71ecec9e9cb8",
                folder: "cifar-100-binary",
                python_folder: "cifar-100-python",
            },
            train: &[unpacked("train.bin", 153_700_000, "6172c7755cfe09b2fe270c85cebc1b15")],
            test: &[unpacked("test.bin", 30_740_000, "4499cfba6c016c1be1438163640a0898")],
            format: Format::CIFAR_100,
        },
    },
    Known {
        name: SYNTHETIC,
        aliases: &[],
        about: "made by the program, any shape and size: for tests",
        shape: Shape::Image(1, 28, 28),
        classes: 10,
        train_images: 1_000,
        base_url: "",
        debian_package: None,
        source: Source::Made,
    },
];

/// Sets that are none of the above, though people look for them here. Those whose images have the form of a known one are told
/// how to be used as that.
const OTHERS: [(&str, Option<&str>); 14] = [
    ("kmnist", Some("mnist")),
    ("kuzushiji-mnist", Some("mnist")),
    ("emnist", Some("mnist")),
    ("qmnist", Some("mnist")),
    ("usps", None),
    ("svhn", None),
    ("stl-10", None),
    ("stl10", None),
    ("cinic-10", None),
    ("imagenet", None),
    ("imagenette", None),
    ("tiny-imagenet", None),
    ("celeba", None),
    ("food-101", None),
];

/// Files of sets that are not read by name, but have the names and sizes of those that are: MD5 of what their publishers
/// compressed.
const OTHER_FILES: [(&str, &str, &str); 4] = [
    ("KMNIST", "train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
    ("KMNIST", "train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
    ("KMNIST", "t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
    ("KMNIST", "t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
];

/// The set and the file that have this MD5, in hexadecimal, compressed or not.
pub fn owner(md5: &str) -> Option<(&'static str, &'static str)> {
    let files = CATALOGUE.iter().flat_map(|known| known.files().into_iter().map(|file| (known.name, file)));
    let mut known = files.filter(|(_, file)| file.md5 == md5 || file.compressed_md5 == Some(md5));
    let other = || OTHER_FILES.iter().find(|(_, _, other)| *other == md5).map(|(set, file, _)| (*set, *file));
    known.next().map(|(set, file)| (set, file.name)).or_else(other)
}

/// The data set of this name or alias; upper and lower case are the same.
///
/// # Errors
/// An unknown name: says the nearest known one, or all of them.
pub fn find(name: &str) -> Result<&'static Known> {
    let lower = name.to_lowercase();
    let is_named = |known: &&Known| known.name == lower || known.aliases.contains(&lower.as_str());
    if let Some(known) = CATALOGUE.iter().find(is_named) {
        return Ok(known);
    }
    let names: Vec<&str> = CATALOGUE.iter().map(|known| known.name).collect();
    let error = Error::input(format!("`{name}` is not a known data set; expected one of {}", names.join(", ")));
    if let Some((_, like)) = OTHERS.iter().find(|(other, _)| *other == lower.replace('_', "-")) {
        return Err(match like {
            Some(form) => error.hint(format!(
                "if its images have the form of `{form}`, put its files into `FOLDER/{form}` under the names that those of `{form}` \
                 have, and give `--dataset {form} --data-dir FOLDER --own-data`"
            )),
            None => error.hint("choose one of these"),
        });
    }
    Err(match nearest(&lower, names) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(format!(
            "choose one of these, or give data of your own: by a path, such as `./{name}`, or as a block `[datasets.{name}]`"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_cases_are_found_and_others_get_the_nearest() {
        assert_eq!(find("cifar10").unwrap().name, "cifar-10");
        assert_eq!(find("CIFAR-100").unwrap().name, "cifar-100");
        assert_eq!(find("fashion-mnist").unwrap().shape, Shape::Image(1, 28, 28));
        let error = find("fashion-mnits").unwrap_err();
        assert_eq!(error.hint.unwrap(), "did you mean `fashion-mnist`?");
        assert!(find("imagenet").unwrap_err().message.contains("fashion-mnist, mnist, cifar-10, cifar-100, synthetic"));
    }

    #[test]
    fn another_set_is_not_taken_for_a_mistyped_one() {
        for name in ["kmnist", "KMNIST", "emnist", "qmnist"] {
            let error = find(name).unwrap_err();
            assert!(error.message.contains("is not a known data set; expected one of fashion-mnist, mnist"), "{error}");
            let hint = error.hint.unwrap();
            assert!(!hint.contains("did you mean") && hint.contains("--own-data"), "{hint}");
        }
        assert_eq!(find("svhn").unwrap_err().hint.unwrap(), "choose one of these");
    }

    #[test]
    fn files_are_known_by_their_checksums_whatever_they_are_called() {
        assert_eq!(owner("bdb82020997e1d708af4cf47b453dcf7"), Some(("KMNIST", "train-images-idx3-ubyte.gz")));
        assert_eq!(owner("f4a8712d7a061bf5bd6d2ca38dc4d50a"), Some(("fashion-mnist", "train-images-idx3-ubyte")));
        assert_eq!(owner("bb300cfdad3c16e7a12a480ee83cd310"), Some(("fashion-mnist", "t10k-labels-idx1-ubyte")));
        assert_eq!(owner("900150983cd24fb0d6963f7d28e17f72"), None);
    }

    #[test]
    fn sizes_in_the_table_agree_with_shapes_and_published_counts() {
        for known in &CATALOGUE {
            let expected: Vec<u64> = match known.source {
                Source::Made => vec![],
                Source::Idx { .. } => vec![16 + 60_000 * 784, 8 + 60_000, 16 + 10_000 * 784, 8 + 10_000],
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
            .flat_map(|file| [Some(file.md5), file.compressed_md5])
            .flatten()
            .chain(OTHER_FILES.iter().map(|(_, _, md5)| *md5))
            .collect();
        let count = sums.len();
        assert!(
            sums.iter().all(|sum| sum.len() == 32 && sum.bytes().all(|digit| b"0123456789abcdef".contains(&digit)))
        );
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), count);
    }
}
