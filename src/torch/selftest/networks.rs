//! Networks forward and backward, against double precision.

use tombola::selftest::told::CheckResult;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::processor::slow_bf16;
use tombola_train::Device;
use tombola_train::exactness::{self, Closeness};
use tombola_words::error::Result;
use tombola_words::value::{Precision, Value};

use super::CheckBench;

/// Images of a pass, and their shape.
const BATCH: usize = 4;
const SHAPE: (usize, usize, usize) = (3, 32, 32);
/// Networks of each kind: shorter numbers concern all alike.
const HALF: [&str; 4] = ["lenet-5", "resnet", "resnetb", "vgg-11"];

/// Built-in networks that have nothing but more layers than others.
const DEEPER: [&str; 5] = ["resnet-101", "resnet-152", "vgg-13-plain", "vgg-16-plain", "vgg-19-plain"];

const CURE: &str = "do not train here: libtorch, its libraries or the hardware compute wrongly. Try another device, or install torch anew";

/// Every built-in network in float32, but for those that are deeper and no other.
pub(super) fn networks(bench: &CheckBench) -> Result<CheckResult> {
    let names: Vec<&str> = zoo::names().iter().copied().filter(|name| !DEEPER.contains(name)).collect();
    compared(bench, &names, &[Precision::Fp32])
}

/// Networks in the shorter numbers that the device has.
pub(super) fn half(bench: &CheckBench) -> Result<CheckResult> {
    let precisions: &[Precision] =
        if bench.on_gpu() { &[Precision::Bf16, Precision::Tf32] } else { &[Precision::Bf16] };
    let result = compared(bench, &HALF, precisions)?;
    match (bench.device == Device::Cpu).then(slow_bf16).flatten() {
        Some((said, cure)) if result.cure.is_none() => {
            Ok(CheckResult::warn(format!("{}; {said}", result.found), cure).with(result.details))
        }
        _ => Ok(result),
    }
}

fn compared(bench: &CheckBench, names: &[&str], precisions: &[Precision]) -> Result<CheckResult> {
    let (mut details, mut wrong, mut largest) = (Vec::new(), Vec::new(), 0f64);
    let mut too_exact = Vec::new();
    for &precision in precisions {
        for name in names {
            bench.step(format!("{name} in {}", precision.show()));
            let choice = Choice { depth: zoo::least_depth(name), width: 8, ..Choice::named(name) };
            let found = exactness::of_network(&choice, SHAPE, BATCH, bench.device, precision)?;
            let line = words(name, precision, found);
            let exact = found.error <= shortest(precision);
            if !found.holds() || exact && precision == Precision::Bf16 {
                wrong.push(line.clone());
            }
            too_exact.extend((exact && precision == Precision::Tf32).then(|| line.clone()));
            details.push(line);
            largest = largest.max(found.error / found.bound);
        }
    }
    // libtorch may take float32 where TF32 is allowed, in small layers; not in all of most networks.
    if 2 * too_exact.len() > names.len() {
        wrong.extend(too_exact);
    }
    let count = names.len() * precisions.len();
    Ok(match wrong.is_empty() {
        true => CheckResult::pass(format!(
            "{count} gradients against double precision: at most {largest:.2} of what rounding explains"
        ))
        .with(details),
        false => CheckResult::fail(format!("{} of {count} gradients are wrong", wrong.len()), CURE).with(wrong),
    })
}

/// Less than this is no error of such numbers: something else was computed with.
fn shortest(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 0.0,
        _ => exactness::roundoff(Precision::Fp32) * 16.0,
    }
}

fn words(name: &str, precision: Precision, found: Closeness) -> String {
    let Closeness { error, bound } = found;
    format!("{name} {}: off by {error:.1e}, rounding explains {bound:.1e}", precision.show())
}
