//! A training on made-up images, step by step, with all that a step can have: varied images, a mask, slimming, a learning rate that
//! changes with each step, several epochs and a last batch that is smaller. It shows whether two ways of taking steps are the same.
//!
//! For `tombola selftest` and for tests; no sweep trains so. It may not know of files.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::augment::{Mixing, Variation};
use crate::batches::{Batches, Resident};
use crate::cuda::gpu;
use crate::done;
use crate::network::arena::{Arena, to_vec};
use crate::network::forward::Forward;
use crate::training::average::Average;
use crate::training::evaluate::Tally;
use crate::training::form::decayed;
use crate::training::objective::{Objective, Teacher};
use crate::training::optimizer::{Optimizer, Rate};
use crate::training::replay::{Batch, Stepper, Work};
use crate::training::tf32;
use tombola_core::net::layout::Role;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Graph, Layout, initial};
use tombola_core::plan::Teaching;
use tombola_core::sweep::Settings;
use tombola_data::{Normalisation, split, synthetic};
use tombola_words::Shape;
use tombola_words::error::{Error, Result};
use tombola_words::record::Evaluation;
use tombola_words::value::{Augment, ClassWeights, Moment, NormStart, Optimizer as OptimizerChoice, Precision, Value};

/// Images trained on: four whole batches and a smaller one.
pub const TRAIN: usize = 300;
/// Images of a batch.
pub const BATCH: usize = 64;
const SIDE: usize = 8;
const CLASSES: usize = 10;
/// What is left free of a GPU for somebody who wants more.
const SPARED: usize = 64 << 20;
/// Every alteration of images.
const RECIPE_AUGMENT: &str = "[crop:2, flip, random-resized-crop, rotate:15, colour:0.4, randaugment, cutout:3]";
/// What pulls at the scales of batch norms.
const SLIMMING: f64 = 1e-3;

/// How steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One after the other.
    Eager,
    /// The same, with all that changes from step to step in tensors, as a captured step has it.
    OnDevice,
    /// As a training takes them: captured where that is possible, and replayed.
    Stepper,
}

/// What a training has beside its network.
#[derive(Debug, Clone, Copy)]
pub struct RehearsalWish {
    /// What moves the weights.
    pub optimizer: OptimizerChoice,
    /// Numbers that the network computes with.
    pub precision: Precision,
    /// Decides weights, order and variation.
    pub seed: u64,
    /// Epochs.
    pub epochs: usize,
    /// Whether it has all that recipes can have: mixed images and smoothed labels, every alteration, weights of classes, a teacher,
    /// shortened gradients, decay of some weights, and an average.
    pub recipe: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// The sums of each epoch.
    pub epochs: Vec<Evaluation>,
    /// The weights before and after.
    pub weights: [Vec<f32>; 2],
    /// The average of the weights, where there is one.
    pub average: Vec<f32>,
    /// Batches that batch norms have seen.
    pub batches: u64,
    /// Whether the steps at the end were replayed.
    pub replayed: bool,
    /// Why they were not, though they were to be.
    pub refusal: Option<String>,
}

/// A small network and small data on a device, for trainings in any thread.
#[derive(Debug)]
pub struct Rehearsal {
    graph: Arc<Graph>,
    layout: Arc<Layout>,
    data: Resident,
    normalisation: Normalisation,
}

impl Rehearsal {
    /// For a built-in network.
    ///
    /// # Errors
    /// When there is no such network, or it does not work on 8x8 pixels.
    pub fn new(network: &str, device: Device) -> Result<Self> {
        let images = synthetic((1, SIDE, SIDE), CLASSES, TRAIN, BATCH)?;
        let depth = if network == "resnetb" { 11 } else { 8 };
        let choice = Choice { depth, width: 4, ..Choice::named(network) };
        let graph = Arc::new(zoo::build(&choice, Shape::Image(1, SIDE, SIDE), CLASSES)?);
        let layout = Arc::new(Layout::of(&graph));
        let normalisation = Normalisation::of(&images.train, 0..TRAIN)?;
        Ok(Self { graph, layout, data: Resident::new(images, device), normalisation })
    }

