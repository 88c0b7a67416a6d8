//! An archive of arrays of NumPy behind a byte of choice.

use std::io::Write;

use crate::form::Grammar;
use crate::{FuzzTarget, scratch};
use tombola_core::checkpoint::zipped;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-npz",
    run,
    seeds,
    form: super::CHOSEN_ARCHIVE,
    grammar: Grammar::Bytes,
    words,
    longest: 4096,
    memory: super::unpacked,
};

fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    super::check(&scratch::file("set.npz", file), *choice);
}

fn seeds() -> Vec<Vec<u8>> {
    let x = super::array(&super::header("|u1", "False", "(2, 2, 4, 3)"), &[7; 48]);
    let y = super::array(&super::header("<i2", "True", "(2, 1)"), &[0, 0, 1, 0]);
    let zeros = super::array(&super::header("|u1", "False", "(2, 30000)"), &vec![0; 60_000]);
    let archive = |files: &[(&str, &Vec<u8>)]| {
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec()));
        zipped::archive(files, "").unwrap_or_default()
    };
    let named = [("x_train.npy", &x), ("y_train.npy", &y), ("x_test.npy", &x), ("y_test.npy", &y), ("notes.npy", &y)];
    [archive(&named), archive(&[("arr_0.npy", &x), ("arr_1.npy", &y)]), deflated("x.npy", &zeros, "y.npy", &y)]
        .iter()
        .map(|file| [&[0][..], file].concat())
        .collect()
}

/// An archive that is compressed, which our own writer does not make.
fn deflated(first: &str, one: &[u8], second: &str, two: &[u8]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in [(first, one), (second, two)] {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        let packed = encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default();
        let sizes =
            [crc32fast::hash(content), packed.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat();
        let about = [&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..], &sizes, &[name.len() as u8, 0, 0, 0]].concat();
        let start = (bytes.len() as u32).to_le_bytes();
        directory.extend([b"PK\x01\x02\x14\0", &about[..], &[0; 10], &start, name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04", &about[..], name.as_bytes(), &packed].concat());
    }
    let (size, start) = ((directory.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    [bytes, directory, b"PK\x05\x06\0\0\0\0\x02\0\x02\0".to_vec(), size.to_vec(), start.to_vec(), vec![0, 0]].concat()
}

fn words() -> Vec<String> {
    let words = [
        "x.npy\n",
        "y.npy\n",
        "x_test.npy\n",
        "val_images.npy\n",
        "(2,)",
        "(3, 0)",
        "'<f8'",
        "True",
        "False",
        "PK\u{1}\u{2}",
    ];
    words.map(str::to_string).to_vec()
}
