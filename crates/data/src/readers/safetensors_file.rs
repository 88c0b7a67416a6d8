//! Arrays in files of safetensors: a text of JSON that says where each lies. Arrays are read from their places, one example after
//! the other.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::named::NamedArray;
use super::scalar::Scalar;
use super::source::{AGAIN, ByteSource, Compression};
use super::stored::{StoredArray, StoredOrder};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// As in the library of the format.
const MOST_HEADER: u64 = 100_000_000;

/// Whether a file begins as one.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| (2..=MOST_HEADER).contains(&length)) && bytes.get(8) == Some(&b'{')
}

/// The arrays of a file.
///
/// # Errors
/// A header that is none. An array that cannot be is one with an error.
pub(super) fn arrays(path: &Path) -> Result<Vec<NamedArray>> {
    let failed = |error| Error::file("read", path, &error);
    let damaged = |what: &str| Error::input(format!("`{}` is damaged: {what}", path.display())).hint(AGAIN);
    let mut file = regular::open(path).map_err(failed)?;
    let all = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| damaged("it ends in its first eight bytes"))?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER || length > all.saturating_sub(8) {
        return Err(damaged(&format!("its header would have {length} bytes")));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(failed)?;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| damaged(&format!("its header is no JSON of safetensors: {error}")))?;
    let start = 8 + length;
    let arrays = header.into_iter().filter(|(name, _)| name != "__metadata__");
    Ok(arrays
        .map(|(name, about)| {
            let place = format!("`{name}` of `{}`", path.display());
            let array = array(place, &about, path, (start, all));
            NamedArray { name, array }
        })
        .collect())
}

fn array(place: String, about: &Value, path: &Path, (start, all): (u64, u64)) -> Result<StoredArray> {
    let number = |value: &Value| value.as_u64();
    let list = |key: &str| about.get(key)?.as_array()?.iter().map(number).collect::<Option<Vec<u64>>>();
    let damaged = || Error::input(format!("{place}: its sizes or its place in the file cannot be")).hint(AGAIN);
    let kind = about.get("dtype").and_then(Value::as_str).ok_or_else(damaged)?;
    let kind = scalar(kind).ok_or_else(|| {
        Error::input(format!(
            "{place} has numbers of type `{kind}`; expected bytes, whole numbers or floats of 16 bits or more"
        ))
        .hint("save it as another type: `x.float()`")
    })?;
    let (shape, offsets) = (list("shape").ok_or_else(damaged)?, list("data_offsets").ok_or_else(damaged)?);
    let [begin, end] = *offsets else { return Err(damaged()) };
    let shape: Vec<usize> = shape.into_iter().map(|size| size as usize).collect();
    let (begin, end) = (start.checked_add(begin).ok_or_else(damaged)?, start.checked_add(end).ok_or_else(damaged)?);
    if begin > end || end > all {
        return Err(damaged());
    }
    let source = ByteSource::of_part(path, begin, end - begin, Compression::Plain);
    StoredArray::new(place, (kind, false), &shape, StoredOrder::LastFastest, source)
}

fn scalar(kind: &str) -> Option<Scalar> {
    Some(match kind {
        "BOOL" => Scalar::Bool,
        "U8" => Scalar::U8,
        "I8" => Scalar::I8,
        "U16" => Scalar::U16,
        "I16" => Scalar::I16,
        "U32" => Scalar::U32,
        "I32" => Scalar::I32,
        "U64" => Scalar::U64,
        "I64" => Scalar::I64,
        "F16" => Scalar::F16,
        "BF16" => Scalar::Bf16,
        "F32" => Scalar::F32,
        "F64" => Scalar::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str, values: &[u8]) -> Result<Vec<NamedArray>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.safetensors");
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat()).unwrap();
        arrays(&path)
    }

    #[test]
    fn arrays_are_found_at_their_places() {
        let header = r#"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let arrays = read(header, &[0; 8]).unwrap();
        assert_eq!((arrays.len(), arrays[0].name.as_str()), (1, "x"));
        assert_eq!(arrays[0].array.as_ref().unwrap().count, 1);
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        for (shape, offsets) in
            [("[1,2]", "[0,9]"), ("[1,2]", "[8,0]"), ("[18446744073709551615,9]", "[0,8]"), ("[1]", "[0]")]
        {
            let header = format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
            assert!(read(&header, &[0; 8]).unwrap()[0].array.is_err(), "{header}");
        }
        assert!(read("[]", &[]).is_err());
        assert!(!begins(&u64::MAX.to_le_bytes()) && begins(b"\x02\0\0\0\0\0\0\0{}"));
    }
}
