//! An array in a file of which one example is read after the other. It does not know what examples look like.

use std::io::{Read, Seek, SeekFrom};

use super::scalar::{Scalar, Stride};
use super::source::{AGAIN, ByteSource, broken};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// No example is larger, in bytes.
pub(super) const MOST_EXAMPLE: u64 = 64 << 20;
/// What is held at a time of an array whose examples do not lie one after the other.
const BLOCK: u64 = 64 << 20;

/// An array in some file.
#[derive(Debug, Clone)]
pub(super) struct StoredArray {
    /// For people: "`x` of `FILE`".
    pub(super) name: String,
    pub(super) scalar: Scalar,
    pub(super) big_endian: bool,
    /// Examples.
    pub(super) count: usize,
    /// The sizes of an example, as the file says them, and where in it the values are.
    pub(super) sizes: Vec<Stride>,
    /// Whether examples lie one after the other. Else the first value of each does, then the second of each.
    apart: bool,
    /// Whether something may follow.
    loose: bool,
    /// Whether its numbers are floats, though stored as whole ones.
    pub(super) floats: bool,
    source: ByteSource,
}

/// The order of values in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredOrder {
    /// The last axis is the fastest; examples are the first.
    LastFastest,
    /// The first axis is the fastest; examples are the first.
    FirstFastest,
    /// The first axis is the fastest; examples are the last.
    FirstFastestExamplesLast,
}

impl StoredArray {
    /// Puts an array together.
    ///
    /// # Errors
    /// Sizes that cannot be: of nothing, or of more than the file can hold.
    pub(super) fn new(
        name: String,
        (scalar, big_endian): (Scalar, bool),
        shape: &[usize],
        order: StoredOrder,
        source: ByteSource,
    ) -> Result<Self> {
        let (count, sizes) = match order {
            StoredOrder::FirstFastestExamplesLast => shape.split_last(),
            _ => shape.split_first(),
        }
        .ok_or_else(|| Error::input(format!("{name} is a single number; expected an array of examples")))?;
        let bytes = |sizes: &[usize]| {
            sizes.iter().try_fold(scalar.size() as u64, |bytes, size| bytes.checked_mul(*size as u64))
        };
        if shape.contains(&0) || scalar.size() == 0 {
            return Err(Error::input(format!("{name} has the sizes {shape:?}; expected at least 1 of each"))
                .hint("an array without values cannot be learned from: write it anew"));
        }
        if bytes(sizes).is_none_or(|bytes| bytes > MOST_EXAMPLE) {
            return Err(Error::input(format!(
                "{name} has the sizes {shape:?}: an example would have more than {MOST_EXAMPLE} bytes"
            ))
            .hint("examples are the first axis of an array: write them smaller"));
        }
        if bytes(shape).is_none_or(|bytes| bytes > source.most()) {
            return Err(Error::input(format!(
                "{name} is cut off: its sizes are {shape:?}, more than the file can hold"
            ))
            .hint(AGAIN));
        }
        let steps = match order {
            StoredOrder::LastFastest => {
                (0..sizes.len()).map(|axis| sizes[axis + 1..].iter().product()).collect::<Vec<_>>()
            }
            _ => (0..sizes.len()).map(|axis| sizes[..axis].iter().product()).collect(),
        };
        let sizes = sizes.iter().zip(steps).map(|(size, step)| Stride { size: *size, step }).collect();
        let apart = order == StoredOrder::FirstFastest && shape.len() > 1;
        Ok(Self { name, scalar, big_endian, count: *count, sizes, apart, loose: false, floats: false, source })
    }

    /// Something may follow in the file.
    pub(super) fn loose(mut self) -> Self {
        self.loose = true;
        self
    }

    /// Its numbers are floats, whatever they are stored as.
    pub(super) fn with_floats(mut self, floats: bool) -> Self {
        self.floats = floats;
        self
    }

    /// Values of an example.
    pub(super) fn values(&self) -> usize {
        self.sizes.iter().map(|stride| stride.size).product()
    }

    /// Begins at the first example.
    pub(super) fn open(&self) -> Result<OpenArray<'_>> {
        let size = self.values() * self.scalar.size();
        let block = if self.apart { (BLOCK / size as u64).clamp(1, self.count as u64) as usize } else { 1 };
        Ok(OpenArray { array: self, reader: None, next: 0, size, block, held: Vec::new(), example: Vec::new() })
    }

    fn at(&self, error: Error) -> Error {
        error.at(&self.name)
    }
}

/// An array that is being read.
pub(super) struct OpenArray<'a> {
    array: &'a StoredArray,
    reader: Option<Box<dyn Read>>,
    next: usize,
    /// Bytes of an example.
    size: usize,
    /// Examples that are held.
    block: usize,
    held: Vec<u8>,
    example: Vec<u8>,
}

