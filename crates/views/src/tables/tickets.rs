//! `tickets.csv`: each early bird, when it was drawn, and the epochs that this saved.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use super::tracked;
use super::tracked::COLUMNS;
use tombola_core::folder::journal::History;
use tombola_core::mask::hamming::chance;
use tombola_core::plan::Plan;
use tombola_words::value::Value;

const MEASURED: [&str; 13] = [
    "rule",
    "window",
    "epsilon",
    "early_bird",
    "state",
    "epoch",
    "distance",
    "chance",
    "relative",
    "epochs_planned",
    "epochs_not_needed",
    "epochs_trained",
    "epochs_saved",
];

/// Writes the table. `epochs_not_needed` come after the draw, `epochs_saved` of them were not trained since no other trial
/// needed them either. `distance` is the largest that the rule looked at when the bird was drawn.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let first = tracked::first_trials(plan);
    let mut sheet = CsvSheet::new(file, COLUMNS.into_iter().chain(MEASURED))?;
    for (stage, trial) in plan.stages.iter().zip(first) {
        let known = history.stages.get(&stage.id);
        let span = stage.span(known.and_then(|known| known.drawn.as_ref()).and_then(|drawn| drawn.span));
        let outcome = known.and_then(|known| known.outcome.as_ref());
        let trained = outcome.map(|outcome| outcome.stopped_at.unwrap_or(span.end) - span.start);
        for bird in &stage.birds {
            let Some(track) = stage.tracks.iter().find(|track| track.key == bird.track) else { continue };
            let drawn = known.and_then(|known| known.bird(bird));
            let mask = drawn.and_then(|(epoch, _)| known?.masks.get(&bird.track)?.get(&epoch));
            let chance = mask.map(|mask| chance(mask.len, mask.alive, mask.alive));
            tracked::put(&mut sheet, stage, trial, track)?;
            sheet.put(bird.settling.rule.show())?;
            sheet.put(bird.settling.window)?;
            sheet.float(Some(bird.settling.epsilon))?;
            sheet.put(format_args!("{:016x}", bird.key))?;
            sheet.put(match (drawn, outcome) {
                (Some(_), _) => "drawn",
                (None, Some(_)) => "not drawn",
                (None, None) => "not yet",
            })?;
            sheet.maybe(drawn.map(|(epoch, _)| epoch))?;
            sheet.float(drawn.map(|(_, distance)| distance))?;
            sheet.float(chance)?;
            sheet.float(
                drawn.zip(chance).filter(|(_, chance)| *chance > 0.0).map(|((_, distance), chance)| distance / chance),
            )?;
            sheet.put(span.len())?;
            sheet.maybe(drawn.map(|(epoch, _)| span.end - epoch))?;
            sheet.maybe(trained)?;
            sheet.maybe(trained.map(|trained| span.len() - trained))?;
            sheet.end_row()?;
        }
    }
    sheet.finish()
}
