//! `barrier.csv`: loss and accuracy on the line between a ticket and its fork.

use std::io::{Result, Write};

use super::sheet::CsvSheet;
use super::tracked;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::record::{BarrierPoint, Evaluation};
use tombola_words::value::Value;

const HEADER: [&str; 13] = [
    "stage",
    "other_stage",
    "level",
    "trial",
    "rate",
    "reinit",
    "alpha",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "validation_error_barrier",
    "error_barrier",
];

/// Writes the table. The barrier of a whole line stands in each of its rows: the largest error on it minus the mean of the
/// errors at both ends (Frankle et al. 2020).
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let first = tracked::first_trials(plan);
    let mut sheet = CsvSheet::new(file, HEADER)?;
    for (stage, trial) in plan.stages.iter().zip(first) {
        let outcome = history.stages.get(&stage.id).and_then(|known| known.outcome.as_ref());
        let (Some(outcome), Some(pruning)) = (outcome, &stage.pruning) else { continue };
        let validation = barrier(&outcome.barrier, |point| point.scores.validation);
        let test = barrier(&outcome.barrier, |point| point.scores.test);
        for point in &outcome.barrier {
            sheet.put(stage.id)?;
            sheet.maybe(stage.sibling.map(|sibling| plan.stages[sibling].id))?;
            sheet.put(stage.level)?;
            sheet.maybe(trial)?;
            sheet.float(Some(pruning.rate))?;
            sheet.put(pruning.rewind.show())?;
            sheet.float(Some(point.alpha))?;
            for evaluation in [point.scores.validation, point.scores.test] {
                let evaluation = evaluation.measured();
                sheet.float(evaluation.map(|evaluation| evaluation.loss))?;
                sheet.float(evaluation.map(|evaluation| evaluation.accuracy()))?;
            }
            sheet.float(validation)?;
            sheet.float(test)?;
            sheet.end_row()?;
        }
    }
    sheet.finish()
}

/// How much worse the worst network between both ends is than their mean; never below 0, which the better end has. Nothing of a
/// part without images.
fn barrier(points: &[BarrierPoint], part: impl Fn(&BarrierPoint) -> Evaluation) -> Option<f64> {
    let error = |point: &BarrierPoint| Some(1.0 - part(point).measured()?.accuracy());
    let errors: Vec<f64> = points.iter().map(error).collect::<Option<_>>()?;
    let worst = errors.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(worst - (errors.first()? + errors.last()?) / 2.0)
}
