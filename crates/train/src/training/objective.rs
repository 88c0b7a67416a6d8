//! The loss that a step lowers: cross-entropy, with smoothed or mixed labels, weights of classes and a teacher where a recipe has
//! them.
//!
//! Each is that of PyTorch: `cross_entropy(scores, targets, weight, label_smoothing=…)`, with the mean over the weights of the
//! labels; over the images where labels are mixed, which are then shares of classes.

use std::sync::Arc;

use tch::{Device, Kind, Reduction, Tensor};

use super::task::Task;
use crate::augment::Mixture;
use crate::batches::Batches;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_core::plan::Teaching;
use tombola_core::sweep::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::value::{ClassWeights, Precision};

/// What the scores of a batch are held against.
#[derive(Debug)]
pub struct Targets<'a> {
    /// The label of each image, `[images]`, 64-bit integers.
    pub labels: &'a Tensor,
    /// What the images were mixed by, each with the image before it.
    pub mixture: Option<&'a Mixture>,
}

/// The loss of a batch.
#[derive(Debug)]
pub struct Loss {
    /// The number whose gradient is taken.
    pub mean: Tensor,
    /// That number times the images: what is added up over an epoch.
    pub sum: Tensor,
    /// The labels that hits are counted by: of a mixed image that of its larger share.
    pub labels: Tensor,
}

/// The loss of a training.
#[derive(Debug, Default)]
pub struct Objective {
    smoothing: f64,
    /// `[classes]`, float32.
    class_weights: Option<Tensor>,
    teacher: Option<Teacher>,
}

impl Objective {
    /// What the settings ask for, to be trained on `images`.
    ///
    /// # Errors
    /// When there is another number of class weights than of classes.
    pub fn of(settings: &Settings, images: &Batches, classes: usize, device: Device) -> Result<Self> {
        let class_weights = class_weights(&settings.class_weights, images, classes, device)?;
        Ok(Self::weighed(settings.label_smoothing, class_weights))
    }

    /// One of smoothed labels and of weights of the classes (`[classes]`, float32).
    pub fn weighed(smoothing: f64, class_weights: Option<Tensor>) -> Self {
        Self { smoothing, class_weights, teacher: None }
    }

    /// The same with a teacher.
    pub fn taught(self, teacher: Option<Teacher>) -> Self {
        Self { teacher, ..self }
    }

    /// The loss of `scores` (`[images, classes]`), which a network gave for `images`.
    pub fn loss(&mut self, scores: &Tensor, images: &Tensor, targets: &Targets) -> Loss {
        let count = targets.labels.numel() as f64;
        let is_plain = self.smoothing == 0.0 && self.class_weights.is_none() && self.teacher.is_none();
        if is_plain && targets.mixture.is_none() {
            let sum = scores.cross_entropy_loss::<Tensor>(targets.labels, None, Reduction::Sum, -100, 0.0);
            return Loss { mean: &sum / count, sum, labels: targets.labels.shallow_clone() };
        }
        let weights = self.class_weights.as_ref();
        let against = |targets: &Tensor| {
            scores.cross_entropy_loss::<&Tensor>(targets, weights, Reduction::Mean, -100, self.smoothing)
        };
        let (mean, labels) = match targets.mixture {
            None => (against(targets.labels), targets.labels.shallow_clone()),
            Some(mixture) => {
                let classes = scores.size().last().copied().unwrap_or(0);
                (against(&mixture.shares(targets.labels, classes)), mixture.larger(targets.labels))
            }
        };
        let mean = match &mut self.teacher {
            Some(teacher) => teacher.beside(mean, scores, images),
            None => mean,
        };
        Loss { sum: mean.detach() * count, mean, labels }
    }
}

/// A network that is trained already, and what its scores count beside the labels.
///
/// Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2: the loss is `(1 − a) · L + a · T² · KL`, L that of
/// the labels and KL the divergence of the student's softened scores from the teacher's, `softmax(scores / T)`.
#[derive(Debug)]
pub struct Teacher {
    forward: Forward,
    arena: Arena,
    teaching: Teaching,
}

