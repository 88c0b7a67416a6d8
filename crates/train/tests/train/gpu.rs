//! Steps of a training on any device: replayed as a CUDA graph on a GPU, eager on a processor, with the same numbers.
//!
//! `TOMBOLA_TEST_DEVICE=cuda` runs it on a GPU; `scripts/test-gpu` does so with all tests that train.

use std::sync::Arc;

use super::place::device;
use tch::{Device, Kind, Tensor};
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Layout, initial};
use tombola_train::cuda::gpu::free_memory;
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::network::leaves::Leaves;
use tombola_train::rehearsal::{Rehearsal, RehearsalWish, TRAIN, Way};
use tombola_words::Shape;
use tombola_words::value::{NormStart, Optimizer, Precision};

const OPTIMIZERS: [Optimizer; 5] =
    [Optimizer::Sgd, Optimizer::Adam, Optimizer::AdamW, Optimizer::Adadelta, Optimizer::RmsProp];

fn wish(optimizer: Optimizer, precision: Precision) -> RehearsalWish {
    RehearsalWish { optimizer, precision, seed: 1, epochs: 4, recipe: false }
}

#[test]
fn replayed_and_eager_steps_give_the_same_losses_and_weights() {
    let rehearsal = Rehearsal::new("resnet", device()).unwrap();
    for precision in [Precision::Fp32, Precision::Bf16] {
        for optimizer in OPTIMIZERS {
            let stepped = rehearsal.train(&wish(optimizer, precision), Way::Stepper).unwrap();
            let eager = rehearsal.train(&wish(optimizer, precision), Way::Eager).unwrap();
            assert_eq!(stepped.batches, eager.batches);
            // Kernels of a GPU may add in another order each time.
            let allowed = if device() == Device::Cpu { 0.0 } else { 1e-3 };
            for (one, other) in stepped.epochs.iter().zip(&eager.epochs) {
                assert_eq!((one.images, other.images), (TRAIN as u64, TRAIN as u64));
                assert!((one.loss - other.loss).abs() <= allowed * other.loss, "{optimizer:?} {one:?} {other:?}");
            }
            // Where a gradient is all but zero, Adam and its kin take its sign.
            let allowed = if device() == Device::Cpu { 0.0 } else { 0.1 };
            assert!(eager.distance(&stepped) <= allowed, "{optimizer:?}: {}", eager.distance(&stepped));
            assert_eq!(stepped.refusal, None);
            let on_gpu = device() != Device::Cpu;
            assert_eq!(stepped.replayed, on_gpu, "steps on a GPU are replayed, those on a processor are not");
        }
    }
}

#[test]
fn steps_with_all_that_recipes_have_are_replayed_with_the_same_numbers() {
    let rehearsal = Rehearsal::new("resnet", device()).unwrap();
    // Nothing is captured on a processor, which takes long for a training.
    let optimizers =
        if device() == Device::Cpu { &[Optimizer::AdamW][..] } else { &[Optimizer::Sgd, Optimizer::AdamW] };
    for &optimizer in optimizers {
        let wish = RehearsalWish { recipe: true, ..wish(optimizer, Precision::Fp32) };
        let [eager, on_device, stepped] =
            [Way::Eager, Way::OnDevice, Way::Stepper].map(|way| rehearsal.train(&wish, way).unwrap());
        let plain = rehearsal.train(&RehearsalWish { recipe: false, ..wish }, Way::Eager).unwrap();
        assert!(eager.distance(&plain) > 0.1);
        let allowed = if device() == Device::Cpu { 1e-4 } else { 0.1 };
        for other in [&on_device, &stepped] {
            assert!(eager.distance(other) <= allowed, "{optimizer:?}: {}", eager.distance(other));
            let apart = eager.average.iter().zip(&other.average).map(|(one, other)| (one - other).abs());
            assert!(apart.fold(0.0, f32::max) < if device() == Device::Cpu { 1e-4 } else { 0.05 });
        }
        assert!(eager.average.len() == eager.weights[1].len() && eager.average != eager.weights[1]);
        assert_eq!((stepped.refusal.as_deref(), stepped.replayed), (None, device() != Device::Cpu));
    }
}

#[test]
fn steps_of_every_optimizer_are_the_same_with_what_changes_between_them_in_tensors() {
    let rehearsal = Rehearsal::new("resnet", device()).unwrap();
    for optimizer in OPTIMIZERS {
        let eager = rehearsal.train(&wish(optimizer, Precision::Fp32), Way::Eager).unwrap();
        let on_device = rehearsal.train(&wish(optimizer, Precision::Fp32), Way::OnDevice).unwrap();
        let distance = eager.distance(&on_device);
        assert!(distance <= if device() == Device::Cpu { 1e-4 } else { 0.1 }, "{optimizer:?}: {distance}");
        let dead = on_device.weights[1].iter().step_by(3).filter(|weight| **weight != 0.0).count();
        assert_eq!(dead, 0, "{optimizer:?} moves pruned weights");
    }
}

#[test]
fn weights_that_are_cast_once_have_the_gradient_of_views_to_the_bit() {
    for name in ["resnet", "resnetb", "lenet-5"] {
        let choice = Choice { depth: if name == "resnetb" { 11 } else { 8 }, width: 4, ..Choice::named(name) };
        let graph = Arc::new(zoo::build(&choice, Shape::Image(1, 16, 16), 10).unwrap());
        let layout = Arc::new(Layout::of(&graph));
        let forward = Forward::new(graph, &layout);
        let start = initial(&layout, NormStart::Half, 3, 0);
        let images = Tensor::from_slice(&[0.5f32, -1.0, 0.25, 2.0].repeat(8 * 64)).view([8, 1, 16, 16]);
        let (images, labels) =
            (images.to_device(device()), Tensor::from_slice(&[1i64, 3, 5, 7, 9, 0, 2, 4]).to_device(device()));
        let arena = || {
            let mut arena = Arena::new(Arc::clone(&layout), &start, device()).unwrap();
            arena.precision = Precision::Bf16;
            arena
        };
        let (mut one, mut other) = (arena(), arena());
        let loss = forward.run(&mut one, &images, true).cross_entropy_for_logits(&labels);
        let expected = Tensor::run_backward(&[loss], &[&one.weights], false, false).remove(0);
        let leaves = Leaves::of(&other);
        let loss = forward.run_on(&mut other, &leaves.views, &images, true).cross_entropy_for_logits(&labels);
        let found = leaves.gradient(&loss);
        assert!(expected.abs().max().double_value(&[]) > 0.0);
        let allowed = if device() == Device::Cpu { 0.0 } else { 1e-2 };
        assert!((expected - &found).abs().max().double_value(&[]) <= allowed, "{name}");
        assert_eq!((found.kind(), found.size()), (Kind::Float, vec![layout.len as i64]));
    }
}

#[test]
fn a_gpu_tells_how_much_memory_is_free_and_one_that_is_not_there_tells_why_not() {
    if let Device::Cuda(number) = device() {
        let free = free_memory(number, 0).unwrap();
        assert!((1 << 20..1 << 42).contains(&free), "{free}");
    }
    let reason = free_memory(tombola_train::device::gpus(), 0).unwrap_err();
    assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
}
