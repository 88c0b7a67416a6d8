//! `results.csv`: a row for each trial and level, with its settings and what came out.
//!
//! Accuracies and densities are shares from 0 to 1, losses mean cross-entropies in nats. It may not know of files,
//! workers or how a stage is trained.

use std::io::{Result, Write};

use super::rows;
use super::rows::Row;
use super::sheet::CsvSheet;
use super::standing::Standing;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::record::Evaluation;

/// The columns after those of the settings.
const MEASURED: [&str; 30] = [
    "rate",
    "density",
    "density_total",
    "density_effective",
    "alive",
    "prunable",
    "parameters",
    "dead_layers",
    "density_channels",
    "channels_alive",
    "channels",
    "channels_forced",
    "macs_dense",
    "macs",
    "density_macs",
    "parameters_alive",
    "pruned_validation_accuracy",
    "pruned_test_accuracy",
    "start_validation_accuracy",
    "start_test_accuracy",
    "best_epoch",
    "best_validation_accuracy",
    "best_test_accuracy",
    "last_epoch",
    "last_validation_accuracy",
    "last_test_accuracy",
    "last_test_loss",
    "test_images",
    "selected_on",
    "error",
];

/// The columns after those, where some training counted the images whose class is among the five best.
const TOP5: [&str; 4] = ["best_validation_top5", "best_test_top5", "last_validation_top5", "last_test_top5"];

/// Writes the table.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let columns = rows::columns(plan);
    let standings = Standing::of(plan, history);
    let header = ["trial", "level", "stage", "state"].into_iter().chain(columns.iter().map(|field| field.key));
    let outcomes = history.stages.values().filter_map(|known| known.outcome.as_ref());
    let has_top5 = outcomes.into_iter().any(|outcome| outcome.last.test.top5.is_some());
    let more: &[&str] = if has_top5 { &TOP5 } else { &[] };
    let mut sheet = CsvSheet::new(file, header.chain(MEASURED).chain(more.iter().copied()))?;
    rows::each(plan, &columns, |row| {
        sheet.put(row.trial)?;
        sheet.put(row.level)?;
        sheet.put(plan.stages[row.stage].id)?;
        sheet.put(standings[row.stage].state)?;
        for (column, field) in columns.iter().enumerate() {
            sheet.put(row.cell(column, field))?;
        }
        measured(&mut sheet, plan, &standings, row)?;
        if has_top5 {
            let outcome = standings[row.stage].history.and_then(|history| history.outcome.as_ref());
            let parts =
                outcome.map(|outcome| [outcome.best, outcome.last].map(|scores| [scores.validation, scores.test]));
            for part in 0..TOP5.len() {
                sheet.float(parts.and_then(|parts| parts.as_flattened()[part].measured()?.top5_accuracy()))?;
            }
        }
        sheet.end_row()
    })?;
    sheet.finish()
}

fn measured<W: Write>(sheet: &mut CsvSheet<W>, plan: &Plan, standings: &[Standing], row: &Row) -> Result<()> {
    let (stage, standing) = (&plan.stages[row.stage], &standings[row.stage]);
    let drawn = standing.history.and_then(|history| history.drawn.as_ref());
    let outcome = standing.history.and_then(|history| history.outcome.as_ref());

    sheet.float(stage.pruning.as_ref().filter(|pruning| pruning.target.is_none()).map(|pruning| pruning.rate))?;
    sheet.float(drawn.map(|drawn| drawn.density()))?;
    sheet.float(drawn.map(|drawn| drawn.total_density()))?;
    sheet.float(drawn.map(|drawn| drawn.effective_density()))?;
    sheet.maybe(drawn.map(|drawn| drawn.alive))?;
    sheet.maybe(drawn.map(|drawn| drawn.prunable))?;
    sheet.maybe(drawn.map(|drawn| drawn.parameters))?;
    sheet.maybe(drawn.map(|drawn| drawn.dead_layers.join(";")))?;

    let channels = drawn.and_then(|drawn| drawn.channels);
    sheet.float(channels.map(|channels| channels.alive as f64 / channels.prunable.max(1) as f64))?;
    sheet.maybe(channels.map(|channels| channels.alive))?;
    sheet.maybe(channels.map(|channels| channels.prunable))?;
    sheet.maybe(channels.map(|channels| channels.forced))?;
    let sizes = drawn.and_then(|drawn| drawn.sizes);
    sheet.maybe(sizes.map(|(dense, _)| dense.macs))?;
    sheet.maybe(sizes.map(|(_, alive)| alive.macs))?;
    sheet.float(sizes.map(|(dense, alive)| alive.macs as f64 / dense.macs.max(1) as f64))?;
    sheet.maybe(sizes.map(|(_, alive)| alive.parameters))?;

    // Nothing was pruned before a dense training: what it starts from is under `start`.
    let pruned = drawn.filter(|_| row.level > 0).map(|drawn| drawn.pruned);
    let accuracy = |evaluation: Evaluation| evaluation.measured().map(|measured| measured.accuracy());
    sheet.float(pruned.and_then(|scores| accuracy(scores.validation)))?;
    sheet.float(pruned.and_then(|scores| accuracy(scores.test)))?;
    let start = drawn.map(|drawn| drawn.start);
    sheet.float(start.and_then(|scores| accuracy(scores.validation)))?;
    sheet.float(start.and_then(|scores| accuracy(scores.test)))?;

    sheet.maybe(outcome.map(|outcome| outcome.best_epoch))?;
    sheet.float(outcome.and_then(|outcome| accuracy(outcome.best.validation)))?;
    sheet.float(outcome.and_then(|outcome| accuracy(outcome.best.test)))?;
    sheet.maybe(outcome.map(|outcome| {
        let end = stage.span(drawn.and_then(|drawn| drawn.span)).end;
        outcome.stopped_at.unwrap_or(end)
    }))?;
    sheet.float(outcome.and_then(|outcome| accuracy(outcome.last.validation)))?;
    sheet.float(outcome.and_then(|outcome| accuracy(outcome.last.test)))?;
    sheet.float(outcome.and_then(|outcome| Some(outcome.last.test.measured()?.loss)))?;
    sheet.maybe(outcome.map(|outcome| outcome.last.test.images))?;

    sheet.put(tombola_words::value::Value::show(&stage.settings.select))?;
    sheet.maybe(standing.error(plan, standings))
}