impl Teacher {
    /// The dense network that teaches a training, if any does, in the numbers that both compute with.
    ///
    /// # Errors
    /// When its snapshot is missing, or of another network.
    pub(super) fn of(task: &Task) -> Result<Option<Self>> {
        let Some(teaching) = task.stage.pruning.as_ref().and_then(|pruning| pruning.teaching) else { return Ok(None) };
        let missing = || Error::environment("the snapshot of the dense network that teaches is missing");
        let snapshot = task.sources.teacher.as_ref().ok_or_else(missing)?;
        let precision = task.stage.settings.precision;
        Self::new(task.graph, task.layout, snapshot, teaching, precision, task.device).map(Some)
    }

    /// The network of a snapshot.
    ///
    /// # Errors
    /// When the snapshot is of another network.
    pub fn new(
        graph: &Arc<Graph>,
        layout: &Arc<Layout>,
        snapshot: &Snapshot,
        teaching: Teaching,
        precision: Precision,
        device: Device,
    ) -> Result<Self> {
        let forward = Forward::new(Arc::clone(graph), layout);
        let mut arena = Arena::new(Arc::clone(layout), snapshot, device)?;
        arena.precision = precision;
        Ok(Self { forward, arena, teaching })
    }

    /// The loss of the labels and of the teacher.
    fn beside(&mut self, labels: Tensor, scores: &Tensor, images: &Tensor) -> Tensor {
        let taught = {
            let _no_grad = tch::no_grad_guard();
            self.forward.run(&mut self.arena, images, false)
        };
        distilled(labels, scores, &taught, (self.teaching.share, self.teaching.temperature))
    }
}

/// The loss `labels` of the labels and the divergence of the softened `scores` from those of a teacher (`[images, classes]` both),
/// which has this share of the loss, at a temperature.
pub fn distilled(labels: Tensor, scores: &Tensor, teacher: &Tensor, (share, temperature): (f64, f64)) -> Tensor {
    let soft = |scores: &Tensor| (scores / temperature).log_softmax(-1, Kind::Float);
    let images = scores.size().first().copied().unwrap_or(1).max(1) as f64;
    let divergence = soft(scores).kl_div(&soft(teacher), Reduction::Sum, true) / images;
    labels * (1.0 - share) + divergence * (share * temperature * temperature)
}

/// The weight of each class; none where all are alike.
fn class_weights(choice: &ClassWeights, images: &Batches, classes: usize, device: Device) -> Result<Option<Tensor>> {
    let weights: Vec<f32> = match choice {
        ClassWeights::None => return Ok(None),
        ClassWeights::Numbers(numbers) if numbers.len() == classes => {
            numbers.iter().map(|number| *number as f32).collect()
        }
        ClassWeights::Numbers(numbers) => return Err(wrong_count(numbers.len(), classes)),
        ClassWeights::Balanced => balanced(&counts(images, classes)),
    };
    Ok(Some(Tensor::from_slice(&weights).to_device(device)))
}

/// The error for class weights of another number of classes.
pub(crate) fn wrong_count(found: usize, classes: usize) -> Error {
    Error::input(format!("`class-weights`: found {found} numbers, expected {classes}: one for each class"))
        .hint("give as many numbers as there are classes, `balanced` or `none`")
}

/// Images of each class.
fn counts(images: &Batches, classes: usize) -> Vec<usize> {
    let labels = images.labels().to_device(Device::Cpu);
    let of = |class: i64| labels.eq(class).sum(Kind::Int64).int64_value(&[]) as usize;
    (0..classes as i64).map(of).collect()
}

/// `images / (classes · images of the class)` for classes that have any, as scikit-learn's `balanced`; 0 for the others, of which
/// there is nothing to learn. The mean over the images is 1.
fn balanced(counts: &[usize]) -> Vec<f32> {
    let (all, classes) = (counts.iter().sum::<usize>(), counts.iter().filter(|count| **count > 0).count());
    let weight = |count: &usize| match count {
        0 => 0.0,
        count => (all as f64 / (classes * count) as f64) as f32,
    };
    counts.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_weigh_more_and_the_mean_weight_is_one() {
        let weights = balanced(&[2, 6, 0]);
        assert_eq!(weights[..2], [2.0, 8.0 / 12.0]);
        assert_eq!(weights[2], 0.0);
        assert!((2.0 * weights[0] + 6.0 * weights[1] - 8.0).abs() < 1e-6);
    }
}
