//! Archives of arrays of NumPy (`.npz`), as `numpy.savez`, Keras and MedMNIST write them. Arrays stay in the archive and are unpacked
//! while they are read.

use std::io::{BufReader, Read};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::named::NamedArray;
use super::npy;
use super::source::{ByteSource, Compression};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// More files an archive may not have.
const MOST_FILES: usize = 10_000;

/// The arrays of an archive.
///
/// # Errors
/// A file that is none, and one that is encrypted or compressed in other ways than NumPy's.
pub(super) fn arrays(path: &Path) -> Result<Vec<NamedArray>> {
    let failed = |error| Error::file("read", path, &error);
    let file = regular::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let damaged = |error: &dyn std::fmt::Display| {
        Error::input(format!("`{}` is no zip archive, or a damaged one: {error}", path.display()))
            .hint("write it again with `numpy.savez`")
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
    if archive.len() > MOST_FILES {
        return Err(Error::input(format!(
            "`{}` has {} files; expected at most {MOST_FILES}",
            path.display(),
            archive.len()
        ))
        .hint("write one array of all examples, and one of all labels"));
    }
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index_raw(index).map_err(|error| damaged(&error))?;
        let Some(name) = String::from_utf8_lossy(file.name_raw()).strip_suffix(".npy").map(str::to_string) else {
            continue;
        };
        // Where its bytes begin is known when they are asked for.
        file.read(&mut []).map_err(|error| damaged(&error))?;
        let place = format!("`{name}` of `{}`", path.display());
        let (start, method, crc) = (file.data_start(), file.compression(), file.crc32());
        let refused = |what: &str| {
            Err(Error::input(format!("{place} is {what}"))
                .hint("write it again with `numpy.savez` or `numpy.savez_compressed`"))
        };
        let array = match (start, method) {
            _ if file.encrypted() => refused("encrypted"),
            (Some(start), CompressionMethod::Stored | CompressionMethod::DEFLATE) => {
                let packed = match method {
                    CompressionMethod::Stored => Compression::Stored(crc),
                    _ => Compression::Deflated(crc),
                };
                let size = file.compressed_size().min(length.saturating_sub(start));
                npy::array(place, ByteSource::of_part(path, start, size, packed))
            }
            (None, _) => refused("at no place"),
            (_, method) => refused(&format!("compressed as {method}; expected deflate, or not at all")),
        };
        arrays.push(NamedArray { name, array });
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::super::parts::PartReaders;
    use super::*;
    use crate::example::{Content, Label, Numbers, SetParts};
    use crate::samples::{examples, npy, zipped};
    use tombola_words::{DataOptions, Shape};

    fn parts(bytes: &[u8]) -> Result<SetParts> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.keep().join("set.npz");
        std::fs::write(&path, bytes).unwrap();
        let mut readers = PartReaders::default();
        named::add(&mut readers, ("`set.npz`", None), arrays(&path)?, &DataOptions::default())?;
        readers.finish("arrays", &DataOptions::default())
    }

    #[test]
    fn parts_of_an_archive_are_read_stored_and_compressed() {
        let x = npy("'|u1'", false, "(2, 2, 2, 3)", &(0..24).collect::<Vec<u8>>());
        let y = npy("'<i8'", false, "(2,)", &[7_i64.to_le_bytes(), 9_i64.to_le_bytes()].concat());
        for compressed in [false, true] {
            let files: [(&str, &[u8]); 6] = [
                ("x_train.npy", &x),
                ("y_train.npy", &y),
                ("val_images.npy", &x),
                ("val_labels.npy", &y),
                ("x_test.npy", &x),
                ("y_test.npy", &y),
            ];
            let parts = parts(&zipped(&files, compressed)).unwrap();
            let train = examples(&*parts.train).unwrap();
            assert_eq!((train.len(), train[1].label.clone()), (2, Label::Number(9)));
            let Content::Array(array) = &train[1].content else { panic!("{train:?}") };
            assert_eq!((array.shape, &array.numbers), (Shape::Image(3, 2, 2), &Numbers::Bytes((12..24).collect())));
            assert_eq!(examples(&*parts.validation.unwrap()).unwrap().len(), 2);
            assert_eq!(examples(&*parts.test.unwrap()).unwrap().len(), 2);
        }
    }

    #[test]
    fn options_that_name_no_array_are_told_what_may_be_meant() {
        let x = npy("'|u1'", false, "(1, 2)", &[0; 2]);
        let options = DataOptions { values: Some("fo".into()), labels: Some("bar".into()), ..DataOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npz");
        std::fs::write(&path, zipped(&[("foo.npy", &x), ("bar.npy", &x)], false)).unwrap();
        let arrays = arrays(&path).unwrap();
        let error = named::add(&mut PartReaders::default(), ("`set.npz`", None), arrays, &options).unwrap_err();
        assert!(error.message.contains("`values` names `fo`, which is not there"), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean `foo`?"));
    }

    #[test]
    fn an_archive_that_promises_more_than_it_can_hold_is_refused() {
        let x = npy("'|u1'", false, "(1099511627776, 2)", &[0; 8]);
        let y = npy("'|u1'", false, "(4,)", &[0; 4]);
        let error = parts(&zipped(&[("x.npy", &x), ("y.npy", &y)], true)).err().unwrap();
        assert!(error.message.contains("more than the file can hold"), "{error}");
        let error = parts(&zipped(&[("y.npy", &y), ("notes.txt", b"x")], true)).err().unwrap();
        assert!(error.message.contains("one array of values") && error.hint.is_some(), "{error}");
    }
}
