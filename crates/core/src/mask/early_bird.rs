//! When masks have settled enough to draw an early bird (You et al. 2020, "Drawing Early-Bird Tickets").
//!
//! It sees distances alone, so that whoever has the masks, or only the journal, comes to the same epoch. It knows nothing of
//! networks, files or trainings.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use tombola_words::value::{EarlyBirdRule, Value};

/// When masks count as settled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settling {
    /// How distances are compared.
    pub rule: EarlyBirdRule,
    /// How many distances (`paper`) or masks (`code`) are looked at.
    pub window: usize,
    /// Share of differing bits below which two masks count as the same.
    pub epsilon: f64,
}

impl Settling {
    /// For people: `rule paper, window 5, epsilon 0.1`.
    pub fn words(&self) -> String {
        format!("rule {}, window {}, epsilon {}", self.rule.show(), self.window, self.epsilon)
    }
}

/// Watches the masks of one training.
#[derive(Debug, Clone)]
pub struct Detector {
    settling: Settling,
    /// The last distances between successive masks, oldest first.
    successive: VecDeque<f64>,
    drawn: bool,
}

impl Detector {
    /// Before the first mask.
    pub fn new(settling: Settling) -> Self {
        Self { settling, successive: VecDeque::new(), drawn: false }
    }

    /// Takes in the mask of the next epoch: the shares of bits that differ from those before, oldest first, of the last
    /// `window` at least or of all that there are. True at the one epoch at which the early bird is drawn.
    pub fn push(&mut self, distances: &[f64]) -> bool {
        let settled = self.largest(distances).is_some_and(|largest| self.is_small(largest));
        settled && !std::mem::replace(&mut self.drawn, true)
    }

    /// The largest distance that the rule looks at; nothing while there are too few masks.
    fn largest(&mut self, distances: &[f64]) -> Option<f64> {
        let Settling { rule, window, .. } = self.settling;
        self.successive.extend(distances.last());
        if self.successive.len() > window {
            self.successive.pop_front();
        }
        let largest = |distances: &mut dyn Iterator<Item = f64>| distances.fold(0.0, f64::max);
        match rule {
            // The last `window` distances between successive masks: window + 1 masks.
            EarlyBirdRule::Paper => {
                (self.successive.len() == window).then(|| largest(&mut self.successive.iter().copied()))
            }
            // The newest of `window` masks against each of the others.
            EarlyBirdRule::Code => {
                let others = window.saturating_sub(1);
                (distances.len() >= others).then(|| largest(&mut distances.iter().rev().take(others).copied()))
            }
        }
    }

    /// The paper says "smaller than"; the program goes on while one is larger.
    fn is_small(&self, distance: f64) -> bool {
        match self.settling.rule {
            EarlyBirdRule::Paper => distance < self.settling.epsilon,
            EarlyBirdRule::Code => distance <= self.settling.epsilon,
        }
    }
}

