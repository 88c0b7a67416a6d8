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
        let (first, last) = (range.start.div_ceil(64), range.end / 64);
        if first > last {
            return range.filter(|&position| self.get(position)).count();
        }
        let single = |range: std::ops::Range<usize>| range.filter(|&position| self.get(position)).count();
        let whole: usize = self.words[first..last].iter().map(|word| word.count_ones() as usize).sum();
        single(range.start..first * 64) + whole + single(last * 64..range.end)
    }

    /// The bits of some ranges of positions, one range after the other.
    pub fn select(&self, ranges: impl Iterator<Item = std::ops::Range<usize>>) -> Self {
        let (mut words, mut len) = (Vec::with_capacity(self.words.len()), 0);
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                // As many bits as both the word that is read and the one that is written still have.
                let count = (64 - at % 64).min(64 - len % 64).min(range.end - at);
                let piece = self.words[at / 64] >> (at % 64) & (u64::MAX >> (64 - count));
                if len % 64 == 0 {
                    words.push(0);
                }
                if let Some(last) = words.last_mut() {
                    *last |= piece << (len % 64);
                }
                (at, len) = (at + count, len + count);
            }
        }
        Self { words, len }
    }

    /// The packed words, bit 0 of the first being position 0. Unused bits of the last are 0.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bits that are 1 both here and in `other`, which must be as long.
    pub fn and(&self, other: &Self) -> Self {
        debug_assert_eq!(self.len, other.len);
        let words = self.words.iter().zip(&other.words).map(|(own, others)| own & others);
        Self { words: words.collect(), len: self.len }
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
struct EncodedBits {
    len: usize,
    bytes: serde_bytes::ByteBuf,
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EncodedBits { len: self.len, bytes: self.to_bytes().into() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let EncodedBits { len, bytes } = EncodedBits::deserialize(deserializer)?;
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

    proptest! {
        #[test]
        fn ranges_are_counted_and_selected_bit_by_bit(
            values in proptest::collection::vec(any::<bool>(), 300), cuts in proptest::collection::vec(0usize..=300, 4),
        ) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let bits = Bits::from_bools(&values);
            let ranges = [cuts[0]..cuts[1], cuts[2]..cuts[3]];
            for range in &ranges {
                prop_assert_eq!(bits.count_in(range.clone()), values[range.clone()].iter().filter(|v| **v).count());
            }
            let expected: Vec<bool> = ranges.iter().flat_map(|range| values[range.clone()].to_vec()).collect();
            prop_assert_eq!(bits.select(ranges.into_iter()), Bits::from_bools(&expected));
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
