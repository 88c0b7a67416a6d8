//! How an input falls into parts: what stands between them are lengths and checksums, which are put right after a change, so
//! that changes get past them. (The driver also changes inputs as a whole, so that wrong lengths and checksums occur.)

use std::path::Path;

use tombola_core::checkpoint::zipped::{self, Archive};

/// Cuts inputs into parts and joins them again.
#[derive(Clone, Copy)]
pub struct InputForm {
    /// The parts; nothing where the input has not this form.
    pub split: fn(&[u8]) -> Option<Vec<Vec<u8>>>,
    /// An input of these parts.
    pub join: fn(&[Vec<u8>]) -> Vec<u8>,
}

/// What parts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// Bytes.
    Bytes,
    /// Text with words, numbers and brackets.
    Text,
    /// MessagePack.
    Values,
}

/// One part.
pub const WHOLE: InputForm = InputForm { split: |bytes| Some(vec![bytes.to_vec()]), join: <[Vec<u8>]>::concat };

/// A first byte that chooses something, and the rest.
pub const CHOICE: InputForm = InputForm {
    split: |bytes| bytes.split_first().map(|(first, rest)| vec![vec![*first], rest.to_vec()]),
    join: <[Vec<u8>]>::concat,
};

/// Parts that each have their length before them, in four bytes, little-endian.
pub const LIST: InputForm = InputForm {
    split: |mut bytes| {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk()?;
            let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            parts.push(part.to_vec());
            bytes = rest;
        }
        Some(parts)
    },
    join: |parts| parts.iter().flat_map(|part| [&(part.len() as u32).to_le_bytes()[..], part].concat()).collect(),
};

const JOURNAL: &[u8] = b"tombola journal1";

/// The payloads of a journal's frames.
pub const FRAMES: InputForm = InputForm {
    split: |bytes| {
        let mut rest = bytes.strip_prefix(JOURNAL)?;
        let mut parts = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk() {
            let payload = behind.get(4..)?;
            let (part, behind) = payload.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            parts.push(part.to_vec());
            rest = behind;
        }
        Some(parts)
    },
    join: |parts| {
        let frame = |part: &Vec<u8>| {
            [&(part.len() as u32).to_le_bytes()[..], &crc32fast::hash(part).to_le_bytes(), part].concat()
        };
        JOURNAL.iter().copied().chain(parts.iter().flat_map(frame)).collect()
    },
};

/// The header and the values of a safetensors file.
pub const SAFETENSORS: InputForm = InputForm {
    split: |bytes| {
        let (length, rest) = bytes.split_first_chunk()?;
        let (header, values) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some(vec![header.to_vec(), values.to_vec()])
    },
    join: |parts| {
        let header = parts.first().map_or(&[][..], Vec::as_slice);
        [&(header.len() as u64).to_le_bytes()[..], header, &parts.get(1..).unwrap_or_default().concat()].concat()
    },
};

/// The files of a zip archive, each behind its name and a line break.
pub const ARCHIVE: InputForm = InputForm {
    split: |bytes| {
        let mut archive = Archive::open(Path::new("archive"), bytes).ok()?;
        let mut parts = Vec::new();
        for name in archive.names() {
            let content = archive.read(&name, 1 << 16).ok()?;
            parts.push([name.as_bytes(), b"\n", &content].concat());
        }
        Some(parts)
    },
    join: |parts| {
        let files = parts.iter().map(|part| {
            let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
            let content = part.get(end + 1..).unwrap_or_default().to_vec();
            (String::from_utf8_lossy(&part[..end]).into_owned(), content)
        });
        // Two files of one name, for example: the input is none then.
        zipped::archive(files, "").unwrap_or_else(|_| parts.concat())
    },
};
