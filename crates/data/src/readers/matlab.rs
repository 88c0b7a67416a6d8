//! Numeric arrays in files of MATLAB 5 to 7.2 (`.mat`), compressed or not: SVHN and its like. Other things in such files are left aside.
//!
//! A file is 128 bytes that say what it is, then elements: a type, a length and the content (MathWorks: "MAT-File Format", level 5).
//! The first axis is the fastest.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::labelled::{LabelSource, LabelledArrays};
use super::parts::SetPart;
use super::scalar::Scalar;
use super::source::{AGAIN, ByteSource, Compression, broken};
use super::stored::{StoredArray, StoredOrder};
use tombola_words::DataOptions;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// What the words of such files begin with.
pub(super) const MAGIC: &[u8] = b"MATLAB 5.0 MAT-file";
/// The bytes before the first element.
const HEADER: u64 = 128;
/// Things in a file, and the letters of a name.
const MOST_ELEMENTS: usize = 10_000;
const MOST_NAME: u64 = 4096;

const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// An array of numbers.
#[derive(Debug, Clone)]
pub(super) struct MatlabArray {
    pub(super) name: String,
    scalar: Scalar,
    big_endian: bool,
    shape: Vec<usize>,
    /// Floats or truths: MATLAB stores those that are whole numbers as such.
    floats: bool,
    source: ByteSource,
}

/// The numeric arrays of a file.
///
/// # Errors
/// A file that is none, or damaged.
pub(super) fn arrays(path: &Path) -> Result<Vec<MatlabArray>> {
    let at = |error: Error| error.at(format!("`{}`", path.display()));
    let failed = |error| Error::file("read", path, &error);
    let mut file = regular::open(path).map_err(failed)?;
    let all = file.metadata().map_err(failed)?.len();
    let mut header = [0; HEADER as usize];
    file.read_exact(&mut header).map_err(|error| at(broken(&error)))?;
    let big_endian = match &header[126..] {
        b"IM" => false,
        b"MI" => true,
        _ => return Err(at(Error::input("is no file of MATLAB 5 to 7.2").hint("save it with `save(..., '-v7')`"))),
    };
    let (mut place, mut found, mut count) = (HEADER, Vec::new(), 0);
    while place + 8 <= all {
        file.seek(SeekFrom::Start(place)).map_err(failed)?;
        let mut tag = [0; 8];
        file.read_exact(&mut tag).map_err(|error| at(broken(&error)))?;
        let (kind, length) = (word(&tag, 0, big_endian), u64::from(word(&tag, 4, big_endian)));
        let start = place + 8;
        if length > all - start {
            return Err(at(Error::input(format!("is cut off: {length} bytes of an array are promised")).hint(AGAIN)));
        }
        let array = match kind {
            MATRIX => array(&ByteSource::of_part(path, start, length, Compression::Plain), 0, big_endian),
            COMPRESSED => array(&ByteSource::of_part(path, start, length, Compression::Zlib), 8, big_endian),
            _ => Ok(None),
        };
        found.extend(array.map_err(at)?);
        count += 1;
        if count > MOST_ELEMENTS {
            return Err(at(
                Error::input(format!("has more than {MOST_ELEMENTS} arrays")).hint("save one array of all examples")
            ));
        }
        // What is not compressed ends at a multiple of eight bytes.
        place = start + if kind == COMPRESSED { length } else { length.next_multiple_of(8) };
    }
    Ok(found)
}

fn word(bytes: &[u8], place: usize, big_endian: bool) -> u32 {
    let four = bytes.get(place..place + 4).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
    if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

/// Elements within an array, one after the other.
struct MatlabElements {
    reader: Box<dyn Read>,
    place: u64,
    big_endian: bool,
}

impl MatlabElements {
    /// Type and length of the next element, and the bytes that fill it up. Short ones have four bytes of type and length alone.
    fn tag(&mut self) -> Result<(u32, u64, u64)> {
        let first = word(&self.bytes(4)?, 0, self.big_endian);
        if first >> 16 != 0 {
            let length = u64::from(first >> 16);
            return Ok((first & 0xffff, length.min(4), 4 - length.min(4)));
        }
        let length = u64::from(word(&self.bytes(4)?, 0, self.big_endian));
        Ok((first, length, length.next_multiple_of(8) - length))
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count.min(MOST_NAME) as usize];
        self.reader.read_exact(&mut bytes).map_err(|error| broken(&error))?;
        self.place += bytes.len() as u64;
        Ok(bytes)
    }

    /// The content of a short element.
    fn short(&mut self) -> Result<Vec<u8>> {
        let (_, length, filling) = self.tag()?;
        if length > MOST_NAME {
            return Err(Error::input(format!("is damaged: a name or a list of sizes has {length} bytes")).hint(AGAIN));
        }
        let content = self.bytes(length)?;
        self.bytes(filling)?;
        Ok(content)
    }
}

