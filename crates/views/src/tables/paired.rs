//! The mean of paired differences: its 95 % confidence interval, and how likely one so large is if there is none.
//!
//! Differences are whole numbers, as those of counts are, so that equal ones are equal and no sum of them is rounded. It may
//! not know what was counted.

use rand_chacha::rand_core::RngCore;

use tombola_words::statistics::{Quantiles, Sample, beyond};
use tombola_words::stream::stream;

/// Sign flips are all counted where it takes no more additions than this: always for up to sixteen pairs, and for hundreds of
/// pairs whose differences are small.
const MOST_STEPS: usize = 1 << 24;

/// How many are drawn where they are not all counted.
const DRAWN: u32 = 100_000;

/// What a few paired differences tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PairedDifference {
    /// How many.
    pub(super) n: usize,
    /// Their mean.
    pub(super) mean: f64,
    /// Half the width of the 95 % confidence interval of the mean, by Student's t; none for one pair.
    pub(super) half_width: Option<f64>,
    /// Two-sided probability of such a mean by the paired t test (Student 1908) if the true one is 0; none for one pair, and where
    /// all differences are 0.
    pub(super) t_probability: Option<f64>,
    /// The same by sign flips ([`flipped`]); none for one pair.
    pub(super) permutation_probability: Option<f64>,
}

impl PairedDifference {
    /// Describes `differences`, which are in units of 1 / `scale`; none when there are none.
    pub(super) fn of(differences: &[i64], scale: f64, quantiles: &mut Quantiles) -> Option<Self> {
        let values: Vec<f64> = differences.iter().map(|difference| *difference as f64).collect();
        let sample = Sample::of(&values)?;
        let error = sample.deviation.map(|deviation| deviation / (sample.n as f64).sqrt());
        let t_probability = error.and_then(|error| match (error > 0.0, sample.mean == 0.0) {
            (true, _) => Some(beyond(sample.mean / error, sample.n - 1)),
            // As far from 0 as there are standard errors in it: infinitely many, or 0 / 0.
            (false, zero) => (!zero).then_some(0.0),
        });
        Some(Self {
            n: sample.n,
            mean: sample.mean / scale,
            half_width: quantiles.half_width(&sample).map(|half| half / scale),
            t_probability,
            permutation_probability: (sample.n > 1).then(|| flipped(differences, MOST_STEPS)),
        })
    }
}

/// The share of all choices of signs for the differences whose sum is at least as far from 0 as theirs is: Fisher's
/// randomisation test (The Design of Experiments, 1935, section 21).
///
/// All 2^n choices are counted, those with one sum together, unless that takes more than `most` additions: then a hundred
/// thousand are drawn from a named stream, and theirs counts as one more (Phipson and Smyth 2010, so that nothing is impossible).
fn flipped(differences: &[i64], most: usize) -> f64 {
    let observed = differences.iter().sum::<i64>().abs();
    // In the order of the sums; shares are multiples of 2^-n.
    let mut shares: Vec<(i64, f64)> = vec![(0, 1.0)];
    let mut steps = 0;
    for difference in differences.iter().map(|difference| difference.abs()).filter(|difference| *difference > 0) {
        steps += 2 * shares.len();
        if steps > most {
            return drawn(differences, observed);
        }
        shares = spread(&shares, difference);
    }
    let far = shares.iter().filter(|(sum, _)| sum.abs() >= observed);
    far.map(|(_, share)| share).sum::<f64>().min(1.0)
}

/// Sums and their shares after one more difference with either sign.
fn spread(shares: &[(i64, f64)], difference: i64) -> Vec<(i64, f64)> {
    let mut next: Vec<(i64, f64)> = Vec::with_capacity(2 * shares.len());
    let mut lower = shares.iter().map(|(sum, share)| (sum - difference, share / 2.0)).peekable();
    for (sum, share) in shares.iter().map(|(sum, share)| (sum + difference, share / 2.0)) {
        while let Some(before) = lower.next_if(|before| before.0 < sum) {
            next.push(before);
        }
        let same = lower.next_if(|other| other.0 == sum).map_or(0.0, |other| other.1);
        next.push((sum, share + same));
    }
    next
}

