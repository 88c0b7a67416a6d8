//! A training step on a GPU as one captured piece: gathering a batch, varying it, forward, loss, backward and optimiser.
//!
//! The captured step reads what changes from step to step (which images, the learning rate, how they are varied) out of
//! tensors of its own, and adds to the tally as the eager step does. Both give the same numbers.

use tch::{Device, Kind, Tensor};

use super::average::Average;
use super::evaluate::Tally;
use super::objective::{Objective, Targets};
use super::optimizer::{Optimizer, Rate};
use super::step::{gradient_towards, step_towards};
use crate::augment::{Mixture, Variation};
use crate::batches::Batches;
use crate::cuda::{CaptureFailure, CudaGraph, gpu, graph};
use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::gpu_faults::UNENDED;
use tombola_words::error::{Error, Result, ignored};

/// Steps before the capture: libraries choose their ways in them, and memory is set aside.
const EAGER_STEPS: usize = 3;

/// What a step works on and with.
pub struct Work<'a> {
    /// The images.
    pub images: &'a Batches,
    /// The network.
    pub forward: &'a Forward,
    /// Its state.
    pub arena: &'a mut Arena,
    /// What moves it.
    pub optimizer: &'a mut Optimizer,
    /// One value for each weight that is added to the gradient with the sign of the weight.
    pub slimming: Option<&'a Tensor>,
    /// Sums of losses and hits: the same tensors in each step.
    pub tally: &'a mut Tally,
    /// The loss that it lowers.
    pub objective: &'a mut Objective,
    /// What its images are mixed by.
    pub mixture: Option<Mixture>,
    /// What follows the weights.
    pub average: Option<&'a mut Average>,
}

/// The images of a step.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Which they are: `[images]`, on the device.
    pub indices: &'a Tensor,
    /// Themselves, where they are not on the device with all others.
    pub read: Option<&'a Tensor>,
}

impl Work<'_> {
    /// The step itself, eager or while it is captured.
    pub fn step(&mut self, batch: Batch, variation: Option<&Variation>, rate: Rate) {
        let (images, labels) = self.gather(batch, variation);
        let targets = Targets { labels: &labels, mixture: self.mixture.as_ref() };
        let Self { forward, arena, optimizer, slimming, tally, objective, .. } = self;
        step_towards(forward, arena, optimizer, &images, &targets, objective, rate, *slimming, tally);
        if let Some(average) = &mut self.average {
            average.follow(self.arena, self.optimizer.steps() == 1);
        }
    }

    /// The gradient of a step that is not taken, eager: `[Layout::len]`.
    pub(super) fn gradient(&mut self, batch: Batch, variation: Option<&Variation>) -> Option<Tensor> {
        let (images, labels) = self.gather(batch, variation);
        let targets = Targets { labels: &labels, mixture: self.mixture.as_ref() };
        let Self { forward, arena, tally, objective, .. } = self;
        gradient_towards(forward, arena, &images, &targets, objective, tally)
    }

    /// Images and labels of a batch, varied and mixed.
    fn gather(&self, batch: Batch, variation: Option<&Variation>) -> (Tensor, Tensor) {
        let (images, labels) = self.images.gather(batch.indices, batch.read, variation);
        match &self.mixture {
            Some(mixture) => (mixture.apply(&images), labels),
            None => (images, labels),
        }
    }
}

/// The steps of one training on one device: eager, or captured after the first ones.
#[derive(Debug)]
pub struct Stepper {
    /// Images of a whole batch; the last one of an epoch may be smaller, and is never captured.
    batch: usize,
    eager: usize,
    mode: Mode,
    /// Why steps are eager that were to be captured, until it is told.
    refusal: Option<String>,
}

#[derive(Debug)]
enum Mode {
    Eager,
    /// Will be captured on this GPU.
    Ready(usize),
    Captured(Box<Captured>),
}

#[derive(Debug)]
struct Captured {
    graph: CudaGraph,
    indices: Tensor,
    /// The images, where they are read ahead.
    read: Option<Tensor>,
    /// [`Optimizer::device_factors`], which the graph reads.
    factors: Vec<Tensor>,
    variation: Option<Variation>,
    mixture: Option<Mixture>,
}

impl Stepper {
    /// Steps of `batch` images, by a thread that has entered its device. Those of a network with dropout are eager: a captured step
    /// would draw the same numbers again and again.
    pub fn new(device: Device, batch: usize, forward: &Forward) -> Self {
        let can_capture = |number| (graph::possible().is_ok()).then_some(number);
        let number = match device {
            Device::Cuda(number) => can_capture(number),
            _ => None,
        };
        let (mode, refusal) = match number {
            Some(_) if forward.draws() => (Mode::Eager, Some("the network has dropout, which draws anew".to_string())),
            Some(number) => (Mode::Ready(number), None),
            None => (Mode::Eager, None),
        };
        Self { batch, eager: 0, mode, refusal }
    }

