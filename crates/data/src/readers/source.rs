//! Where the bytes of an array lie: they can be read again and again, from the first to the last. It does not know what they mean.
//!
//! Nothing is held but a buffer: what is compressed is unpacked while it is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Deflate cannot shrink anything further than about 1032 to 1, so who promises more is wrong.
pub(super) const MOST_DEFLATE: u64 = 1100;

const BUFFER: usize = 1 << 16;

/// Some bytes.
#[derive(Debug, Clone)]
pub(super) struct ByteSource {
    place: Packing,
    /// Bytes, unpacked, that stand before the first.
    skip: u64,
}

#[derive(Debug, Clone)]
enum Packing {
    Memory(Arc<Vec<u8>>),
    /// A part of a file, and how that is compressed.
    File(PathBuf, u64, u64, Compression),
}

/// How bytes of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    Plain,
    /// As `gzip` does.
    Gzip,
    /// With zlib's frame.
    Zlib,
    /// A file of a zip archive that is stored; its checksum.
    Stored(u32),
    /// One that is compressed; its checksum.
    Deflated(u32),
    /// Bytes written as text of UTF-8: Python 3 writes those of Python 2 so.
    Latin,
}

impl ByteSource {
    /// A file from its start, compressed with gzip if its first bytes say so.
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        let failed = |error| Error::file("read", path, &error);
        let mut file = regular::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut first = Vec::new();
        file.by_ref().take(2).read_to_end(&mut first).map_err(failed)?;
        let packed = if first == [0x1f, 0x8b] { Compression::Gzip } else { Compression::Plain };
        Ok(Self { place: Packing::File(path.to_path_buf(), 0, length, packed), skip: 0 })
    }

    /// `length` bytes of a file from `start`.
    pub(super) fn of_part(path: &Path, start: u64, length: u64, packed: Compression) -> Self {
        Self { place: Packing::File(path.to_path_buf(), start, length, packed), skip: 0 }
    }

    /// Bytes that are held.
    pub(super) fn of_memory(bytes: Vec<u8>) -> Self {
        Self { place: Packing::Memory(Arc::new(bytes)), skip: 0 }
    }

    /// Without so many more bytes at the start.
    pub(super) fn after(mut self, bytes: u64) -> Self {
        self.skip = self.skip.saturating_add(bytes);
        self
    }

    /// How many bytes there can be at most; without compression, there are so many.
    pub(super) fn most(&self) -> u64 {
        let all = match &self.place {
            Packing::Memory(bytes) => bytes.len() as u64,
            Packing::File(_, _, length, packed) => match packed {
                Compression::Plain | Compression::Stored(_) | Compression::Latin => *length,
                _ => length.saturating_mul(MOST_DEFLATE),
            },
        };
        all.saturating_sub(self.skip)
    }

    /// The file and the place in it where the bytes lie as they are, if they do.
    pub(super) fn place(&self) -> Option<(&Path, u64)> {
        match &self.place {
            Packing::File(path, start, _, Compression::Plain | Compression::Stored(_)) => {
                Some((path, start.saturating_add(self.skip)))
            }
            _ => None,
        }
    }

    /// Opens it at its first byte.
    pub(super) fn open(&self) -> Result<Box<dyn Read>> {
        let (path, start, length, packed) = match &self.place {
            Packing::Memory(bytes) => {
                let mut cursor = Cursor::new(SharedBytes(bytes.clone()));
                cursor.set_position(self.skip);
                return Ok(Box::new(cursor));
            }
            Packing::File(path, start, length, packed) => (path, *start, *length, *packed),
        };
        let failed = |error| Error::file("read", path, &error);
        let mut file = regular::open(path).map_err(failed)?;
        if packed == Compression::Plain {
            file.seek(SeekFrom::Start(start.saturating_add(self.skip))).map_err(failed)?;
            let rest = length.saturating_sub(self.skip);
            return Ok(Box::new(BufReader::with_capacity(BUFFER, file.take(rest))));
        }
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut reader = unpacked(BufReader::with_capacity(BUFFER, file.take(length)), packed);
        let skipped = io::copy(&mut reader.by_ref().take(self.skip), &mut io::sink());
        skipped.map_err(|error| broken(&error).at(format!("`{}`", path.display())))?;
        Ok(reader)
    }
}

