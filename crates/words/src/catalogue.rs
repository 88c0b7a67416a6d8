//! The table of known data sets: what they look like, where their publishers keep them, and their checksums.
//!
//! It only says; nothing is read here. Shapes and classes are known without the data, so that a sweep can be planned
//! on a machine that has none.

use crate::Shape;
use crate::error::{Error, Result, nearest};

mod mnist_kin;

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
    /// MD5 of the uncompressed content; empty where its publisher does not state it.
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
    /// The folder of the Python version, whose files hold the same images.
    pub python_folder: &'static str,
    /// MD5 of the files of that version, which are called as the others without `.bin`.
    pub python_md5: &'static [&'static str],
}

/// What is to be done to the images and labels of IDX files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdxForm {
    /// Whether rows and columns are exchanged, so that images lie on their side until they are turned.
    pub turned: bool,
    /// The label of the first class.
    pub first_label: u8,
}

impl IdxForm {
    /// That of MNIST.
    pub const PLAIN: Self = Self { turned: false, first_label: 0 };
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
        /// How images and labels are to be taken.
        form: IdxForm,
        /// The folder that torchvision keeps them in, and in it `raw`.
        torchvision: &'static str,
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
            Source::Idx { files, .. } => files.to_vec(),
            Source::Cifar { train, test, .. } => [*train, *test].concat(),
        }
    }

    /// The files of the Python version, in the same order; none if there is no such version.
    pub fn python_files(&self) -> Vec<PublicFile> {
        let Source::Cifar { archive, .. } = &self.source else { return Vec::new() };
        let name = |file: &PublicFile| file.name.strip_suffix(".bin").unwrap_or(file.name);
        let python = self.files().into_iter().zip(archive.python_md5);
        python.map(|(file, md5)| PublicFile { name: name(&file), md5, bytes: 0, compressed_md5: None }).collect()
    }

    /// Why there is nothing to be fetched, and what is to be done instead; none if there is.
    pub fn not_fetched(&self) -> Option<String> {
        self.name.starts_with("emnist-").then(|| {
            format!(
                "its publisher keeps it in an archive with five others: unpack `{}`, and the files in it",
                mnist_kin::EMNIST_ARCHIVE
            )
        })
    }
}

const fn idx(name: &'static str, bytes: u64, md5: &'static str, compressed_md5: &'static str) -> PublicFile {
    PublicFile { name, md5, bytes, compressed_md5: Some(compressed_md5) }
}

const fn unpacked(name: &'static str, bytes: u64, md5: &'static str) -> PublicFile {
    PublicFile { name, md5, bytes, compressed_md5: None }
}

/// All of them.
pub static CATALOGUE: [Known; 13] = [
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
            form: IdxForm::PLAIN,
            torchvision: "FashionMNIST",
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
            form: IdxForm::PLAIN,
            torchvision: "MNIST",
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
                python_md5: &[
                    "c99cafc152244af753f735de768cd75f",
                    "d4bba439e000b95fd0a9bffe97cbabec",
                    "54ebc095f3ab1f0389bbae665268c751",
                    "634d18415352ddfa80567beed471001a",
                    "482c414d41f54cd18b22e5b47cb7c3cb",
                    "40351d587109b95175f43aff81a1287e",
                ],
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
                python_md5: &["16019d7e3df5f24257cddd939b257f8d", "f0ef6b0ae62326f3e7ffdfab6717acfc"],
            },
            train: &[unpacked("train.bin", 153_700_000, "6172c7755cfe09b2fe270c85cebc1b15")],
            test: &[unpacked("test.bin", 30_740_000, "4499cfba6c016c1be1438163640a0898")],
            format: Format::CIFAR_100,
        },
    },
    mnist_kin::KMNIST,
    mnist_kin::QMNIST,
    mnist_kin::EMNIST[0],
    mnist_kin::EMNIST[1],
    mnist_kin::EMNIST[2],
    mnist_kin::EMNIST[3],
    mnist_kin::EMNIST[4],
    mnist_kin::EMNIST[5],
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

/// Sets that are none of the above, though people look for them here; their files are read by their path.
const OTHERS: [&str; 11] = [
    "emnist",
    "usps",
    "svhn",
    "stl-10",
    "stl10",
    "cinic-10",
    "imagenet",
    "imagenette",
    "tiny-imagenet",
    "celeba",
    "food-101",
];

/// The set and the file that have this MD5, in hexadecimal, compressed or not.
pub fn owner(md5: &str) -> Option<(&'static str, &'static str)> {
    let all = |known: &'static Known| known.files().into_iter().chain(known.python_files());
    let mut files = CATALOGUE.iter().flat_map(|known| all(known).map(|file| (known.name, file)));
    let own = files.find(|(_, file)| !md5.is_empty() && (file.md5 == md5 || file.compressed_md5 == Some(md5)));
    own.map(|(set, file)| (set, file.name))
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
    if OTHERS.contains(&lower.replace('_', "-").as_str()) {
        return Err(error.hint(match lower.as_str() {
            "emnist" => "choose one of its six: `emnist-letters`, `emnist-balanced`, …",
            _ => "choose one of these",
        }));
    }
    Err(match nearest(&lower, names) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(format!(
            "choose one of these, or give data of your own: by a path, such as `./{name}`, or as a block `[datasets.{name}]`"
        )),
    })
}

#[cfg(test)]
mod tests;
