//! How long a step or an epoch of training takes, by steps on images that lie ready.

use std::sync::Arc;
use std::time::Instant;

use tch::{Device, Kind, Tensor};
use tombola::error::Result;
use tombola::net::arena::Arena;
use tombola::net::forward::Forward;
use tombola::net::{Graph, Layout, Shape, Snapshot, initial};
use tombola::sweep::Settings;
use tombola::sweep::value::{NormStart, Precision};
use tombola::train::evaluate::Tally;
use tombola::train::optimizer::Optimizer;
use tombola::train::step;

/// Images of a batch.
pub(crate) const BATCH: usize = 64;
const WARM_UP: usize = 3;
const STEPS: usize = 15;

/// A network that takes steps on random images.
pub(crate) struct Steps {
    forward: Forward,
    arena: Arena,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    tally: Tally,
}

impl Steps {
    /// From the state `start`, with a mask in the optimiser if it has one.
    pub(crate) fn new(graph: &Arc<Graph>, layout: &Arc<Layout>, start: &Snapshot) -> Result<Self> {
        let Shape::Image(channels, height, width) = graph.input() else {
            unreachable!("networks of the zoo read images")
        };
        // As batches come: [image, row, column, channel] in memory.
        let size = [BATCH as i64, height as i64, width as i64, channels as i64];
        let images = Tensor::randn(size, (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
        let mask = start.mask.as_ref().map(|mask| tombola::train::run::mask_tensor(mask, Device::Cpu));
        Ok(Self {
            forward: Forward::new(Arc::clone(graph), layout),
            arena: Arena::new(Arc::clone(layout), start, Device::Cpu)?,
            optimizer: Optimizer::new(&Settings::default(), layout.len, mask, Device::Cpu),
            images,
            labels: Tensor::randint(10, [BATCH as i64], (Kind::Int64, Device::Cpu)),
            tally: Tally::new(Device::Cpu),
        })
    }

    /// The same, computed in another precision.
    pub(crate) fn in_precision(mut self, precision: Precision) -> Self {
        self.arena.precision = precision;
        self
    }

    /// Seconds of one training step.
    pub(crate) fn step(&mut self) -> f64 {
        let begun = Instant::now();
        let Self { forward, arena, optimizer, images, labels, tally } = self;
        step(forward, arena, optimizer, images, labels, 1e-3, None, tally);
        begun.elapsed().as_secs_f64()
    }

    /// Seconds of one forward pass in evaluation.
    pub(crate) fn forward(&mut self) -> f64 {
        let begun = Instant::now();
        let _ = tch::no_grad(|| self.forward.run(&mut self.arena, &self.images, false));
        begun.elapsed().as_secs_f64()
    }
}

/// Seconds of an epoch of `images` images, from the median of some steps.
pub(crate) fn seconds(graph: &Arc<Graph>, layout: &Arc<Layout>, images: usize) -> Result<f64> {
    let mut steps = Steps::new(graph, layout, &initial(layout, NormStart::One, 1, 0))?;
    (0..WARM_UP).for_each(|_| _ = steps.step());
    let mut times: Vec<f64> = (0..STEPS).map(|_| steps.step()).collect();
    Ok(median(&mut times) * images.div_ceil(BATCH) as f64)
}

/// The median of some times.
pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
