//! Compares Tombola with PyTorch in Python: networks, losses, gradients, optimisers, schedules, masks and a snapshot.
//!
//! The values in `crates/train/tests/reference/` were recorded by `record.py` beside them, which knows nothing of Tombola but the names
//! of its parameters. Inputs are made here by the same formula.
//!
//! **Tolerance.** A recorded value is that of a float64 run, and `rounding` the distance of PyTorch's own float32 run
//! from it: the larger of greatest difference over greatest value, and norm of the difference over norm, over all
//! tensors of the group. Tombola adds in another order, so its errors are others, but of the same size: it may be
//! [`SLACK`] times as far away, and [`FLOOR`] (some eight units in the last place of float32) further, since PyTorch's
//! own error can be small by luck. Masks, counts and images classified correctly must be equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inputs::{filled, fnv, hashes, images, label, labels, network, path, recorded};
use serde::Deserialize;
use tch::{Device, Kind, Reduction, Tensor};
use tombola_core::mask::Bits;
use tombola_core::net::{Layout, Parameter, Snapshot};
use tombola_core::plan::LayerChoice;
use tombola_core::plan::Pruning;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::prunable;
use tombola_core::prune::scorer::NoGradients;
use tombola_core::prune::unstructured::draw;
use tombola_core::sweep::Settings;
use tombola_core::sweep::schedule::{When, learning_rate};
use tombola_data::{DataSet, Images, Normalisation, Split};
use tombola_train::batches::Resident;
use tombola_train::network::arena::{Arena, to_vec};
use tombola_train::network::forward::Forward;
use tombola_train::training::evaluate::evaluate;
use tombola_train::training::optimizer::{Optimizer, Rate};
use tombola_words::value::Value;
use tombola_words::value::{Optimizer as Rule, Point, Precision, PruneLayers, Schedule, Scope};

/// How many times further from float64 than PyTorch's float32 run Tombola's may be.
const SLACK: f64 = 8.0;
/// Distance that is always allowed.
const FLOOR: f64 = 1e-6;

// ---- What was recorded -----------------------------------------------------------------------------------------------

/// What was kept of one tensor.
#[derive(Deserialize)]
struct Summary {
    /// Evenly spaced values, in PyTorch's order.
    entries: Vec<f64>,
    sum: f64,
    squares: f64,
    /// Largest absolute value.
    largest: f64,
}

/// Tensors of one run, and how far PyTorch's float32 run was from its float64 run.
#[derive(Deserialize)]
struct Group {
    tensors: BTreeMap<String, Summary>,
    rounding: f64,
}

impl Group {
    /// Compares all tensors, each in PyTorch's order; panics naming the first that is too far away.
    fn compare(&self, place: &str, found: &BTreeMap<String, Vec<f32>>) {
        let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(found.keys().collect()), names(self.tensors.keys().collect()), "{place}: names differ");
        let tolerance = SLACK * self.rounding + FLOOR;
        for (name, expected) in &self.tensors {
            let values: Vec<f64> = found[name].iter().map(|value| f64::from(*value)).collect();
            let check = |what: &str, found: f64, expected: f64, allowed: f64| {
                assert!(
                    (found - expected).abs() <= allowed,
                    "{place}: `{name}`: {what} is {found:e}, PyTorch's is {expected:e}; \
                     the difference {:e} is above the tolerance {allowed:e}",
                    (found - expected).abs()
                );
            };
            let count = expected.entries.len();
            for (number, entry) in expected.entries.iter().enumerate() {
                let at = number * values.len() / count;
                check(&format!("value {at} of {}", values.len()), values[at], *entry, tolerance * expected.largest);
            }
            let squares: f64 = values.iter().map(|value| value * value).sum();
            // If the norm of the difference is below `tolerance` times the norm, so much can the sums differ.
            check("the sum of squares", squares, expected.squares, 3.0 * tolerance * expected.squares);
            let spread = (values.len() as f64 * expected.squares).sqrt();
            check("the sum", values.iter().sum(), expected.sum, tolerance * spread);
        }
    }
}