/// The array in an element; none if it is something else, a text or a structure.
fn array(source: &ByteSource, skip: u64, big_endian: bool) -> Result<Option<MatlabArray>> {
    let source = source.clone().after(skip);
    let mut elements = MatlabElements { reader: source.open()?, place: 0, big_endian };
    let flags = word(&elements.short()?, 0, big_endian);
    let sizes = elements.short()?;
    let name = String::from_utf8_lossy(&elements.short()?).into_owned();
    // 6 to 15 are numbers; the bit behind says that they are complex.
    if !(6..=15).contains(&(flags & 0xff)) || flags & 0x800 != 0 {
        return Ok(None);
    }
    // Classes 6 and 7; the bit behind says that they are truths.
    let floats = matches!(flags & 0xff, 6 | 7) || flags & 0x200 != 0;
    let shape = sizes.chunks_exact(4).map(|size| word(size, 0, big_endian) as usize).collect();
    let (kind, length, _) = elements.tag()?;
    let stored = match kind {
        1 => Scalar::I8,
        2 => Scalar::U8,
        3 => Scalar::I16,
        4 => Scalar::U16,
        5 => Scalar::I32,
        6 => Scalar::U32,
        7 => Scalar::F32,
        9 => Scalar::F64,
        12 => Scalar::I64,
        13 => Scalar::U64,
        _ => return Err(Error::input(format!("is damaged: the numbers of `{name}` are of type {kind}")).hint(AGAIN)),
    };
    let source = source.after(elements.place);
    if length > source.most() {
        return Err(Error::input(format!("is cut off: `{name}` would have {length} bytes")).hint(AGAIN));
    }
    Ok(Some(MatlabArray { name, scalar: stored, big_endian, shape, floats, source }))
}

impl MatlabArray {
    fn stored(&self, place: &str, order: StoredOrder) -> Result<StoredArray> {
        let name = format!("`{}` of {place}", self.name);
        let source = self.source.clone();
        Ok(StoredArray::new(name, (self.scalar, self.big_endian), &self.shape, order, source)?
            .loose()
            .with_floats(self.floats))
    }

    /// As values that belong to so many labels: examples are the last axis, or the first.
    fn values(&self, place: &str, labels: usize) -> Result<StoredArray> {
        let (first, last) = (self.shape.first() == Some(&labels), self.shape.last() == Some(&labels));
        match (first, last, self.shape.len()) {
            (true, false, _) | (true, true, 2) => self.stored(place, StoredOrder::FirstFastest),
            (false, true, _) | (true, true, _) => self.stored(place, StoredOrder::FirstFastestExamplesLast),
            (false, false, _) => Err(Error::input(format!(
                "`{}` of {place} has the sizes {:?}, but there are {labels} labels",
                self.name, self.shape
            ))
            .hint("examples are the last axis, or the first: as many as there are labels")),
        }
    }

    /// As labels: all its numbers.
    fn labels(&self, place: &str) -> Result<StoredArray> {
        let all: usize = self.shape.iter().fold(1, |all, size| all.saturating_mul(*size));
        let flat = Self { shape: vec![all], ..self.clone() };
        flat.stored(place, StoredOrder::LastFastest)
    }
}

/// Values and labels of a file: `X` and `y`, or what options say.
///
/// # Errors
/// A file without them.
pub(super) fn open(path: &Path, options: &DataOptions) -> Result<LabelledArrays> {
    let found = arrays(path)?;
    let place = format!("`{}`", path.display());
    let pick = |asked: Option<&str>, usual: &[&str], what: &str, key: &str| {
        let is = |name: &str| match asked {
            Some(asked) => asked == name,
            None => usual.contains(&name.to_lowercase().as_str()),
        };
        found.iter().find(|array| is(&array.name)).ok_or_else(|| {
            let names: Vec<String> = found.iter().map(|array| format!("`{}`", array.name)).collect();
            Error::input(format!("{place} has no array of {what}; found {}", names.join(", ")))
                .hint(format!("name it with `{key}`, or call it `{}`", usual.first().unwrap_or(&"x")))
        })
    };
    let labels = pick(options.labels.as_deref(), &["y", "label", "labels", "target", "targets"], "labels", "labels")?;
    let values = pick(options.values.as_deref(), &["x", "data", "images", "features"], "values", "values")?;
    let labels = labels.labels(&place)?;
    let values = values.values(&place, labels.count)?;
    let reader = LabelledArrays::new(values, LabelSource::Stored(labels), options.axes)?;
    Ok(if is_svhn(path) { reader.ten_is_zero() } else { reader })
}

