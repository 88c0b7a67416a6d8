//! A look at what a file of Parquet says of itself, before the library of the format believes it: that reserves memory for lists and
//! pages as large as they are called. It knows of Thrift's compact protocol as much as leads from one field to the next.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::source::{AGAIN, broken};
use super::thrift_types::{WireType, of_footer, of_page};
use tombola_words::error::{Error, Result};

/// What a footer is not larger than, and a page, unpacked.
pub(super) const MOST_FOOTER: u64 = 256 << 20;
const MOST_PAGE: i64 = i32::MAX as i64;
/// Structures in each other.
const MOST_DEPTH: usize = 16;

/// Reads fields.
struct Fields<R> {
    reader: R,
    /// Bytes that are left.
    left: u64,
    /// What a field holds, where that is known.
    known: fn(&[i64]) -> Option<WireType>,
}

/// What a page says that matters here.
#[derive(Debug, Default)]
struct PageSizes {
    unpacked: i64,
    packed: i64,
    /// Values of a page of words that others point to.
    words: i64,
}

impl<R: Read> Fields<R> {
    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte).map_err(|error| broken(&error))?;
        self.left = self.left.checked_sub(1).ok_or_else(|| damaged("it ends too early"))?;
        Ok(byte[0])
    }

    /// A number of seven bits a byte.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for place in 0..10 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged("a number has more than ten bytes"))
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| damaged("a text is longer than the file"))?;
        let skipped = std::io::copy(&mut self.reader.by_ref().take(bytes), &mut std::io::sink());
        match skipped.map_err(|error| broken(&error))? == bytes {
            true => Ok(()),
            false => Err(damaged("it ends too early")),
        }
    }

    /// Goes over a structure, and gives `each` the numbers in it: the fields that lead there, and the number.
    fn structure(&mut self, path: &mut Vec<i64>, each: &mut dyn FnMut(&[i64], i64)) -> Result<()> {
        let mut field = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            field = match head >> 4 {
                0 => signed(self.number()?),
                step => field.wrapping_add(i64::from(step)),
            };
            path.push(field);
            if (self.known)(path).is_some_and(|known| !known.is(head & 15)) {
                return Err(damaged(&format!("its field {path:?} is of another type than it should be")));
            }
            // Truths have their value in the type.
            if !matches!(head & 15, 1 | 2) {
                self.value(head & 15, path, each)?;
            }
            path.pop();
        }
    }

    fn value(&mut self, kind: u8, path: &mut Vec<i64>, each: &mut dyn FnMut(&[i64], i64)) -> Result<()> {
        if path.len() > MOST_DEPTH {
            return Err(damaged("structures lie too deep in each other"));
        }
        match kind {
            1..=3 => self.byte().map(|_| ()),
            4..=6 => {
                let number = signed(self.number()?);
                each(path, number);
                Ok(())
            }
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                // No footer and no page has one. The library takes no byte for each, and so would count to two billion in a short file.
                if matches!(head & 15, 1 | 2) && count > 0 {
                    return Err(damaged("it has a list of truths"));
                }
                let element = (self.known)(path).and_then(WireType::element);
                if count > 0 && element.is_some_and(|element| !element.is(head & 15)) {
                    return Err(damaged(&format!("its field {path:?} is a list of another type than it should be")));
                }
                // Each takes a byte at least.
                if count > self.left {
                    return Err(damaged("a list is longer than the file"));
                }
                for _ in 0..count {
                    match head & 15 {
                        12 => self.inside(path, each)?,
                        kind => self.value(kind, path, each)?,
                    }
                }
                Ok(())
            }
            12 => self.inside(path, each),
            _ => Err(damaged(&format!("a field is of type {kind}"))),
        }
    }

    fn inside(&mut self, path: &mut Vec<i64>, each: &mut dyn FnMut(&[i64], i64)) -> Result<()> {
        match path.len() > MOST_DEPTH {
            true => Err(damaged("structures lie too deep in each other")),
            false => self.structure(path, each),
        }
    }
}

/// A number whose lowest bit is its sign.
fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Whether the footer of a file is one.
///
/// # Errors
/// Lists and texts that are longer than the file.
pub(super) fn check_footer(file: &File, length: u64) -> Result<()> {
    let mut reader = BufReader::new(file);
    let mut end = [0; 8];
    let seek = |reader: &mut BufReader<&File>, place: u64| {
        reader.seek(SeekFrom::Start(place)).map(|_| ()).map_err(|error| broken(&error))
    };
    seek(&mut reader, length.saturating_sub(8))?;
    reader.read_exact(&mut end).map_err(|error| broken(&error))?;
    let footer = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if &end[4..] != b"PAR1" || footer > length.saturating_sub(12) || footer > MOST_FOOTER {
        return Err(damaged("its end is none of Parquet"));
    }
    seek(&mut reader, length - 8 - footer)?;
    let mut fields = Fields { reader, left: footer, known: of_footer };
    fields.structure(&mut Vec::new(), &mut |_, _| {})
}

/// Whether the pages between two places of a file are such.
///
/// # Errors
/// Pages that are larger than any, and that reach beyond their end.
pub(super) fn check_pages(file: &File, start: u64, end: u64) -> Result<()> {
    let mut reader = BufReader::new(file);
    let mut place = start;
    while place < end {
        reader.seek(SeekFrom::Start(place)).map_err(|error| broken(&error))?;
        let mut sizes = PageSizes::default();
        let mut fields = Fields { reader: &mut reader, left: end - place, known: of_page };
        fields.structure(&mut Vec::new(), &mut |path, number| match path {
            [2] => sizes.unpacked = number,
            [3] => sizes.packed = number,
            [7, 1] => sizes.words = number,
            _ => {}
        })?;
        let behind = end - fields.left;
        let packed = u64::try_from(sizes.packed).ok().filter(|packed| *packed <= end - behind);
        let fits = (0..=MOST_PAGE).contains(&sizes.unpacked)
            // No compression makes a page larger than this.
            && sizes.unpacked <= sizes.packed.saturating_mul(1100).saturating_add(1 << 16)
            && (0..=sizes.unpacked.saturating_mul(8)).contains(&sizes.words);
        match packed {
            Some(packed) if fits => place = behind + packed,
            _ => return Err(damaged("a page has sizes that cannot be")),
        }
    }
    Ok(())
}

fn damaged(what: &str) -> Error {
    Error::input(format!("is damaged: {what}")).hint(AGAIN)
}