fn by_name(layout: &Layout, vector: &Tensor) -> BTreeMap<String, Vec<f32>> {
    let values = to_vec(vector);
    let named = |parameter: &Parameter| (parameter.name.clone(), parameter.to_pytorch(&values[parameter.range()]));
    layout.parameters.iter().map(named).collect()
}

fn scores_and_loss(scores: &Tensor, loss: &Tensor) -> BTreeMap<String, Vec<f32>> {
    [("scores", to_vec(&scores.flatten(0, -1))), ("loss", to_vec(&loss.reshape([1])))]
        .map(|(name, values)| (name.to_string(), values))
        .into()
}

/// Mean loss of a batch and the gradient of all weights, as a training step takes them.
fn backward(arena: &Arena, scores: &Tensor, labels: &Tensor) -> (Tensor, Tensor) {
    let sum = scores.cross_entropy_loss::<Tensor>(labels, None, Reduction::Sum, -100, 0.0);
    let loss = sum / labels.numel() as f64;
    let gradient = Tensor::run_backward(&[&loss], &[&arena.weights], false, false).remove(0);
    (loss.detach(), gradient)
}

// ---- 1. Networks -----------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct NetworkRecord {
    title: String,
    network: String,
    depth: usize,
    width: usize,
    shortcut: String,
    image: [usize; 3],
    images: usize,
    stream: String,
    parameters: BTreeMap<String, Vec<usize>>,
    evaluation: Group,
    training: Group,
    gradients: Group,
    statistics: Option<Group>,
}

#[test]
fn networks_losses_gradients_and_statistics_are_those_of_pytorch() {
    for record in recorded::<Vec<NetworkRecord>>("networks.json") {
        let (graph, layout) = network(&record.network, record.depth, record.width, &record.shortcut, record.image);
        let place = |part: &str| format!("network `{}`, {part}", record.title);
        let parameters: BTreeMap<String, Vec<usize>> =
            layout.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
        assert_eq!(parameters, record.parameters, "{}", place("parameters"));

        let forward = Forward::new(graph, &layout);
        let mut arena = Arena::new(Arc::clone(&layout), &filled(&layout, ""), Device::Cpu).unwrap();
        let (images, labels) = (images(&record.stream, record.images, record.image), labels(record.images));
        let scores = tch::no_grad(|| forward.run(&mut arena, &images, false));
        let loss = scores.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0);
        record.evaluation.compare(&place("evaluation"), &scores_and_loss(&scores, &loss));

        let scores = forward.run(&mut arena, &images, true);
        let (loss, gradient) = backward(&arena, &scores, &labels);
        record.training.compare(&place("training"), &scores_and_loss(&scores, &loss));
        record.gradients.compare(&place("gradients"), &by_name(&layout, &gradient));
        let statistics = to_vec(&arena.buffers);
        let statistics: BTreeMap<String, Vec<f32>> =
            layout.buffers.iter().map(|buffer| (buffer.name.clone(), statistics[buffer.range()].to_vec())).collect();
        match record.statistics {
            Some(expected) => expected.compare(&place("statistics after a batch"), &statistics),
            None => assert!(statistics.is_empty(), "{}", place("PyTorch's has no statistics")),
        }
    }
}

// ---- 2. Optimisers ---------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct OptimizerRecord {
    title: String,
    optimizer: String,
    options: Options,
    masked: bool,
    stream: String,
    steps: usize,
    #[serde(flatten)]
    group: Group,
}

/// PyTorch's names and defaults.
#[derive(Deserialize)]
struct Options {
    lr: f64,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    nesterov: bool,
    betas: Option<(f64, f64)>,
}

