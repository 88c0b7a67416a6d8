//! Steps of a training on any device: replayed as a CUDA graph on a GPU, eager on a processor, with the same numbers.
//!
//! `TOMBOLA_TEST_DEVICE=cuda` runs it on a GPU; `scripts/test-gpu` does so with all tests that train.

use std::sync::Arc;

use super::place::{Place, TRAIN, device};
use tch::{Device, Tensor};
use tombola_core::net::initial;
use tombola_core::sweep::Settings;
use tombola_train::batches::Variation;
use tombola_train::network::arena::{Arena, to_vec};
use tombola_train::network::forward::Forward;
use tombola_train::training::evaluate::Tally;
use tombola_train::training::graph::free_memory;
use tombola_train::training::optimizer::{Optimizer, Rate};
use tombola_train::training::replay::{Stepper, Work};
use tombola_words::record::Evaluation;
use tombola_words::value::{NormStart, Precision};

const BATCH: usize = 64;
const EPOCHS: usize = 4;

/// The sums of each epoch, the weights at the end, and whether steps were replayed.
struct Trained {
    epochs: Vec<Evaluation>,
    weights: Vec<f32>,
    batches: u64,
    replayed: bool,
}

/// Trains with varied images and a learning rate that changes with each step, by a stepper or step by step without one.
fn train(place: &Place, precision: Precision, with_stepper: bool) -> Trained {
    let parts = place.parts();
    let settings = Settings { batch_size: BATCH, ..Settings::default() };
    let start = initial(&place.layout, NormStart::One, 1, 0);
    let forward = Forward::new(Arc::clone(&place.graph), &place.layout);
    let mut arena = Arena::new(Arc::clone(&place.layout), &start, device()).unwrap();
    arena.precision = precision;
    // Every third weight is dead: other tests draw from libtorch's generator meanwhile.
    let mask: Vec<f32> = (0..place.layout.len).map(|weight| f32::from(u8::from(weight % 3 != 0))).collect();
    let mask = Tensor::from_slice(&mask).to_device(device());
    tch::no_grad(|| arena.weights.copy_(&(&arena.weights * &mask)));
    let mut optimizer = Optimizer::new(&settings, place.layout.len, Some(mask), device());
    let mut stepper = Stepper::new(device(), BATCH, &optimizer);
    let mut tally = Tally::new(device());
    let mut epochs = Vec::new();
    for epoch in 0..EPOCHS {
        let order = parts.train.order(1, epoch);
        let variation = Variation::new(TRAIN, 1, epoch, device());
        tally.clear();
        stepper.vary(Some(&variation));
        for number in 0..TRAIN.div_ceil(BATCH) {
            let count = BATCH.min(TRAIN - number * BATCH);
            let indices = order.narrow(0, (number * BATCH) as i64, count as i64);
            let rate = 0.02 / (1 + epoch + number) as f64;
            let mut work = Work {
                images: &parts.train,
                forward: &forward,
                arena: &mut arena,
                optimizer: &mut optimizer,
                slimming: None,
                tally: &mut tally,
            };
            match with_stepper {
                true => stepper.step(&mut work, &indices, Some(&variation), rate).unwrap(),
                false => work.step(&indices, Some(&variation), Rate::Number(rate)),
            }
        }
        epochs.push(tally.finish());
    }
    assert_eq!(optimizer.steps(), (EPOCHS * TRAIN.div_ceil(BATCH)) as u64);
    Trained { epochs, weights: to_vec(&arena.weights), batches: arena.batches, replayed: stepper.is_captured() }
}

/// The largest difference of two vectors.
fn difference(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn replayed_and_eager_steps_give_the_same_losses_and_weights() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let place = Place::new("resnet");
        let stepped = train(&place, precision, true);
        let eager = train(&place, precision, false);
        assert_eq!(stepped.batches, eager.batches);
        // Kernels of a GPU may add in another order each time.
        let allowed = if device() == Device::Cpu { 0.0 } else { 1e-3 };
        for (one, other) in stepped.epochs.iter().zip(&eager.epochs) {
            assert_eq!(one.images, TRAIN as u64);
            assert_eq!(one.images, other.images);
            assert!((one.loss - other.loss).abs() <= allowed, "{one:?} {other:?}");
        }
        assert!(difference(&stepped.weights, &eager.weights) <= allowed as f32);
        assert_eq!(
            stepped.replayed,
            device() != Device::Cpu,
            "steps on a GPU are replayed, those on a processor are not"
        );
    }
}

#[test]
fn a_gpu_tells_how_much_memory_is_free_and_one_that_is_not_there_tells_why_not() {
    if let Device::Cuda(number) = device() {
        let free = free_memory(number).unwrap();
        assert!((1 << 20..1 << 42).contains(&free), "{free}");
    }
    let reason = free_memory(tombola_train::device::gpus()).unwrap_err();
    assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
}
