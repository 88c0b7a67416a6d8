//! From how papers speak of levels to the two settings that say how many prunings there are and what each takes.
//!
//! "20 % a level for 15 levels" is an axis of 1 to 15 prunings at one rate: a trial for each level, which share one chain of
//! trainings. It may not know of files or flags.

use super::grid::{Axis, Grid};
use super::rates::{meant_rate, prunings_to, rate_of, ratio_after};
use super::settings::Field;
use tombola_words::error::{Error, Result};
use tombola_words::value::{LayerRatios, Value};

const RATIO: &str = "pruning-ratio";
const RATE: &str = "prune-rate";
const COUNT: &str = "prune-iterations";
const LEVELS: &str = "levels";

/// Takes away what stands above and says otherwise how many prunings there are, or what each takes, than what is about to be set.
pub(super) fn make_room(grid: &mut Grid, next: &[(&str, &[String])]) {
    let sets = |key: &str| next.iter().any(|(own, values)| *own == key && *values != ["auto"]);
    let (levels, counts, rates, ratios) = (sets(LEVELS), sets(COUNT), sets(RATE), sets(RATIO));
    let has = |grid: &Grid, key: &str| grid.axes.iter().any(|axis| axis.field.key == key && axis.values != ["auto"]);
    match (levels, counts) {
        (true, false) => grid.axes.retain(|axis| axis.field.key != COUNT),
        (false, true) => grid.axes.retain(|axis| axis.field.key != LEVELS),
        _ => {}
    }
    // Two of the three stay.
    if ratios && (rates || has(grid, RATE)) {
        for key in [LEVELS, COUNT] {
            if !sets(key) {
                grid.axes.retain(|axis| axis.field.key != key);
            }
        }
    } else if (levels || counts) && (rates || has(grid, RATE)) && !ratios {
        grid.axes.retain(|axis| axis.field.key != RATIO);
    }
}

/// Replaces `levels`, and ratios beside a `prune-rate`, by `prune-rate` and `prune-iterations`. What has neither stays as it is.
///
/// # Errors
/// When they contradict each other, or no number of prunings comes to a ratio.
pub(super) fn settle(grid: &mut Grid) -> Result<()> {
    let given = |key: &str| grid.axes.iter().find(|axis| axis.field.key == key && axis.values != ["auto"]);
    let (levels, rates, ratios, counts) = (given(LEVELS), given(RATE), given(RATIO), given(COUNT));
    let target = grid.axes.iter().find(|axis| axis.field.key == "target");
    if let Some(target) = target.filter(|target| !target.values.iter().any(|value| value == "none"))
        && let Some(other) = ratios.or(rates).or(levels)
    {
        return Err(Error::input(format!(
            "`target` is {}, and `{}` says otherwise how much goes",
            target.values.join(", "),
            other.field.key
        ))
        .hint(format!("leave `{}` out", other.field.key)));
    }
    if let (Some(_), Some(ratios), Some(_)) = (rates, ratios, counts.or(levels)) {
        let other = if counts.is_some() { COUNT } else { LEVELS };
        return Err(Error::input(format!(
            "`{RATE}`, `{RATIO}` and `{other}` are all given, and each follows from the other two (`{RATIO}` is {})",
            ratios.values.join(", ")
        ))
        .hint(format!("leave `{RATIO}` out")));
    }
    match (levels, rates, ratios) {
        (Some(levels), _, _) => {
            if counts.is_some() {
                return Err(Error::input(format!("`{LEVELS}` and `{COUNT}` both say how many prunings there are"))
                    .hint(format!("leave `{COUNT}` out for a trial at each level, `{LEVELS}` for one at the end")));
            }
            let [count] = levels.values.as_slice() else {
                return Err(Error::input(format!("`{LEVELS}` has {} values", levels.values.len()))
                    .hint("give it one: every level up to it is a trial"));
            };
            let count: usize = number(count)?;
            if rates.is_none() {
                let Some(ratios) = ratios else {
                    return Err(Error::input(format!(
                        "`{LEVELS}` says how many prunings there are, and nothing what each takes"
                    ))
                    .hint(format!("give a `{RATE}`, such as 0.2, or the `{RATIO}` after all of them")));
                };
                let rates = of_levels(grid, &ratios.values.clone(), count)?;
                replace(grid, RATIO, RATE, rates);
            }
            let each = (1..=count).map(|level| level.to_string()).collect();
            replace(grid, LEVELS, COUNT, each);
        }
        (None, Some(rates), Some(ratios)) => {
            let [rate] = rates.values.as_slice() else {
                return Err(Error::input(format!("`{RATE}` has {} values beside a `{RATIO}`", rates.values.len()))
                    .hint(format!("give numbers of prunings (`{COUNT}`, `{LEVELS}`) instead of a `{RATIO}`")));
            };
            let rate: f64 = number(rate)?;
            let counts: Vec<String> =
                ratios.values.iter().map(|ratio| count_for(number(ratio)?, rate)).collect::<Result<_>>()?;
            replace(grid, RATIO, COUNT, counts);
        }
        (None, _, _) => {}
    }
    Ok(())
}

