//! `classes.csv`: how many test images of each class a training classifies correctly, where that was asked for.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use super::tracked;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;

const HEADER: [&str; 11] = [
    "stage",
    "level",
    "trial",
    "class",
    "class_name",
    "class_images",
    "best_epoch",
    "best_correct",
    "best_test_accuracy",
    "last_correct",
    "last_test_accuracy",
];

/// Whether any training counted the images of each class: otherwise there is no such table.
pub(super) fn are_counted(history: &History) -> bool {
    let outcomes = history.stages.values().filter_map(|known| known.outcome.as_ref());
    outcomes.into_iter().any(|outcome| !outcome.classes.is_empty())
}

/// Writes the table: a row for each training and class, each training once however many trials share it. A class without test images
/// has no accuracy.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let first = tracked::first_trials(plan);
    let mut sheet = CsvSheet::new(file, HEADER)?;
    for (stage, trial) in plan.stages.iter().zip(first) {
        let outcome = history.stages.get(&stage.id).and_then(|known| known.outcome.as_ref());
        let Some(outcome) = outcome else { continue };
        let names = stage.settings.own_set.as_ref().map(|own| own.class_names.as_slice());
        for (class, counts) in outcome.classes.iter().enumerate() {
            let share = |correct: u64| (counts.images > 0).then(|| correct as f64 / counts.images as f64);
            sheet.put(stage.id)?;
            sheet.put(stage.level)?;
            sheet.maybe(trial)?;
            sheet.put(class)?;
            sheet.maybe(names.and_then(|names| names.get(class)))?;
            sheet.put(counts.images)?;
            sheet.put(outcome.best_epoch)?;
            sheet.put(counts.best)?;
            sheet.float(share(counts.best))?;
            sheet.put(counts.last)?;
            sheet.float(share(counts.last))?;
            sheet.end_row()?;
        }
    }
    sheet.finish()
}