fn drawn(differences: &[i64], observed: i64) -> f64 {
    let mut stream = stream(0, "sign flips", &[differences.len() as u64]);
    let mut far = 1;
    for _ in 0..DRAWN {
        let mut sum = 0;
        for part in differences.chunks(64) {
            let signs = stream.next_u64();
            sum +=
                part.iter().enumerate().map(|(bit, one)| if signs >> bit & 1 == 1 { -one } else { *one }).sum::<i64>();
        }
        far += u32::from(sum.abs() >= observed);
    }
    f64::from(far) / f64::from(DRAWN + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(differences: &[i64]) -> PairedDifference {
        PairedDifference::of(differences, 1000.0, &mut Quantiles::default()).unwrap()
    }

    /// What SciPy 1.17.1 says: mean, half width and probability of `ttest_rel`, probability of `permutation_test` with
    /// `permutation_type="samples"` and all 2^n of them.
    type Recorded = (&'static [i64], f64, f64, Option<f64>, f64);
    const SCIPY: [Recorded; 8] = [
        (&[3, 5, -1], 0.0023333333333333335, 0.0075891660671935195, Some(0.31686994893602677), 0.5),
        (&[12, 9, 15, 11, 8], 0.011, 0.0034004369032912783, Some(0.0008505445157144158), 0.0625),
        (&[-40, 25], -0.0075, 0.41295165392567756, Some(0.8556153689787055), 1.0),
        (&[7, 7, 7], 0.007, 0.0, Some(0.0), 0.25),
        (&[0, 0, 0], 0.0, 0.0, None, 1.0),
        (&[5, -5], 0.0, 0.06353102368087347, Some(1.0), 1.0),
        (
            &[31, 12, -4, 22, 9, 17, -8, 14, 3, 26],
            0.012199999999999999,
            0.009022198216868341,
            Some(0.013595014376093237),
            0.01953125,
        ),
        (&[1, 0, 0, 2, -1, 1], 0.0005, 0.0011006573847080132, Some(0.29555864473452853), 0.5),
    ];

    #[test]
    fn paired_t_and_sign_flips_are_those_of_scipy() {
        for (differences, mean, half, t, permutation) in SCIPY {
            let found = described(differences);
            let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
            assert_eq!(found.n, differences.len());
            assert!(close(found.mean, mean) && close(found.half_width.unwrap(), half), "{differences:?}: {found:?}");
            assert_eq!(found.t_probability.is_some(), t.is_some(), "{differences:?}");
            assert!(close(found.t_probability.unwrap_or(0.0), t.unwrap_or(0.0)), "{differences:?}: {found:?}");
            assert_eq!(found.permutation_probability, Some(permutation), "{differences:?}");
        }
    }

    #[test]
    fn one_pair_has_a_mean_and_nothing_else() {
        let expected = PairedDifference {
            n: 1,
            mean: -0.02,
            half_width: None,
            t_probability: None,
            permutation_probability: None,
        };
        assert_eq!(described(&[-20]), expected);
        assert_eq!(PairedDifference::of(&[], 1000.0, &mut Quantiles::default()), None);
    }

    #[test]
    fn all_choices_of_signs_are_counted_as_one_by_one() {
        let differences = [3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5, 0, -8, 9, 7, 9];
        let signed = |signs: u32| {
            let one = |(bit, one): (usize, &i64)| if signs >> bit & 1 == 1 { -one } else { *one };
            differences.iter().enumerate().map(one).sum::<i64>()
        };
        let far = (0..1 << 16).filter(|signs| signed(*signs).abs() >= signed(0)).count();
        assert_eq!(flipped(&differences, MOST_STEPS), far as f64 / 65_536.0);
    }

    #[test]
    fn hundreds_of_pairs_are_counted_as_well() {
        // All of 300 coins on one side, and 150 of 300, which nothing is nearer than.
        assert_eq!(flipped(&[1; 300], MOST_STEPS), 2f64.powi(-299));
        let halves: Vec<i64> = (0..300).map(|index| if index % 2 == 0 { 1 } else { -1 }).collect();
        assert!((flipped(&halves, MOST_STEPS) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn signs_that_are_drawn_tell_nearly_the_same_and_always_the_same() {
        let differences: Vec<i64> = (0..100).map(|index| (index * 37) % 101 - 40).collect();
        let (all, drawn) = (flipped(&differences, MOST_STEPS), flipped(&differences, 1000));
        // Three standard errors of a hundred thousand draws.
        let error = 3.0 * (all * (1.0 - all) / f64::from(DRAWN)).sqrt();
        assert!(all > 0.001 && (all - drawn).abs() < error, "{drawn}, expected {all}");
        assert_eq!(drawn, flipped(&differences, 1000));
        assert_eq!(flipped(&[1; 300], 1000), 1.0 / f64::from(DRAWN + 1));
    }
}
