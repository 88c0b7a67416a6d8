//! The IDX format of MNIST and its successors, plain or compressed with gzip.
//!
//! A file is a magic number (two zero bytes, the element type, the number of dimensions), one big-endian 32-bit size
//! a dimension, then the elements (Y. LeCun, C. Cortes, C. Burges: "The MNIST database of handwritten digits").
//! Nothing in a file is believed before it is checked: sizes are compared with what the file can hold before memory
//! is reserved, and no more than the promised bytes are ever unpacked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::images::{Images, MOST_BYTES, check_labels};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Unsigned bytes in three dimensions: count, rows, columns.
const IMAGES: u32 = 0x0000_0803;
/// Unsigned bytes in one dimension: count.
const LABELS: u32 = 0x0000_0801;

/// Deflate cannot shrink anything further than about 1032 to 1, so a header that promises more is false.
const MOST_DEFLATE: u64 = 1100;

/// Memory reserved before the bytes have been seen; larger files let it grow while they are read.
const RESERVED: u64 = 64 << 20;

/// Reads a file of images and the file of their labels; the images have one channel.
///
/// # Errors
/// Of kind [`Input`](tombola_words::error::Kind::Input): a file that is missing, cut off, too long, damaged or of another
/// kind (images and labels exchanged included), sizes that cannot be, counts that differ, a label that is not below
/// `classes`.
pub fn read(images: &Path, labels: &Path, classes: usize) -> Result<Images> {
    let (pixels, (count, rows, columns)) = read_images(images)?;
    let found = read_labels(labels)?;
    if found.len() != count {
        return Err(Error::input(format!(
            "`{}` holds {count} images, but `{}` holds {} labels",
            images.display(),
            labels.display(),
            found.len()
        ))
        .hint("the two files are not of the same part: take images and labels that belong together"));
    }
    check_labels(&found.iter().map(|label| u16::from(*label)).collect::<Vec<_>>(), classes).map_err(|error| {
        error.at(format!("`{}`", labels.display())).hint("this file belongs to another data set, or is damaged")
    })?;
    Images::new(pixels, found, (1, rows, columns), classes)
}

fn read_images(path: &Path) -> Result<(Vec<u8>, (usize, usize, usize))> {
    let (file, bytes) = open(path)?;
    decode_images(file, bytes).map_err(|error| error.at(format!("`{}`", path.display())))
}

fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let (file, bytes) = open(path)?;
    decode_labels(file, bytes).map_err(|error| error.at(format!("`{}`", path.display())))
}

fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let failed = |error| Error::file("read", path, &error);
    let file = regular::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((BufReader::new(file), length))
}

/// Pixels, and count, rows and columns. `bytes` is the size of what is read, before unpacking.
fn decode_images(source: impl BufRead, bytes: u64) -> Result<(Vec<u8>, (usize, usize, usize))> {
    let mut content = Content::new(source, bytes)?;
    content.expect_magic(IMAGES)?;
    let [count, rows, columns] = [content.number()?, content.number()?, content.number()?];
    if count == 0 || rows == 0 || columns == 0 {
        return Err(Error::input(format!(
            "the header promises {count} images of {rows}x{columns}; expected at least 1 of each"
        ))
        .hint(DAMAGED));
    }
    // Three 32-bit numbers always fit into 128 bits.
    let promised = u128::from(count) * u128::from(rows) * u128::from(columns);
    let pixels = content.elements(promised, &format!("{count} images of {rows}x{columns}"))?;
    Ok((pixels, (count as usize, rows as usize, columns as usize)))
}

fn decode_labels(source: impl BufRead, bytes: u64) -> Result<Vec<u8>> {
    let mut content = Content::new(source, bytes)?;
    content.expect_magic(LABELS)?;
    let count = content.number()?;
    if count == 0 {
        return Err(Error::input("the header promises 0 labels; expected at least 1").hint(DAMAGED));
    }
    content.elements(u128::from(count), &format!("{count} labels"))
}

const DAMAGED: &str = "the file is damaged or incomplete: `tombola data fetch` replaces wrong files";

/// The unpacked bytes of a file, and how many there can be at most.
struct Content<R: BufRead> {
    reader: Unpacked<R>,
    most: u64,
}

enum Unpacked<R: BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Unpacked::Plain(reader) => reader.read(buffer),
            Unpacked::Gzip(reader) => reader.read(buffer),
        }
    }
}

