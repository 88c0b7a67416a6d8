//! The values of many examples, one after the other: in memory of the process, or in a file that is mapped into it.
//!
//! Whoever reads them need not know which. It knows nothing of what the values mean.

use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

/// What one value of an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A byte, which stands for a number from 0 to 1.
    Byte,
    /// A number as it is, in four bytes, the lowest first.
    Float,
}

impl ValueKind {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Float => 4,
        }
    }
}

/// Bytes that somebody holds.
pub struct Values(Whereabouts);

enum Whereabouts {
    Own(Vec<u8>),
    /// A part of a file. Its pages are the system's: processes of a machine share them, and they go where memory is short.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl Values {
    /// Part of a mapped file; none if the file is shorter.
    pub(crate) fn mapped(map: Arc<Mmap>, range: Range<usize>) -> Option<Self> {
        map.get(range.clone())?;
        Some(Self(Whereabouts::Mapped(map, range)))
    }

    /// Whether they lie in a file and not in memory of the process.
    pub fn are_mapped(&self) -> bool {
        matches!(self.0, Whereabouts::Mapped(..))
    }

    /// The bytes, to be changed: those of a file are copied.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Whereabouts::Own(bytes) => bytes,
            Whereabouts::Mapped(..) => self.to_vec(),
        }
    }

    /// Keeps the first `count` bytes; nothing happens if there are fewer.
    pub(crate) fn truncate(&mut self, count: usize) {
        match &mut self.0 {
            Whereabouts::Own(bytes) => {
                bytes.truncate(count);
                bytes.shrink_to_fit();
            }
            Whereabouts::Mapped(_, range) => range.end = range.end.min(range.start + count),
        }
    }
}

impl From<Vec<u8>> for Values {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Whereabouts::Own(bytes))
    }
}

impl Deref for Values {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Whereabouts::Own(bytes) => bytes,
            Whereabouts::Mapped(map, range) => map.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Values {}
