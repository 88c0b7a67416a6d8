//! How well a network does on held-out images.

use tch::{Kind, Reduction, Tensor};

use crate::batches::Batches;
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_words::record::Evaluation;

/// Classes from which on papers give top-5 accuracies.
const TOP5_FROM: i64 = 100;

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
    /// Of images that are held out.
    top5: Option<Tensor>,
    images: u64,
}

impl Tally {
    /// Nothing seen yet.
    pub fn new(device: tch::Device) -> Self {
        let zero = |kind| Tensor::zeros([], (kind, device));
        Self { loss: zero(Kind::Double), correct: zero(Kind::Int64), top5: None, images: 0 }
    }

    /// Adds to the images whose class is among the five best those of a batch, if there are so many classes.
    fn add_top5(&mut self, scores: &Tensor, labels: &Tensor) {
        if scores.size()[1] < TOP5_FROM {
            return;
        }
        let top5 = self.top5.get_or_insert_with(|| Tensor::zeros([], (Kind::Int64, scores.device())));
        done(top5.g_add_(&among_best(scores, labels, 5).sum(Kind::Int64)));
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
            top5: self.top5.as_ref().map(|top5| top5.int64_value(&[]) as u64),
        }
    }
}

/// For each image whether its label is among the `count` classes with the highest scores: `[images]`, truth values. Of equal scores
/// those of lower classes are higher, as `argmax` has it; `torch.topk` leaves open which it takes. A score that is no number is
/// below all others.
fn among_best(scores: &Tensor, labels: &Tensor, count: i64) -> Tensor {
    let classes = scores.size()[1];
    let labels = labels.unsqueeze(1);
    let own = scores.gather(1, &labels, false);
    let later = Tensor::arange(classes, (Kind::Int64, scores.device())).unsqueeze(0).gt_tensor(&labels);
    let behind = scores.lt_tensor(&own).logical_or(&scores.eq_tensor(&own).logical_and(&later));
    behind.sum_dim_intlist(1, false, Kind::Int64).ge(classes - count)
}

/// Evaluates all images of one part, `batch` at a time; the size changes nothing but speed and memory.
pub fn evaluate(forward: &Forward, arena: &mut Arena, part: &Batches, batch: usize) -> Evaluation {
    let _no_grad = tch::no_grad_guard();
    let mut tally = Tally::new(arena.device());
    part.each(batch, |images, labels| {
        let scores = forward.run(arena, images, false);
        let loss = scores.cross_entropy_loss::<Tensor>(labels, None, Reduction::Sum, -100, 0.0);
        tally.add(&loss, &scores, labels);
        tally.add_top5(&scores, labels);
    });
    tally.finish()
}

/// Images of each class of one part, and those of them that are classified correctly.
pub(super) fn hits(forward: &Forward, arena: &mut Arena, part: &Batches, batch: usize) -> Vec<(u64, u64)> {
    let _no_grad = tch::no_grad_guard();
    let mut counts = Vec::new();
    part.each(batch, |images, labels| {
        let scores = forward.run(arena, images, false);
        let hits = scores.argmax(1, false).eq_tensor(labels);
        counts.resize(scores.size()[1] as usize, (0, 0));
        for (class, hit) in to_longs(labels).into_iter().zip(to_longs(&hits)) {
            if let Some((all, right)) = counts.get_mut(class as usize) {
                *all += 1;
                *right += hit as u64;
            }
        }
    });
    counts
}

fn to_longs(values: &Tensor) -> Vec<i64> {
    let values = values.to_kind(Kind::Int64).to_device(tch::Device::Cpu).contiguous();
    let mut longs = vec![0; values.numel()];
    values.copy_data(&mut longs, values.numel());
    longs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_best_are_those_of_topk_and_of_equal_scores_the_lower_classes() {
        let scores = Tensor::rand([300, 100], (Kind::Float, tch::Device::Cpu));
        let labels = Tensor::randint(100, [300], (Kind::Int64, tch::Device::Cpu));
        let (_, best) = scores.topk(5, 1, true, true);
        let expected = best.eq_tensor(&labels.unsqueeze(1)).any_dim(1, false);
        assert!(among_best(&scores, &labels, 5).equal(&expected));
        let first = among_best(&scores, &labels, 1);
        assert!(first.equal(&scores.argmax(1, false).eq_tensor(&labels)));
        // Seven equal scores and one above them: the highest, and the first four of the seven.
        let scores =
            Tensor::from_slice(&[1.0f32, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0]).unsqueeze(0).expand([9, 9], true);
        let found = among_best(&scores, &Tensor::arange(9, (Kind::Int64, tch::Device::Cpu)), 5);
        let found: Vec<bool> = Vec::try_from(found).unwrap();
        assert_eq!(found, [true, true, true, true, true, false, false, false, false]);
        let none = Tensor::full([1, 9], f64::NAN, (Kind::Float, tch::Device::Cpu));
        assert_eq!(among_best(&none, &Tensor::from_slice(&[0i64]), 5).int64_value(&[0]), 0);
    }
}
