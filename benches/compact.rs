//! What leaving channels out makes of a network: parameters, multiply-adds, memory, and the time of a forward pass and of a
//! training step; dense, masked and compact, side by side.
//!
//! `cargo bench --bench compact`: 70 % of the channels pruned by batch-norm scale, 64 images, float32, one thread; all forms
//! of a network take turns, and the median is compared. A masked network computes everything: it is as slow as the dense one.
//! Counts of channels that are no multiple of 8 can cost more than they save. So networks are trained with some dead channels in
//! them, and can be drawn with whole multiples alive (`round-channels`).

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use common::bars::Bars;
use common::is_asked_for;
use tombola_core::net::compact::{Compact, Fill};
use tombola_core::net::cost::Cost;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Layout, initial};
use tombola_core::plan::Pruning;
use tombola_core::prune::Pruner;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::rewind::silence;
use tombola_core::prune::scorer::NoGradients;
use tombola_core::sweep::Settings;
use tombola_train::measure::{BATCH, Steps};
use tombola_train::race::median;
use tombola_train::training::form::fill;
use tombola_words::Shape;
use tombola_words::error::Result;
use tombola_words::value::{NormStart, Precision, PruningType, Streams};

const RATIO: f64 = 0.7;
const BAR: f64 = 2.5;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    tombola_train::memory::keep_freed_memory();
    tombola_train::tch::set_num_threads(1);
    tombola_train::tch::manual_seed(1);
    let mut bars = Bars::default();
    println!("{} % of the channels pruned, {BATCH} images of 3x32x32, float32, one thread\n", 100.0 * RATIO);
    println!(
        "{:34} {:>11} {:>8} {:>8} {:>9} {:>6} {:>9} {:>6}",
        "", "parameters", "MMACs", "MB", "forward", "", "training", ""
    );
    for (name, rounds, streams) in [
        ("vgg-16", 9, Streams::Whole),
        ("resnet", 15, Streams::Group),
        ("resnetb", 15, Streams::Whole),
        ("resnetb", 15, Streams::Group),
        ("resnet-18", 5, Streams::Group),
    ] {
        let training = compare(name, streams, rounds)?;
        if name == "vgg-16" {
            bars.at_least("vgg-16 compact, training step", training, BAR, "times as fast as dense");
        }
    }
    Ok(bars)
}

/// How many times as fast as dense a training step of the compact network is.
fn compare(name: &str, streams: Streams, rounds: usize) -> Result<f64> {
    let graph = Arc::new(zoo::build(&Choice::named(name), Shape::Image(3, 32, 32), 10)?);
    let layout = Arc::new(Layout::of(&graph));
    let start = initial(&layout, NormStart::Uniform, 1, 0);
    let pruner = Pruner::new(&graph, &layout);
    let settings = Settings { pruning_type: PruningType::Structured, streams, ..Settings::default() };
    let plain = Pruning::of(&settings, RATIO);
    let mut forms = vec![("dense".to_string(), Cost::of(&graph), Steps::new(&graph, &layout, &start)?)];
    let mask = |round_channels| {
        let pruning = Pruning { round_channels, ..plain.clone() };
        pruner.draw(&start, &pruning, Key { seed: 1, level: 1 }, &mut NoGradients).map(|ticket| ticket.mask)
    };
    let (pruned, rounded) = (mask(1)?, mask(8)?);
    let mut masked = start.clone();
    silence(&mut masked.parameters, &pruned);
    masked.mask = Some(Arc::new(pruned.clone()));
    let cost = Cost { activation_bytes: Cost::of(&graph).activation_bytes, ..Cost::masked(&graph, &layout, &pruned) };
    forms.push(("masked".to_string(), cost, Steps::new(&graph, &layout, &masked)?));
    let trained = fill(tombola_train::tch::Device::Cpu, Precision::Fp32);
    for (what, mask, fill) in [
        ("compact", &pruned, Fill { step: 1, whole_streams: false }),
        ("compact, as it is trained", &pruned, trained),
        ("compact, round-channels 8", &rounded, trained),
    ] {
        let mut masked = start.clone();
        silence(&mut masked.parameters, mask);
        let compact = Compact::filled(&graph, &layout, mask, streams, fill)?;
        let small = compact.gather(&masked);
        forms.push((what.to_string(), Cost::of(&compact.graph), Steps::new(&compact.graph, &compact.layout, &small)?));
    }
    let mut times: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); forms.len()];
    for round in 0..rounds + 1 {
        for ((_, _, steps), (forward, training)) in forms.iter_mut().zip(&mut times) {
            let measured = (steps.forward(), steps.step());
            // The first round warms up.
            if round > 0 {
                forward.push(measured.0);
                training.push(measured.1);
            }
        }
    }
    let medians: Vec<(f64, f64)> = times.iter_mut().map(|(f, t)| (median(f) * 1e3, median(t) * 1e3)).collect();
    let stream = if streams == Streams::Group { ", streams too" } else { "" };
    println!("{name}{stream}");
    for ((what, cost, _), (forward, training)) in forms.iter().zip(&medians) {
        // Weights, gradient and momentum, and what a batch keeps for the backward pass.
        let held = if what == "masked" { Cost::of(&graph).parameters * 4 } else { cost.parameters * 3 };
        let megabytes = (held * 4 + BATCH * cost.activation_bytes) as f64 / 1e6;
        println!(
            "  {what:32} {:>11} {:>8.1} {megabytes:>8.1} {forward:>6.1} ms {:>5.2}x {training:>6.1} ms {:>5.2}x",
            cost.parameters,
            cost.macs as f64 / 1e6,
            medians[0].0 / forward,
            medians[0].1 / training
        );
    }
    Ok(medians[0].1 / medians[3].1)
}
