//! Recipes of training: losses, steps, averages and mixed images against those of PyTorch and torchvision, and trainings with them.
//!
//! Recorded by `crates/train/tests/reference/recipes.py`.

use std::sync::Arc;

use serde::Deserialize;
use tch::{Device, Tensor};
use tombola_core::mask::Bits;
use tombola_core::net::{Builder, Layout, Op, OptimizerState, Snapshot, initial};
use tombola_core::sweep::Settings;
use tombola_train::augment::Mixture;
use tombola_train::network::arena::{Arena, to_vec};
use tombola_train::training::average::Average;
use tombola_train::training::form::decayed;
use tombola_train::training::objective::{Objective, Targets, distilled};
use tombola_train::training::optimizer::{Optimizer, Rate};
use tombola_words::Shape;
use tombola_words::value::{
    ClassWeights, DecayOn, LastBatch, Moment, NormStart, Optimizer as Rule, PruningType, Rewind, Schedule, Value,
};

use super::inputs::{noise, recorded};
use super::place::{Place, Start, Trained, dense, pruned, settings};

#[derive(Deserialize)]
struct Recorded {
    losses: Vec<LossRecord>,
    steps: Vec<StepsRecord>,
    average: AverageRecord,
    mixed: Vec<MixedRecord>,
}

