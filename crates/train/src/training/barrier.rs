//! The error barrier between a ticket and its fork: two trainings from one state in different data orders.
//!
//! Along the line between both networks the error is measured at even steps (Frankle et al. 2020, "Linear Mode
//! Connectivity and the Lottery Ticket Hypothesis"). Batch-norm statistics belong to the weights that they were taken
//! with, so they are taken anew at every point, both ends included (docs/pitfalls.md, number 28).

use tch::Tensor;

use super::evaluate::{evaluate, evaluation_batch};
use super::form::TrainedForm;
use super::task::Task;
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::net::Snapshot;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_words::error::{Error, Result};
use tombola_words::record::{BarrierPoint, Scores};

/// Training images over which batch-norm statistics are taken anew, in the order in which they lie, not varied.
const RECALIBRATION_IMAGES: usize = 10_000;
/// How many of them make one batch, whose statistics they give.
const RECALIBRATION_BATCH: usize = 500;

/// Evaluates `points` networks on the line from the ticket's end to `own`, the fork's.
///
/// # Errors
/// When the ticket's snapshot is missing or of another network.
pub(super) fn measure(
    task: &Task,
    form: &TrainedForm,
    forward: &Forward,
    arena: &mut Arena,
    own: &Snapshot,
    points: usize,
    listen: &mut dyn FnMut(TrainingEvent) -> Flow,
) -> Result<Vec<BarrierPoint>> {
    let missing = || Error::environment("the ticket that the fork is measured against is missing");
    let ticket = task.sources.sibling.as_ref().ok_or_else(missing)?;
    let (ticket, own) = (form.inner(ticket), form.inner(&std::sync::Arc::new(own.clone())));
    let mut measured = Vec::with_capacity(points);
    for number in 0..points {
        let alpha = number as f64 / (points - 1) as f64;
        let mixed = ticket.parameters.iter().zip(&own.parameters);
        // Both ends are exact, and so are weights that both have in common.
        let mixed = mixed
            .map(|(a, b)| if a == b { *a } else { ((1.0 - alpha) * f64::from(*a) + alpha * f64::from(*b)) as f32 });
        arena.restore(&Snapshot { parameters: mixed.collect(), ..(*own).clone() });
        recalibrate(task, forward, arena);
        let batch = evaluation_batch(arena.device());
        let scores = Scores {
            validation: evaluate(forward, arena, &task.parts.validation, batch),
            test: evaluate(forward, arena, &task.parts.test, batch),
        };
        measured.push(BarrierPoint { alpha, scores });
        listen(TrainingEvent::Busy);
    }
    Ok(measured)
}

/// Takes batch-norm statistics anew: the mean over batches of training images.
fn recalibrate(task: &Task, forward: &Forward, arena: &mut Arena) {
    if arena.buffers.numel() == 0 {
        return;
    }
    let _no_grad = tch::no_grad_guard();
    let train = &task.parts.train;
    let images = train.len().min(RECALIBRATION_IMAGES);
    let (batches, momentum) = (arena.batches, arena.norm_momentum);
    // Each batch leaves its own statistics behind.
    arena.norm_momentum = Some(1.0);
    let mut mean: Option<Tensor> = None;
    let mut seen = 0;
    while seen < images {
        let end = (seen + RECALIBRATION_BATCH).min(images);
        let (pixels, _) = train.range(seen..end);
        done(forward.run(arena, &pixels, true));
        let share = (end - seen) as f64 / images as f64;
        let batch = &arena.buffers * share;
        mean = Some(match mean {
            Some(mean) => mean + batch,
            None => batch,
        });
        seen = end;
    }
    if let Some(mean) = mean {
        arena.buffers.copy_(&mean);
    }
    (arena.batches, arena.norm_momentum) = (batches, momentum);
}