/// The rates of each level for ratios after `count` of them; ratios of single layers become rates as well.
fn of_levels(grid: &mut Grid, ratios: &[String], count: usize) -> Result<Vec<String>> {
    let rounds =
        grid.axes.iter().find(|axis| axis.field.key == "round-rates").is_none_or(|axis| axis.values != ["false"]);
    let rate = |ratio: f64| if rounds { meant_rate(ratio, count) } else { rate_of(ratio, count) };
    for layers in grid.axes.iter_mut().filter(|axis| axis.field.key == "ratios") {
        for value in &mut layers.values {
            *value = LayerRatios::parse(value).map_err(Error::input)?.map(rate).show();
        }
    }
    ratios.iter().map(|ratio| Ok(rate(number(ratio)?).show())).collect()
}

/// The number of prunings at `rate` after which `ratio` is gone.
fn count_for(ratio: f64, rate: f64) -> Result<String> {
    if let Some(count) = prunings_to(ratio, rate) {
        return Ok(count.to_string());
    }
    let below = ((1.0 - ratio).ln() / (1.0 - rate).ln()).floor().clamp(1.0, 999.0) as usize;
    Err(Error::input(format!("no number of prunings of {} % each comes to a `{RATIO}` of {ratio}", 100.0 * rate)).hint(
        format!("{below} come to {}, {} to {}", ratio_after(rate, below), below + 1, ratio_after(rate, below + 1)),
    ))
}

fn number<T: Value>(text: &str) -> Result<T> {
    T::parse(text).map_err(|expected| Error::input(format!("found `{text}`, expected {expected}")))
}

