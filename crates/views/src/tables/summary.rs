//! `summary.csv`: mean, standard deviation and 95 % confidence interval over seeds.
//!
//! A row stands for all trials that repeat each other (`repeats.rs`), at one level. A training that several of them
//! share counts once. Accuracies and densities are shares from 0 to 1. Where a control stands beside its ticket (`pairs.rs`), its
//! row also has the mean difference between both.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{Result, Write};

use super::pairs::{TwinPair, TwinPairs, difference};
use super::repeats::SeedFiles;
use super::rows;
use super::rows::Row;
use super::sheet::CsvSheet;
use super::standing::Standing;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_core::sweep::Field;
use tombola_words::record::{Drawn, Evaluation, Outcome};
use tombola_words::statistics::{Quantiles, Sample};

/// What is summarised, and how it is found in what the journal knows of a finished training. The accuracy after
/// pruning is that before rewinding; dense networks have none.
type Quantity = (&'static str, fn(Option<&Drawn>, &Outcome, usize) -> Option<f64>);
const QUANTITIES: [Quantity; 5] = [
    ("density", |drawn, _, _| Some(drawn?.density())),
    ("density_effective", |drawn, _, _| Some(drawn?.effective_density())),
    ("pruned_test_accuracy", |drawn, _, level| drawn.filter(|_| level > 0).map(|drawn| drawn.pruned.test.accuracy())),
    ("best_test_accuracy", |_, outcome, _| Some(outcome.best.test.accuracy())),
    ("last_test_accuracy", |_, outcome, _| Some(outcome.last.test.accuracy())),
];

/// In which accuracies a ticket is compared with its control.
type Compared = (&'static str, fn(&Outcome) -> Evaluation);
const COMPARED: [Compared; 2] =
    [("best_test_accuracy", |outcome| outcome.best.test), ("last_test_accuracy", |outcome| outcome.last.test)];

/// Trials that repeat each other.
struct Repeats {
    level: usize,
    /// In the order of the columns.
    settings: Vec<String>,
    /// Their trainings at this level, in the order of the trials.
    stages: Vec<usize>,
    /// Of a control: each of them beside its ticket.
    pairs: BTreeSet<TwinPair>,
}

/// Writes the table.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let mut columns = rows::columns(plan);
    columns.retain(|field| !rows::is_seed(field));
    let groups = groups(plan, &columns);
    let used: Vec<usize> =
        (0..columns.len()).filter(|&column| groups.iter().any(|group| !group.settings[column].is_empty())).collect();
    let standings = Standing::of(plan, history);

    let mut header = vec!["level".to_string()];
    header.extend(used.iter().map(|&column| columns[column].key.to_string()));
    header.extend(["planned", "n"].map(str::to_string));
    for (name, _) in QUANTITIES {
        header.extend(["mean", "std", "ci95"].map(|part| format!("{name}_{part}")));
    }
    // At the end and only where there is a pair, so that tables of sweeps without controls stay what they were.
    let paired = groups.iter().any(|group| !group.pairs.is_empty());
    if paired {
        header.push("paired_n".to_string());
        for (name, _) in COMPARED {
            let parts = ["mean", "ci95", "t_p", "permutation_p"];
            header.extend(parts.map(|part| format!("ticket_minus_control_{name}_{part}")));
        }
    }
    let mut sheet = CsvSheet::new(file, header.iter().map(String::as_str))?;
    let mut quantiles = Quantiles::default();
    for group in &groups {
        sheet.put(group.level)?;
        for &column in &used {
            sheet.put(&group.settings[column])?;
        }
        // Finished ones only, so that all means of a row are over the same networks.
        let finished: Vec<(Option<&Drawn>, &Outcome)> = group
            .stages
            .iter()
            .filter_map(|&stage| standings[stage].history)
            .filter_map(|history| Some((history.drawn.as_ref(), history.outcome.as_ref()?)))
            .collect();
        sheet.put(group.stages.len())?;
        sheet.put(finished.len())?;
        for (_, quantity) in QUANTITIES {
            let values: Vec<f64> =
                finished.iter().filter_map(|(drawn, outcome)| quantity(*drawn, outcome, group.level)).collect();
            let sample = Sample::of(&values);
            sheet.float(sample.map(|sample| sample.mean))?;
            sheet.float(sample.and_then(|sample| sample.deviation))?;
            sheet.float(sample.and_then(|sample| quantiles.half_width(&sample)))?;
        }
        if paired {
            let found = COMPARED.map(|(_, test)| difference(&group.pairs, &standings, test, &mut quantiles));
            sheet.maybe((!group.pairs.is_empty()).then(|| found[0].map_or(0, |found| found.n)))?;
            for found in found {
                sheet.float(found.map(|found| found.mean))?;
                sheet.float(found.and_then(|found| found.half_width))?;
                sheet.float(found.and_then(|found| found.t_probability))?;
                sheet.float(found.and_then(|found| found.permutation_probability))?;
            }
        }
        sheet.end_row()?;
    }
    sheet.finish()
}

/// The groups in the order of their first trial and level.
fn groups(plan: &Plan, columns: &[&'static Field]) -> Vec<Repeats> {
    let (files, pairs) = (SeedFiles::of(plan), TwinPairs::of(plan));
    let mut groups: Vec<Repeats> = Vec::new();
    let mut by_key: HashMap<String, usize> = HashMap::new();
    // A training is met once for each trial that shares it.
    let mut seen = HashSet::new();
    let mut key = String::new();
    let cell = |row: &Row, column: usize| match columns[column].key {
        "load" if (columns[column].matters)(row.settings) => files.shown(row.settings),
        _ => row.cell(column, columns[column]).into_owned(),
    };
    let Ok(()) = rows::each(plan, columns, |row: &Row| {
        key.clear();
        key.push_str(&row.level.to_string());
        for column in 0..columns.len() {
            // A character that no setting is written with keeps neighbours apart.
            key.push('\0');
            key.push_str(&cell(row, column));
        }
        let index = match by_key.get(&key) {
            Some(&index) => index,
            None => {
                let settings = (0..columns.len()).map(|column| cell(row, column)).collect();
                groups.push(Repeats { level: row.level, settings, stages: Vec::new(), pairs: BTreeSet::new() });
                by_key.insert(key.clone(), groups.len() - 1);
                groups.len() - 1
            }
        };
        if seen.insert((index, row.stage)) {
            groups[index].stages.push(row.stage);
        }
        groups[index].pairs.extend(pairs.at(row.trial, row.stage));
        Ok::<(), std::convert::Infallible>(())
    });
    groups
}
