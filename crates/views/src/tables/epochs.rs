//! `epochs.csv`: a row for each training and epoch, each training once however many trials share it.
//!
//! Accuracies are shares from 0 to 1, losses mean cross-entropies in nats; both are empty where no image was looked at.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::record::Evaluation;

const HEADER: [&str; 11] = [
    "stage",
    "level",
    "trial",
    "epoch",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
];

/// Writes the table. Its column `trial` names the first trial that uses the training.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let mut first = vec![None; plan.stages.len()];
    for chain in &plan.chains {
        for &stage in &chain.stages {
            first[stage].get_or_insert(chain.trial.number);
        }
    }
    let mut sheet = CsvSheet::new(file, HEADER)?;
    for (stage, trial) in plan.stages.iter().zip(first) {
        let Some(known) = history.stages.get(&stage.id) else { continue };
        for epoch in known.epochs.values() {
            sheet.put(stage.id)?;
            sheet.put(stage.level)?;
            sheet.maybe(trial)?;
            sheet.put(epoch.epoch)?;
            sheet.float(Some(epoch.learning_rate))?;
            for evaluation in [Some(epoch.train), Some(epoch.validation), epoch.test] {
                let evaluation = evaluation.and_then(Evaluation::measured);
                sheet.float(evaluation.map(|evaluation| evaluation.loss))?;
                sheet.float(evaluation.map(|evaluation| evaluation.accuracy()))?;
            }
            sheet.end_row()?;
        }
    }
    sheet.finish()
}