/// SVHN, whose label 10 stands for the digit 0, is known by the names of its files.
fn is_svhn(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_32x32.mat"))
}

/// Whether a file is the part of SVHN that nobody trains on unless asked.
pub(super) fn is_extra(path: &Path, options: &DataOptions) -> bool {
    let extra = path.file_name().is_some_and(|name| name == "extra_32x32.mat");
    extra && SetPart::of_path("extra_32x32.mat", options).is_none()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::example::{Content, Label, Numbers};
    use crate::samples::examples;
    use tombola_words::Shape;

    fn element(kind: u32, content: &[u8]) -> Vec<u8> {
        let filling = vec![0; content.len().next_multiple_of(8) - content.len()];
        [&kind.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), content, &filling].concat()
    }

    fn matrix(name: &str, class: u32, shape: &[u32], kind: u32, values: &[u8]) -> Vec<u8> {
        let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        // A name of up to four letters is a short element.
        let short =
            [&((name.len() as u32) << 16 | 1).to_le_bytes()[..], name.as_bytes(), &vec![0; 4 - name.len()]].concat();
        let flags = element(6, &[class.to_le_bytes(), [0; 4]].concat());
        element(MATRIX, &[flags, element(5, &sizes), short, element(kind, values)].concat())
    }

    fn file(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.resize(124, b' ');
        [&header, &b"\0\x01IM"[..], &elements.concat()].concat()
    }

    fn packed(matrix: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(matrix).unwrap();
        let bytes = encoder.finish().unwrap();
        [&COMPRESSED.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), &bytes].concat()
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<crate::example::Example>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        examples(&open(&path, &DataOptions::default())?)
    }

    #[test]
    fn svhn_is_read_compressed_and_not_and_its_ten_is_zero() {
        // Two images of 2x1 with three channels: [row, column, channel, image], the first axis fastest.
        let x = matrix("X", 9, &[2, 1, 3, 2], 2, &(0..12).collect::<Vec<u8>>());
        let y = matrix("y", 6, &[2, 1], 2, &[10, 3]);
        for elements in [vec![x.clone(), y.clone()], vec![packed(&x), packed(&y)]] {
            let all = read("train_32x32.mat", &file(&elements)).unwrap();
            assert_eq!((all[0].label.clone(), all[1].label.clone()), (Label::Number(0), Label::Number(3)));
            let Content::Array(array) = &all[1].content else { panic!("{all:?}") };
            assert_eq!(
                (array.shape, &array.numbers),
                (Shape::Image(3, 2, 1), &Numbers::Bytes(vec![6, 8, 10, 7, 9, 11]))
            );
            assert_eq!(read("other.mat", &file(&elements)).unwrap()[0].label, Label::Number(10));
        }
    }

    #[test]
    fn rows_are_examples_where_labels_are_as_many() {
        let x = matrix("x", 6, &[2, 3], 9, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0].map(f64::to_le_bytes).concat());
        let y = matrix("y", 6, &[1, 2], 2, &[0, 1]);
        let all = read("set.mat", &file(&[x, y])).unwrap();
        let Content::Array(array) = &all[1].content else { panic!("{all:?}") };
        assert_eq!(array.numbers, Numbers::Floats(vec![4.0, 5.0, 6.0]));
    }

    #[test]
    fn floats_that_are_stored_as_bytes_are_floats() {
        let (y, values) = (matrix("y", 9, &[2, 1], 2, &[0, 1]), [1, 0, 0, 1]);
        for (class, expected) in [
            (6, Numbers::Floats(vec![1.0, 0.0])),
            (0x209, Numbers::Floats(vec![1.0, 0.0])),
            (9, Numbers::Bytes(vec![1, 0])),
        ] {
            let all = read("set.mat", &file(&[matrix("x", class, &[2, 2], 2, &values), y.clone()])).unwrap();
            let Content::Array(array) = &all[0].content else { panic!("{all:?}") };
            assert_eq!(array.numbers, expected);
        }
    }

    #[test]
    fn files_that_lie_are_refused() {
        let x = matrix("X", 9, &[1 << 30, 1 << 30, 3, 2], 2, &[0; 12]);
        let y = matrix("y", 6, &[2, 1], 2, &[0, 1]);
        assert!(read("a.mat", &file(&[x, y.clone()])).unwrap_err().message.contains("more than 67108864 bytes"));
        let whole = file(&[matrix("X", 9, &[2, 2], 2, &[0; 4]), y]);
        for length in 0..whole.len() - 7 {
            assert!(read("a.mat", &whole[..length]).is_err(), "{length}");
        }
        assert!(read("a.mat", &file(&[])).unwrap_err().message.contains("has no array of labels"));
    }
}