impl<R: BufRead> Content<R> {
    fn new(mut source: R, bytes: u64) -> Result<Self> {
        // The first bytes tell, not the name: people unpack files and leave their names, and the other way round.
        let compressed = source.fill_buf().map_err(broken)?.starts_with(&[0x1f, 0x8b]);
        Ok(if compressed {
            let most = bytes.saturating_mul(MOST_DEFLATE);
            Self { reader: Unpacked::Gzip(Box::new(MultiGzDecoder::new(source))), most }
        } else {
            Self { reader: Unpacked::Plain(source), most: bytes }
        })
    }

    fn number(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.reader.read_exact(&mut bytes).map_err(broken)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn expect_magic(&mut self, expected: u32) -> Result<()> {
        let what = |magic| if magic == IMAGES { "images" } else { "labels" };
        match self.number()? {
            found if found == expected => Ok(()),
            found @ (IMAGES | LABELS) => Err(Error::input(format!(
                "holds {} (magic number {found:#010x}) where {} ({expected:#010x}) are expected",
                what(found),
                what(expected)
            ))
            .hint("the files of images and labels are exchanged: give each its own name")),
            found => Err(Error::input(format!(
                "starts with {found:#010x}; expected {expected:#010x}, the magic number of IDX {}",
                what(expected)
            ))
            .hint("this is not an IDX file of bytes, or it is damaged: `tombola data fetch` replaces wrong files")),
        }
    }

    /// Reads the `promised` bytes that must follow, and nothing may follow them.
    fn elements(mut self, promised: u128, what: &str) -> Result<Vec<u8>> {
        if promised > u128::from(MOST_BYTES) {
            return Err(Error::input(format!(
                "the header promises {what}, {promised} bytes; more than {MOST_BYTES} are not read"
            ))
            .hint(DAMAGED));
        }
        let promised = promised as u64;
        if promised > self.most {
            return Err(Error::input(format!(
                "is cut off: the header promises {what}, {promised} bytes, more than the file can hold"
            ))
            .hint(DAMAGED));
        }
        let mut elements = Vec::with_capacity(promised.min(RESERVED) as usize);
        let found = self.reader.by_ref().take(promised).read_to_end(&mut elements).map_err(broken)? as u64;
        if found < promised {
            return Err(Error::input(format!(
                "is cut off: the header promises {what}, {promised} bytes; {found} were found"
            ))
            .hint(DAMAGED));
        }
        // Reading on to the end also lets gzip compare its checksum.
        let mut beyond = [0];
        if self.reader.read(&mut beyond).map_err(broken)? > 0 {
            return Err(Error::input(format!("holds more data than the header promises ({what}, {promised} bytes)"))
                .hint(DAMAGED));
        }
        elements.shrink_to_fit();
        Ok(elements)
    }
}

/// What a failed read says about the file.
fn broken(error: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => Error::input("is cut off: the file ends too early").hint(DAMAGED),
        InvalidData | InvalidInput => Error::input(format!("cannot be unpacked: {error}")).hint(DAMAGED),
        _ => Error::environment(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{gzip, idx_images, idx_labels};
    use tombola_words::error::Kind;

    /// Reads two files with these contents.
    fn read_bytes(images: &[u8], labels: &[u8]) -> Result<Images> {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("images"), folder.path().join("labels"));
        std::fs::write(&first, images).unwrap();
        std::fs::write(&second, labels).unwrap();
        read(&first, &second, 3)
    }

    fn message(images: &[u8], labels: &[u8]) -> String {
        let error = read_bytes(images, labels).unwrap_err();
        assert_eq!(error.kind, Kind::Input, "{error}");
        assert!(error.hint.is_some(), "no cure: {error}");
        error.message
    }

    fn good() -> (Vec<u8>, Vec<u8>) {
        (idx_images(2, 3, &(0..18).collect::<Vec<u8>>()), idx_labels(&[0, 1, 2]))
    }

    #[test]
    fn files_are_read_plain_and_compressed_whatever_their_names() {
        let (images, labels) = good();
        let expected = Images::new((0..18).collect(), vec![0_u8, 1, 2], (1, 2, 3), 3).unwrap();
        assert_eq!(read_bytes(&images, &labels).unwrap(), expected);
        assert_eq!(read_bytes(&gzip(&images), &gzip(&labels)).unwrap(), expected);
        assert_eq!(read_bytes(&gzip(&images), &labels).unwrap(), expected);
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nothing");
        let error = read(&path, &path, 3).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        assert!(error.message.contains("nothing"), "{error}");
        assert!(read(folder.path(), &path, 3).unwrap_err().message.contains("Is a directory"));
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused_plain_and_compressed() {
        let (images, labels) = good();
        for length in 0..images.len() {
            assert!(message(&images[..length], &labels).contains("cut off"), "{length} bytes of images");
        }
        for length in 0..labels.len() {
            assert!(message(&images, &labels[..length]).contains("cut off"), "{length} bytes of labels");
        }
        let packed = gzip(&images);
        for length in 0..packed.len() {
            message(&packed[..length], &labels);
        }
    }

    #[test]
    fn exchanged_files_are_recognised() {
        let (images, labels) = good();
        assert!(message(&labels, &images).contains("holds labels (magic number 0x00000801) where images"));
        assert!(message(&gzip(&images), &gzip(&images)).contains("holds images"));
    }

    #[test]
    fn another_magic_number_is_refused() {
        let (images, labels) = good();
        assert!(message(b"<!DOCTYPE html><title>404", &labels).contains("starts with 0x3c21444f; expected 0x00000803"));
        let mut floats = images.clone();
        floats[2] = 0x0d;
        assert!(message(&floats, &labels).contains("starts with 0x00000d03"));
    }

    #[test]
    fn data_after_the_end_is_refused_plain_and_compressed() {
        let (mut images, labels) = good();
        let mut packed = gzip(&images);
        packed.extend_from_slice(b"more");
        message(&packed, &labels);
        images.push(0);
        assert!(message(&images, &labels).contains("more data than the header promises (3 images of 2x3, 18 bytes)"));
        assert!(message(&gzip(&images), &labels).contains("more data"));
        let twice = [gzip(&labels), gzip(&labels)].concat();
        assert!(message(&good().0, &twice).contains("more data"));
    }

    #[test]
    fn a_changed_byte_in_a_compressed_file_is_noticed() {
        let (images, labels) = good();
        let mut packed = gzip(&images);
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        assert!(message(&packed, &labels).contains("cannot be unpacked"));
    }

    #[test]
    fn counts_that_differ_are_refused() {
        let (images, _) = good();
        let text = message(&images, &idx_labels(&[0, 1]));
        assert!(text.contains("holds 3 images") && text.contains("holds 2 labels"), "{text}");
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let (images, _) = good();
        let text = message(&images, &idx_labels(&[0, 3, 1]));
        assert!(text.contains("label 3 of image 1 is out of range; expected 0 to 2"), "{text}");
    }

    #[test]
    fn absurd_sizes_are_refused_before_memory_is_reserved() {
        let (_, labels) = good();
        let header = |numbers: [u32; 4]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
        let huge = header([IMAGES, u32::MAX, u32::MAX, u32::MAX]);
        assert!(message(&huge, &labels).contains("more than 4294967296 are not read"));
        let large = header([IMAGES, 3 << 20, 32, 32]);
        assert!(message(&large, &labels).contains("more than the file can hold"));
        assert!(message(&gzip(&large), &labels).contains("more than the file can hold"));
        for empty in [[IMAGES, 0, 2, 3], [IMAGES, 3, 0, 3], [IMAGES, 3, 2, 0]] {
            assert!(message(&header(empty), &labels).contains("expected at least 1"));
        }
        assert!(message(&good().0, &idx_labels(&[])).contains("promises 0 labels"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_nor_give_more_than_they_hold(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            // Half of the cases get a true magic number, so that the sizes behind it are tried too.
            for magic in [None, Some(IMAGES), Some(LABELS)] {
                let mut bytes = bytes.clone();
                if let (Some(magic), Some(start)) = (magic, bytes.get_mut(..4)) {
                    start.copy_from_slice(&magic.to_be_bytes());
                }
                for bytes in [gzip(&bytes), bytes] {
                    let length = bytes.len() as u64;
                    if let Ok((pixels, _)) = decode_images(bytes.as_slice(), length) {
                        prop_assert!(pixels.capacity() <= 2 * 400);
                    }
                    if let Ok(labels) = decode_labels(bytes.as_slice(), length) {
                        prop_assert!(labels.capacity() <= 2 * 400);
                    }
                }
            }
        }

        #[test]
        fn whatever_the_sizes_no_more_is_reserved_than_the_file_can_hold(
            count in any::<u32>(), rows in any::<u32>(), columns in any::<u32>(), tail in 0usize..50,
        ) {
            let mut bytes: Vec<u8> = [IMAGES, count, rows, columns].iter().flat_map(|n| n.to_be_bytes()).collect();
            bytes.resize(16 + tail, 7);
            let length = bytes.len() as u64;
            let promised = u128::from(count) * u128::from(rows) * u128::from(columns);
            prop_assert_eq!(decode_images(bytes.as_slice(), length).is_ok(), promised == tail as u128 && tail > 0);
        }
    }
}
