//! The name of a stage. It may not know what decides it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a stage: 80 bits of the hash of everything that decides its outcome.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageId([u8; 10]);

impl StageId {
    /// The name of what this text describes.
    pub fn of(text: &str) -> Self {
        let hash = blake3::hash(text.as_bytes());
        let mut id = [0; 10];
        id.copy_from_slice(&hash.as_bytes()[..10]);
        Self(id)
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 10];
        if text.len() != 20 || !text.is_ascii() {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(id))
    }

    /// How many digits two names have in common at their beginning.
    pub fn common(self, other: Self) -> usize {
        let digits = |id: Self| id.0.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits(self).zip(digits(other)).take_while(|(one, other)| one == other).count()
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
