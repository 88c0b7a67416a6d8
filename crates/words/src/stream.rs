//! Random numbers without a global generator.
//!
//! Every stream is named by a seed, a purpose and counters (an epoch, a parameter, an image). The same name gives the
//! same numbers in every process, on every machine and in every order, so a resumed training needs no generator state
//! and no training can disturb another (docs/pitfalls.md, numbers 16 and 17).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The stream of this name.
pub fn stream(seed: u64, purpose: &str, counters: &[u64]) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes());
    hash.update(&(purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    for counter in counters {
        hash.update(&counter.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hash.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::RngCore;

    #[test]
    fn pitfall_16_streams_of_different_names_differ_and_equal_names_agree() {
        let first = |seed, purpose, counters: &[u64]| stream(seed, purpose, counters).next_u64();
        let names = [
            first(1, "order", &[0]),
            first(2, "order", &[0]),
            first(1, "augmentation", &[0]),
            first(1, "order", &[1]),
            first(1, "order", &[0, 0]),
        ];
        for (i, value) in names.iter().enumerate() {
            assert!(!names[..i].contains(value));
        }
        assert_eq!(first(1, "order", &[0]), names[0]);
    }
}
