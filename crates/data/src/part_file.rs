//! The file of one part in the cache: labels, a checksum of each example, and the values, which are mapped or read piece by piece.
//!
//! ```text
//! 8 bytes   TOMBDATA
//! u32       version, 1
//! u32       bytes of a value
//! u64       examples
//! u64       bytes of an example
//! u64       where the values begin: a multiple of 4096
//! u32       CRC-32 of all before the values, with 0 in this place
//! u16 ...   labels
//! u32 ...   CRC-32 of the values of each example
//! ```
//! All numbers have the lowest byte first. Files are written once and never changed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use crate::values::{ValueKind, Values};
use tombola_words::error::{Error, Result, ignored};
use tombola_words::{Shape, regular};

/// What says that a set is whole, beside its parts.
pub(crate) const FORM: &str = "form.json";
const MAGIC: [u8; 8] = *b"TOMBDATA";
const VERSION: u32 = 1;
const HEAD: usize = 44;
/// Where the checksum of the head stands.
const SUM: std::ops::Range<usize> = 40..44;
const PAGE: usize = 4096;

/// Writes the examples of a part, in the order in which they come, and gives the hash of each.
pub(crate) struct PartWriter {
    file: BufWriter<File>,
    path: PathBuf,
    labels: Vec<u16>,
    sums: Vec<u32>,
    size: usize,
}

impl PartWriter {
    /// A file of values alone, until [`PartWriter::finish`] puts the head before them.
    pub(crate) fn create(path: &Path, size: usize) -> Result<Self> {
        let file = File::create_new(path).map_err(|error| Error::file("write", path, &error))?;
        let (labels, sums) = (Vec::new(), Vec::new());
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path: path.to_path_buf(), labels, sums, size })
    }

    /// Adds an example.
    pub(crate) fn add(&mut self, label: u16, values: &[u8]) -> Result<()> {
        self.labels.push(label);
        self.sums.push(crc32fast::hash(values));
        self.file.write_all(values).map_err(|error| Error::file("write", &self.path, &error))
    }

    /// What was written, to be read in another order.
    pub(crate) fn loose(mut self) -> Result<Loose> {
        self.file.flush().map_err(|error| Error::file("write", &self.path, &error))?;
        let file = File::open(&self.path).map_err(|error| Error::file("read", &self.path, &error))?;
        Ok(Loose { file, path: self.path, labels: self.labels, sums: self.sums, size: self.size })
    }
}

/// Values without a head.
pub(crate) struct Loose {
    file: File,
    path: PathBuf,
    labels: Vec<u16>,
    sums: Vec<u32>,
    size: usize,
}

impl Loose {
    /// Takes the file away.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| Error::file("take away", &self.path, &error))
    }

    /// Labels of all examples.
    pub(crate) fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Writes the examples at `order` into a file of a part, and gives the values of each to `see`.
    pub(crate) fn write(
        &self,
        order: &[usize],
        element: ValueKind,
        path: &Path,
        see: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: std::io::Error| Error::file("write", path, &error);
        let file = File::create_new(path).map_err(failed)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let labels: Vec<u16> = order.iter().map(|place| self.labels[*place]).collect();
        let sums: Vec<u32> = order.iter().map(|place| self.sums[*place]).collect();
        file.write_all(&head(element, self.size, &labels, &sums)).map_err(failed)?;
        let mut values = vec![0; self.size];
        for &place in order {
            let from = (place * self.size) as u64;
            self.file.read_exact_at(&mut values, from).map_err(|error| Error::file("read", &self.path, &error))?;
            if crc32fast::hash(&values) != self.sums[place] {
                return Err(Error::environment(format!(
                    "`{}` holds other bytes than were written",
                    self.path.display()
                ))
                .hint("the disk is damaged or full: name another with the variable `XDG_CACHE_HOME`"));
            }
            see(&values)?;
            file.write_all(&values).map_err(failed)?;
        }
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)
    }
}

