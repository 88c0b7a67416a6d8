//! Whatever is trained, libtorch and our own kernels write into no memory but their own.
//!
//! Some kernels of oneDNN do not keep to that (`crates/train/src/network/strided.rs`). What they damage is mostly something that nobody looks at,
//! so the trainings here run under an allocator that stops them at once (`guard.c`), with the instructions that this
//! processor has and with those of AVX2.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a helper that fails should fail its test"
)]

#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use common::{Folder, compiled};
use rand::Rng;
use tombola_core::net::{Builder, Graph, Layout, Op, initial};
use tombola_train::network::arena::{Arena, to_vec};
use tombola_train::network::forward::Forward;
use tombola_train::tch::{self, Device, Kind, Tensor};
use tombola_words::Shape;
use tombola_words::stream::stream;
use tombola_words::value::{NormStart, Precision};

/// A strided 1x1 convolution between a stem, whose gradient shows that of its input, and an output layer.
#[derive(Debug, Clone, Copy)]
struct Case {
    images: i64,
    channels: usize,
    out: usize,
    height: usize,
    width: usize,
    stride: usize,
}

impl Case {
    fn graph(self) -> Graph {
        let mut build = Builder::new(Shape::Image(3, self.height, self.width));
        let stem = build.conv("stem", 0, self.channels, 3, 1).unwrap();
        let short = build.conv("short", stem, self.out, 1, self.stride).unwrap();
        let flat = build.add("flat", Op::Flatten, &[short]).unwrap();
        build.linear("fc", flat, 5).unwrap();
        build.finish(5).unwrap()
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut numbers = stream(3, "test cases", &[]);
    let mut add = |channels, height, width, stride| {
        let (images, out) = ([1, 2, 3, 7][numbers.random_range(0..4)], [1, 3, 8, 13, 16][numbers.random_range(0..5)]);
        cases.push(Case { images, channels, out, height, width, stride });
    };
    for channels in (1..18).chain([24, 32]) {
        for (stride, height, width) in [(2, 8, 8), (2, 16, 16), (3, 12, 12), (4, 16, 8), (2, 4, 12), (2, 9, 8)] {
            add(channels, height, width, stride);
        }
    }
    // From some eight hundred pixels on it is so with AVX-512 on every processor, too.
    for channels in [1, 2, 5, 9, 12, 15, 16] {
        add(channels, 60, 60, 2);
    }
    cases
}

fn random(numbers: &mut impl Rng, shape: &[i64]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| numbers.random_range(-1.0..1.0)).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Scores, and the gradient of everything, of the network as the program runs it and as float64 gives them: libtorch has those
/// from other kernels.
fn check(case: Case, precision: Precision) {
    let graph = Arc::new(case.graph());
    let layout = Arc::new(Layout::of(&graph));
    let mut arena = Arena::new(Arc::clone(&layout), &initial(&layout, NormStart::Uniform, 1, 0), Device::Cpu).unwrap();
    arena.precision = precision;
    let mut numbers = stream(case.channels as u64, "test images", &[]);
    let images = random(&mut numbers, &[case.images, case.height as i64, case.width as i64, 3]).permute([0, 3, 1, 2]);
    let factors = random(&mut numbers, &[case.images, 5]);
    let scores = Forward::new(Arc::clone(&graph), &layout).run(&mut arena, &images, true);
    let gradient = &Tensor::run_backward(&[(&scores * &factors).sum(Kind::Float)], &[&arena.weights], false, false)[0];

    let exact = arena.weights.detach().to_kind(Kind::Double).set_requires_grad(true);
    let mut pieces = layout.parameters.iter().map(|parameter| {
        let shape: Vec<i64> = parameter.shape.iter().map(|side| *side as i64).collect();
        let piece = exact.narrow(0, parameter.offset as i64, parameter.len as i64);
        match *shape {
            [out, inputs, rows, columns] => piece.view([out, rows, columns, inputs]).permute([0, 3, 1, 2]).contiguous(),
            _ => piece.view(&*shape),
        }
    });
    let mut piece = || pieces.next().unwrap();
    let stem = images.to_kind(Kind::Double).contiguous().conv2d(&piece(), None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
    let stride = case.stride as i64;
    let short = stem.conv2d(&piece(), None::<Tensor>, [stride, stride], [0, 0], [1, 1], 1);
    let expected = short.flatten(1, -1).linear(&piece(), Some(&piece()));
    let loss = (&expected * factors.to_kind(Kind::Double)).sum(Kind::Double);
    let wanted = &Tensor::run_backward(&[loss], &[&exact], false, false)[0];

    // Rounded to 2^-9 each, in bf16, on the way to a score: images, three weights, the bias, two outputs between; and to a gradient
    // besides: the factors, and what comes back through the classifier, the short cut and the stem. Each adds at most its own share.
    let bound = if precision == Precision::Bf16 { 12.0 * 2f64.powi(-9) } else { 1e-5 };
    for (what, found, wanted) in [("scores", &scores, &expected), ("gradient", gradient, wanted)] {
        let away = distance(&to_vec(&found.detach().flatten(0, -1)), &to_vec(&wanted.detach().flatten(0, -1)));
        assert!(away < bound, "{case:?} in {precision:?}, {} threads: {what} {away:e} away", tch::get_num_threads());
    }
}

/// Norm of the difference as a share of the norm.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-12)
}

#[test]
fn strided_convolutions_of_few_channels_give_what_float64_gives() {
    for (threads, step) in [(1, 1), (2, 3)] {
        tch::set_num_threads(threads);
        for (number, case) in cases().into_iter().enumerate().step_by(step) {
            check(case, Precision::Fp32);
            if number % 4 == 0 {
                check(case, Precision::Bf16);
            }
        }
    }
}

/// The checking allocator, compiled.
static GUARD: LazyLock<PathBuf> = LazyLock::new(|| compiled("memory/guard.c"));

/// What makes libtorch use the instructions of AVX2 alone, beside nothing at all.
const INSTRUCTIONS: [&[(&str, &str)]; 2] = [&[], &[("ONEDNN_MAX_CPU_ISA", "AVX2"), ("ATEN_CPU_CAPABILITY", "avx2")]];

/// Runs a command in a fresh folder under the allocator, with each set of instructions; it must not fail.
fn guarded(mode: &str, command: impl Fn(&Folder) -> Command) {
    for instructions in INSTRUCTIONS {
        let folder = Folder::new();
        let mut command = command(&folder);
        command.env("LD_PRELOAD", &*GUARD).env("TOMBOLA_GUARD", mode).envs(instructions.iter().copied());
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success(), "{command:?}: {}\n{}", output.status, told.join("\n"));
    }
}

#[test]
fn strided_convolutions_of_few_channels_keep_to_their_memory() {
    guarded("behind", |folder| {
        let mut command = folder.command(std::env::current_exe().unwrap());
        command.args(["--exact", "strided_convolutions_of_few_channels_give_what_float64_gives", "--nocapture"]);
        command
    });
}

#[test]
fn trainings_of_narrow_networks_keep_to_their_memory() {
    const SWEEP: &str = r#"
dataset = "synthetic"
synthetic-shape = [3, 16, 16]
synthetic-size = 80
batch-size = 32
epochs = 1
width = 3
precision = ["fp32", "bf16"]
prunety = "s"
pr = 0.5
workers = 1

[[grid]]
network = "resnet"
depth = 8
shortcut = "B"

[[grid]]
network = "resnetb"
depth = 11
"#;
    for mode in ["behind", "before"] {
        guarded(mode, |folder| {
            folder.write("narrow.toml", SWEEP);
            let mut command = folder.command(common::PROGRAM);
            command.args(["run", "narrow.toml", "--device", "cpu"]);
            command
        });
    }
}
