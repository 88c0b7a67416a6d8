//! How much two masks have in common, against what chance gives.
//!
//! Masks of one method have similar densities layer by layer, and two random masks with these densities overlap too. The
//! number of bits that both keep in a layer is then hypergeometric; over layers, means and variances add up. It knows
//! nothing of networks: a bit may stand for a weight or for a channel.

use std::ops::Range;

use super::bits::Bits;

/// Half the width of a 95 % interval in standard deviations of a normal distribution, which the sum over many bits is
/// close to.
const DEVIATIONS: f64 = 1.959_963_984_540_054;

/// What two masks have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// Bits of each mask.
    pub len: usize,
    /// Ones of the first.
    pub alive: usize,
    /// Ones of the second.
    pub other_alive: usize,
    /// Ones of both at the same places.
    pub shared: usize,
    /// `shared` of two random masks with these counts in each layer: its mean,
    pub chance: f64,
    /// and its standard deviation.
    pub deviation: f64,
}

impl Overlap {
    /// Compares two masks of the same length, whose bits lie in `layers`.
    pub fn of(a: &Bits, b: &Bits, layers: &[Range<usize>]) -> Self {
        let mut overlap = Self { len: 0, alive: 0, other_alive: 0, shared: 0, chance: 0.0, deviation: 0.0 };
        let both = a.and(b);
        let mut variance = 0.0;
        for layer in layers {
            let (len, alive, other) = (layer.len(), a.count_in(layer.clone()), b.count_in(layer.clone()));
            overlap.len += len;
            overlap.alive += alive;
            overlap.other_alive += other;
            overlap.shared += both.count_in(layer.clone());
            let (n, k, m) = (len.max(1) as f64, alive as f64, other as f64);
            overlap.chance += k * m / n;
            if len > 1 {
                variance += k * m * (n - k) * (n - m) / (n * n * (n - 1.0));
            }
        }
        overlap.deviation = variance.sqrt();
        overlap
    }

    /// Shared ones as a share of those of the smaller mask.
    pub fn share(&self, shared: f64) -> f64 {
        shared / self.alive.min(self.other_alive).max(1) as f64
    }

    /// Shared ones between which 95 % of pairs of random masks lie.
    pub fn interval(&self) -> (f64, f64) {
        let most = self.alive.min(self.other_alive) as f64;
        let half = DEVIATIONS * self.deviation;
        ((self.chance - half).max(0.0), (self.chance + half).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use tombola_words::stream::stream;

    fn random(seed: u64, shares: &[(usize, f64)]) -> Bits {
        let mut numbers = stream(seed, "test", &[]);
        let bits = shares.iter().flat_map(|(len, share)| std::iter::repeat_n(*share, *len));
        Bits::from_bools(&bits.map(|share| numbers.random::<f64>() < share).collect::<Vec<_>>())
    }

    #[test]
    fn a_mask_shares_all_with_itself_and_nothing_with_its_opposite() {
        let mask = random(1, &[(500, 0.3)]);
        let other = Bits::from_bools(&mask.iter().map(|alive| !alive).collect::<Vec<_>>());
        let layers = [0..200, 200..500];
        let same = Overlap::of(&mask, &mask, &layers);
        assert_eq!((same.shared, same.share(same.shared as f64)), (mask.count(), 1.0));
        assert_eq!(Overlap::of(&mask, &other, &layers).shared, 0);
    }

    #[test]
    fn random_masks_lie_within_the_interval_as_often_as_it_says() {
        let shares = [(300, 0.9), (700, 0.2), (50, 0.5)];
        let layers = [0..300, 300..1000, 1000..1050];
        let within = (0..400u64).filter(|pair| {
            let overlap = Overlap::of(&random(2 * pair, &shares), &random(2 * pair + 1, &shares), &layers);
            let (low, high) = overlap.interval();
            (low..=high).contains(&(overlap.shared as f64))
        });
        let count = within.count();
        assert!((368..=392).contains(&count), "{count} of 400");
    }

    #[test]
    fn layer_densities_alone_are_no_overlap() {
        // Both keep the first layer and nothing of the second: any such masks do.
        let mask = random(3, &[(100, 1.1), (100, -1.0)]);
        let overlap = Overlap::of(&mask, &mask, &[0..100, 100..200]);
        assert_eq!((overlap.shared, overlap.chance, overlap.deviation), (100, 100.0, 0.0));
    }
}
