//! The columns that say which masks a row is about.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use tombola_core::plan::{Plan, Pruning, Stage, Track};
use tombola_words::value::PruningType;
use tombola_words::value::Value;

/// The columns of [`put`].
pub(super) const COLUMNS: [&str; 8] =
    ["stage", "level", "trial", "track", "pruning-type", "criterion", "scope", "ratio"];

/// For each stage the first trial that uses it.
pub(super) fn first_trials(plan: &Plan) -> Vec<Option<usize>> {
    let mut first = vec![None; plan.stages.len()];
    for chain in &plan.chains {
        for &stage in &chain.stages {
            first[stage].get_or_insert(chain.trial.number);
        }
    }
    first
}

/// Writes which masks of which stage.
pub(super) fn put<W: Write>(sheet: &mut CsvSheet<W>, stage: &Stage, trial: Option<usize>, track: &Track) -> Result<()> {
    let pruning = &track.pruning;
    sheet.put(stage.id)?;
    sheet.put(stage.level)?;
    sheet.maybe(trial)?;
    sheet.put(format_args!("{:016x}", track.key))?;
    sheet.put(pruning_type(Some(pruning)))?;
    sheet.put(pruning.criterion.show())?;
    sheet.put(pruning.scope.show())?;
    sheet.float(Some(pruning.rate))
}

/// What is removed, in the words of the setting; nothing for a dense network.
pub(super) fn pruning_type(pruning: Option<&Pruning>) -> String {
    match pruning.map(|pruning| pruning.channels) {
        Some(true) => PruningType::Structured.show(),
        Some(false) => PruningType::Unstructured.show(),
        None => String::new(),
    }
}