    /// The same, eager on GPUs too, for the `reason` if there is one.
    #[must_use]
    pub fn kept_eager(self, reason: Option<&str>) -> Self {
        match (reason, &self.mode) {
            (Some(reason), Mode::Ready(_)) => Self { mode: Mode::Eager, refusal: Some(reason.to_string()), ..self },
            _ => self,
        }
    }

    /// Why this training's steps are eager although steps can be captured here. Told once.
    pub fn take_refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// Whether steps are replayed from now on.
    pub fn is_captured(&self) -> bool {
        matches!(self.mode, Mode::Captured(_))
    }

    /// A new epoch varies its images in another way.
    pub fn vary(&mut self, variation: Option<&Variation>) {
        if let Mode::Captured(captured) = &mut self.mode
            && let (Some(own), Some(new)) = (&mut captured.variation, variation)
        {
            own.take(new);
        }
    }

    /// Takes one step on the images of a batch.
    ///
    /// # Errors
    /// When a captured step can no longer be replayed.
    pub fn step(&mut self, work: &mut Work, batch: Batch, variation: Option<&Variation>, rate: f64) -> Result<()> {
        if batch.indices.numel() != self.batch {
            work.step(batch, variation, Rate::Number(rate));
            return Ok(());
        }
        if let Mode::Ready(number) = self.mode
            && self.eager >= EAGER_STEPS
        {
            let mut tried = Captured::of(number, work, batch, variation);
            if matches!(&tried, Err(CaptureFailure::Refused(reason)) if reason.contains("out of memory")) {
                // A graph has memory of its own, and libtorch gives none of its reserve to it while it is captured.
                ignored(gpu::give_back(), "then steps stay eager");
                tried = Captured::of(number, work, batch, variation);
            }
            self.mode = match tried {
                Ok(captured) => Mode::Captured(Box::new(captured)),
                // Slower, and right: eager steps have fitted.
                Err(CaptureFailure::Refused(reason)) => {
                    self.refusal = Some(reason);
                    Mode::Eager
                }
                Err(CaptureFailure::Unended(reason)) => {
                    return Err(Error::environment(format!("the GPU {UNENDED}: {reason}"))
                        .hint("see `nvidia-smi`; `TOMBOLA_CUDA_GRAPHS=no` trains without capturing"));
                }
            };
        }
        match &mut self.mode {
            Mode::Captured(captured) => captured.step(work, batch, rate),
            Mode::Eager | Mode::Ready(_) => {
                self.eager += 1;
                work.step(batch, variation, Rate::Number(rate));
                Ok(())
            }
        }
    }
}

impl Captured {
    /// Captures a step, without taking it: what the processor counts is as it was.
    fn of(
        number: usize,
        work: &mut Work,
        batch: Batch,
        variation: Option<&Variation>,
    ) -> std::result::Result<Self, CaptureFailure> {
        let (indices, read) = (batch.indices.copy(), batch.read.map(Tensor::copy));
        let zero = |_| Tensor::zeros([], (Kind::Float, indices.device()));
        let factors: Vec<Tensor> = work.optimizer.factors(0, 0.0).into_iter().map(zero).collect();
        let variation = variation.map(Variation::copy);
        let mixture = work.mixture.as_ref().map(Mixture::copy);
        let given = std::mem::replace(&mut work.mixture, mixture.as_ref().map(Mixture::shared));
        let counts = (work.arena.batches, work.optimizer.steps(), work.tally.images());
        let own = Batch { indices: &indices, read: read.as_ref() };
        let graph = CudaGraph::capture(number, || work.step(own, variation.as_ref(), Rate::OnDevice(&factors)));
        work.mixture = given;
        work.arena.batches = counts.0;
        work.optimizer.set_steps(counts.1);
        work.tally.set_images(counts.2);
        Ok(Self { graph: graph?, indices, read, factors, variation, mixture })
    }

    fn step(&mut self, work: &mut Work, batch: Batch, rate: f64) -> Result<()> {
        self.indices.copy_(batch.indices);
        if let (Some(own), Some(read)) = (&mut self.read, batch.read) {
            own.copy_(read);
        }
        if let (Some(own), Some(new)) = (&mut self.mixture, &work.mixture) {
            own.take(new);
        }
        for (place, factor) in self.factors.iter_mut().zip(work.optimizer.device_factors(work.optimizer.steps(), rate))
        {
            done(place.fill_(factor));
        }
        self.graph.replay().map_err(|reason| {
            Error::environment(format!("the GPU could not replay a training step: {reason}"))
                .hint("see `nvidia-smi`; `TOMBOLA_CUDA_GRAPHS=no` trains without replaying")
        })?;
        work.arena.batches += 1;
        work.optimizer.set_steps(work.optimizer.steps() + 1);
        work.tally.set_images(work.tally.images() + batch.indices.numel() as u64);
        Ok(())
    }
}
