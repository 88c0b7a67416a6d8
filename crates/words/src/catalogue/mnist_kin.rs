//! Sets that have the form of MNIST: KMNIST, QMNIST and the six of EMNIST. Their publishers state fewer checksums than those of MNIST.
//!
//! Names, sizes and checksums are those that torchvision has (`torchvision/datasets/mnist.py`), counts those of the papers: T. Clanuwat
//! et al. 2018, C. Yadav and L. Bottou 2019, G. Cohen et al. 2017.

use super::{IdxForm, Known, PublicFile, Source};
use crate::Shape;

/// A file of which one checksum alone is stated: that of `NAME.gz`, or none (empty).
const fn packed(name: &'static str, bytes: u64, compressed_md5: Option<&'static str>) -> PublicFile {
    PublicFile { name, md5: "", bytes, compressed_md5 }
}

const IMAGES: [u64; 2] = [16 + 60_000 * 784, 16 + 10_000 * 784];

pub(super) const KMNIST: Known = Known {
    name: "kmnist",
    aliases: &["kuzushiji-mnist", "kuzushiji_mnist"],
    about: "60,000 + 10,000 grey images of handwritten Hiragana, 28x28, 10 classes",
    shape: Shape::Image(1, 28, 28),
    classes: 10,
    train_images: 60_000,
    base_url: "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    debian_package: None,
    source: Source::Idx {
        files: [
            packed("train-images-idx3-ubyte", IMAGES[0], Some("bdb82020997e1d708af4cf47b453dcf7")),
            packed("train-labels-idx1-ubyte", 60_008, Some("e144d726b3acfaa3e44228e80efcd344")),
            packed("t10k-images-idx3-ubyte", IMAGES[1], Some("5c965bf0a639b31b8f53240b1b52f4d7")),
            packed("t10k-labels-idx1-ubyte", 10_008, Some("7320c461ea6c1c855c0b718fb2a4b134")),
        ],
        form: IdxForm::PLAIN,
        torchvision: "KMNIST",
    },
};

pub(super) const QMNIST: Known = Known {
    name: "qmnist",
    aliases: &[],
    about: "60,000 + 60,000 grey images of handwritten digits, MNIST made again with all its test images, 28x28, 10 classes",
    shape: Shape::Image(1, 28, 28),
    classes: 10,
    train_images: 60_000,
    base_url: "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
    debian_package: None,
    source: Source::Idx {
        files: [
            packed("qmnist-train-images-idx3-ubyte", IMAGES[0], Some("ed72d4157d28c017586c42bc6afe6370")),
            packed("qmnist-train-labels-idx2-int", 12 + 60_000 * 32, Some("0058f8dd561b90ffdd0f734c6a30e5e4")),
            packed("qmnist-test-images-idx3-ubyte", IMAGES[0], Some("1394631089c404de565df7b7aeaf9412")),
            packed("qmnist-test-labels-idx2-int", 12 + 60_000 * 32, Some("5b5b05890a5e13444e108efe57b788aa")),
        ],
        form: IdxForm::PLAIN,
        torchvision: "QMNIST",
    },
};

macro_rules! emnist {
    ($name:literal, $about:literal, $classes:literal, $first:literal, $train:literal, $test:literal) => {
        Known {
            name: concat!("emnist-", $name),
            aliases: &[concat!("emnist_", $name)],
            about: $about,
            shape: Shape::Image(1, 28, 28),
            classes: $classes,
            train_images: $train,
            // Its publisher keeps all six in one archive of another kind.
            base_url: "",
            debian_package: None,
            source: Source::Idx {
                files: [
                    packed(concat!("emnist-", $name, "-train-images-idx3-ubyte"), 16 + $train * 784, None),
                    packed(concat!("emnist-", $name, "-train-labels-idx1-ubyte"), 8 + $train, None),
                    packed(concat!("emnist-", $name, "-test-images-idx3-ubyte"), 16 + $test * 784, None),
                    packed(concat!("emnist-", $name, "-test-labels-idx1-ubyte"), 8 + $test, None),
                ],
                form: IdxForm { turned: true, first_label: $first },
                torchvision: "EMNIST",
            },
        }
    };
}

pub(super) const EMNIST: [Known; 6] = [
    emnist!(
        "letters",
        "124,800 + 20,800 grey images of handwritten letters, 28x28, 26 classes",
        26,
        1,
        124_800,
        20_800
    ),
    emnist!(
        "balanced",
        "112,800 + 18,800 grey images of handwritten digits and letters, 28x28, 47 classes",
        47,
        0,
        112_800,
        18_800
    ),
    emnist!("digits", "240,000 + 40,000 grey images of handwritten digits, 28x28, 10 classes", 10, 0, 240_000, 40_000),
    emnist!(
        "mnist",
        "60,000 + 10,000 grey images of handwritten digits, those of MNIST cut anew, 28x28, 10 classes",
        10,
        0,
        60_000,
        10_000
    ),
    emnist!(
        "bymerge",
        "697,932 + 116,323 grey images of handwritten digits and letters, 28x28, 47 classes",
        47,
        0,
        697_932,
        116_323
    ),
    emnist!(
        "byclass",
        "697,932 + 116,323 grey images of handwritten digits and letters, 28x28, 62 classes",
        62,
        0,
        697_932,
        116_323
    ),
];

/// Where all files of EMNIST are.
pub(super) const EMNIST_ARCHIVE: &str = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip";