/// All that stands before the values.
fn head(element: ValueKind, size: usize, labels: &[u16], sums: &[u32]) -> Vec<u8> {
    let start = (HEAD + labels.len() * 6).next_multiple_of(PAGE);
    let mut head = Vec::with_capacity(start);
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((element.bytes() as u32).to_le_bytes());
    for number in [labels.len(), size, start] {
        head.extend((number as u64).to_le_bytes());
    }
    head.extend([0; 4]);
    head.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
    head.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
    head.resize(start, 0);
    let sum = crc32fast::hash(&head);
    head[SUM].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The file of a part, open.
#[derive(Debug)]
pub struct PartFile {
    file: File,
    path: PathBuf,
    /// Where the values begin.
    start: u64,
    /// Bytes of an example.
    size: usize,
    /// One a example.
    sums: Vec<u32>,
}

impl PartFile {
    /// Bytes that stand before the values of so many examples, at most.
    pub(crate) fn head_bytes(count: usize) -> u64 {
        (HEAD as u64 + 6 * count as u64).next_multiple_of(PAGE as u64)
    }

    /// Opens a file that was written as a part of `count` examples of a shape; gives their labels.
    pub(crate) fn open(path: &Path, shape: Shape, element: ValueKind, count: usize) -> Result<(Self, Vec<u16>)> {
        let failed = |error: std::io::Error| Error::file("read", path, &error);
        let size = shape.size() * element.bytes();
        let file = regular::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let start =
            count.checked_mul(6).and_then(|bytes| (HEAD + bytes).checked_next_multiple_of(PAGE)).unwrap_or(usize::MAX);
        if u128::from(length) != start as u128 + count as u128 * size as u128 {
            return Err(damaged(path));
        }
        let mut bytes = vec![0; start];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let places = bytes.get(HEAD..HEAD + count * 6).unwrap_or_default();
        let (labels, sums) = places.split_at(count * 2);
        let labels: Vec<u16> = labels.as_chunks().0.iter().map(|label| u16::from_le_bytes(*label)).collect();
        let sums: Vec<u32> = sums.as_chunks().0.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        if bytes != head(element, size, &labels, &sums) {
            return Err(damaged(path));
        }
        Ok((Self { file, path: path.to_path_buf(), start: start as u64, size, sums }, labels))
    }

    /// All values, mapped; each example is compared with its checksum first.
    pub(crate) fn mapped(&self) -> Result<Values> {
        // SAFETY: files of the cache are never changed, only taken away whole, which leaves what is mapped where it is.
        let map = unsafe { Mmap::map(&self.file) }.map_err(|error| Error::file("map", &self.path, &error))?;
        let values = map.get(self.start as usize..).unwrap_or_default();
        let right = values.chunks_exact(self.size).zip(&self.sums).all(|(values, sum)| crc32fast::hash(values) == *sum);
        let end = map.len();
        match Values::mapped(Arc::new(map), self.start as usize..end) {
            Some(values) if right => Ok(values),
            _ => Err(damaged(&self.path)),
        }
    }

    /// Reads the values of example `index` into `values`, which has the bytes of one, and compares their checksum.
    ///
    /// # Errors
    /// When there is no such example, or the file is damaged.
    pub fn read(&self, index: usize, values: &mut [u8]) -> Result<()> {
        let from = self.start + (index * self.size) as u64;
        self.file.read_exact_at(values, from).map_err(|error| Error::file("read", &self.path, &error))?;
        match self.sums.get(index) {
            Some(sum) if crc32fast::hash(values) == *sum => Ok(()),
            _ => {
                // What says that the set is whole goes, so that the next run decodes the data again.
                let form = self.path.with_file_name(FORM);
                ignored(std::fs::remove_file(form), "then `tombola data clear` is needed, as the error says");
                Err(damaged(&self.path))
            }
        }
    }

    /// Bytes of an example.
    pub fn example_bytes(&self) -> usize {
        self.size
    }
}

fn damaged(path: &Path) -> Error {
    Error::input(format!("`{}` is damaged", path.display()))
        .hint("run the same command again: the data are decoded again; if that does not help, `tombola data clear` takes away what was decoded")
}
