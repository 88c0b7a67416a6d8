//! The checksum of bytes on disk. It may not know what they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 128 bits of the BLAKE3 hash of some bytes: as good as certain that they are the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Checksum([u8; 16]);

impl Checksum {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = [0; 16];
        sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
        Self(sum)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