    /// Trains once.
    ///
    /// # Errors
    /// When the device refuses a step.
    pub fn train(&self, wish: &RehearsalWish, way: Way) -> Result<Rehearsed> {
        let device = self.data.device();
        crate::device::enter(device);
        let _held = tf32::hold(wish.precision == Precision::Tf32);
        let parts = self.data.parts(&split(TRAIN, None, Some(0))?, &self.normalisation);
        let settings = wish.settings()?;
        let start = initial(&self.layout, NormStart::One, wish.seed, 0);
        let forward = Forward::new(Arc::clone(&self.graph), &self.layout);
        let mut stepper = Stepper::new(device, BATCH, &forward);
        let mut arena = Arena::new(Arc::clone(&self.layout), &start, device)?;
        arena.precision = wish.precision;
        // Every third weight is dead.
        let alive: Vec<f32> = (0..self.layout.len).map(|weight| f32::from(u8::from(weight % 3 != 0))).collect();
        let alive = Tensor::from_slice(&alive).to_device(device);
        {
            let _no_grad = tch::no_grad_guard();
            done(arena.weights.g_mul_(&alive));
        }
        let first = to_vec(&arena.weights);
        let slimming = self.slimming().to_device(device) * &alive;
        let optimizer = Optimizer::new(&settings, self.layout.len, Some(alive), device);
        let mut optimizer = optimizer.decaying(wish.recipe.then(|| decayed(&self.layout).to_device(device)));
        let mut average = Average::new(&settings, &self.layout, &start, device)?;
        let mixing = Mixing::of(&settings, wish.seed, (SIDE, SIDE))?;
        let mut tally = Tally::new(device);
        let mut objective =
            Objective::of(&settings, &parts.train, CLASSES, device)?.taught(self.teacher(wish, device)?);
        let mut epochs = Vec::new();
        for epoch in 0..wish.epochs {
            let order = Tensor::from_slice(&parts.train.order(wish.seed, epoch)).to_device(device);
            let augment = settings.augment.as_ref().unwrap_or(&Augment::CropFlip);
            let variation = Variation::of(augment, (SIDE, SIDE), TRAIN, wish.seed, epoch, device);
            tally.clear();
            stepper.vary(variation.as_ref());
            for number in 0..TRAIN.div_ceil(BATCH) {
                let indices = batch(&parts.train, &order, number);
                let rate = rate(wish.optimizer) / (1 + epoch + number) as f64;
                let mut work = Work {
                    images: &parts.train,
                    forward: &forward,
                    arena: &mut arena,
                    optimizer: &mut optimizer,
                    slimming: Some(&slimming),
                    tally: &mut tally,
                    objective: &mut objective,
                    mixture: mixing.as_ref().map(|mixing| mixing.mixture(epoch, number, device)),
                    average: average.as_mut(),
                };
                let images = Batch { indices: &indices, read: None };
                match way {
                    Way::Stepper => stepper.step(&mut work, images, variation.as_ref(), rate)?,
                    Way::Eager => work.step(images, variation.as_ref(), Rate::Number(rate)),
                    Way::OnDevice => {
                        let factors = work.optimizer.device_factors(work.optimizer.steps(), rate);
                        let factors: Vec<Tensor> =
                            factors.iter().map(|factor| Tensor::from(*factor as f32).to_device(device)).collect();
                        work.step(images, variation.as_ref(), Rate::OnDevice(&factors));
                    }
                }
            }
            epochs.push(tally.finish());
        }
        Ok(Rehearsed {
            epochs,
            weights: [first, to_vec(&arena.weights)],
            average: average.map_or_else(Vec::new, |average| to_vec(&average.arena.weights)),
            batches: arena.batches,
            replayed: stepper.is_captured(),
            refusal: stepper.take_refusal(),
        })
    }

    /// A network with other weights, for a recipe.
    fn teacher(&self, wish: &RehearsalWish, device: Device) -> Result<Option<Teacher>> {
        if !wish.recipe {
            return Ok(None);
        }
        let teaching = Teaching { share: 0.5, temperature: 2.0, moment: Moment::Last };
        let snapshot = initial(&self.layout, NormStart::One, wish.seed + 1, 0);
        Teacher::new(&self.graph, &self.layout, &snapshot, teaching, wish.precision, device).map(Some)
    }

    /// What is added to the gradient for each sign of a weight.
    fn slimming(&self) -> Tensor {
        let mut pull = vec![0f32; self.layout.len];
        for parameter in self.layout.parameters.iter().filter(|parameter| parameter.role == Role::NormScale) {
            pull[parameter.range()].fill(SLIMMING as f32);
        }
        Tensor::from_slice(&pull)
    }
}

impl RehearsalWish {
    fn settings(&self) -> Result<Settings> {
        let plain = Settings { batch_size: BATCH, optimizer: self.optimizer, ..Settings::default() };
        if !self.recipe {
            return Ok(plain);
        }
        let wrong = |expected: String| Error::training(format!("the recipe of a rehearsal: {expected}"));
        Ok(Settings {
            augment: Some(Augment::parse(RECIPE_AUGMENT).map_err(wrong)?),
            mixup: 0.4,
            cutmix: 1.0,
            label_smoothing: 0.1,
            class_weights: ClassWeights::Numbers((1..=CLASSES).map(|class| class as f64 / 5.0).collect()),
            clip_norm: 1.0,
            weight_decay: 0.01,
            average: 0.9,
            ..plain
        })
    }
}

/// What libtorch says where more is asked of GPU `number` than is free, with nearly all of it taken; then all is given back.
///
/// # Errors
/// When nothing is said, or what is free cannot be told.
pub fn more_than_is_free(number: usize) -> Result<String> {
    let free = gpu::free_memory(number, usize::MAX).map_err(Error::environment)?;
    let take = |bytes: usize| Tensor::f_empty([bytes as i64], (Kind::Uint8, Device::Cuda(number)));
    let fail = |error: tch::TchError| Error::environment(error.to_string());
    let taken = take(free.saturating_sub(SPARED)).map_err(fail)?;
    let said = take(2 * SPARED).err();
    drop(taken);
    gpu::give_back().map_err(Error::environment)?;
    let said = said.ok_or_else(|| Error::training("a GPU gave more memory than it said that it had"))?;
    Ok(said.to_string().lines().next().unwrap_or_default().to_string())
}

/// The images of a batch.
fn batch(images: &Batches, order: &Tensor, number: usize) -> Tensor {
    let count = BATCH.min(images.len() - number * BATCH);
    order.narrow(0, (number * BATCH) as i64, count as i64)
}

/// A learning rate at which an optimiser moves weights by a few per cent.
fn rate(optimizer: OptimizerChoice) -> f64 {
    match optimizer {
        OptimizerChoice::Sgd => 0.02,
        OptimizerChoice::Adam | OptimizerChoice::AdamW | OptimizerChoice::RmsProp => 2e-3,
        OptimizerChoice::Adadelta => 1.0,
    }
}

impl Rehearsed {
    /// How far apart two trainings ended, as a share of the way that the first one went: L2 norms over all weights.
    pub fn distance(&self, other: &Self) -> f64 {
        let norm = |one: &[f32], other: &[f32]| {
            let squares = one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let way = norm(&self.weights[1], &self.weights[0]);
        norm(&self.weights[1], &other.weights[1]) / way.max(f64::MIN_POSITIVE)
    }
}