#[derive(Deserialize)]
struct LossRecord {
    smoothing: f64,
    weights: Option<Vec<f32>>,
    share: Option<f64>,
    teacher: Option<(f64, f64)>,
    loss: f64,
    gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct StepsRecord {
    optimizer: String,
    clip: f64,
    weights: Vec<f32>,
}

#[derive(Deserialize)]
struct AverageRecord {
    weights: Vec<f32>,
    statistics: Vec<f32>,
}

#[derive(Deserialize)]
struct MixedRecord {
    share: f64,
    middle: Option<(usize, usize)>,
    images: Vec<f32>,
    shares: Vec<f32>,
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{what}, {place}: {found}, not {expected}");
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    to_vec(&tensor.contiguous().view([-1]))
}

/// Made-up scores of six images of five classes.
fn scores(name: &str) -> Tensor {
    Tensor::from_slice(&noise(name, 30)).view([6, 5]) * 3.0
}

#[test]
fn losses_with_smoothed_and_mixed_labels_class_weights_and_a_teacher_are_those_of_pytorch() {
    let labels = Tensor::from_slice(&[0i64, 2, 4, 1, 3, 0]);
    for record in recorded::<Recorded>("recipes.json").losses {
        let what = format!("{} {:?} {:?} {:?}", record.smoothing, record.weights, record.share, record.teacher);
        let scores = scores("recipe scores").set_requires_grad(true);
        let weights = record.weights.as_ref().map(|weights| Tensor::from_slice(weights));
        let mixture = record.share.map(Mixture::mixup);
        let targets = Targets { labels: &labels, mixture: mixture.as_ref() };
        let loss = Objective::weighed(record.smoothing, weights).loss(
            &scores,
            &Tensor::zeros([1], tch::kind::FLOAT_CPU),
            &targets,
        );
        assert!((f64::try_from(&loss.sum).unwrap() - 6.0 * f64::try_from(&loss.mean).unwrap()).abs() < 1e-4);
        let mean = match record.teacher {
            Some(teacher) => distilled(loss.mean, &scores, &self::scores("recipe teacher"), teacher),
            None => loss.mean,
        };
        close(&[f32::try_from(&mean).unwrap()], &[record.loss as f32], &what);
        let gradient = Tensor::run_backward(&[mean], &[&scores], false, false);
        close(&flat(&gradient[0]), &record.gradient, &what);
    }
}

#[test]
fn shortened_gradients_and_decay_of_some_weights_are_those_of_pytorch() {
    for record in recorded::<Recorded>("recipes.json").steps {
        let settings = Settings {
            optimizer: Rule::parse(&record.optimizer).unwrap(),
            clip_norm: record.clip,
            weight_decay: 0.1,
            ..Settings::default()
        };
        let decayed: Vec<bool> = (0..12).map(|weight| weight < 8).collect();
        let optimizer = Optimizer::new(&settings, 12, None, Device::Cpu);
        let mut optimizer = optimizer.decaying(Some(Tensor::from_slice(&decayed)));
        let mut weights = Tensor::from_slice(&noise("recipe weights", 12));
        for step in 0..5 {
            let gradient = Tensor::from_slice(&noise(&format!("recipe gradient {step}"), 12)) * 0.7f64.powi(step);
            optimizer.step(&mut weights, gradient, Rate::Number(0.05));
        }
        close(&to_vec(&weights), &record.weights, &format!("{}, at most {}", record.optimizer, record.clip));
    }
}

/// A convolution of two filters, a batch norm, and a fully connected layer of two scores: twelve parameters, four statistics.
fn small() -> Arc<Layout> {
    let mut build = Builder::new(Shape::Image(1, 2, 2));
    let conv = build.conv("conv", 0, 2, 1, 1).unwrap();
    let norm = build.batch_norm("bn", conv).unwrap();
    let pool = build.add("pool", Op::GlobalAveragePool, &[norm]).unwrap();
    build.linear("fc", pool, 2).unwrap();
    Arc::new(Layout::of(&build.finish(2).unwrap()))
}

#[test]
fn the_weights_of_convolutions_and_fully_connected_layers_decay_and_nothing_else() {
    let layout = small();
    let decayed = Vec::<bool>::try_from(decayed(&layout)).unwrap();
    for parameter in &layout.parameters {
        let expected = ["conv.weight", "fc.weight"].contains(&parameter.name.as_str());
        assert!(decayed[parameter.range()].iter().all(|one| *one == expected), "{}", parameter.name);
    }
    assert_eq!(decayed.iter().filter(|one| **one).count(), 6);
}

#[test]
fn the_average_of_weights_and_statistics_is_that_of_pytorch_to_the_bit() {
    let record = recorded::<Recorded>("recipes.json").average;
    let layout = small();
    let start = initial(&layout, NormStart::One, 1, 0);
    let settings = Settings { average: 0.9, ..Settings::default() };
    let mut average = Average::new(&settings, &layout, &start, Device::Cpu).unwrap().unwrap();
    for step in 0..4 {
        let parameters = noise(&format!("recipe average {step}"), 12);
        let buffers = noise(&format!("recipe statistics {step}"), 4);
        let trained = Snapshot { parameters, buffers, ..start.clone() };
        average.follow(&Arena::new(Arc::clone(&layout), &trained, Device::Cpu).unwrap(), step == 0);
    }
    assert_eq!(to_vec(&average.arena.weights), record.weights);
    assert_eq!(to_vec(&average.arena.buffers), record.statistics);
}

#[test]
fn mixed_images_and_labels_are_those_of_torchvision() {
    let images = Tensor::from_slice(&noise("recipe images", 120)).view([3, 2, 5, 4]);
    let labels = Tensor::from_slice(&[4i64, 0, 2]);
    for record in recorded::<Recorded>("recipes.json").mixed {
        let what = format!("share {}, middle {:?}", record.share, record.middle);
        let mixture = match record.middle {
            None => Mixture::mixup(record.share),
            Some(middle) => Mixture::cutmix(record.share, middle, (5, 4)),
        };
        close(&flat(&mixture.apply(&images)), &record.images, &what);
        close(&flat(&mixture.shares(&labels, 5)), &record.shares, &what);
    }
}

// ---- Trainings -------------------------------------------------------------------------------------------------------

/// Every recipe by itself, and all at once.
fn recipes() -> Vec<(&'static str, Settings)> {
    let mut all = settings();
    let mut recipes: Vec<(&'static str, Settings)> = Vec::new();
    let mut add = |name, change: &dyn Fn(&mut Settings)| {
        let mut one = settings();
        change(&mut one);
        change(&mut all);
        recipes.push((name, one));
    };
    add("mixup", &|settings| settings.mixup = 0.4);
    add("cutmix", &|settings| settings.cutmix = 1.0);
    add("label-smoothing", &|settings| settings.label_smoothing = 0.1);
    add("weight-decay-on", &|settings| {
        (settings.weight_decay_on, settings.weight_decay) = (DecayOn::Weights, 0.01);
    });
    add("clip-norm", &|settings| settings.clip_norm = 0.5);
    add("average", &|settings| settings.average = 0.9);
    add("class-weights", &|settings| {
        settings.class_weights = ClassWeights::Numbers((1..=10).map(|class| f64::from(class) / 5.0).collect());
    });
    add("last-batch", &|settings| settings.last_batch = LastBatch::Drop);
    add("warmup", &|settings| {
        settings.schedule = Schedule::Cosine;
        (settings.warmup_epochs, settings.warmup_start, settings.schedule_after_warmup) =
            (tombola_words::value::Point::epoch(2), 0.1, true);
    });
    recipes.push(("all", all));
    recipes
}

#[test]
fn every_recipe_changes_a_training_and_a_resumed_one_repeats_it_to_the_bit() {
    let place = Place::new("resnet");
    let plain = place.run(&dense(&settings()), Start::default()).unwrap();
    for (name, settings) in recipes() {
        let stage = dense(&settings);
        let whole = place.run(&stage, Start::default()).unwrap();
        assert_ne!(whole.snapshot(Moment::Last).checksum(), plain.snapshot(Moment::Last).checksum(), "{name}");
        assert!(whole.epochs.iter().all(|epoch| epoch.train.loss.is_finite()), "{name}");
        for epochs in 1..4 {
            let mut told = place.run_until(&stage, Start::default(), epochs).unwrap();
            let resume = told.progress.pop().unwrap();
            let again = place.run(&stage, Start { resume: Some(resume), told, ..Start::default() }).unwrap();
            assert!(again.fingerprint() == whole.fingerprint(), "{name}, after epoch {epochs}");
        }
    }
}

#[test]
fn tickets_of_recipes_keep_their_masks_and_rewinds_repeat_the_dense_training() {
    let place = Place::new("resnet");
    for (name, settings) in recipes() {
        let first = place.run(&dense(&settings), Start::default()).unwrap();
        let whole = place.run(&pruned(&settings, 0.0, Rewind::Epoch(2)), Start::after(&first, Some(2))).unwrap();
        assert_eq!(whole.epochs, first.epochs[2..], "{name}");
        let stage = pruned(&settings, 0.7, Rewind::Epoch(1));
        let ticket = place.run(&stage, Start::after(&first, Some(1))).unwrap();
        for (moment, _, snapshot) in &ticket.snapshots {
            let mask = snapshot.mask.as_ref().unwrap();
            let vectors = snapshot.optimizer.iter().flat_map(|state| &state.vectors);
            let vectors = vectors.filter(|(vector, _)| vector != OptimizerState::STATISTICS).map(|(_, values)| values);
            for values in vectors.chain([&snapshot.parameters]) {
                assert!(is_masked(values, mask), "{name}, {moment}");
            }
        }
    }
}

fn is_masked(values: &[f32], mask: &Bits) -> bool {
    values.iter().zip(mask.iter()).all(|(value, alive)| alive || *value == 0.0)
}

#[test]
fn the_average_is_what_is_kept_and_training_goes_on_from_the_weights() {
    let place = Place::new("resnet");
    let averaged = Settings { average: 0.9, ..settings() };
    let (plain, averaged) =
        (place.run(&dense(&settings()), Start::default()), place.run(&dense(&averaged), Start::default()));
    let (plain, averaged) = (plain.unwrap(), averaged.unwrap());
    for epoch in 1..=4 {
        let (own, other) = (averaged.snapshot(Moment::Epoch(epoch)), plain.snapshot(Moment::Epoch(epoch)));
        let vector = |name: &str| {
            let vectors = own.optimizer.iter().flat_map(|state| &state.vectors);
            vectors.clone().find(|(found, _)| found == name).unwrap().1.clone()
        };
        // What is trained is what would be trained without an average.
        assert_eq!(vector(OptimizerState::TRAINED), other.parameters, "epoch {epoch}");
        assert_eq!(vector(OptimizerState::STATISTICS), other.buffers, "epoch {epoch}");
        assert!(own.parameters != other.parameters && own.buffers != other.buffers, "epoch {epoch}");
        assert_eq!(averaged.epochs[epoch - 1].train, plain.epochs[epoch - 1].train);
        assert_ne!(averaged.epochs[epoch - 1].validation, plain.epochs[epoch - 1].validation);
    }
    let last = |trained: &Trained| trained.snapshot(Moment::Last).parameters.clone();
    assert_eq!(last(&averaged), averaged.snapshot(Moment::Epoch(4)).parameters);
}

#[test]
fn averages_of_compact_networks_are_resumed_to_the_bit() {
    let place = Place::new("resnet");
    let settings = Settings { average: 0.9, pruning_type: PruningType::Structured, ..settings() }.resolve().unwrap();
    let first = place.run(&dense(&settings), Start::default()).unwrap();
    let stage = pruned(&settings, 0.4, Rewind::Epoch(1));
    let start = || Start::after(&first, Some(1));
    let whole = place.run(&stage, start()).unwrap();
    let mut told = place.run_until(&stage, start(), 2).unwrap();
    let resume = told.progress.pop().unwrap();
    let again = place.run(&stage, Start { resume: Some(resume), told, ..start() }).unwrap();
    assert!(again.fingerprint() == whole.fingerprint());
}

#[test]
fn a_last_batch_of_one_image_is_joined_where_a_norm_would_see_one_value() {
    // 300 images in batches of 13 leave one, and on 16 pixels the last batch norms of VGG-11 see one value each.
    let place = Place::with_side("vgg-11", 16);
    let train = |last_batch| {
        let settings = Settings { batch_size: 13, epochs: 1, last_batch, learning_rate: 0.001, ..settings() };
        place.run(&dense(&settings), Start::default()).map(|trained| (trained.epochs.clone(), trained.fingerprint().3))
    };
    let joined = train(LastBatch::Join).unwrap();
    assert_eq!(train(LastBatch::Auto).unwrap(), joined);
    assert_eq!(joined.0[0].train.images, 300);
    assert_eq!(train(LastBatch::Drop).unwrap().0[0].train.images, 299);
    // Without it the image is a batch of its own, and the epoch ends in no number or elsewhere: the kernel of one thread takes the
    // variance of one value for 0, libtorch's for none.
    match train(LastBatch::Keep) {
        Ok(kept) => assert!(kept.0[0].train.images == 300 && kept.1 != joined.1),
        Err(error) => assert!(error.message.starts_with("diverged"), "{}", error.message),
    }
}

#[test]
fn a_taught_ticket_lowers_the_loss_of_its_teacher_and_is_resumed_to_the_bit() {
    let place = Place::new("resnet");
    let first = place.run(&dense(&settings()), Start::default()).unwrap();
    for pruning_type in [PruningType::Unstructured, PruningType::Structured] {
        let teach = |distill| Settings { distill, pruning_type, ..settings() }.resolve().unwrap();
        let start = || {
            let mut start = Start::after(&first, None);
            start.sources.teacher = Some(Arc::clone(first.snapshot(Moment::Last)));
            start
        };
        let stage = pruned(&teach(0.9), 0.3, Rewind::Init);
        let whole = place.run(&stage, start()).unwrap();
        let plain = place.run(&pruned(&teach(0.0), 0.3, Rewind::Init), start()).unwrap();
        assert_ne!(whole.snapshot(Moment::Last).checksum(), plain.snapshot(Moment::Last).checksum());
        let mut told = place.run_until(&stage, start(), 2).unwrap();
        let resume = told.progress.pop().unwrap();
        let again = place.run(&stage, Start { resume: Some(resume), told, ..start() }).unwrap();
        assert!(again.fingerprint() == whole.fingerprint());
        let error = place.run(&stage, Start::after(&first, None)).unwrap_err();
        assert!(error.message.contains("teaches"), "{error}");
    }
}

#[test]
fn a_teacher_alone_and_unpruned_is_learnt_from_and_does_not_change() {
    let place = Place::new("resnet");
    let first = place.run(&dense(&settings()), Start::default()).unwrap();
    let settings =
        Settings { distill: 1.0, distill_temperature: 1.0, augment: None, learning_rate: 1e-12, ..settings() };
    let settings = Settings { epochs: 1, augment: Some(tombola_words::value::Augment::None), ..settings };
    let mut start = Start::after(&first, None);
    start.sources.teacher = Some(Arc::clone(first.snapshot(Moment::Last)));
    let before = first.snapshot(Moment::Last).checksum();
    let same = place.run(&pruned(&settings, 0.0, Rewind::LearningRate), start).unwrap();
    // The same weights in training mode, whose statistics are those of a batch: near the teacher's scores, not at them.
    assert!(same.epochs[0].train.loss < 0.5 && same.epochs[0].train.loss > 0.0, "{}", same.epochs[0].train.loss);
    assert_eq!(first.snapshot(Moment::Last).checksum(), before);
}