/// Puts an axis of another setting in the place of one, also where axes move together.
fn replace(grid: &mut Grid, old: &str, new: &'static str, values: Vec<String>) {
    let Some(field) = Field::find(new) else { return };
    for axis in grid.axes.iter_mut().filter(|axis| axis.field.key == old) {
        *axis = Axis { field, values: values.clone() };
    }
    let is_old = |key: &str| Field::find(key).is_some_and(|field| field.key == old);
    grid.zip.iter_mut().flatten().filter(|key| is_old(key)).for_each(|key| *key = new.to_string());
    // What stood there by itself is what it was: `auto`.
    let mut first = true;
    grid.axes.retain(|axis| axis.field.key != new || (axis.values != ["auto"] && std::mem::take(&mut first)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Spec;

    /// The number of prunings, the rate of each and the ratio of each trial.
    fn trials(text: &str) -> Result<Vec<(usize, f64, f64)>> {
        let trials = Spec::read(Some(text), &[])?.trials()?;
        let of = |trial: &crate::sweep::Trial| {
            (trial.settings.prune_iterations, trial.settings.rate(), trial.settings.pruning_ratio)
        };
        Ok(trials.iter().map(of).collect())
    }

    #[test]
    fn every_level_is_a_trial_whichever_way_its_rate_is_said() {
        let by_rate = trials("prune-rate = 0.2\nlevels = 3").unwrap();
        assert_eq!(by_rate, [(1, 0.2, 0.2), (2, 0.2, 0.36), (3, 0.2, 0.488)]);
        assert_eq!(trials("pruning-ratio = 0.488\nlevels = 3").unwrap(), by_rate);
        assert_eq!(trials("density = 0.512\nlevels = 3").unwrap(), by_rate);
        assert_eq!(trials("prune-rate = 0.2\nsparsity = [0.2, 0.36, 0.488]").unwrap(), by_rate);
        assert_eq!(trials("prune-rate = 0.2\npriter = [1, 2, 3]").unwrap(), by_rate);
        assert_eq!(trials("pr = [0.2, 0.36, 0.488]\npriter = [1, 2, 3]\nzip = [\"pr\", \"priter\"]").unwrap(), by_rate);
        assert_eq!(trials("pr = 0.9648\npriter = 15").unwrap()[0].1, 0.2);
        assert_eq!(trials("density = 0.0352\nprune-rate = 0.2").unwrap(), [(15, 0.2, 0.9648156279)]);
        assert_eq!(trials("pr = 0.9648\npriter = 15\nround-rates = false").unwrap()[0].1, 0.199976316);
    }

    #[test]
    fn axes_beside_levels_stay_axes_and_move_together_as_before() {
        assert_eq!(trials("prune-rate = [0.1, 0.2]\nlevels = 4\nseed = [1, 2]").unwrap().len(), 16);
        let zipped = trials("prune-rate = 0.5\npr = [0.5, 0.75]\nseed = [1, 2]\nzip = [\"pr\", \"seed\"]").unwrap();
        assert_eq!(zipped, [(1, 0.5, 0.5), (2, 0.5, 0.75)]);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_cure() {
        for (text, message, hint) in [
            ("prune-rate = 0.2\nlevels = 3\npr = 0.5", "all given", "leave `pruning-ratio` out"),
            ("prune-rate = 0.2\npriter = 3\npr = 0.5", "all given", "leave `pruning-ratio` out"),
            ("prune-rate = 0.2\npriter = 3\nlevels = 3", "both say how many", "leave `prune-iterations` out"),
            ("levels = 3", "nothing what each takes", "give a `prune-rate`"),
            ("prune-rate = 0.2\nlevels = [3, 4]", "has 2 values", "give it one"),
            ("prune-rate = 0.2\npr = 0.5", "no number of prunings of 20 %", "3 come to 0.488, 4 to 0.5904"),
            ("prune-rate = [0.1, 0.2]\npr = 0.5", "2 values beside", "numbers of prunings"),
        ] {
            let error = trials(text).expect_err(text);
            assert!(error.message.contains(message), "{text}: {error}");
            assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn results_folders_from_before_ratios_were_rounded_mean_what_they_meant() {
        let complete = Spec::read(Some("pr = 0.6723\npriter = 5"), &[]).unwrap().to_toml();
        let of = |text: &str| Spec::read(Some(text), &[]).unwrap().trials().unwrap()[0].settings.rate();
        assert_eq!(of(&complete), 0.2);
        let later = ["round-rates", "prune-rate", "levels", "ratios"];
        let former: Vec<&str> =
            complete.lines().filter(|line| !later.iter().any(|key| line.starts_with(key))).collect();
        assert_eq!(of(&former.join("\n")), rate_of(0.6723, 5));
        // Written again, it is still of that folder.
        let again = Spec::read(Some(&former.join("\n")), &[]).unwrap().to_toml();
        assert_eq!(of(&again), rate_of(0.6723, 5));
    }

    #[test]
    fn a_block_or_a_flag_says_anew_how_many_prunings_there_are() {
        let by_rate = [(1, 0.5, 0.5), (2, 0.5, 0.75)];
        for text in [
            "levels = 3\nprune-rate = 0.5\n[[grid]]\nprune-iterations = [1, 2]",
            "prune-iterations = 7\nprune-rate = 0.5\n[[grid]]\nlevels = 2",
            "prune-rate = 0.5\nlevels = 9\n[[grid]]\npruning-ratio = [0.5, 0.75]",
            "pruning-ratio = 0.9\n[[grid]]\nprune-rate = 0.5\nlevels = 2",
            "defaults = \"original\"\nprune-rate = 0.5\nlevels = 2",
        ] {
            assert_eq!(trials(text).unwrap(), by_rate, "{text}");
        }
        let complete = Spec::read(Some("prune-rate = 0.5\nlevels = 4"), &[]).unwrap().to_toml();
        let flag = crate::sweep::Flag { field: Field::find("levels").unwrap(), values: vec!["2".to_string()] };
        assert_eq!(Spec::read(Some(&complete), &[flag]).unwrap().trials().unwrap().len(), 2);
    }

    #[test]
    fn a_complete_file_means_what_was_asked() {
        for text in [
            "prune-rate = 0.2\nlevels = 3",
            "pr = 0.9648\nlevels = 15\nratios = [\"fc=0.7941\"]",
            "pr = 0.6723\npriter = 5",
        ] {
            let spec = Spec::read(Some(text), &[]).unwrap();
            let again = Spec::read(Some(&spec.to_toml()), &[]).unwrap();
            assert_eq!(again.trials().unwrap(), spec.trials().unwrap(), "{text}");
            assert_eq!(again.to_toml(), spec.to_toml());
        }
    }
}
