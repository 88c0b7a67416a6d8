//! Lines of accuracy against density: trials that differ in nothing but how far they prune, means over seeds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::sheet::Sheet;
use tombola_words::value::{Control, Value};

/// How much better a ticket is than the control that a row of `summary.csv` is about, at the chosen epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControlDifference {
    /// What the control is.
    pub control: Control,
    /// Pairs of one seed.
    pub n: usize,
    /// Mean of the ticket's accuracy less that of the control, as a share.
    pub mean: f64,
    /// Half the width of its 95 % confidence interval; none for one pair.
    pub half_width: Option<f64>,
    /// Two-sided p-value of the paired t test; none for one pair, and where all differences are 0.
    pub t_probability: Option<f64>,
    /// That of the sign flips; none for one pair.
    pub permutation_probability: Option<f64>,
}

impl ControlDifference {
    /// What a row says; none where it is about no control, or none beside a ticket of which both are finished.
    pub fn of(summary: &Sheet, row: &[String]) -> Option<Self> {
        let number = |part: &str| summary.number(row, &format!("ticket_minus_control_best_test_accuracy_{part}"));
        Some(Self {
            control: Control::parse(summary.text(row, "control")).ok()?,
            n: summary.number(row, "paired_n")? as usize,
            mean: number("mean")?,
            half_width: number("ci95"),
            t_probability: number("t_p"),
            permutation_probability: number("permutation_p"),
        })
    }
}

/// A point of a line: a density, and the mean accuracy there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// Share of what can be pruned that is alive.
    pub density: f64,
    /// Mean test accuracy over seeds.
    pub accuracy: f64,
    /// Half the width of its 95 % confidence interval; none for one seed.
    pub half_width: Option<f64>,
    /// Seeds.
    pub n: usize,
    /// Of a control: how much better its ticket is.
    pub difference: Option<ControlDifference>,
}

/// The points of one method, the densest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What tells it from the others.
    pub name: String,
    /// At least one.
    pub points: Vec<Mean>,
    /// Accuracy of the dense network that it starts from.
    pub dense: Option<f64>,
}

/// The lines of a sweep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// Dense networks, each with its name; one unless the sweep varies how they are trained.
    pub dense: Vec<Line>,
    /// Tickets and their twins.
    pub tickets: Vec<Line>,
}

/// Settings that say how far a trial prunes rather than how.
const HOW_FAR: [&str; 3] = ["level", "pruning-ratio", "prune-iterations"];

/// The setting that gives a line its name, where a mask changes while it trains.
const CHANGING: &str = "while-training";

impl Lines {
    /// The lines that `summary.csv` holds.
    pub fn of(summary: &Sheet) -> Self {
        let settings: Vec<usize> = match summary.column("planned") {
            Some(end) => (0..end).collect(),
            None => Vec::new(),
        };
        let rows: Vec<&Vec<String>> =
            summary.rows.iter().filter(|row| summary.number(row, "best_test_accuracy_mean").is_some()).collect();
        let mut lines = Self::default();
        let mut keys: Vec<(bool, Vec<(usize, String)>)> = Vec::new();
        let mut places: HashMap<(bool, Vec<(usize, String)>), usize> = HashMap::new();
        let mut found: Vec<Vec<Mean>> = Vec::new();
        for row in rows {
            let dense = summary.text(row, "level") == "0";
            let iterative = summary.number(row, "prune-iterations").is_some_and(|count| count > 1.0);
            let mut key: Vec<(usize, String)> = settings
                .iter()
                .filter(|column| {
                    let key = summary.columns[**column].as_str();
                    !HOW_FAR.contains(&key) && key != CHANGING
                })
                .map(|column| (*column, row[*column].clone()))
                .collect();
            // Levels of one chain belong together; single prunings to several ratios do.
            let course = match (dense, iterative) {
                (true, _) => "dense".to_string(),
                (false, false) => match summary.text(row, CHANGING) {
                    "" => "one-shot".to_string(),
                    rule => rule.to_string(),
                },
                (false, true) => {
                    let rate = rate(summary, row);
                    format!("iterative, {:.3} % a level", 100.0 * rate).replace(".000 %", " %")
                }
            };
            key.push((usize::MAX, course));
            let Some(point) = point(summary, row) else { continue };
            match places.entry((dense, key)) {
                Entry::Occupied(place) => found[*place.get()].push(point),
                Entry::Vacant(place) => {
                    keys.push(place.key().clone());
                    place.insert(found.len());
                    found.push(vec![point]);
                }
            }
        }
        let varying =
            [false, true].map(|dense| varying(keys.iter().filter(|(own, _)| *own == dense).map(|(_, key)| key)));
        let dense_networks: Vec<(&Vec<(usize, String)>, f64)> = keys
            .iter()
            .zip(&found)
            .filter(|((dense, _), _)| *dense)
            .filter_map(|((_, key), points)| Some((key, points.first()?.accuracy)))
            .collect();
        let own_dense: Vec<Option<f64>> = keys
            .iter()
            .map(|(_, key)| dense_networks.iter().find(|(dense, _)| is_of(key, dense)).map(|(_, accuracy)| *accuracy))
            .collect();
        for (((dense, key), mut points), own_dense) in keys.iter().zip(found).zip(own_dense) {
            points.sort_by(|one, other| other.density.total_cmp(&one.density));
            // Chains of several lengths share their levels.
            points.dedup_by(|one, other| one.density == other.density && one.accuracy == other.accuracy);
            let line = Line { name: name(summary, key, &varying[usize::from(*dense)]), points, dense: own_dense };
            if *dense { lines.dense.push(line) } else { lines.tickets.push(line) }
        }
        lines
    }
}

