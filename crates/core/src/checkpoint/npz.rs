//! Archives of NumPy arrays (`.npz`): a zip of files `NAME.npy`, each a short text that says type and shape, and the values.

use std::path::Path;

use safetensors::Dtype;

use super::zipped::Archive;
use tombola_words::error::{Error, Result};

/// No array of a mask is larger than this.
const MOST_ARRAY: u64 = 4 << 30;
/// What arrays take together, in multiples of the file, and beside: archives may be compressed.
const MOST_GROWTH: (u64, u64) = (64, 64 << 20);

/// An array.
#[derive(Debug)]
pub(super) struct NumpyArray {
    pub(super) name: String,
    pub(super) kind: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

/// The arrays of an archive, by the names of their files; nothing if it has none.
///
/// # Errors
/// When one is damaged, or of a form that is not read.
pub(super) fn arrays(path: &Path, bytes: &[u8]) -> Result<Vec<NumpyArray>> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Ok(Vec::new());
    }
    let mut archive = Archive::open(path, bytes)?;
    let mut room = MOST_GROWTH.0.saturating_mul(bytes.len() as u64).saturating_add(MOST_GROWTH.1).min(MOST_ARRAY);
    let mut arrays = Vec::new();
    for file in archive.names() {
        let Some(name) = file.strip_suffix(".npy") else { continue };
        let content = archive.read(&file, room)?;
        room = room.saturating_sub(content.len() as u64);
        let (kind, shape, bytes) = parsed(&content).ok_or_else(|| {
            Error::input(format!("`{}`: `{file}` is no array of truth values or numbers in C's order", path.display()))
                .hint("save it with `numpy.savez(file, **{name: mask.astype(bool)})`")
        })?;
        arrays.push(NumpyArray { name: name.to_string(), kind, shape, bytes });
    }
    Ok(arrays)
}

/// Type, shape and values of a `.npy` file.
fn parsed(content: &[u8]) -> Option<(Dtype, Vec<usize>, Vec<u8>)> {
    let rest = content.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return None,
    };
    let (header, values) = rest.split_at_checked(length)?;
    let header = std::str::from_utf8(header).ok()?;
    let value = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, value)| value.trim_start());
    let kind = match value("descr")?.split('\'').nth(1)? {
        "|b1" => Dtype::BOOL,
        "|u1" => Dtype::U8,
        "|i1" => Dtype::I8,
        "<i2" => Dtype::I16,
        "<i4" => Dtype::I32,
        "<i8" => Dtype::I64,
        "<f2" => Dtype::F16,
        "<f4" => Dtype::F32,
        "<f8" => Dtype::F64,
        _ => return None,
    };
    if !value("fortran_order")?.starts_with("False") {
        return None;
    }
    let (shape, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse().ok()).collect::<Option<Vec<usize>>>()?;
    let count = shape.iter().try_fold(kind.bitsize() / 8, |count, size| count.checked_mul(*size))?;
    (count == values.len()).then(|| (kind, shape, values.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_says_its_type_and_shape_and_nothing_else_is_one() {
        let array = |header: &str, values: &[u8]| {
            [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
        };
        let good = "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }   \n";
        assert_eq!(parsed(&array(good, &[1; 6])), Some((Dtype::BOOL, vec![2, 3], vec![1; 6])));
        assert_eq!(parsed(&array(&good.replace("(2, 3)", "(6,)"), &[1; 6])), Some((Dtype::BOOL, vec![6], vec![1; 6])));
        for (header, values) in [(good, 5), (&good.replace("False", "True"), 6), (&good.replace("|b1", "|O"), 6)] {
            assert_eq!(parsed(&array(header, &vec![1; values])), None, "{header}");
        }
    }
}
