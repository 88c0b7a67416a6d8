//! One step of training: forward, loss, backward, optimiser.

use tch::Tensor;

use super::evaluate::Tally;
use super::objective::{Objective, Targets};
use super::optimizer::{Optimizer, Rate};
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use crate::network::leaves::Leaves;
use tombola_words::value::Precision;

/// Trains on one batch: normalised `images` (`[images, channels, height, width]`) and their `labels` (`[images]`).
///
/// The gradient is that of the mean loss over the batch, plus `slimming` (one value for each weight) times the sign of the
/// weight; `tally` gets the sum and the scores, as they were before the step.
#[expect(clippy::too_many_arguments, reason = "all that a step touches, and nothing that belongs together")]
pub fn step(
    forward: &Forward,
    arena: &mut Arena,
    optimizer: &mut Optimizer,
    images: &Tensor,
    labels: &Tensor,
    rate: Rate,
    slimming: Option<&Tensor>,
    tally: &mut Tally,
) {
    let targets = Targets { labels, mixture: None };
    step_towards(forward, arena, optimizer, images, &targets, &mut Objective::default(), rate, slimming, tally);
}

/// As [`step`], with the loss of an objective.
#[expect(clippy::too_many_arguments, reason = "as above")]
pub fn step_towards(
    forward: &Forward,
    arena: &mut Arena,
    optimizer: &mut Optimizer,
    images: &Tensor,
    targets: &Targets,
    objective: &mut Objective,
    rate: Rate,
    slimming: Option<&Tensor>,
    tally: &mut Tally,
) {
    if let Some(mut gradient) = gradient_towards(forward, arena, images, targets, objective, tally) {
        if let Some(slimming) = slimming {
            let _no_grad = tch::no_grad_guard();
            // The sign of 0 is 0: a scale that has come to rest stays there.
            done(gradient.g_add_(&(slimming * arena.weights.sign())));
        }
        optimizer.step(&mut arena.weights, gradient, rate);
    }
}

/// The gradient of the mean loss over a batch with respect to all weights (`[Layout::len]`), those that are masked included;
/// `tally` gets the sum and the scores.
pub(super) fn gradient_towards(
    forward: &Forward,
    arena: &mut Arena,
    images: &Tensor,
    targets: &Targets,
    objective: &mut Objective,
    tally: &mut Tally,
) -> Option<Tensor> {
    let leaves = (arena.precision == Precision::Bf16).then(|| Leaves::of(arena));
    let scores = match &leaves {
        Some(leaves) => forward.run_on(arena, &leaves.views, images, true),
        None => forward.run(arena, images, true),
    };
    let loss = objective.loss(&scores, images, targets);
    let gradient = match leaves {
        Some(leaves) => Some(leaves.gradient(&loss.mean)),
        None => Tensor::run_backward(&[&loss.mean], &[&arena.weights], false, false).pop(),
    };
    tally.add(&loss.sum, &scores, &loss.labels);
    gradient
}
