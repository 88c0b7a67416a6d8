//! Sets of data in the formats of others, one a file. What is read has as many values as its shape says, no less than one, and is the
//! same when it is read again.

pub mod csv;
pub mod folders;
pub mod idx_files;
pub mod matlab;
pub mod npy;
pub mod npz;
pub mod parquet;
pub mod pickle;
pub mod shards;
pub mod tensors;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::form::{ARCHIVE, InputForm, SAFETENSORS};
use tombola_data::example::{Content, Example, Reader};
use tombola_data::readers;
use tombola_words::error::{Error, Result};
use tombola_words::{AxesOrder, DataOptions};

/// Examples that were read: a test looks whether good inputs are taken for such.
pub static READ: AtomicUsize = AtomicUsize::new(0);

/// No more examples are asked for: whoever reads may stop at any time.
const MOST_EXAMPLES: usize = 2000;

/// What the first byte of an input says of options.
fn options(choice: u8) -> DataOptions {
    let axes = [None, Some(AxesOrder::First), Some(AxesOrder::Last)][usize::from((choice & 0x3f) % 3)];
    let named = choice & 0x40 != 0;
    DataOptions {
        axes,
        labels: named.then(|| "b".to_string()),
        values: named.then(|| "a*".to_string()),
        ..DataOptions::default()
    }
}

/// Reads all parts of a set.
fn check(path: &Path, choice: u8) {
    check_with(path, &options(choice));
}

fn check_with(path: &Path, options: &DataOptions) {
    let Ok(parts) = readers::open(path, options) else { return };
    assert!(!parts.format.is_empty());
    let all = [Some(&parts.train), parts.validation.as_ref(), parts.test.as_ref()];
    all.into_iter().flatten().for_each(|part| again(&**part));
}

/// A part is the same each time.
fn again(part: &dyn Reader) {
    let (first, one) = once(part);
    let (second, two) = once(part);
    assert_eq!((first, one.is_ok()), (second, two.is_ok()), "read again, it is another");
    if let Err(error) = one {
        assert!(!error.message.is_empty());
    }
}

/// The number of examples, and a checksum of them.
fn once(part: &dyn Reader) -> ((usize, u32), Result<()>) {
    let (mut count, mut sum) = (0, crc32fast::Hasher::new());
    let read = part.read(&mut |example: Example| {
        sum.update(format!("{:?}", example.label).as_bytes());
        match &example.content {
            Content::File(bytes) => sum.update(bytes),
            Content::Damaged(why) => assert!(!why.is_empty()),
            Content::Array(array) => {
                assert!(array.shape.size() > 0, "an example has no values");
                assert_eq!(array.numbers.len(), array.shape.size(), "values do not fit the shape");
            }
        }
        count += 1;
        READ.fetch_add(1, Ordering::Relaxed);
        if count >= MOST_EXAMPLES { Err(Error::input("enough")) } else { Ok(()) }
    });
    ((count, sum.finalize()), read)
}

/// A byte of choice and a zip archive.
const CHOSEN_ARCHIVE: InputForm = InputForm {
    split: |bytes| {
        let (choice, rest) = bytes.split_first()?;
        Some([vec![vec![*choice]], (ARCHIVE.split)(rest)?].concat())
    },
    join: |parts| chosen(parts, ARCHIVE),
};

/// A byte of choice and a safetensors file.
const CHOSEN_TENSORS: InputForm = InputForm {
    split: |bytes| {
        let (choice, rest) = bytes.split_first()?;
        Some([vec![vec![*choice]], (SAFETENSORS.split)(rest)?].concat())
    },
    join: |parts| chosen(parts, SAFETENSORS),
};

fn chosen(parts: &[Vec<u8>], form: InputForm) -> Vec<u8> {
    match parts {
        [choice, rest @ ..] => [choice.as_slice(), &(form.join)(rest)].concat(),
        [] => Vec::new(),
    }
}

/// What is compressed may hold a thousand times its size, and a byte may stand for a number of eight.
fn unpacked(length: usize) -> usize {
    (8 << 20) + 12 * 1100 * length
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// An array in the form of NumPy; the length of its header is right.
fn array(header: &[u8], values: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header, values].concat()
}

fn header(kind: &str, order: &str, shape: &str) -> Vec<u8> {
    format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n").into_bytes()
}
