//! `epochs.csv`: a row for each training and epoch, each training once however many trials share it.
//!
//! Accuracies are shares from 0 to 1, losses mean cross-entropies in nats; both are empty where no image was looked at.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use super::tracked::first_trials;
use tombola_core::folder::journal::{History, StageHistory};
use tombola_core::plan::{Plan, Stage};
use tombola_words::error::ignored;
use tombola_words::record::Evaluation;

/// Why a failure makes no difference.
const IN_MEMORY: &str = "writing to memory does not fail";

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

/// The columns after those, where some epoch counted the images whose class is among the five best.
const TOP5: [&str; 2] = ["validation_top5", "test_top5"];

/// Stages whose rows one thread makes at a time.
const STAGES: usize = 256;

/// Writes the table. Its column `trial` names the first trial that uses the training.
///
/// A sweep of a hundred thousand trainings has millions of rows, and most of the time goes into the digits of their numbers: all
/// cores make them.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let first = first_trials(plan);
    let counted = |known: &StageHistory| {
        let epoch = known.epochs.values().next();
        epoch.is_some_and(|epoch| epoch.selecting().top5.or(epoch.validation.top5).is_some())
    };
    let has_top5 = history.stages.values().any(|known| counted(known));
    let more: &[&str] = if has_top5 { &TOP5 } else { &[] };
    CsvSheet::new(&mut *file, HEADER.iter().chain(more).copied())?.finish()?;
    let stages = plan.stages.iter().zip(first);
    let trained: Vec<_> =
        stages.filter_map(|(stage, trial)| Some((stage, trial, history.stages.get(&stage.id)?))).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut texts = vec![Vec::new(); threads];
    for turn in trained.chunks(threads * STAGES) {
        let parts = || turn.chunks(STAGES);
        std::thread::scope(|scope| {
            // The last part is made here: a small table needs no other thread.
            let mut parts = texts.iter_mut().zip(parts()).peekable();
            while let Some((text, part)) = parts.next() {
                let mut make = move || {
                    text.clear();
                    part.iter().for_each(|(stage, trial, known)| rows(text, stage, *trial, known, has_top5));
                };
                match parts.peek() {
                    Some(_) => drop(scope.spawn(make)),
                    None => make(),
                }
            }
        });
        texts.iter().take(parts().len()).try_for_each(|text| file.write_all(text))?;
    }
    Ok(())
}

/// The rows of one training. No cell needs quotes.
fn rows(text: &mut Vec<u8>, stage: &Stage, trial: Option<usize>, known: &StageHistory, has_top5: bool) {
    let trial = trial.map_or_else(String::new, |trial| trial.to_string());
    let beginning = format!("{},{},{trial},", stage.id, stage.level);
    for epoch in known.epochs.values() {
        text.extend_from_slice(beginning.as_bytes());
        ignored(write!(text, "{},{:?}", epoch.epoch, epoch.learning_rate), IN_MEMORY);
        for evaluation in [Some(epoch.train), Some(epoch.validation), epoch.test] {
            let written = match evaluation.and_then(Evaluation::measured) {
                Some(evaluation) => write!(text, ",{:?},{:?}", evaluation.loss, evaluation.accuracy()),
                None => text.write_all(b",,"),
            };
            ignored(written, IN_MEMORY);
        }
        for evaluation in [Some(epoch.validation), epoch.test].into_iter().filter(|_| has_top5) {
            let top5 = evaluation.and_then(|evaluation| evaluation.measured()?.top5_accuracy());
            let written = match top5 {
                Some(top5) => write!(text, ",{top5:?}"),
                None => text.write_all(b","),
            };
            ignored(written, IN_MEMORY);
        }
        text.push(b'\n');
    }
}
