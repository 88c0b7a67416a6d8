//! How many bits of two masks differ.
//!
//! It knows nothing of networks: a bit may stand for a weight or for a channel.

use multiversion::multiversion;

use super::bits::Bits;

/// Words of a block that stays in the first-level cache while masks are compared with each other.
const BLOCK: usize = 1024;

/// Bits that differ between two masks of the same length.
pub fn distance(a: &Bits, b: &Bits) -> usize {
    debug_assert_eq!(a.len(), b.len());
    differing(a.words(), b.words())
}

/// Compiled for several processors; the best is taken when the program runs. Without, counting bits is slower than memory.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vpopcntdq", "x86_64+avx2+popcnt", "x86_64+popcnt"))]
fn differing(a: &[u64], b: &[u64]) -> usize {
    a.iter().zip(b).map(|(a, b)| u64::from((a ^ b).count_ones())).sum::<u64>() as usize
}

/// Bits that differ between two packed masks as [`Bits::to_bytes`] gives them, of the same length.
pub fn distance_of_bytes(a: &[u8], b: &[u8]) -> usize {
    debug_assert_eq!(a.len(), b.len());
    bytes_differing(a, b)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512vpopcntdq", "x86_64+avx2+popcnt", "x86_64+popcnt"))]
fn bytes_differing(a: &[u8], b: &[u8]) -> usize {
    let (words, rest) = a.as_chunks::<8>();
    let (other_words, other_rest) = b.as_chunks::<8>();
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let whole: u64 = words.iter().zip(other_words).map(|(a, b)| u64::from((word(a) ^ word(b)).count_ones())).sum();
    let last: u32 = rest.iter().zip(other_rest).map(|(a, b)| (a ^ b).count_ones()).sum();
    whole as usize + last as usize
}

/// Bits that differ between each two of `masks`: 1 and 0, 2 and 0, 2 and 1, 3 and 0, and so on.
///
/// Walks the masks block by block, so that each block is read from memory once and not once for each pair.
pub fn all_pairs(masks: &[Bits]) -> Vec<u32> {
    let count = masks.len();
    let mut distances = vec![0u32; count * count.saturating_sub(1) / 2];
    let words = masks.first().map_or(0, |mask| mask.words().len());
    for start in (0..words).step_by(BLOCK) {
        let block = start..(start + BLOCK).min(words);
        let mut place = 0;
        for later in 1..count {
            let own = &masks[later].words()[block.clone()];
            for earlier in &masks[..later] {
                distances[place] += differing(own, &earlier.words()[block.clone()]) as u32;
                place += 1;
            }
        }
    }
    distances
}

/// Share of the bits that differ between two independent random masks with these counts of ones: p(1 − q) + q(1 − p),
/// which is 2p(1 − p) where the counts are equal.
pub fn chance(len: usize, alive: usize, other_alive: usize) -> f64 {
    let share = |count: usize| count as f64 / len.max(1) as f64;
    let (p, q) = (share(alive), share(other_alive));
    p * (1.0 - q) + q * (1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_are_those_of_a_plain_count(
            rows in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 300), 2..6),
        ) {
            let masks: Vec<Bits> = rows.iter().map(|row| Bits::from_bools(row)).collect();
            let plain = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| a != b).count();
            let mut expected = Vec::new();
            for later in 1..rows.len() {
                for earlier in 0..later {
                    prop_assert_eq!(distance(&masks[later], &masks[earlier]), plain(&rows[later], &rows[earlier]));
                    let bytes = [&masks[later], &masks[earlier]].map(|mask| mask.to_bytes());
                    prop_assert_eq!(distance_of_bytes(&bytes[0], &bytes[1]), plain(&rows[later], &rows[earlier]));
                    expected.push(plain(&rows[later], &rows[earlier]) as u32);
                }
            }
            prop_assert_eq!(all_pairs(&masks), expected);
        }
    }

    #[test]
    fn chance_is_two_p_times_one_minus_p() {
        assert!((chance(1000, 700, 700) - 0.42).abs() < 1e-12);
        assert!((chance(1000, 500, 500) - 0.5).abs() < 1e-12);
        assert_eq!(chance(10, 10, 10), 0.0);
    }
}
