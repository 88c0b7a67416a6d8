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
use tombola_words::catalogue::IdxForm;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Unsigned bytes in three dimensions: count, rows, columns.
const IMAGES: u32 = 0x0000_0803;
/// Unsigned bytes in one dimension: count.
const LABELS: u32 = 0x0000_0801;
/// Numbers of four bytes in two dimensions: count, and eight that QMNIST says of a digit, the class first.
const WIDE_LABELS: u32 = 0x0000_0c02;
const WIDE: usize = 8;

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
    read_as(images, labels, classes, IdxForm::PLAIN)
}

/// As [`read`], for files whose images lie on their side or whose labels do not begin at 0.
///
/// # Errors
/// As [`read`].
pub fn read_as(images: &Path, labels: &Path, classes: usize, form: IdxForm) -> Result<Images> {
    let (mut pixels, (count, mut rows, mut columns)) = read_images(images)?;
    if form.turned {
        turn(&mut pixels, rows, columns);
        (rows, columns) = (columns, rows);
    }
    let mut found = read_labels(labels)?;
    for (index, label) in found.iter_mut().enumerate() {
        *label = label.checked_sub(form.first_label).ok_or_else(|| {
            Error::input(format!(
                "`{}`: label {label} of image {index} is out of range; expected at least {}",
                labels.display(),
                form.first_label
            ))
            .hint("this file belongs to another data set, or is damaged")
        })?;
    }
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

/// Exchanges rows and columns of each image.
fn turn(pixels: &mut [u8], rows: usize, columns: usize) {
    let mut lying = vec![0; rows * columns];
    for image in pixels.chunks_exact_mut(rows * columns) {
        lying.copy_from_slice(image);
        for (place, pixel) in image.iter_mut().enumerate() {
            *pixel = lying[place % rows * columns + place / rows];
        }
    }
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
    let mut content = IdxContent::new(source, bytes)?;
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
    let mut content = IdxContent::new(source, bytes)?;
    let wide = content.expect_magic(LABELS)? == WIDE_LABELS;
    let count = content.number()?;
    let columns = if wide { content.number()? } else { 1 };
    if count == 0 || (wide && columns as usize != WIDE) {
        return Err(Error::input(format!(
            "the header promises {count} labels of {columns} numbers; expected at least 1, of {}",
            if wide { WIDE } else { 1 }
        ))
        .hint(DAMAGED));
    }
    let size = if wide { 4 * WIDE } else { 1 };
    let bytes = content.elements(u128::from(count) * size as u128, &format!("{count} labels"))?;
    if !wide {
        return Ok(bytes);
    }
    let class = |label: &[u8]| match *label {
        [0, 0, 0, class, ..] => Ok(class),
        _ => Err(Error::input("a label is no class from 0 to 255").hint(DAMAGED)),
    };
    bytes.chunks_exact(size).map(class).collect()
}

const DAMAGED: &str = "the file is damaged or incomplete: `tombola data fetch` replaces wrong files";

/// The unpacked bytes of a file, and how many there can be at most.
struct IdxContent<R: BufRead> {
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

impl<R: BufRead> IdxContent<R> {
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

    /// What was found: labels may have one of two forms.
    fn expect_magic(&mut self, expected: u32) -> Result<u32> {
        let what = |magic| if magic == IMAGES { "images" } else { "labels" };
        match self.number()? {
            found if found == expected || (found == WIDE_LABELS && expected == LABELS) => Ok(found),
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
mod tests;
