//! Masks that change while a training runs, against plain PyTorch and against what may never happen.
//!
//! Recorded by `crates/train/tests/reference/changing.py`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tch::Device;
use tombola_core::mask::{Bits, ChangeRule, Changing};
use tombola_core::net::{Builder, Layout, Op, Snapshot};
use tombola_core::plan::{LayerChoice, Pruning, Stage, Track};
use tombola_core::prune::{Pruner, Sources};
use tombola_core::sweep::Settings;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_data::{DataSet, Images, Normalisation, Split};
use tombola_train::batches::Resident;
use tombola_train::training::{Task, run};
use tombola_words::Shape;
use tombola_words::value::{Augment, Criterion, Moment, Optimizer as Rule, Point, Rewind, Schedule, Scope, Value};

use super::inputs::{filled, fnv, hashes, label, recorded};
use super::place::{Place, Start, Trained, dense, pruned, settings, stage};

const IMAGES: usize = 200;
const SIZE: usize = 6;
const BATCH: usize = 20;
const EPOCHS: usize = 3;
const STEPS: usize = IMAGES / BATCH;

#[derive(Deserialize)]
struct ChangingRecord {
    rule: String,
    scope: String,
    ratio: f64,
    every: usize,
    until: f64,
    from: Option<usize>,
    start: Option<f64>,
    drop: Option<f64>,
    output: f64,
    salt: String,
    pattern: u64,
    error: f64,
    changes: Vec<ChangeRecord>,
    /// Every seventh value, in PyTorch's order.
    tensors: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct ChangeRecord {
    /// Steps after which the mask is this one.
    taken: usize,
    masks: BTreeMap<String, LayerMask>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct LayerMask {
    alive: usize,
    hash: String,
}

impl ChangingRecord {
    fn changing(&self) -> Changing {
        let rule = match (self.from, self.start, self.drop) {
            (Some(from), Some(start), None) => ChangeRule::Gradual { start, from },
            (None, None, Some(drop)) => ChangeRule::Rigl { drop },
            _ => panic!("{}", self.rule),
        };
        Changing { rule, every: self.every, until: self.until }
    }
}

/// The network of `changing.py`, and what is trained on.
fn small(pattern: u64) -> (Arc<tombola_core::net::Graph>, Arc<Layout>, Resident) {
    let mut build = Builder::new(Shape::Image(1, SIZE, SIZE));
    let conv = build.conv("conv", 0, 4, 3, 1).unwrap();
    let conv = build.relu(conv).unwrap();
    let flat = build.add("flatten", Op::Flatten, &[conv]).unwrap();
    let hidden = build.linear("fc1", flat, 12).unwrap();
    let hidden = build.relu(hidden).unwrap();
    build.linear("fc2", hidden, 10).unwrap();
    let graph = Arc::new(build.finish(10).unwrap());
    let layout = Arc::new(Layout::of(&graph));
    let patterns: Vec<u64> = hashes("patterns").take(10 * SIZE * SIZE).map(|hash| hash % pattern).collect();
    let grain = hashes("training").take(IMAGES * SIZE * SIZE).map(|hash| hash % (256 - pattern));
    let place = |at: usize| label(at / (SIZE * SIZE)) as usize * SIZE * SIZE + at % (SIZE * SIZE);
    let pixels: Vec<u8> = grain.enumerate().map(|(at, grain)| (patterns[place(at)] + grain) as u8).collect();
    let labels: Vec<u8> = (0..IMAGES).map(|image| label(image) as u8).collect();
    let part = || Images::new(pixels.clone(), labels.clone(), (1, SIZE, SIZE), 10).unwrap();
    (graph, layout, Resident::new(DataSet::new("changing", part(), part()).unwrap(), Device::Cpu))
}

#[test]
fn masks_after_every_change_are_exactly_those_of_pytorch_and_weights_within_rounding() {
    tch::set_num_threads(1);
    let order: Vec<Vec<i64>> = recorded("order.json");
    for record in recorded::<Vec<ChangingRecord>>("changing.json") {
        let what = format!("{}, {}", record.rule, record.scope);
        let (graph, layout, data) = small(record.pattern);
        let normalisation = Normalisation { mean: vec![0.5], standard_deviation: vec![0.25] };
        let parts = data.parts(&Split::of(0..IMAGES, 0..IMAGES), &normalisation);
        let own = Settings {
            optimizer: Rule::Sgd,
            nesterov: false,
            weight_decay: 0.001,
            learning_rate: 0.05,
            schedule: Schedule::None,
            augment: Some(Augment::None),
            batch_size: BATCH,
            epochs: EPOCHS,
            dataset: "synthetic".to_string(),
            synthetic_size: IMAGES + 20,
            validation_size: Some(20),
            scope: Some(Scope::parse(&record.scope).unwrap()),
            output_rate: record.output,
            criterion: Some(Criterion::Magnitude),
            ..Settings::default()
        };
        for (epoch, expected) in order.iter().enumerate() {
            assert_eq!(&parts.train.order(own.seed, epoch), expected);
        }
        let pruning = Pruning {
            changing: Some(record.changing()),
            rewind: Rewind::LearningRate,
            ..Pruning::of(&own, record.ratio)
        };
        let mut stage = stage(&own, Some(pruning));
        stage.wanted.extend((1..STEPS * EPOCHS).map(|step| Moment::At(Point::iteration(step))));
        let pruner = Pruner::new(&graph, &layout);
        let drawn = Some(Arc::new(filled(&layout, &record.salt)));
        let task = Task {
            stage: &stage,
            graph: &graph,
            layout: &layout,
            pruner: &pruner,
            parts: &parts,
            device: Device::Cpu,
            sources: Sources { drawn, ..Sources::default() },
            dense_losses: Vec::new(),
            measured: None,
            resume: None,
            snapshot_every: Duration::from_secs(1000),
        };
        let mut states: BTreeMap<usize, Arc<Snapshot>> = BTreeMap::new();
        let mut first = None;
        run(task, &mut |event| {
            match event {
                TrainingEvent::Drawn(drawn) => first = Some(drawn.alive),
                TrainingEvent::Snapshot(Moment::At(_) | Moment::Epoch(_), state) => {
                    states.insert(state.epoch * STEPS + state.step, state);
                }
                _ => {}
            }
            Flow::Continue
        })
        .unwrap();
        assert_eq!(states.len(), STEPS * EPOCHS, "{what}");
        let expected_first: usize = record.changes[0].masks.values().map(|mask| mask.alive).sum();
        assert_eq!(first, Some(expected_first), "{what}");
        for (taken, state) in &states {
            let mask = state.mask.as_ref().unwrap();
            assert_dead_are_zero(state, &format!("{what}, after {taken} steps"));
            let expected = record.changes.iter().rfind(|change| change.taken <= *taken).unwrap();
            for (name, expected) in &expected.masks {
                let parameter = layout.parameters.iter().find(|parameter| &parameter.name == name).unwrap();
                let bits: Vec<f32> = parameter.range().map(|at| f32::from(u8::from(mask.get(at)))).collect();
                let bits: Vec<bool> = parameter.to_pytorch(&bits).iter().map(|bit| *bit == 1.0).collect();
                let packed = Bits::from_bools(&bits);
                let found = LayerMask { alive: packed.count(), hash: format!("{:016x}", fnv(&packed.to_bytes())) };
                assert_eq!(&found, expected, "{what}: `{name}` after {taken} steps");
            }
        }
        let end = &states[&(STEPS * EPOCHS)];
        let momentum = &end.optimizer.as_ref().unwrap().vectors[0].1;
        for (name, expected) in &record.tensors {
            let (own, values) = match name.strip_prefix("momentum ") {
                Some(own) => (own, momentum),
                None => (name.as_str(), &end.parameters),
            };
            let parameter = layout.parameters.iter().find(|parameter| parameter.name == own).unwrap();
            let found = parameter.to_pytorch(&values[parameter.range()]);
            let found: Vec<f32> = found.into_iter().step_by(7).collect();
            assert_eq!(found.len(), expected.len());
            // Another order of adding than that of PyTorch's float32 run, whose own distance is `error`.
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() <= 8.0 * record.error + 1e-6,
                    "{what}: {name}: {found}, not {expected}"
                );
            }
        }
    }
}

