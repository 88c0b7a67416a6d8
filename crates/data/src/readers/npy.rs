//! Arrays of NumPy (`.npy`): a short text that says type and shape, then the values. What is an object in Python is not read.

use std::io::Read;

use super::scalar::Scalar;
use super::source::{AGAIN, ByteSource, broken};
use super::stored::{StoredArray, StoredOrder};
use tombola_words::error::{Error, Result};

/// What such files begin with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// The text of a header has some hundred letters.
const MOST_HEADER: usize = 1 << 16;

/// The array that begins at the start of `source`; its values stay where they are.
///
/// # Errors
/// What is no array, one of objects or of records, and one that is cut off or longer than it says.
pub(super) fn array(name: String, source: ByteSource) -> Result<StoredArray> {
    let at = |error: Error| error.at(&name);
    let mut reader = source.open().map_err(at)?;
    let (header, begin) = header(&mut reader).map_err(at)?;
    let fields = HeaderFields::of(&header)
        .ok_or_else(|| Error::input(format!("{name}: its header is none of an array of NumPy")).hint(AGAIN))?;
    let kind = scalar(fields.kind).map_err(at)?;
    let order = if fields.fortran { StoredOrder::FirstFastest } else { StoredOrder::LastFastest };
    StoredArray::new(name, kind, &fields.shape, order, source.after(begin))
}

/// The text of the header, and the place of the first value.
fn header(reader: &mut dyn Read) -> Result<(String, u64)> {
    let mut exact = |bytes: &mut [u8]| reader.read_exact(bytes).map_err(|error| broken(&error));
    let mut start = [0; 8];
    exact(&mut start)?;
    if !start.starts_with(MAGIC) {
        return Err(Error::input("is no array of NumPy").hint("write it with `numpy.save` or `numpy.savez`"));
    }
    let (length, before) = match start[6] {
        1 => {
            let mut length = [0; 2];
            exact(&mut length)?;
            (usize::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            exact(&mut length)?;
            (u32::from_le_bytes(length) as usize, 12)
        }
        version => {
            return Err(Error::input(format!("is of version {version}; expected 1, 2 or 3"))
                .hint("write it again with `numpy.save`"));
        }
    };
    if length > MOST_HEADER {
        return Err(Error::input(format!("has a header of {length} bytes; expected at most {MOST_HEADER}")).hint(AGAIN));
    }
    let mut text = vec![0; length];
    exact(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| Error::input("has a header that is no text").hint(AGAIN))?;
    Ok((text, before + length as u64))
}

/// What a header says.
#[derive(Debug, PartialEq)]
struct HeaderFields<'a> {
    kind: &'a str,
    fortran: bool,
    shape: Vec<usize>,
}

impl<'a> HeaderFields<'a> {
    fn of(header: &'a str) -> Option<Self> {
        let value = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, value)| value.trim_start());
        let kind = value("descr")?;
        // A list is one of fields of records.
        let kind = if kind.starts_with('[') { "[" } else { kind.split('\'').nth(1)? };
        let order = value("fortran_order")?;
        let fortran = order.starts_with("True");
        if !fortran && !order.starts_with("False") {
            return None;
        }
        let (shape, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
        let sizes = shape.split(',').map(|size| size.trim().trim_end_matches('L')).filter(|size| !size.is_empty());
        let shape = sizes.map(|size| size.parse().ok()).collect::<Option<Vec<usize>>>()?;
        Some(Self { kind, fortran, shape })
    }
}

/// The type that a description means, and whether the highest byte comes first.
fn scalar(description: &str) -> Result<(Scalar, bool)> {
    let mut letters = description.chars();
    let big = match letters.next() {
        Some('>') => true,
        Some('<' | '|' | '=') => false,
        _ => return Err(unread(description)),
    };
    let rest = letters.as_str();
    let length = || rest.get(1..).and_then(|length| length.parse::<usize>().ok());
    let kind = match rest {
        "b1" => Scalar::Bool,
        "u1" => Scalar::U8,
        "i1" => Scalar::I8,
        "u2" => Scalar::U16,
        "i2" => Scalar::I16,
        "u4" => Scalar::U32,
        "i4" => Scalar::I32,
        "u8" => Scalar::U64,
        "i8" => Scalar::I64,
        "f2" => Scalar::F16,
        "f4" => Scalar::F32,
        "f8" => Scalar::F64,
        _ if rest.starts_with('U') => Scalar::Text(length().ok_or_else(|| unread(description))?),
        _ if rest.starts_with('S') => Scalar::Bytes(length().ok_or_else(|| unread(description))?),
        _ => return Err(unread(description)),
    };
    Ok((kind, big))
}

fn unread(description: &str) -> Error {
    if description.contains('O') {
        return Error::input("is an array of Python's objects, a pickle, which can run code while it is read")
            .hint("make it an array of numbers of one shape and save that: `numpy.stack(list(x))`, or `y.astype(str)` for words");
    }
    let found = if description == "[" { "records" } else { description };
    Error::input(format!("is an array of `{found}`; expected numbers, truth values or text"))
        .hint("save it as another type: `x.astype(\"float32\")`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::npy as file;

    fn read(bytes: &[u8]) -> Result<StoredArray> {
        array("`x`".into(), ByteSource::of_memory(bytes.to_vec()))
    }

    #[test]
    fn types_orders_and_shapes_are_taken_from_the_header() {
        let array = read(&file("'>i2'", true, "(2, 3)", &[0; 12])).unwrap();
        assert_eq!((array.scalar, array.big_endian, array.count, array.values()), (Scalar::I16, true, 2, 3));
        assert_eq!(read(&file("'|b1'", false, "(5,)", &[0; 5])).unwrap().count, 5);
        assert_eq!(read(&file("'<U3'", false, "(2L,)", &[0; 24])).unwrap().scalar, Scalar::Text(3));
    }

    #[test]
    fn objects_and_records_are_refused_with_a_cure() {
        for (kind, expected) in [
            ("'|O'", "a pickle, which can run code"),
            ("[('a', '<f4')]", "an array of `records`"),
            ("'<c8'", "an array of `<c8`"),
            ("'<M8[ns]'", "`<M8[ns]`"),
        ] {
            let error = read(&file(kind, false, "(2,)", &[0; 16])).unwrap_err();
            assert!(error.message.contains(expected) && error.hint.is_some(), "{error}");
        }
    }

    #[test]
    fn a_file_that_lies_or_ends_early_is_refused() {
        let whole = file("'|u1'", false, "(3, 2)", &[0; 6]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        assert!(read(&file("'|u1'", false, "(9223372036854775808, 2)", &[0; 6])).is_err());
        assert!(read(&file("'|u1'", false, "(-1, 2)", &[0; 6])).is_err());
        assert!(read(b"\x93NUMPY\x02\0\xff\xff\xff\xff").unwrap_err().message.contains("header of 4294967295"));
    }
}
