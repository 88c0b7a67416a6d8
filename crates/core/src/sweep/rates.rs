//! What each of several prunings takes, and what is gone after them. It may not know of settings.

/// Ratios with fewer decimals than this are meant as they are written.
const FEWEST_DECIMALS: usize = 4;

/// The share that each of some prunings takes for `ratio` of all of them, `1 - (1 - ratio)^(1/n)`, rounded to a billionth.
pub fn rate_of(ratio: f64, prunings: usize) -> f64 {
    let kept = (1.0 - ratio).powf(1.0 / prunings.max(1) as f64);
    ((1.0 - kept) * 1e9).round() / 1e9
}

/// The share that is gone after some prunings that take `rate` each of what is alive, rounded to ten decimals.
pub(super) fn ratio_after(rate: f64, prunings: usize) -> f64 {
    let ratio = 1.0 - (1.0 - rate).powi(i32::try_from(prunings).unwrap_or(i32::MAX));
    ((ratio * 1e10).round() / 1e10).min(1.0 - 1e-10)
}

/// As [`rate_of`], or the whole percentage that `ratio` is the rounding of: 0.9648 in 15 prunings is 20 % each, since
/// `1 - 0.8^15 = 0.96481…`. One that could be two is neither.
pub(super) fn meant_rate(ratio: f64, prunings: usize) -> f64 {
    let plain = rate_of(ratio, prunings);
    let decimals = decimals(ratio);
    if prunings < 2 || decimals < FEWEST_DECIMALS {
        return plain;
    }
    let mut whole =
        (1..100).map(|percent| f64::from(percent) / 100.0).filter(|rate| rounds_to(*rate, prunings, ratio, decimals));
    match (whole.next(), whole.next()) {
        (Some(rate), None) => rate,
        _ => plain,
    }
}

/// Whether the ratio after some prunings, written with so many decimals, is `ratio`.
fn rounds_to(rate: f64, prunings: usize, ratio: f64, decimals: usize) -> bool {
    let half = 0.5 * 0.1_f64.powi(i32::try_from(decimals).unwrap_or(i32::MAX));
    // What lies in the middle between two roundings, but for the noise of these numbers, is both.
    (ratio_after(rate, prunings) - ratio).abs() <= half + 1e-10
}

/// Decimals that a number is written with.
pub(super) fn decimals(number: f64) -> usize {
    format!("{number}").split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// The number of prunings after which `ratio`, as it is written, is gone at `rate` each.
pub(super) fn prunings_to(ratio: f64, rate: f64) -> Option<usize> {
    let guess = ((1.0 - ratio).ln() / (1.0 - rate).ln()).round();
    let prunings = (1.0..=1000.0).contains(&guess).then_some(guess as usize)?;
    // 0.5 is not 0.488, though it is with one digit.
    rounds_to(rate, prunings, ratio, decimals(ratio).max(FEWEST_DECIMALS - 1)).then_some(prunings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_four_digits_means_the_percentage_that_it_is_the_rounding_of() {
        for (ratio, prunings, rate) in
            [(0.9648, 15, 0.2), (0.6723, 5, 0.2), (0.67232, 5, 0.2), (0.9648156279, 15, 0.2), (0.7941, 15, 0.1)]
        {
            assert_eq!(meant_rate(ratio, prunings), rate, "{ratio} in {prunings}");
        }
        // Fewer digits, another percentage, or one pruning: as it is written.
        for (ratio, prunings) in [(0.965, 15), (0.672, 5), (0.9, 4), (0.6724, 5), (0.6723, 1), (0.12345, 3)] {
            assert_eq!(meant_rate(ratio, prunings), rate_of(ratio, prunings), "{ratio} in {prunings}");
        }
        // 46 % and 47 % both.
        assert_eq!(meant_rate(0.9999, 15), rate_of(0.9999, 15));
    }

    #[test]
    fn rates_ratios_and_numbers_of_prunings_follow_from_each_other() {
        assert_eq!(ratio_after(0.2, 15), 0.9648156279);
        for prunings in 1..=40 {
            let ratio = ratio_after(0.2, prunings);
            assert_eq!(prunings_to(ratio, 0.2), Some(prunings));
            // With many prunings ten decimals of the ratio are few of what is left.
            assert!(prunings > 20 || rate_of(ratio, prunings) == 0.2);
        }
        assert_eq!(prunings_to(0.965, 0.2), Some(15), "three digits of 0.9648");
        assert_eq!(prunings_to(0.96, 0.2), None);
        assert_eq!(prunings_to(0.5, 0.2), None);
        assert_eq!(prunings_to(0.0, 0.2), None);
    }
}
