//! Ratios that are written with too few digits to share trainings.
//!
//! Five levels of 0.67232 prune 20 % each and share four of them with the levels of 0.5904. Of 0.672 they prune 19.98 %: another
//! training, which nothing but the last digit tells from the other. Which trainings are the same stays as it is; this only says so.

use std::collections::BTreeSet;

use super::forest::Plan;
use crate::sweep::rate_of;

/// Rates that differ by a larger share, of what goes or of what stays, are meant to.
const NEAR: f64 = 0.01;
/// Ratios are written with at most so many decimals.
const MOST_DECIMALS: usize = 9;

/// A ratio and a number of prunings, and the rate that follows.
type WrittenRatio = (f64, usize, f64);

/// A warning for each ratio that would share its trainings with another, were it written with more digits.
pub fn near_misses(plan: &Plan) -> Vec<String> {
    let settings = plan.chains.iter().map(|chain| &chain.trial.settings).filter(|s| s.prune_iterations > 0);
    let mut all: Vec<WrittenRatio> = Vec::new();
    let mut known = BTreeSet::new();
    for settings in settings {
        if known.insert((settings.pruning_ratio.to_bits(), settings.prune_iterations)) {
            all.push((settings.pruning_ratio, settings.prune_iterations, settings.rate()));
        }
    }
    // Of two that miss each other, the one with more prunings is the one that was rounded; with as many, both were meant.
    let rounded = |one: &WrittenRatio| all.iter().filter(|other| other.1 < one.1).find_map(|other| warning(one, other));
    all.iter().filter_map(rounded).collect()
}

/// The warning, if `rounded` is what is left of the rate of `meant` after rounding.
fn warning(rounded: &WrittenRatio, meant: &WrittenRatio) -> Option<String> {
    let (ratio, count, rate) = *rounded;
    let apart = (rate - meant.2).abs();
    if apart == 0.0 || apart > NEAR * meant.2.min(1.0 - meant.2) {
        return None;
    }
    let exact = 1.0 - (1.0 - meant.2).powi(i32::try_from(count).ok()?);
    let decimals = format!("{ratio}").split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if (exact - ratio).abs() > 0.5 * 0.1_f64.powi(i32::try_from(decimals).ok()?) {
        return None;
    }
    let same_rate = |decimals: &usize| {
        let ratio: f64 = format!("{exact:.decimals$}").parse().unwrap_or(ratio);
        rate_of(ratio, count) == meant.2
    };
    let enough = (decimals + 1..=MOST_DECIMALS).find(same_rate)?;
    Some(format!(
        "`pruning-ratio` {ratio} in {count} prunings prunes {:.5} % at a time, {} in {} {:.5} %: two sets of trainings; with \
         {exact:.enough$} they share theirs",
        100.0 * rate,
        meant.0,
        meant.1,
        100.0 * meant.2
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outside::Outside;
    use crate::sweep::Spec;

    fn warnings(ratios: &str, counts: &str) -> Vec<String> {
        let text = format!("pr = [{ratios}]\npriter = [{counts}]\nzip = [\"pr\", \"priter\"]");
        let spec = Spec::read(Some(&text), &[]).unwrap();
        near_misses(&Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap())
    }

    #[test]
    fn a_ratio_that_was_rounded_is_named_with_the_digits_that_it_lacks() {
        let said = warnings("0.2, 0.36, 0.488, 0.5904, 0.672", "1, 2, 3, 4, 5");
        assert_eq!(said.len(), 1, "once, however many it misses: {said:?}");
        assert!(said[0].contains("`pruning-ratio` 0.672 in 5 prunings prunes 19.98438 % at a time"), "{said:?}");
        assert!(said[0].contains("with 0.67232 they share theirs"), "{said:?}");
    }

    #[test]
    fn ratios_that_share_or_that_differ_are_no_near_misses() {
        assert!(warnings("0.2, 0.36, 0.488, 0.5904, 0.67232", "1, 2, 3, 4, 5").is_empty());
        // Four digits mean what they are the rounding of.
        assert!(warnings("0.2, 0.36, 0.488, 0.5904, 0.6723", "1, 2, 3, 4, 5").is_empty());
        assert!(warnings("0.5, 0.7, 0.9, 0.9, 0.51", "1, 1, 1, 3, 1").is_empty());
        assert!(warnings("0.99, 0.995, 0.998, 0.999", "1, 1, 1, 1").is_empty());
    }
}