fn unpacked(packed: BufReader<io::Take<File>>, how: Compression) -> Box<dyn Read> {
    match how {
        Compression::Plain => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Zlib => Box::new(ZlibDecoder::new(packed)),
        Compression::Stored(expected) => Box::new(Checked { inner: packed, sum: crc32fast::Hasher::new(), expected }),
        Compression::Deflated(expected) => {
            Box::new(Checked { inner: DeflateDecoder::new(packed), sum: crc32fast::Hasher::new(), expected })
        }
        Compression::Latin => Box::new(Latin(packed)),
    }
}

/// Bytes that a cursor can share.
struct SharedBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Compares a checksum at the end.
struct Checked<R> {
    inner: R,
    sum: crc32fast::Hasher,
    expected: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sum.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.sum.clone().finalize() != self.expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is another than that of its content"));
        }
        Ok(count)
    }
}

/// From text to the bytes that its letters stand for.
struct Latin<R>(R);

impl<R: BufRead> Read for Latin<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() {
            let mut next = || -> io::Result<Option<u8>> {
                let byte = self.0.fill_buf()?.first().copied();
                self.0.consume(usize::from(byte.is_some()));
                Ok(byte)
            };
            buffer[count] = match next()? {
                None => break,
                Some(byte @ ..0x80) => byte,
                Some(high @ 0xc2..=0xc3) => match next()? {
                    Some(low @ 0x80..=0xbf) => (high << 6) | (low & 0x3f),
                    _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no text of bytes")),
                },
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no text of bytes")),
            };
            count += 1;
        }
        Ok(count)
    }
}

/// What a failed read says about the file.
pub(super) fn broken(error: &io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => Error::input("is cut off: the file ends too early").hint(AGAIN),
        InvalidData | InvalidInput | io::ErrorKind::Other => Error::input(format!("is damaged: {error}")).hint(AGAIN),
        _ => Error::environment(format!("cannot be read: {error}")),
    }
}

/// The cure of damaged files.
pub(super) const AGAIN: &str = "the file is damaged or incomplete: copy, download or write it again";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::gzip;

    fn all(source: &ByteSource) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.open()?.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        Ok(bytes)
    }

    #[test]
    fn bytes_are_the_same_each_time_however_they_are_packed() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("plain"), folder.path().join("packed"));
        std::fs::write(&plain, b"0123456789").unwrap();
        std::fs::write(&packed, gzip(b"0123456789")).unwrap();
        for path in [&plain, &packed] {
            let source = ByteSource::of_file(path).unwrap().after(3).after(1);
            assert_eq!((all(&source).unwrap(), all(&source).unwrap()), (b"456789".to_vec(), b"456789".to_vec()));
        }
        assert_eq!(all(&ByteSource::of_part(&plain, 2, 5, Compression::Plain).after(1)).unwrap(), b"3456");
        assert_eq!(all(&ByteSource::of_memory(b"abc".to_vec()).after(5)).unwrap(), b"");
        assert_eq!(ByteSource::of_file(&plain).unwrap().after(4).most(), 6);
    }

    #[test]
    fn a_wrong_checksum_is_noticed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        std::fs::write(&path, b"abc").unwrap();
        let part = |sum| all(&ByteSource::of_part(&path, 0, 3, Compression::Stored(sum)));
        assert_eq!(part(0x3524_41c2).unwrap(), b"abc");
        assert!(part(1).unwrap_err().message.contains("checksum"));
    }

    #[test]
    fn letters_stand_for_bytes_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        for (text, bytes) in [("aÿ\u{80}", Some(vec![b'a', 0xff, 0x80])), ("€", None)] {
            std::fs::write(&path, text).unwrap();
            let source = ByteSource::of_part(&path, 0, text.len() as u64, Compression::Latin);
            assert_eq!(all(&source).ok(), bytes);
        }
    }
}