#[test]
fn steps_of_every_optimizer_are_those_of_pytorch_with_and_without_a_mask() {
    let image = [1, 12, 12];
    let (graph, layout) = network("lenet-5", 20, 16, "A", image);
    let forward = Forward::new(graph, &layout);
    for record in recorded::<Vec<OptimizerRecord>>("optimizers.json") {
        let mut start = filled(&layout, "");
        let mask = record.masked.then(|| {
            let mut mask = vec![1.0; layout.len];
            for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
                let bits = hashes(&format!("mask {}", parameter.name)).map(|hash| (hash & 1) as f32);
                let bits: Vec<f32> = bits.take(parameter.len).collect();
                mask[parameter.range()].copy_from_slice(&parameter.from_pytorch(&bits));
            }
            start.parameters.iter_mut().zip(&mask).for_each(|(value, alive)| *value *= alive);
            Tensor::from_slice(&mask)
        });
        let (beta1, beta2) = record.options.betas.unwrap_or((0.9, 0.999));
        let settings = Settings {
            optimizer: Rule::parse(&record.optimizer).unwrap(),
            weight_decay: record.options.weight_decay,
            momentum: record.options.momentum,
            nesterov: record.options.nesterov,
            beta1,
            beta2,
            ..Settings::default()
        };
        let mut arena = Arena::new(Arc::clone(&layout), &start, Device::Cpu).unwrap();
        let mut optimizer = Optimizer::new(&settings, layout.len, mask, Device::Cpu);
        let mut losses = Vec::new();
        for step in 0..record.steps {
            let images = images(&format!("{} {step}", record.stream), 16, image);
            let scores = forward.run(&mut arena, &images, true);
            let (loss, gradient) = backward(&arena, &scores, &labels(16));
            optimizer.step(&mut arena.weights, gradient, Rate::Number(record.options.lr));
            losses.push(loss.double_value(&[]) as f32);
        }
        let mut found = by_name(&layout, &arena.weights);
        found.insert("losses".to_string(), losses);
        let place = format!("optimiser `{}`, {} mask", record.title, if record.masked { "with" } else { "without" });
        record.group.compare(&place, &found);
    }
}

// ---- 3. Learning rates -----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Schedules {
    rate: f64,
    epochs: usize,
    steps: usize,
    losses: Vec<f64>,
    schedules: Vec<ScheduleRecord>,
}

#[derive(Deserialize)]
struct ScheduleRecord {
    schedule: String,
    options: serde_json::Value,
    rates: Vec<f64>,
}

#[test]
fn learning_rates_of_every_schedule_are_those_of_pytorch() {
    let all: Schedules = recorded("schedules.json");
    for record in &all.schedules {
        let schedule = Schedule::parse(&record.schedule).unwrap();
        let mut settings =
            Settings { schedule, learning_rate: all.rate, epochs: all.epochs, nesterov: false, ..Settings::default() };
        let number = |name: &str| record.options[name].as_f64().unwrap_or_else(|| panic!("no `{name}`"));
        match schedule {
            Schedule::Manual => {
                settings.gamma = number("gamma");
                let milestones: Vec<usize> = serde_json::from_value(record.options["milestones"].clone()).unwrap();
                settings.milestones = milestones.into_iter().map(Point::epoch).collect();
            }
            Schedule::Step => {
                (settings.gamma, settings.step_epochs) = (number("gamma"), Point::epoch(number("step_size") as usize))
            }
            Schedule::Plateau => {
                (settings.gamma, settings.patience) = (number("factor"), number("patience") as usize);
                settings.min_lr = number("min_lr");
            }
            Schedule::Cosine => settings.min_lr = number("eta_min"),
            Schedule::CosineRestarts => {
                (settings.cycle_epochs, settings.cycle_factor) =
                    (Point::epoch(number("T_0") as usize), number("T_mult") as usize);
                settings.min_lr = number("eta_min");
            }
            Schedule::Cyclic => {
                settings.cycle_epochs = Point::epoch((2.0 * number("step_size_up")) as usize / all.steps);
                settings.min_lr = number("base_lr");
            }
            Schedule::None => {}
        }
        let moments = (0..all.epochs).flat_map(|epoch| (0..all.steps).map(move |step| (epoch, step)));
        for ((epoch, step), expected) in moments.zip(&record.rates) {
            let found = learning_rate(&settings, When { epoch, step, steps: all.steps, losses: &all.losses[..epoch] });
            // PyTorch computes each rate from the one before, in float64: errors add up over 120 steps.
            assert!(
                (found - expected).abs() <= 1e-12 * all.rate,
                "schedule `{}`, epoch {epoch}, step {step}: {found}, PyTorch's is {expected}",
                record.schedule
            );
        }
        assert_eq!(record.rates.len(), all.epochs * all.steps);
    }
}

