//! Steps as trainings take them, against each other: captured and eager, on each GPU, beside others.

use std::sync::Arc;

use tombola::selftest::told::CheckResult;
use tombola_train::cuda::graph;
use tombola_train::rehearsal::{Rehearsal, RehearsalWish, Rehearsed, Way};
use tombola_train::{Device, determinism, device};
use tombola_words::error::{Error, Result};
use tombola_words::value::{Optimizer, Precision, Value};

use super::CheckBench;

const OPTIMIZERS: [Optimizer; 5] =
    [Optimizer::Sgd, Optimizer::Adam, Optimizer::AdamW, Optimizer::Adadelta, Optimizer::RmsProp];
const NETWORK: &str = "resnet";
const EPOCHS: usize = 2;
/// What rounding the factors of a step to float32 makes of ten steps, as a share of the way that they go.
const FACTORS: f64 = 1e-3;
/// Another model of GPU takes other kernels, which add in another order: ten steps carry that on.
const OTHER_MODEL: f64 = 1e-2;

fn wish(optimizer: Optimizer, precision: Precision, seed: u64) -> RehearsalWish {
    RehearsalWish { optimizer, precision, seed, epochs: EPOCHS, recipe: false }
}

/// Every optimiser, with a mask, slimming, varied images, a changing rate and a short last batch.
pub(super) fn steps(bench: &CheckBench) -> Result<CheckResult> {
    let on_gpu = bench.on_gpu();
    // Else two eager trainings differ as well.
    let _kept = Kept::on(bench.device)?;
    let rehearsal = Rehearsal::new(NETWORK, bench.device)?;
    let way = if on_gpu { Way::Stepper } else { Way::OnDevice };
    let precisions: &[Precision] = if on_gpu { &[Precision::Fp32, Precision::Bf16] } else { &[Precision::Fp32] };
    let (mut details, mut wrong, mut eager_still) = (Vec::new(), Vec::new(), None);
    for &precision in precisions {
        for optimizer in OPTIMIZERS {
            bench.step(format!("{} in {}", optimizer.show(), precision.show()));
            let wish = wish(optimizer, precision, 1);
            let (eager, other) = (rehearsal.train(&wish, Way::Eager)?, rehearsal.train(&wish, way)?);
            let distance = eager.distance(&other);
            let counts = (eager.batches, images(&eager)) == (other.batches, images(&other));
            let revived = revived(&other);
            let line = format!("{} {}: {distance:.1e} of its way apart", optimizer.show(), precision.show());
            if !(distance <= FACTORS && counts && revived == 0 && moved(&eager)) {
                wrong.push(format!(
                    "{line}; counts {}, {revived} pruned weights moved",
                    if counts { "equal" } else { "differ" }
                ));
            }
            if on_gpu && !other.replayed {
                eager_still = eager_still.or(other.refusal.clone().or_else(|| graph::possible().err()));
            }
            details.push(line);
        }
    }
    if !wrong.is_empty() {
        let cure = "train with `TOMBOLA_CUDA_GRAPHS=no`, and report what is above";
        return Ok(CheckResult::fail("steps differ that must be the same", cure).with(wrong));
    }
    let count = details.len();
    Ok(match (on_gpu, eager_still) {
        (true, Some(reason)) => CheckResult::warn(
            format!("{count} trainings are right, but not all by captured steps: {reason}"),
            "see `device` above; trainings take longer",
        ),
        (true, None) => CheckResult::pass(format!("{count} trainings by captured steps are those of eager ones")),
        (false, _) => {
            CheckResult::pass(format!("{count} optimisers step alike, with their factors as numbers and in tensors"))
        }
    }
    .with(details))
}

