//! How long networks take for a batch of images in evaluation, measured by turns, so that whatever else the machine does hits all
//! alike.
//!
//! It may not know what the times are for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::cuda::{CaptureFailure, CudaGraph};
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::mask::Bits;
use tombola_core::net::compact::Compact;
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_core::prune::scorer::{NoGradients, Scorer, TimePrecision, Want};
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;

/// How long two networks are measured side by side, to tell what is far apart and to know what is near.
const ROUGH: Duration = Duration::from_millis(150);
const CLOSE: Duration = Duration::from_millis(800);
/// A turn takes at least so long, so that clocks and calls weigh little.
const TURN: Duration = Duration::from_millis(4);
/// At least so many rounds are measured, and an odd number, however long they take.
const FEWEST_ROUNDS: usize = 3;

/// A network that is measured.
#[derive(Debug)]
struct Runner {
    forward: Forward,
    arena: Arena,
    images: Tensor,
    /// The pass, where a GPU replays it.
    replayed: Option<CudaGraph>,
    /// Passes of a turn.
    passes: usize,
}

impl Runner {
    /// A network with some weights, for `images` (`[images, channels, height, width]`) on their device.
    ///
    /// # Errors
    /// When the weights are those of another network, or the GPU is in trouble.
    fn new(
        graph: &Arc<Graph>,
        layout: &Arc<Layout>,
        weights: &Snapshot,
        precision: Precision,
        images: &Tensor,
    ) -> Result<Self> {
        let mut arena = Arena::new(Arc::clone(layout), weights, images.device())?;
        arena.precision = precision;
        let forward = Forward::new(Arc::clone(graph), layout);
        let mut runner = Self { forward, arena, images: images.shallow_clone(), replayed: None, passes: 1 };
        // The first passes choose how they compute, and what is captured must not be the first of its kind.
        runner.turn();
        let once = runner.turn();
        if let Device::Cuda(number) = images.device() {
            let Self { forward, arena, images, .. } = &mut runner;
            match CudaGraph::capture(number, || pass(forward, arena, images)) {
                Ok(graph) => runner.replayed = Some(graph),
                // As the passes of a training that cannot be replayed; why is told where it begins.
                Err(CaptureFailure::Refused(_)) => {}
                Err(CaptureFailure::Unended(reason)) => {
                    return Err(Error::environment(format!("the GPU did not end the capture of a pass: {reason}")));
                }
            }
        }
        runner.passes = (TURN.as_secs_f64() / once.max(1e-6)).ceil() as usize;
        Ok(runner)
    }

    /// Seconds of a pass, the mean of a turn.
    fn turn(&mut self) -> f64 {
        wait(self.images.device());
        let begun = Instant::now();
        for _ in 0..self.passes {
            match &self.replayed {
                Some(graph) if graph.replay().is_ok() => {}
                _ => pass(&self.forward, &mut self.arena, &self.images),
            }
        }
        wait(self.images.device());
        begun.elapsed().as_secs_f64() / self.passes as f64
    }
}

/// Measures what is left of a dense network against that network. Whoever measures holds the switch of TensorFloat-32
/// (`training/tf32.rs`).
#[derive(Debug)]
pub struct Stopwatch<'a> {
    graph: &'a Arc<Graph>,
    layout: &'a Arc<Layout>,
    weights: &'a Snapshot,
    precision: Precision,
    images: Tensor,
    /// The dense network, once its time was asked for.
    dense: Option<Runner>,
}

impl<'a> Stopwatch<'a> {
    /// For a dense network with some weights, and `images` (`[images, channels, height, width]`) on their device.
    pub fn new(
        (graph, layout): (&'a Arc<Graph>, &'a Arc<Layout>),
        weights: &'a Snapshot,
        precision: Precision,
        images: Tensor,
    ) -> Self {
        Self { graph, layout, weights, precision, images, dense: None }
    }
}

impl Scorer for Stopwatch<'_> {
    fn gradients(&mut self, want: Want, mask: &Bits) -> Result<Vec<f32>> {
        NoGradients.gradients(want, mask)
    }

    fn seconds(&mut self, small: &Compact, wanted: TimePrecision) -> Result<(f64, f64)> {
        let Self { graph, layout, weights, precision, images, dense } = self;
        let dense = match dense {
            Some(dense) => dense,
            none => none.insert(Runner::new(graph, layout, weights, *precision, images)?),
        };
        let mut small = Runner::new(&small.graph, &small.layout, &small.gather(weights), *precision, images)?;
        let long = match wanted {
            TimePrecision::Rough => ROUGH,
            TimePrecision::Close => CLOSE,
        };
        Ok(by_turns(dense, &mut small, long))
    }
}

/// Seconds of a pass of two networks, that of the second by the median of how much longer or shorter it took than the first's beside
/// it. Rounds are measured for about so `long`.
fn by_turns(first: &mut Runner, second: &mut Runner, long: Duration) -> (f64, f64) {
    let begun = Instant::now();
    let (mut times, mut shares) = (Vec::new(), Vec::new());
    while begun.elapsed() < long || times.len() < FEWEST_ROUNDS || times.len().is_multiple_of(2) {
        let (own, other) = (first.turn(), second.turn());
        times.push(own);
        shares.push(other / own.max(f64::MIN_POSITIVE));
    }
    let own = median(&mut times);
    (own, own * median(&mut shares))
}

/// Images of a batch to measure with: `[images, channels, height, width]`, channels last in memory, as batches come.
pub fn some_images(count: usize, (channels, height, width): (usize, usize, usize), device: Device) -> Tensor {
    let size = [count as i64, height as i64, width as i64, channels as i64];
    // Made on the processor: on a GPU random numbers are refused while another thread captures.
    Tensor::randn(size, (Kind::Float, Device::Cpu)).to_device(device).permute([0, 3, 1, 2])
}

/// The median of some times.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn pass(forward: &Forward, arena: &mut Arena, images: &Tensor) {
    let _no_grad = tch::no_grad_guard();
    done(forward.run(arena, images, false));
}

/// Until all that was asked for is computed.
fn wait(device: Device) {
    if let Device::Cuda(number) = device {
        tch::Cuda::synchronize(number as i64);
    }
}