// ---- 4. Masks --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct MaskRecord {
    ties: bool,
    scope: String,
    layers: String,
    output_rate: f64,
    rate: f64,
    levels: Vec<BTreeMap<String, LayerMask>>,
}

/// Number of weights alive, and a hash of which: packed in PyTorch's order, the first in the lowest bit.
#[derive(Deserialize, Debug, PartialEq)]
struct LayerMask {
    alive: usize,
    hash: String,
}

#[test]
fn masks_of_two_levels_hold_exactly_the_positions_that_pytorch_keeps() {
    let (graph, layout) = network("resnet", 8, 4, "B", [3, 8, 8]);
    let weights = ["", "second "].map(|salt| filled(&layout, salt).parameters);
    // Halves are rounded to even, as PyTorch does.
    let coarse = |values: &Vec<f32>| values.iter().map(|value| (value * 8.0).round_ties_even() / 8.0).collect();
    let with_ties: Vec<Vec<f32>> = weights.iter().map(coarse).collect();
    for record in recorded::<Vec<MaskRecord>>("masks.json") {
        let settings = Settings {
            scope: Some(Scope::parse(&record.scope).unwrap()),
            prune_layers: PruneLayers::parse(&record.layers).unwrap(),
            output_rate: record.output_rate,
            ..Settings::default()
        };
        let pruning = Pruning::of(&settings, record.rate);
        let mut mask = Bits::ones(layout.len);
        for (level, expected) in record.levels.iter().enumerate() {
            let values = if record.ties { &with_ties[level] } else { &weights[level] };
            let key = Key { seed: 1, level: level as u64 + 1 };
            mask = draw(&graph, &layout, values, &mask, &pruning, key, &mut NoGradients).unwrap();
            let mut names = 0;
            for (_, parameter) in prunable(&layout, &LayerChoice::all()) {
                let bits: Vec<bool> = parameter.range().map(|position| mask.get(position)).collect();
                let packed = Bits::from_bools(&parameter.to_pytorch(&bits));
                let found = LayerMask { alive: packed.count(), hash: format!("{:016x}", fnv(&packed.to_bytes())) };
                assert_eq!(
                    found,
                    expected[&parameter.name],
                    "`{}`, level {}, {} ties, scope {}, layers {}, rate {}, output rate {}",
                    parameter.name,
                    level + 1,
                    if record.ties { "with" } else { "without" },
                    record.scope,
                    record.layers,
                    record.rate,
                    record.output_rate
                );
                names += 1;
            }
            assert_eq!(names, expected.len());
        }
    }
}

// ---- 5. A snapshot ---------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct SnapshotRecord {
    correct: u64,
    images: usize,
    loss: f64,
    pattern: u64,
}

/// A state dictionary of PyTorch.
fn load(name: &str, layout: &Layout) -> Snapshot {
    let bytes = std::fs::read(path(name)).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str, len: usize| -> Vec<f32> {
        let view = file.tensor(name).unwrap_or_else(|error| panic!("`{name}`: {error}"));
        let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!((view.dtype(), view.shape().iter().product()), (safetensors::Dtype::F32, len), "`{name}`");
        values
    };
    let mut snapshot = filled(layout, "");
    for parameter in &layout.parameters {
        let values = parameter.from_pytorch(&tensor(&parameter.name, parameter.len));
        snapshot.parameters[parameter.range()].copy_from_slice(&values);
    }
    for buffer in &layout.buffers {
        snapshot.buffers[buffer.range()].copy_from_slice(&tensor(&buffer.name, buffer.len));
    }
    // Nothing of the file is left over.
    assert_eq!(file.len(), layout.parameters.len() + layout.buffers.len() + layout.norms.len());
    snapshot
}