fn assert_dead_are_zero(state: &Snapshot, what: &str) {
    let mask = state.mask.as_ref().unwrap();
    let vectors = state.optimizer.iter().flat_map(|state| &state.vectors).map(|(_, values)| values);
    for values in vectors.chain([&state.parameters]) {
        assert!(values.iter().zip(mask.iter()).all(|(value, alive)| alive || value.to_bits() == 0), "{what}");
    }
}

/// Both ways, and a half of the connections dead in the end. Five steps an epoch.
fn both(settings: &Settings, rewind: Rewind) -> [(ChangeRule, Stage); 2] {
    [ChangeRule::Gradual { start: 0.1, from: 2 }, ChangeRule::Rigl { drop: 0.4 }].map(|rule| {
        let mut stage = pruned(settings, 0.5, rewind);
        let pruning = stage.pruning.as_mut().unwrap();
        pruning.changing = Some(Changing { rule, every: 3, until: 0.7 });
        if let ChangeRule::Rigl { .. } = rule {
            (pruning.criterion, pruning.scope) = (Criterion::Random, Scope::Erk);
        }
        stage.tracks.push(Track::of(stage.pruning.as_ref().unwrap()));
        (rule, stage)
    })
}

#[test]
fn an_interrupted_training_with_a_changing_mask_goes_on_to_the_same_bits() {
    let place = Place::new("resnet");
    for optimizer in [Rule::Sgd, Rule::Adam, Rule::AdamW] {
        let own = Settings { optimizer, learning_rate: 0.01, weight_decay: 0.01, ..settings() };
        let first = place.run(&dense(&own), Start::default()).unwrap();
        for rewind in [Rewind::Init, Rewind::Epoch(1), Rewind::None] {
            for (rule, stage) in both(&own, rewind) {
                let back = (rewind == Rewind::Epoch(1)).then_some(1);
                let start = || Start::after(&first, back);
                let whole = place.run(&stage, start()).unwrap();
                for (moment, _, state) in &whole.snapshots {
                    assert_dead_are_zero(state, &format!("{rule:?}, {moment}"));
                }
                for stop in 1..stage.epochs().len() {
                    let told = place.run_until(&stage, start(), stop).unwrap();
                    let resume = told.progress.last().cloned();
                    let resumed = place.run(&stage, Start { resume, told, ..start() }).unwrap();
                    assert_eq!(
                        resumed.fingerprint(),
                        whole.fingerprint(),
                        "{rule:?}, {rewind:?}, stopped after {stop}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_told_at_the_end_is_the_final_mask_and_the_best_epoch_has_the_final_ratio() {
    let place = Place::new("resnet");
    let own = settings();
    let first = place.run(&dense(&own), Start::default()).unwrap();
    for (rule, stage) in both(&own, Rewind::Init) {
        let trained = place.run(&stage, Start::after(&first, None)).unwrap();
        let drawn = &trained.drawn[0];
        let dead = (0.5 * drawn.prunable as f64).round() as usize;
        assert_eq!(drawn.prunable - drawn.alive, dead, "{rule:?}");
        let mask = |moment| Arc::clone(trained.snapshot(moment).mask.as_ref().unwrap());
        let alive = |trained: &Trained, moment| trained.snapshot(moment).mask.as_ref().unwrap().count();
        assert_eq!(alive(&trained, Moment::Last), place.layout.len - dead);
        // Best of those epochs that have the final ratio: from the 14th of 20 steps on.
        assert_eq!(alive(&trained, Moment::Best), place.layout.len - dead, "{rule:?}");
        let best = trained.outcome.as_ref().unwrap().best_epoch;
        let early = alive(&trained, Moment::Epoch(1));
        match rule {
            ChangeRule::Gradual { .. } => assert!(best >= 3 && early > place.layout.len - dead),
            ChangeRule::Rigl { .. } => assert_eq!(early, place.layout.len - dead),
        }
        assert_ne!(mask(Moment::Epoch(1)), mask(Moment::Last));
        // What is watched is the mask itself.
        assert_eq!(trained.masks.len(), 4);
        for (_, epoch, seen) in &trained.masks {
            let own = mask(Moment::Epoch(*epoch));
            let ranges = tombola_core::prune::prunable(&place.layout, &LayerChoice::all());
            assert_eq!(**seen, own.select(ranges.map(|(_, layer)| layer.range())));
        }
    }
}

#[test]
fn a_training_that_is_too_short_for_a_change_is_refused() {
    let place = Place::new("resnet");
    let own = settings();
    let first = place.run(&dense(&own), Start::default()).unwrap();
    let [_, (_, mut stage)] = both(&own, Rewind::Init);
    stage.pruning.as_mut().unwrap().changing.as_mut().unwrap().every = 14;
    let error = place.run(&stage, Start::after(&first, None)).unwrap_err();
    assert!(error.message.contains("`mask-every`") && error.message.contains("of 20 steps"), "{error}");
}