/// The epoch at which an early bird is drawn from the masks of these epochs, and the largest distance that its rule looked
/// at then. Each epoch comes with its distances to the epochs before it, oldest first.
pub fn drawn_at(settling: Settling, epochs: impl Iterator<Item = (usize, Vec<f64>)>) -> Option<(usize, f64)> {
    let mut detector = Detector::new(settling);
    for (epoch, distances) in epochs {
        if let Some(largest) = detector.largest(&distances).filter(|largest| detector.is_small(*largest)) {
            return Some((epoch, largest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::mask::{Bits, hamming};
    use tombola_words::stream::stream;

    const PAPER: Settling = Settling { rule: EarlyBirdRule::Paper, window: 5, epsilon: 0.1 };
    const CODE: Settling = Settling { rule: EarlyBirdRule::Code, window: 5, epsilon: 0.1 };

    /// The distances of each mask to all before it. Epochs count from 1.
    fn distances(masks: &[Bits]) -> impl Iterator<Item = (usize, Vec<f64>)> {
        let share = |a: &Bits, b: &Bits| hamming::distance(a, b) as f64 / a.len() as f64;
        (0..masks.len()).map(move |epoch| (epoch + 1, (0..epoch).map(|e| share(&masks[e], &masks[epoch])).collect()))
    }

    fn drawn(settling: Settling, masks: &[Bits]) -> Option<usize> {
        let by_table = drawn_at(settling, distances(masks)).map(|(epoch, _)| epoch);
        let mut detector = Detector::new(settling);
        let epochs: Vec<usize> =
            distances(masks).filter(|(_, distances)| detector.push(distances)).map(|(epoch, _)| epoch).collect();
        assert_eq!(epochs, Vec::from_iter(by_table), "it is drawn once, and as the tables say");
        by_table
    }

    /// Masks of 1000 bits: each flips as many bits as stated, others than before.
    fn flipping(flips: &[usize]) -> Vec<Bits> {
        let mut mask = Bits::ones(1000);
        let mut next = 0;
        let mut masks = vec![mask.clone()];
        for count in flips {
            for _ in 0..*count {
                mask.set(next % 1000, !mask.get(next % 1000));
                next += 1;
            }
            masks.push(mask.clone());
        }
        masks
    }

    #[test]
    fn pitfall_18_frozen_masks_are_drawn_at_the_first_epoch_that_is_allowed() {
        let frozen = flipping(&[0; 20]);
        assert_eq!(drawn(PAPER, &frozen), Some(6), "five distances need six masks");
        assert_eq!(drawn(CODE, &frozen), Some(5), "five masks");
        assert_eq!(drawn(PAPER, &frozen[..5]), None);
        assert_eq!(drawn(CODE, &frozen[..4]), None);
    }

    #[test]
    fn pitfall_18_the_known_epoch_is_found_by_both_rules() {
        // Distances 0.3, 0.2, then 0.09 each: between successive masks small from the third on.
        let masks = flipping(&[300, 200, 90, 90, 90, 90, 90, 90, 0, 0, 0, 0]);
        // The third distance ends at epoch 4; five of them at epoch 8.
        assert_eq!(drawn(PAPER, &masks), Some(8));
        // Drift adds up: four epochs apart differ by 0.36 until it stops. Epoch 9 is the last that moved; three after it
        // the oldest of the four is epoch 8 (0 apart from 9), so epoch 12 sees 8, 9, 10, 11: all within 0.09 already at 11.
        let expected = (5..=masks.len()).find(|epoch| {
            let newest = &masks[epoch - 1];
            (epoch - 5..epoch - 1).all(|other| hamming::distance(newest, &masks[other]) <= 100)
        });
        assert_eq!(drawn(CODE, &masks), expected);
        assert_eq!(expected, Some(12));
    }

    #[test]
    fn pitfall_18_a_distance_of_exactly_epsilon_is_enough_for_the_program_but_not_for_the_paper() {
        let masks = flipping(&[0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0]);
        assert_eq!(drawn(CODE, &masks), Some(5));
        let late = flipping(&[500, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0]);
        // Epoch 6 is exactly 0.1 from 2, 3, 4 and 5.
        assert_eq!(drawn(CODE, &late), Some(6));
        // Successive distances from epoch 2: .5 0 0 0 .1 0 0 0 0 0: five below 0.1 in a row only at epoch 11.
        assert_eq!(drawn(PAPER, &late), Some(11));
    }

    #[test]
    fn pitfall_18_random_masks_never_settle() {
        for ratio in [0.3, 0.5, 0.7] {
            let mut numbers = stream(1, "test", &[]);
            let mask = |_| Bits::from_bools(&(0..2000).map(|_| numbers.random::<f64>() >= ratio).collect::<Vec<_>>());
            let masks: Vec<Bits> = (0..160).map(mask).collect();
            assert_eq!((drawn(PAPER, &masks), drawn(CODE, &masks)), (None, None), "ratio {ratio}");
        }
    }
}