#[test]
fn a_network_trained_in_pytorch_classifies_the_same_images_correctly() {
    const SIZE: usize = 12;
    let record: SnapshotRecord = recorded("snapshot.json");
    let (graph, layout) = network("resnet", 8, 4, "B", [1, SIZE, SIZE]);
    let patterns: Vec<u64> = hashes("patterns").take(10 * SIZE * SIZE).map(|hash| hash % record.pattern).collect();
    let grain = hashes("test").take(record.images * SIZE * SIZE).map(|hash| hash % (256 - record.pattern));
    let labels: Vec<u8> = (0..record.images).map(|image| label(image) as u8).collect();
    let of_image = |position: usize| usize::from(labels[position / (SIZE * SIZE)]) * SIZE * SIZE;
    let pixels: Vec<u8> = grain
        .enumerate()
        .map(|(position, grain)| (patterns[of_image(position) + position % (SIZE * SIZE)] + grain) as u8)
        .collect();
    let part = || Images::new(pixels.clone(), labels.clone(), (1, SIZE, SIZE), 10).unwrap();
    let data = Resident::new(DataSet::new("reference", part(), part()).unwrap(), Device::Cpu);
    let normalisation = Normalisation { mean: vec![0.5], standard_deviation: vec![0.25] };
    let parts = data.parts(&Split::of(0..record.images, 0..0), &normalisation);

    let mut arena = Arena::new(Arc::clone(&layout), &load("resnet-8.safetensors", &layout), Device::Cpu).unwrap();
    let found = evaluate(&Forward::new(graph, &layout), &mut arena, &parts.test, 300);
    assert_eq!((found.correct, found.images), (record.correct, record.images as u64));
    assert!(
        (found.loss - record.loss).abs() <= 1e-5 * record.loss,
        "the loss is {}, PyTorch's is {}",
        found.loss,
        record.loss
    );
    assert_eq!(arena.weights.kind(), Kind::Float);
}

// ---- 6. Half precision -----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct PrecisionRecord {
    network: String,
    depth: usize,
    width: usize,
    shortcut: String,
    loss: f64,
    exact_loss: f64,
    gradient_error: f64,
}

#[test]
fn half_precision_is_that_of_pytorchs_autocast() {
    for record in recorded::<Vec<PrecisionRecord>>("precision.json") {
        let PrecisionRecord { depth, width, shortcut, .. } = &record;
        let (graph, layout) = network(&record.network, *depth, *width, shortcut, [3, 16, 16]);
        let pass = |precision| {
            let mut arena = Arena::new(Arc::clone(&layout), &filled(&layout, ""), Device::Cpu).unwrap();
            arena.precision = precision;
            let images = images("half images", 64, [3, 16, 16]);
            let scores = Forward::new(Arc::clone(&graph), &layout).run(&mut arena, &images, true);
            let loss = scores.cross_entropy_for_logits(&labels(64));
            (loss.double_value(&[]), to_vec(&Tensor::run_backward(&[loss], &[&arena.weights], false, false)[0]))
        };
        let ((exact_loss, exact), (loss, half)) = (pass(Precision::Fp32), pass(Precision::Bf16));
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let error = norm(&mut exact.iter().zip(&half).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        // In which order numbers of 8 bits are added up depends on the processor and on the number of threads: by 5 % of the error,
        // with AVX2 and AVX-512 on one thread.
        assert!((exact_loss - record.exact_loss).abs() < 1e-5 * record.exact_loss, "{}: {exact_loss}", record.network);
        assert!((loss - record.loss).abs() < 1e-3 * record.loss, "{}: {loss}, {}", record.network, record.loss);
        let difference = (error - record.gradient_error).abs();
        assert!(difference < 0.1 * record.gradient_error, "{}: {error}, {}", record.network, record.gradient_error);
    }
}
