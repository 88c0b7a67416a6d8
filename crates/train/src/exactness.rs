//! How exactly a network is computed: loss and gradient against those of double precision, which libtorch's plain operations give on the
//! processor.
//!
//! What is allowed follows from the numbers that are computed with. A sum of `n` products, each rounded by at most `u`, is the exact
//! sum of products whose factors are moved by some `sqrt(n) u` each (Higham and Mary 2019, "A new approach to probabilistic rounding
//! error analysis", theorem 2.4). So each weight is moved by that, at random, with `n` the inputs of its layer, each pixel by `u`, and
//! what that does to the gradient in double precision is measured: the largest of [`DRAWS`] differences. The backward pass rounds as
//! well, and so do batch norms and what lies between layers: [`ALLOWED`] times that is allowed. Sums of shorter numbers are kept in
//! float32, so that there `n` is 1.
//!
//! Where rounding puts a value near 0 on its other side, a ReLU or a pooling takes another way, and the gradient jumps by far more. That
//! is nobody's fault, and is rare in small batches: another batch is tried then, up to [`BATCHES`]. What is computed wrongly is wrong in
//! all of them.
//!
//! For `tombola selftest`. It may not know of files.

use std::sync::Arc;

use rand::Rng;
use tch::{Device, Kind, Reduction, Tensor};

use crate::network::arena::Arena;
use crate::network::forward::Forward;
use crate::training::tf32;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Graph, Layout, Snapshot, initial};
use tombola_words::Shape;
use tombola_words::error::Result;
use tombola_words::stream::stream;
use tombola_words::value::{NormStart, Precision};

/// How often weights are moved at random.
pub const DRAWS: u64 = 2;
/// How many times the largest difference that moving weights makes is allowed.
pub const ALLOWED: f64 = 8.0;
/// Batches that are tried.
pub const BATCHES: u64 = 3;

const CLASSES: usize = 10;

/// How far a result is from the exact one, as shares of that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closeness {
    /// Of the gradient over all weights, in the L2 norm.
    pub error: f64,
    /// What rounding explains.
    pub bound: f64,
}

impl Closeness {
    /// Whether rounding explains the error. One that is not a number is explained by nothing.
    pub fn holds(&self) -> bool {
        self.error <= self.bound
    }
}

/// The unit roundoff of the numbers that a precision computes with: half the distance from 1 to the next.
pub fn roundoff(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 2f64.powi(-24),
        Precision::Tf32 => 2f64.powi(-11),
        Precision::Bf16 => 2f64.powi(-8),
    }
}

/// One pass forward and backward over `batch` random images of `shape`, on `device`: of the first batch that rounding explains, or
/// of the last one.
///
/// # Errors
/// When the network cannot be built.
pub fn of_network(
    choice: &Choice,
    shape: (usize, usize, usize),
    batch: usize,
    device: Device,
    precision: Precision,
) -> Result<Closeness> {
    let _held = tf32::hold(precision == Precision::Tf32);
    let (channels, height, width) = shape;
    let graph = Arc::new(zoo::build(choice, Shape::Image(channels, height, width), CLASSES)?);
    let layout = Arc::new(Layout::of(&graph));
    let start = initial(&layout, NormStart::One, 7, 0);
    let mut case =
        GradientCase { graph, layout, start, precision, images: images(shape, batch, 0), labels: labels(batch) };
    let mut found = case.closeness(device)?;
    for number in 1..BATCHES {
        if found.holds() {
            break;
        }
        case.images = images(shape, batch, number);
        found = case.closeness(device)?;
    }
    Ok(found)
}

/// A network and what it is given.
struct GradientCase {
    graph: Arc<Graph>,
    layout: Arc<Layout>,
    start: Snapshot,
    precision: Precision,
    /// `[images, channels, height, width]`, double precision.
    images: Tensor,
    labels: Tensor,
}

