//! One step of training: forward, loss, backward, optimiser.

use tch::{Reduction, Tensor};

use super::evaluate::Tally;
use super::optimizer::Optimizer;
use crate::net::arena::Arena;
use crate::net::forward::Forward;

/// Trains on one batch: normalised `images` (`[images, channels, height, width]`) and their `labels` (`[images]`).
///
/// The gradient is that of the mean loss over the batch; `tally` gets the sum and the scores, as they were before the step.
pub fn step(
    forward: &Forward,
    arena: &mut Arena,
    optimizer: &mut Optimizer,
    images: &Tensor,
    labels: &Tensor,
    learning_rate: f64,
    tally: &mut Tally,
) {
    let scores = forward.run(arena, images, true);
    let sum = scores.cross_entropy_loss::<Tensor>(labels, None, Reduction::Sum, -100, 0.0);
    let mean = &sum / labels.numel() as f64;
    let mut gradients = Tensor::run_backward(&[mean], &[&arena.weights], false, false);
    tally.add(&sum, &scores, labels);
    if let Some(gradient) = gradients.pop() {
        optimizer.step(&mut arena.weights, gradient, learning_rate);
    }
}
