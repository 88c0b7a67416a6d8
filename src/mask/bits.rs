//! A packed row of bits: one for each position of the weight vector.
//!
//! It knows nothing of networks or torch. A weight is dead because its bit is 0, never because its value is.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Packed bits. Unused bits of the last word are always 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// `len` bits, all 1.
    pub fn ones(len: usize) -> Self {
        let mut bits = Self { words: vec![u64::MAX; len.div_ceil(64)], len };
        bits.trim();
        bits
    }

    /// `len` bits, all 0.
    pub fn zeros(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// One bit for each value.
    pub fn from_bools(values: &[bool]) -> Self {
        let mut bits = Self::zeros(values.len());
        for (position, _) in values.iter().enumerate().filter(|(_, alive)| **alive) {
            bits.set(position, true);
        }
        bits
    }

    /// Reads what [`Bits::to_bytes`] wrote; `None` when the bytes do not hold exactly `len` bits.
    pub fn from_bytes(bytes: &[u8], len: usize) -> Option<Self> {
        if bytes.len() != len.div_ceil(8) {
            return None;
        }
        let words = bytes
            .chunks(8)
            .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
            .collect();
        let mut bits = Self { words, len };
        let before = bits.clone();
        bits.trim();
        (bits == before).then_some(bits)
    }

    /// Eight bits a byte, position 0 in the lowest bit of the first byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(self.len.div_ceil(8));
        bytes
    }

    fn trim(&mut self) {
        let used = self.len % 64;
        if used > 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }

    /// Number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at `position`, which must be below [`Bits::len`].
    pub fn get(&self, position: usize) -> bool {
        debug_assert!(position < self.len);
        self.words[position / 64] >> (position % 64) & 1 == 1
    }

    /// Sets the bit at `position`, which must be below [`Bits::len`].
    pub fn set(&mut self, position: usize, alive: bool) {
        debug_assert!(position < self.len);
        let bit = 1 << (position % 64);
        if alive {
            self.words[position / 64] |= bit;
        } else {
            self.words[position / 64] &= !bit;
        }
    }

    /// Number of bits that are 1.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Number of bits that are 1 in a range of positions.
    pub fn count_in(&self, range: std::ops::Range<usize>) -> usize {
        range.filter(|&position| self.get(position)).count()
    }

    /// Whether every 1 here is a 1 in `other` too: masks of later levels must lie within those of earlier ones.
    pub fn is_within(&self, other: &Self) -> bool {
        self.len == other.len && self.words.iter().zip(&other.words).all(|(own, others)| own & !others == 0)
    }

    /// The bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|position| self.get(position))
    }
}

/// The number of bits, and the bytes of [`Bits::to_bytes`].
#[derive(Serialize, Deserialize)]
struct Written {
    len: usize,
    bytes: serde_bytes::ByteBuf,
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { len: self.len, bytes: self.to_bytes().into() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { len, bytes } = Written::deserialize(deserializer)?;
        Self::from_bytes(&bytes, len)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Bytes(&[]), &"as many bits as stated"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_changes_nothing(values in proptest::collection::vec(any::<bool>(), 0..300)) {
            let bits = Bits::from_bools(&values);
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), values.clone());
            prop_assert_eq!(bits.count(), values.iter().filter(|v| **v).count());
            prop_assert_eq!(Bits::from_bytes(&bits.to_bytes(), values.len()), Some(bits.clone()));
            prop_assert!(bits.is_within(&Bits::ones(values.len())));
            prop_assert!(Bits::zeros(values.len()).is_within(&bits));
        }
    }

    #[test]
    fn a_mask_that_revives_a_bit_is_not_within() {
        let mut before = Bits::ones(100);
        before.set(77, false);
        assert!(!Bits::ones(100).is_within(&before));
        assert!(before.is_within(&Bits::ones(100)));
        assert_eq!(before.count_in(70..80), 9);
    }

    #[test]
    fn bytes_of_another_length_or_with_stray_bits_are_refused() {
        assert_eq!(Bits::from_bytes(&[0xff], 9), None);
        assert_eq!(Bits::from_bytes(&[0xff], 7), None);
        assert!(Bits::from_bytes(&[0x7f], 7).is_some());
    }
}