impl GradientCase {
    fn closeness(&self, device: Device) -> Result<Closeness> {
        let exact = self.exact(&self.start, &self.images)?;
        let scale = norm(&exact);
        let share = |other: &Tensor| norm(&(other - &exact)) / scale;
        let error = share(&self.computed(device)?);
        let mut largest = 0.0;
        for draw in 0..DRAWS {
            let (weights, images) = self.moved(draw);
            largest = f64::max(largest, share(&self.exact(&weights, &images)?));
        }
        Ok(Closeness { error, bound: ALLOWED * largest })
    }

    /// The gradient in double precision, by libtorch's plain operations.
    fn exact(&self, start: &Snapshot, images: &Tensor) -> Result<Tensor> {
        let mut arena = Arena::new(Arc::clone(&self.layout), start, Device::Cpu)?;
        arena.weights = arena.weights.detach().to_kind(Kind::Double).set_requires_grad(true);
        arena.buffers = arena.buffers.to_kind(Kind::Double);
        let forward = Forward::new(Arc::clone(&self.graph), &self.layout).unfused();
        Ok(gradient(&forward, &mut arena, images, &self.labels))
    }

    /// The gradient as trainings have it.
    fn computed(&self, device: Device) -> Result<Tensor> {
        let mut arena = Arena::new(Arc::clone(&self.layout), &self.start, device)?;
        arena.precision = self.precision;
        let forward = Forward::new(Arc::clone(&self.graph), &self.layout);
        // As batches come: channels last in memory.
        let images = self.images.to_kind(Kind::Float).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let images = images.to_device(device);
        let found = gradient(&forward, &mut arena, &images, &self.labels.to_device(device));
        Ok(found.to_device(Device::Cpu).to_kind(Kind::Double))
    }

    /// Weights and pixels, moved at random by what rounding may move them.
    fn moved(&self, draw: u64) -> (Snapshot, Tensor) {
        let mut numbers = stream(11, "rounding", &[draw]);
        let (mut moved, roundoff) = (self.start.clone(), roundoff(self.precision));
        for parameter in &self.layout.parameters {
            let terms = if self.precision == Precision::Fp32 { parameter.fan_in().max(1) } else { 1 };
            let share = roundoff * (terms as f64).sqrt();
            for weight in &mut moved.parameters[parameter.range()] {
                *weight *= (1.0 + share * numbers.random_range(-1.0..=1.0)) as f32;
            }
        }
        let shifts: Vec<f64> =
            (0..self.images.numel()).map(|_| 1.0 + roundoff * numbers.random_range(-1.0..=1.0)).collect();
        let shifts = Tensor::from_slice(&shifts).view(self.images.size().as_slice());
        (moved, &self.images * shifts)
    }
}

fn gradient(forward: &Forward, arena: &mut Arena, images: &Tensor, labels: &Tensor) -> Tensor {
    let scores = forward.run(arena, images, true);
    let loss = scores.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0);
    let mut gradients = Tensor::run_backward(&[loss], &[&arena.weights], false, false);
    gradients.pop().unwrap_or_else(|| arena.weights.zeros_like()).detach()
}

fn norm(values: &Tensor) -> f64 {
    values.square().sum(Kind::Double).double_value(&[]).sqrt()
}

/// Values from -2 to 2 that float32 holds exactly.
fn images((channels, height, width): (usize, usize, usize), batch: usize, number: u64) -> Tensor {
    let mut numbers = stream(3, "self-test images", &[number]);
    let count = batch * channels * height * width;
    let values: Vec<f32> = (0..count).map(|_| numbers.random_range(-2.0..2.0)).collect();
    let size = [batch as i64, channels as i64, height as i64, width as i64];
    Tensor::from_slice(&values).view(size).to_kind(Kind::Double)
}

fn labels(batch: usize) -> Tensor {
    let labels: Vec<i64> = (0..batch).map(|image| (image * 7 % CLASSES) as i64).collect();
    Tensor::from_slice(&labels)
}
