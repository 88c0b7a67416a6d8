//! How long a step of training takes, on images that lie ready.

use std::sync::Arc;
use std::time::Instant;

use crate::cuda::CudaGraph;
use crate::device;
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use crate::race::some_images;
use crate::training::evaluate::Tally;
use crate::training::optimizer::{Optimizer, Rate};
use crate::training::step;
use crate::training::tf32::{self, Held};
use tch::{Device, Kind, Tensor};
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Graph, Layout, Snapshot, initial};
use tombola_core::sweep::Settings;
use tombola_words::Shape;
use tombola_words::error::{Error, Result};
use tombola_words::value::{NormStart, Precision};

/// Images of a batch.
pub const BATCH: usize = 64;
const CLASSES: usize = 10;
const RATE: f64 = 1e-3;

/// A network that takes steps on random images, in the numbers of its precision: one of `fp32` or `bf16` and one of `tf32` wait
/// for each other, as trainings do, so that no thread may hold both at a time.
#[derive(Debug)]
pub struct Steps {
    forward: Forward,
    arena: Arena,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    tally: Tally,
    /// The step, where a GPU replays it, and what it multiplies by.
    graph: Option<CudaGraph>,
    factors: Vec<Tensor>,
    _held: Held,
}

impl Steps {
    /// From the state `start` on one processor core, in batches of [`BATCH`], with a mask in the optimiser if it has one.
    ///
    /// # Errors
    /// As [`Steps::on`].
    pub fn new(graph: &Arc<Graph>, layout: &Arc<Layout>, start: &Snapshot) -> Result<Self> {
        Self::on(Device::Cpu, BATCH, graph, layout, start)
    }

    /// The same on any device, in batches of any size.
    ///
    /// # Errors
    /// When the state is of another network, or the network does not read images.
    pub fn on(
        device: Device,
        batch: usize,
        network: &Arc<Graph>,
        layout: &Arc<Layout>,
        start: &Snapshot,
    ) -> Result<Self> {
        Self::in_precision(Precision::Fp32, device, batch, network, layout, start)
    }

    fn in_precision(
        precision: Precision,
        device: Device,
        batch: usize,
        network: &Arc<Graph>,
        layout: &Arc<Layout>,
        start: &Snapshot,
    ) -> Result<Self> {
        let Shape::Image(channels, height, width) = network.input() else {
            return Err(Error::input("only networks that read images are measured"));
        };
        device::enter(device);
        let images = some_images(batch, (channels, height, width), device);
        // libtorch itself lets cuDNN round to tf32 where fp32 is asked for.
        let held = tf32::hold(precision == Precision::Tf32);
        let mut arena = Arena::new(Arc::clone(layout), start, device)?;
        arena.precision = precision;
        let mask = start.mask.as_ref().map(|mask| crate::training::optimizer::mask_tensor(mask, device));
        Ok(Self {
            forward: Forward::new(Arc::clone(network), layout),
            arena,
            optimizer: Optimizer::new(&Settings::default(), layout.len, mask, device),
            images,
            labels: Tensor::randint(CLASSES as i64, [batch as i64], (Kind::Int64, Device::Cpu)).to_device(device),
            tally: Tally::new(device),
            graph: None,
            factors: vec![Tensor::full([], RATE, (Kind::Float, device))],
            _held: held,
        })
    }

    /// A network of the zoo with its first weights, for images of 3x32x32 in ten classes, computed in a precision.
    ///
    /// # Errors
    /// When there is no such network.
    pub fn of_zoo(device: Device, batch: usize, choice: &Choice, precision: Precision) -> Result<Self> {
        let graph = Arc::new(zoo::build(choice, Shape::Image(3, 32, 32), CLASSES)?);
        let layout = Arc::new(Layout::of(&graph));
        let start = initial(&layout, NormStart::One, 1, 0);
        Self::in_precision(precision, device, batch, &graph, &layout, &start)
    }

    /// Seconds of one training step.
    pub fn step(&mut self) -> f64 {
        let begun = Instant::now();
        let Self { forward, arena, optimizer, images, labels, tally, .. } = self;
        step(forward, arena, optimizer, images, labels, Rate::Number(RATE), None, tally);
        begun.elapsed().as_secs_f64()
    }

    /// Seconds of each of `count` training steps; a device of its own is not waited for between them, so that there each
    /// is said to take the mean.
    pub fn times(&mut self, count: usize) -> Vec<f64> {
        if self.arena.device() == Device::Cpu {
            return (0..count).map(|_| self.step()).collect();
        }
        if let (None, Device::Cuda(number)) = (&self.graph, self.arena.device()) {
            // What is captured must not be the first of its kind.
            (0..count.min(3)).for_each(|_| _ = self.step());
            let Self { forward, arena, optimizer, images, labels, tally, factors, .. } = self;
            let work = || step(forward, arena, optimizer, images, labels, Rate::OnDevice(factors), None, tally);
            self.graph = CudaGraph::capture(number, work).ok();
        }
        self.wait();
        let begun = Instant::now();
        for _ in 0..count {
            match &self.graph {
                Some(graph) if graph.replay().is_ok() => {}
                _ => _ = self.step(),
            }
        }
        self.wait();
        vec![begun.elapsed().as_secs_f64() / count as f64; count]
    }

    /// Until all that was asked for is computed.
    fn wait(&self) {
        // Only the time counts, not the sums.
        self.tally.finish();
    }

    /// Seconds of one forward pass in evaluation.
    pub fn forward(&mut self) -> f64 {
        let begun = Instant::now();
        let _no_grad = tch::no_grad_guard();
        done(self.forward.run(&mut self.arena, &self.images, false));
        begun.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        /// `src/network/kernels/tf32.cpp`.
        fn tombola_allows_tf32() -> bool;
    }

    fn allowed_beside(precision: Precision) -> bool {
        let _steps = Steps::of_zoo(Device::Cpu, 2, &Choice::named("lenet-5"), precision).unwrap();
        // SAFETY: reads a flag of libtorch.
        unsafe { tombola_allows_tf32() }
    }

    #[test]
    fn libtorch_rounds_to_tf32_where_steps_are_to_and_nowhere_else() {
        // libtorch itself lets cuDNN do so.
        assert!(!allowed_beside(Precision::Fp32));
        assert!(allowed_beside(Precision::Tf32));
        assert!(!allowed_beside(Precision::Bf16));
    }
}
