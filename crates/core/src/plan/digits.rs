//! Percentages of weights that are left, with the digits that tell trainings apart.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::Stage;

/// Decimals of a percentage, where they tell all apart.
const FEWEST_DECIMALS: usize = 1;
/// Rates are rounded to a billionth.
const MOST_DECIMALS: usize = 8;

/// The share that the prunings up to a stage leave, in percent.
pub(super) fn percentage(stage: &Stage) -> f64 {
    100.0 * stage.planned_density()
}

/// How many decimals tell percentages of different rates of one level apart.
pub(super) fn decimals(stages: &[Stage]) -> usize {
    let rates: BTreeMap<(usize, u64), f64> = stages
        .iter()
        .filter_map(|stage| Some(((stage.level, stage.pruning.as_ref()?.rate.to_bits()), percentage(stage))))
        .collect();
    let tells = |decimals: usize| {
        let told: BTreeSet<_> = rates.iter().map(|((level, _), left)| (*level, format!("{left:.decimals$}"))).collect();
        told.len() == rates.len()
    };
    (FEWEST_DECIMALS..MOST_DECIMALS).find(|decimals| tells(*decimals)).unwrap_or(MOST_DECIMALS)
}