/// The same training on each GPU.
pub(super) fn gpus(bench: &CheckBench) -> Result<CheckResult> {
    if !bench.on_gpu() {
        return Ok(CheckResult::skip("no GPU is asked for"));
    }
    let named = bench.wish.device.as_deref().is_some_and(|device| device.starts_with("cuda:"));
    let chosen: Vec<Device> = match named {
        true => vec![bench.device],
        false => (0..device::gpus()).map(Device::Cuda).collect(),
    };
    let wish = wish(Optimizer::Adam, Precision::Fp32, 1);
    let mut trained: Vec<(Device, Rehearsed)> = Vec::new();
    for device in chosen {
        bench.step(device::short(device));
        let _kept = Kept::on(device)?;
        // As a worker: a thread of its own.
        trained.push((device, in_thread(move || Rehearsal::new(NETWORK, device)?.train(&wish, Way::Stepper))?));
    }
    let (mut details, mut wrong, mut slow) = (Vec::new(), false, false);
    let Some((first, of_first)) = trained.first() else { return Err(Error::environment("torch finds no GPU")) };
    for (device, found) in &trained {
        let alike = device::arithmetic(*first, 1) == device::arithmetic(*device, 1);
        let (distance, allowed) = (of_first.distance(found), if alike { 0.0 } else { OTHER_MODEL });
        wrong |= !(distance <= allowed && moved(found));
        slow |= !found.replayed;
        details.push(format!("{}: {distance:.1e} from {}", device::describe(*device, 1), device::short(*first)));
    }
    let count = trained.len();
    Ok(match (wrong, slow) {
        (true, _) => CheckResult::fail(
            "GPUs do not train to the same weights",
            "leave the one out that differs (`CUDA_VISIBLE_DEVICES`)",
        ),
        (_, true) => CheckResult::warn("some GPUs train by eager steps", "see `device` above"),
        _ => CheckResult::pass(format!("{count} GPU(s) train to the same weights, by captured steps")),
    }
    .with(details))
}

/// Trainings beside each other, by threads of one process, against the same alone.
pub(super) fn together(bench: &CheckBench) -> Result<CheckResult> {
    let _kept = Kept::on(bench.device)?;
    let rehearsal = Arc::new(Rehearsal::new(NETWORK, bench.device)?);
    let train = |seed: u64| {
        let (rehearsal, wish) = (Arc::clone(&rehearsal), wish(Optimizer::Sgd, Precision::Fp32, seed));
        move || rehearsal.train(&wish, Way::Stepper)
    };
    let seeds = [1, 2, 3, 4];
    let mut alone = Vec::new();
    for seed in seeds {
        bench.step(format!("training {seed} alone"));
        alone.push(in_thread(train(seed))?);
    }
    let mut details = Vec::new();
    for count in [2, 4] {
        bench.step(format!("{count} trainings at a time"));
        let threads: Vec<_> = seeds.iter().take(count).map(|seed| std::thread::spawn(train(*seed))).collect();
        for ((thread, alone), seed) in threads.into_iter().zip(&alone).zip(seeds) {
            let found =
                thread.join().map_err(|_| Error::training(format!("training {seed} of {count} panicked")))??;
            if found.weights != alone.weights || found.epochs != alone.epochs {
                let apart = alone.distance(&found);
                details
                    .push(format!("training {seed} of {count} ends {apart:.1e} of its way from where it ends alone"));
            }
        }
    }
    let distinct = alone.iter().skip(1).all(|other| other.weights != alone[0].weights);
    Ok(match (details.is_empty(), distinct) {
        (true, true) => CheckResult::pass("two and four at a time give the bits that each gives alone"),
        (true, false) => {
            CheckResult::fail("other seeds give the same weights", "report it: this is a defect of the program")
        }
        (false, _) => {
            CheckResult::fail("trainings disturb each other", "train one at a time: `--workers 1`").with(details)
        }
    })
}

/// Keeps a GPU to one order of adding, until it is dropped.
struct Kept(());

impl Kept {
    fn on(device: Device) -> Result<Self> {
        determinism::set(device != Device::Cpu)?;
        Ok(Self(()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        tombola_words::error::ignored(determinism::set(false), "turning it off is never refused");
    }
}

fn in_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    std::thread::spawn(work).join().map_err(|panic| tombola_cluster::worker::explain(&*panic))?
}

fn images(trained: &Rehearsed) -> Vec<u64> {
    trained.epochs.iter().map(|epoch| epoch.images).collect()
}

/// Whether weights changed, and are numbers.
fn moved(trained: &Rehearsed) -> bool {
    let [before, after] = &trained.weights;
    before != after && after.iter().all(|weight| weight.is_finite())
}

/// Every third weight is pruned: those that are not 0 any more.
fn revived(trained: &Rehearsed) -> usize {
    trained.weights[1].iter().step_by(3).filter(|weight| **weight != 0.0).count()
}
