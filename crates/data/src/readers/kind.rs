//! What a file is: by its content first, then by its name. It reads its first bytes alone.

use std::path::Path;

use super::records::first_bytes;
use super::tree::ending;
use super::{csv_rows, idx_files, matlab, npy, safetensors_file};
use tombola_words::error::Result;

/// Enough to know a tar archive.
const FIRST: u64 = 512;

/// A form of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Npy,
    Zip,
    Matlab,
    Parquet,
    Tar,
    Safetensors,
    Idx,
    Pickle,
    Table,
    Image,
    Hdf5,
    Arrow,
    Other,
}

impl FileKind {
    /// Looks at a file; what is compressed with gzip is looked into.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self::of_bytes(&name, &first_bytes(path, FIRST)?))
    }

    fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if starts(npy::MAGIC) {
            Self::Npy
        } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
            Self::Zip
        } else if starts(matlab::MAGIC) {
            Self::Matlab
        } else if starts(b"PAR1") {
            Self::Parquet
        } else if starts(b"\x89HDF\r\n\x1a\n") || bytes.get(..512).is_some() && starts(b"MATLAB 7.3") {
            Self::Hdf5
        } else if starts(b"ARROW1") {
            Self::Arrow
        } else if bytes.get(257..262) == Some(b"ustar") {
            Self::Tar
        } else if safetensors_file::begins(bytes) {
            Self::Safetensors
        } else if is_image(bytes) {
            Self::Image
        } else if idx_files::begins(bytes) {
            Self::Idx
        } else if matches!(bytes, [0x80, 2..=5, ..]) {
            Self::Pickle
        } else {
            Self::of_name(name, bytes)
        }
    }

    /// Where the first bytes of formats say nothing.
    fn of_name(name: &str, bytes: &[u8]) -> Self {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        match ending(name).as_str() {
            "csv" | "tsv" | "data" | "tab" => Self::Table,
            "tar" | "tgz" => Self::Tar,
            "txt" | "" if csv_rows::may_be(bytes) => Self::Table,
            _ => Self::Other,
        }
    }
}

fn is_image(bytes: &[u8]) -> bool {
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let magics: [&[u8]; 5] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*"];
    webp || magics.iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_says_what_a_file_is_and_then_its_name() {
        for (name, bytes, expected) in [
            ("x.csv", &b"\x93NUMPY\x01\0"[..], FileKind::Npy),
            ("x", b"PK\x03\x04", FileKind::Zip),
            ("x", b"\0\0\x08\x03\0\0\0\x01", FileKind::Idx),
            ("x", b"\x80\x02}q", FileKind::Pickle),
            ("x.png", b"\xff\xd8\xff\xe0", FileKind::Image),
            ("x.CSV", b"anything", FileKind::Table),
            ("x.txt", b"1,2,3\n", FileKind::Table),
            ("x.txt", b"words alone\n", FileKind::Other),
            ("x", b"\x02\0\0\0\0\0\0\0{}", FileKind::Safetensors),
            ("empty.tar", b"", FileKind::Tar),
        ] {
            assert_eq!(FileKind::of_bytes(name, bytes), expected, "{name}");
        }
    }
}