impl OpenArray<'_> {
    /// The bytes of the next example; none behind the last.
    ///
    /// # Errors
    /// A file that is cut off, longer than it may be, or damaged.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        let array = self.array;
        if self.next == array.count {
            self.end().map_err(|error| array.at(error))?;
            return Ok(None);
        }
        self.example.resize(self.size, 0);
        if array.apart {
            if self.next.is_multiple_of(self.block) {
                self.fill().map_err(|error| array.at(error))?;
            }
            let (size, place) = (array.scalar.size(), self.next % self.block);
            for (value, into) in self.example.chunks_exact_mut(size).enumerate() {
                let from = (value * self.block + place) * size;
                into.copy_from_slice(&self.held[from..from + size]);
            }
        } else {
            if self.reader.is_none() {
                self.reader = Some(array.source.open()?);
            }
            if let Some(reader) = &mut self.reader {
                reader.read_exact(&mut self.example).map_err(|error| array.at(broken(&error)))?;
            }
        }
        self.next += 1;
        Ok(Some(&self.example))
    }

    /// Takes the next examples: from their places, or by reading all of the array once more.
    fn fill(&mut self) -> Result<()> {
        let (array, size) = (self.array, self.array.scalar.size());
        let here = self.block.min(array.count - self.next) * size;
        self.held.resize(self.block * self.size, 0);
        if let Some((path, start)) = array.source.place() {
            let mut file = regular::open(path).map_err(|error| Error::file("read", path, &error))?;
            for column in 0..array.values() {
                let place = start + ((column * array.count + self.next) * size) as u64;
                let part = column * self.block * size;
                file.seek(SeekFrom::Start(place)).map_err(|error| broken(&error))?;
                file.read_exact(&mut self.held[part..part + here]).map_err(|error| broken(&error))?;
            }
            return Ok(());
        }
        let mut reader = array.source.open()?;
        let (before, behind) = (self.next * size, array.count * size - self.next * size - here);
        for column in 0..array.values() {
            skip_bytes(&mut *reader, before)?;
            let start = column * self.block * size;
            reader.read_exact(&mut self.held[start..start + here]).map_err(|error| broken(&error))?;
            skip_bytes(&mut *reader, behind)?;
        }
        self.reader = Some(reader);
        Ok(())
    }

    /// Nothing may follow; reading on to the end also compares checksums.
    fn end(&mut self) -> Result<()> {
        let Some(mut reader) = self.reader.take().filter(|_| !self.array.loose) else { return Ok(()) };
        match reader.read(&mut [0]).map_err(|error| broken(&error))? {
            0 => Ok(()),
            _ => Err(Error::input(format!("holds more data than its {} examples", self.array.count)).hint(AGAIN)),
        }
    }
}

fn skip_bytes(reader: &mut dyn Read, bytes: usize) -> Result<()> {
    let skipped =
        std::io::copy(&mut reader.take(bytes as u64), &mut std::io::sink()).map_err(|error| broken(&error))?;
    if skipped < bytes as u64 {
        return Err(broken(&std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(shape: &[usize], order: StoredOrder, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let array = StoredArray::new("`x`".into(), (Scalar::U8, false), shape, order, ByteSource::of_memory(bytes))?;
        let mut open = array.open()?;
        let mut all = Vec::new();
        while let Some(raw) = open.next()? {
            let numbers = Scalar::U8.numbers(raw, false, &array.sizes)?;
            all.push(match numbers {
                crate::example::Numbers::Bytes(bytes) => bytes,
                _ => Vec::new(),
            });
        }
        Ok(all)
    }

    #[test]
    fn examples_are_the_same_in_every_order() {
        // Element [n, a, b] is 100 n + 10 a + b.
        let expected: Vec<Vec<u8>> = vec![vec![0, 1, 2, 10, 11, 12], vec![100, 101, 102, 110, 111, 112]];
        let c = expected.concat();
        assert_eq!(examples(&[2, 2, 3], StoredOrder::LastFastest, c).unwrap(), expected);
        let fortran = vec![0, 100, 10, 110, 1, 101, 11, 111, 2, 102, 12, 112];
        assert_eq!(examples(&[2, 2, 3], StoredOrder::FirstFastest, fortran).unwrap(), expected);
        let last = vec![0, 10, 1, 11, 2, 12, 100, 110, 101, 111, 102, 112];
        assert_eq!(examples(&[2, 3, 2], StoredOrder::FirstFastestExamplesLast, last).unwrap(), expected);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_before_memory_is_taken() {
        let refused = |shape: &[usize]| examples(shape, StoredOrder::LastFastest, vec![0; 12]).unwrap_err().message;
        assert!(refused(&[1 << 62, 1 << 62]).contains("more than 67108864 bytes"));
        assert!(refused(&[1 << 62, 4]).contains("more than the file can hold"));
        assert!(refused(&[3, 0]).contains("at least 1"));
        assert!(refused(&[]).contains("a single number"));
        assert!(refused(&[13]).contains("cut off"));
        assert!(refused(&[11]).contains("more data than its 11 examples"));
    }
}
