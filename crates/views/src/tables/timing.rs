//! `timing.csv`: how long each training took, where, how often it was started, and what it was computed with.
//!
//! The only table that differs from run to run.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use tombola_core::folder::journal::History;
use tombola_core::plan::{Plan, Pruning};

const HEADER: [&str; 8] =
    ["stage", "level", "epochs", "seconds", "images_per_second", "place", "attempts", "computed_with"];

/// The columns after those, where the target of some training is a time: what was measured for it, or for the first of those drawn
/// alike, before it was trained.
const TIMED: [&str; 4] = ["density_time", "batch_seconds", "batch_seconds_dense", "batch"];

/// Writes the table, a row for each training of the plan. `epochs` are those trained so far, `seconds` their sum.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let has_timed = plan.stages.iter().any(|stage| stage.pruning.as_ref().is_some_and(Pruning::is_timed));
    let more: &[&str] = if has_timed { &TIMED } else { &[] };
    let mut sheet = CsvSheet::new(file, HEADER.into_iter().chain(more.iter().copied()))?;
    for stage in &plan.stages {
        let known = history.stages.get(&stage.id);
        let finished = known.filter(|known| known.outcome.is_some());
        sheet.put(stage.id)?;
        sheet.put(stage.level)?;
        sheet.put(known.map_or(0, |known| known.epochs.len()))?;
        // Folded from 0.0, because the sum of nothing is -0.0.
        sheet.float(Some(known.map_or(0.0, |known| known.epochs.values().fold(0.0, |sum, e| sum + e.seconds))))?;
        sheet.float(finished.map(|known| known.images_per_second))?;
        sheet.maybe(finished.map(|known| &known.place))?;
        sheet.put(known.map_or(0, |known| known.attempts))?;
        let computed_with = known.map(|known| known.computed_with.iter().map(ToString::to_string).collect::<Vec<_>>());
        sheet.maybe(computed_with.map(|all| all.join("; ")))?;
        if has_timed {
            let measured = known.and_then(|known| known.drawn.as_ref()?.measured);
            sheet.float(measured.map(|measured| measured.seconds / measured.dense_seconds))?;
            sheet.float(measured.map(|measured| measured.seconds))?;
            sheet.float(measured.map(|measured| measured.dense_seconds))?;
            sheet.maybe(measured.map(|measured| measured.batch))?;
        }
        sheet.end_row()?;
    }
    sheet.finish()
}
