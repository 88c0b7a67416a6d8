//! Gradients for criteria that need them, on the training data of a task, and times for targets that are times.
//!
//! For gradients the network runs as in training, batch norms on the statistics of each batch, but nothing of it is moved: every call
//! works on a copy of its own. Images are the first of the training part, not varied.

use std::sync::Arc;

use tch::{Kind, Reduction, Tensor};

use super::task::Task;
use crate::done;
use crate::network::arena::{Arena, to_vec};
use crate::network::forward::Forward;
use crate::race::Stopwatch;
use tombola_core::mask::Bits;
use tombola_core::net::Snapshot;
use tombola_core::net::compact::Compact;
use tombola_core::prune::rewind::silence;
use tombola_core::prune::{Scorer, TimePrecision, Want};
use tombola_words::error::{Error, Result};

/// Images of one pass; a part of them where fewer are left.
const SCORE_BATCH: usize = 256;

/// Scores are divided by this before the loss is taken, for gradient flow only: as in the paper's program and in others,
/// it keeps the softmax of an untrained network from being all but decided (Wang et al. 2020).
const FLOW_TEMPERATURE: f64 = 200.0;

/// Gives the gradients of one snapshot, and the times of its network.
#[derive(Debug)]
pub(super) struct TorchScorer<'a> {
    task: &'a Task<'a>,
    snapshot: &'a Snapshot,
    images: usize,
    /// Once a time was asked for.
    stopwatch: Option<Stopwatch<'a>>,
}

impl<'a> TorchScorer<'a> {
    /// For `snapshot`, a state of the task's dense network, on up to `images` training images.
    pub(super) fn new(task: &'a Task<'a>, snapshot: &'a Snapshot, images: usize) -> Self {
        Self { task, snapshot, images: images.min(task.parts.train.len()), stopwatch: None }
    }

    /// Images of the batch that times are of.
    pub(super) fn images_timed(&self) -> usize {
        self.task.stage.settings.batch_size.min(self.task.parts.train.len())
    }

    /// Gradient of the mean loss, and its product with the Hessian where `with_hessian` says so.
    fn of_loss(&self, forward: &Forward, mut arena: Arena, with_hessian: bool) -> Tensor {
        let temperature = if with_hessian { FLOW_TEMPERATURE } else { 1.0 };
        let mut sum = Tensor::zeros_like(&arena.weights);
        for start in (0..self.images).step_by(SCORE_BATCH) {
            let gradient = self.of_batch(forward, &mut arena, start, temperature, false);
            done(sum.g_add_(&gradient));
        }
        if !with_hessian {
            return sum;
        }
        // The norm of the gradient is that of connections, as in the authors' program.
        let mut connections = vec![0f32; self.task.layout.len];
        for parameter in self.task.layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
            connections[parameter.range()].fill(1.0);
        }
        let sum = sum * Tensor::from_slice(&connections).to_device(self.task.device);
        let mut product = Tensor::zeros_like(&arena.weights);
        for start in (0..self.images).step_by(SCORE_BATCH) {
            let gradient = self.of_batch(forward, &mut arena, start, temperature, true);
            let flow = (gradient * &sum).sum(Kind::Float);
            done(product.g_add_(&gradient_of(&flow, &arena.weights, false)));
        }
        product
    }

    /// The part of the gradient that the images from `start` on give.
    fn of_batch(&self, forward: &Forward, arena: &mut Arena, start: usize, temperature: f64, keep: bool) -> Tensor {
        let end = (start + SCORE_BATCH).min(self.images);
        let (images, labels) = self.task.parts.train.range(start..end);
        let scores = forward.run(arena, &images, true) / temperature;
        let loss = scores.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Sum, -100, 0.0) / self.images as f64;
        gradient_of(&loss, &arena.weights, keep)
    }

    /// Gradient of the sum of all outputs for an image of ones, in double precision: values grow with every layer. It is
    /// divided by its largest value, which changes no order.
    fn of_flow(&self, forward: &Forward, mut arena: Arena) -> Result<Tensor> {
        arena.weights = arena.weights.detach().to_kind(Kind::Double).abs().set_requires_grad(true);
        arena.buffers = arena.buffers.to_kind(Kind::Double).abs();
        let shape = self.task.graph.input().axes();
        let shape: Vec<i64> = shape.as_slice().iter().map(|size| *size as i64).collect();
        let ones = Tensor::ones(shape.as_slice(), (Kind::Double, self.task.device));
        let sum = forward.run(&mut arena, &ones, false).sum(Kind::Double);
        let gradient = gradient_of(&sum, &arena.weights, false);
        let largest = f64::try_from(gradient.max()).unwrap_or(f64::NAN);
        if !largest.is_finite() {
            return Err(Error::training("`synflow`: the flow through this network is too large for double precision")
                .hint("take a shallower network, or another `criterion`"));
        }
        Ok(if largest > 0.0 { gradient / largest } else { gradient })
    }
}

impl Scorer for TorchScorer<'_> {
    fn gradients(&mut self, want: Want, mask: &Bits) -> Result<Vec<f32>> {
        let mut snapshot = self.snapshot.clone();
        silence(&mut snapshot.parameters, mask);
        let forward = Forward::new(Arc::clone(self.task.graph), self.task.layout).unfused();
        let arena = Arena::new(Arc::clone(self.task.layout), &snapshot, self.task.device)?;
        let gradients = match want {
            Want::Gradient => self.of_loss(&forward, arena, false),
            Want::HessianGradient => self.of_loss(&forward, arena, true),
            Want::SynapticFlow => self.of_flow(&forward, arena)?,
        };
        Ok(to_vec(&gradients))
    }

    /// In evaluation, for a batch of the training's size, in its precision.
    fn seconds(&mut self, small: &Compact, wanted: TimePrecision) -> Result<(f64, f64)> {
        let (task, snapshot, count) = (self.task, self.snapshot, self.images_timed());
        let begin = || {
            let (images, _) = task.parts.train.range(0..count);
            Stopwatch::new((task.graph, task.layout), snapshot, task.stage.settings.precision, images)
        };
        self.stopwatch.get_or_insert_with(begin).seconds(small, wanted)
    }
}

/// The gradient of a number; nothing is left to be differentiated again unless `keep` says so.
fn gradient_of(value: &Tensor, weights: &Tensor, keep: bool) -> Tensor {
    let mut gradients = Tensor::run_backward(&[value], &[weights], keep, keep);
    gradients.pop().unwrap_or_else(|| weights.zeros_like())
}