/// Whether trials of `key` start from the dense network `dense`: nothing that is said of that differs.
fn is_of(key: &[(usize, String)], dense: &[(usize, String)]) -> bool {
    key.iter()
        .zip(dense)
        .filter(|(_, (column, value))| *column != usize::MAX && !value.is_empty())
        .all(|((_, own), (_, value))| own == value)
}

/// What each level of a chain prunes.
fn rate(summary: &Sheet, row: &[String]) -> f64 {
    let ratio = summary.number(row, "pruning-ratio").unwrap_or_default();
    let levels = summary.number(row, "prune-iterations").unwrap_or(1.0);
    1.0 - (1.0 - ratio).powf(1.0 / levels.max(1.0))
}

fn point(summary: &Sheet, row: &[String]) -> Option<Mean> {
    Some(Mean {
        density: summary.number(row, "density_mean").unwrap_or(1.0),
        accuracy: summary.number(row, "best_test_accuracy_mean")?,
        half_width: summary.number(row, "best_test_accuracy_ci95"),
        n: summary.number(row, "n").unwrap_or(1.0) as usize,
        difference: ControlDifference::of(summary, row),
    })
}

/// Whether each part of some keys has more than one value. Where a setting makes no difference its cell is empty: another
/// setting says so already.
fn varying<'k>(keys: impl Iterator<Item = &'k Vec<(usize, String)>>) -> Vec<bool> {
    let mut first: Vec<Option<&str>> = Vec::new();
    let mut varying: Vec<bool> = Vec::new();
    for key in keys {
        first.resize(key.len().max(first.len()), None);
        varying.resize(first.len(), false);
        for (place, (_, value)) in key.iter().enumerate().filter(|(_, (_, value))| !value.is_empty()) {
            varying[place] |= *first[place].get_or_insert(value) != value;
        }
    }
    varying
}

/// The settings in which it differs from any of those alike, in words.
fn name(summary: &Sheet, key: &[(usize, String)], varying: &[bool]) -> String {
    let mut parts = Vec::new();
    for (place, (column, value)) in key.iter().enumerate().rev() {
        let course = *column == usize::MAX;
        if (course || varying.get(place) == Some(&true)) && !value.is_empty() {
            let control = !course && summary.columns[*column] == "control";
            match (course, control && value == "none") {
                (true, _) => parts.push(value.clone()),
                (_, true) => {}
                _ => parts.push(format!("{} {value}", summary.columns[*column])),
            }
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
level,network,pruning-ratio,prune-iterations,reinit,control,planned,n,density_mean,best_test_accuracy_mean,best_test_accuracy_ci95
0,lenet-5,,,,,2,2,1.0,0.9,0.01
1,lenet-5,0.5,1,init,none,2,2,0.5,0.89,0.02
1,lenet-5,0.9,1,init,none,2,2,0.1,0.8,
1,lenet-5,0.5,1,lr,none,2,2,0.5,0.88,0.02
1,lenet-5,0.75,2,init,none,2,2,0.5,0.89,0.02
2,lenet-5,0.75,2,init,none,2,1,0.25,0.885,
1,lenet-5,0.5,1,init,random-mask,2,0,,,
";

    #[test]
    fn trials_that_differ_in_how_far_they_prune_are_one_line() {
        let lines = Lines::of(&Sheet::parse(SUMMARY).unwrap());
        let names: Vec<&str> = lines.tickets.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["one-shot, reinit init", "one-shot, reinit lr", "iterative, 50 % a level, reinit init"]);
        let densities = |line: usize| lines.tickets[line].points.iter().map(|point| point.density).collect::<Vec<_>>();
        assert_eq!((densities(0), densities(2)), (vec![0.5, 0.1], vec![0.5, 0.25]));
        assert_eq!(lines.dense[0].name, "dense");
        assert_eq!(lines.tickets[0].dense, Some(0.9));
        assert_eq!(lines.tickets[0].points[0].half_width, Some(0.02));
    }

    #[test]
    fn each_ticket_is_held_against_its_own_dense_network() {
        let text = "level,network,pruning-ratio,reinit,planned,n,density_mean,best_test_accuracy_mean,best_test_accuracy_ci95\n\
                    0,lenet-5,,,1,1,1.0,0.8,\n0,conv-2,,,1,1,1.0,0.9,\n\
                    1,lenet-5,0.5,init,1,1,0.5,0.79,\n1,conv-2,0.5,init,1,1,0.5,0.7,\n";
        let lines = Lines::of(&Sheet::parse(text).unwrap());
        assert_eq!(lines.tickets.iter().map(|line| line.dense).collect::<Vec<_>>(), [Some(0.8), Some(0.9)]);
    }
}
