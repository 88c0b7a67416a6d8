//! How well a network does on held-out images.

use tch::{Kind, Reduction, Tensor};

use crate::batches::Batches;
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_words::record::Evaluation;

/// Images evaluated at a time: on a CPU few enough that what lies between two layers stays in its caches, elsewhere enough to
/// fill the device.
pub fn evaluation_batch(device: tch::Device) -> usize {
    match device {
        tch::Device::Cpu => 100,
        _ => 500,
    }
}

/// Running sums over batches, kept on the device so that nothing waits for it within an epoch.
#[derive(Debug)]
pub struct Tally {
    loss: Tensor,
    correct: Tensor,
    images: u64,
}

impl Tally {
    /// Nothing seen yet.
    pub fn new(device: tch::Device) -> Self {
        let zero = |kind| Tensor::zeros([], (kind, device));
        Self { loss: zero(Kind::Double), correct: zero(Kind::Int64), images: 0 }
    }

    /// Adds a batch: the sum of its losses, its scores (`[images, classes]`) and its labels (`[images]`).
    ///
    /// Sums are added, not means, so that a smaller last batch weighs what it should (docs/pitfalls.md, number 23).
    pub fn add(&mut self, loss_sum: &Tensor, scores: &Tensor, labels: &Tensor) {
        // A guard, here and elsewhere: the function of the bindings leaves gradients off where its work panics.
        let _no_grad = tch::no_grad_guard();
        done(self.loss.g_add_(&loss_sum.detach()));
        done(self.correct.g_add_(&scores.argmax(1, false).eq_tensor(labels).sum(Kind::Int64)));
        self.images += labels.numel() as u64;
    }

    /// Forgets what it saw, and keeps its tensors.
    pub fn clear(&mut self) {
        done(self.loss.zero_());
        done(self.correct.zero_());
        self.images = 0;
    }

    /// Images seen.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Counts images that the device saw by itself.
    pub fn set_images(&mut self, images: u64) {
        self.images = images;
    }

    /// Reads the sums: the one moment that waits for the device.
    pub fn finish(&self) -> Evaluation {
        Evaluation {
            loss: self.loss.double_value(&[]) / self.images.max(1) as f64,
            correct: self.correct.int64_value(&[]) as u64,
            images: self.images,
        }
    }
}

/// Evaluates all images of one part, `batch` at a time; the size changes nothing but speed and memory.
pub fn evaluate(forward: &Forward, arena: &mut Arena, part: &Batches, batch: usize) -> Evaluation {
    let _no_grad = tch::no_grad_guard();
    let mut tally = Tally::new(arena.device());
    part.each(batch, |images, labels| {
        let scores = forward.run(arena, images, false);
        let loss = scores.cross_entropy_loss::<Tensor>(labels, None, Reduction::Sum, -100, 0.0);
        tally.add(&loss, &scores, labels);
    });
    tally.finish()
}
