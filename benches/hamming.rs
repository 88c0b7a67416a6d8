//! Masks of every epoch: what comparing, drawing, sending and keeping them costs.
//!
//! `cargo bench --bench hamming`, parts by name: `pairs` (all pairs of 160 masks of 11 million bits, beside NumPy), `epoch`
//! (what tracking adds to an epoch of `resnet`, depth 20), `memory` (rank 0 with 100 dense trainings of `resnet-18` at three
//! ratios).
//!
//! The Python is `TOMBOLA_PYTHON`, or `python3`; it needs NumPy 2.

mod common;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use common::bars::Bars;
use common::{is_asked_for, wants};
use rand::RngCore;
use tombola_cluster::link::message;
use tombola_core::folder::Store;
use tombola_core::mask::MaskPlace;
use tombola_core::mask::{Bits, hamming};
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Layout, initial};
use tombola_core::plan::dense_id;
use tombola_core::plan::{Pruning, Track};
use tombola_core::prune::Pruner;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::scorer::NoGradients;
use tombola_core::sweep::Settings;
use tombola_core::training::TrainingEvent;
use tombola_train::measure::{BATCH, Steps};
use tombola_train::race::median;
use tombola_words::Shape;
use tombola_words::error::{Error, Result};
use tombola_words::stream::stream;
use tombola_words::value::{NormStart, PruningType};

/// Masks and bits of the comparison: as many as a published schedule has epochs, and a ResNet-18 has weights.
const MASKS: usize = 160;
const BITS: usize = 11_000_000;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    let mut bars = Bars::default();
    if wants("pairs") {
        pairs(&mut bars)?;
    }
    if wants("epoch") {
        epoch(&mut bars)?;
    }
    if wants("memory") {
        memory(&mut bars)?;
    }
    Ok(bars)
}

fn random(seed: u64, len: usize) -> Bits {
    let mut bytes = vec![0; len.div_ceil(8)];
    stream(seed, "bench", &[]).fill_bytes(&mut bytes);
    if let Some(last) = bytes.last_mut() {
        *last &= u8::MAX >> ((8 - len % 8) % 8);
    }
    Bits::from_bytes(&bytes, len).unwrap_or_else(|| Bits::zeros(len))
}

fn pairs(bars: &mut Bars) -> Result<()> {
    let masks: Vec<Bits> = (0..MASKS as u64).map(|seed| random(seed, BITS)).collect();
    let mut times = Vec::new();
    let mut distances = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        distances = hamming::all_pairs(&masks);
        times.push(begun.elapsed().as_secs_f64());
    }
    // Some of them by plain counting.
    for (place, (later, earlier)) in [(0, (1, 0)), (2, (2, 1)), (distances.len() - 1, (MASKS - 1, MASKS - 2))] {
        let plain = masks[later].iter().zip(masks[earlier].iter()).filter(|(a, b)| a != b).count();
        assert_eq!(distances[place] as usize, plain, "the distances are wrong");
    }
    let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
    let file = folder.path().join("masks.npy");
    let place = MaskPlace { first: 1, rows: MASKS, len: BITS };
    let store = Store::new(folder.path());
    let id = dense_id(&Settings::default(), None, None);
    for (epoch, mask) in masks.iter().enumerate() {
        store.write_mask(id, 1, place, epoch + 1, mask)?;
    }
    std::fs::rename(store.mask_path(id, 1), &file).map_err(|error| Error::environment(error.to_string()))?;
    println!("all pairs of {MASKS} masks of {BITS} bits ({} pairs), one core", distances.len());
    println!("  Tombola {:8.2} s", median(&mut times));
    match numpy(&file, &distances) {
        Ok(seconds) => {
            println!("  NumPy   {seconds:8.2} s, the same distances ({:.1} times)", seconds / median(&mut times))
        }
        Err(message) => println!("  NumPy could not be measured: {message}"),
    }
    // Mask by mask as they come in, each compared with those before it on disk.
    let mut kept = Vec::new();
    let begun = Instant::now();
    for (epoch, mask) in masks.iter().enumerate() {
        kept.extend(store.distances(id, 1, place, epoch + 1, mask)?);
        store.write_mask(id, 1, place, epoch + 1, mask)?;
    }
    println!("  as they come in, written and read back {:8.2} s", begun.elapsed().as_secs_f64());
    assert_eq!(kept, distances, "the distances are wrong");
    bars.at_most("all pairs", median(&mut times), 2.0, "s");
    Ok(())
}

/// Seconds that NumPy takes for the masks in `file`; its distances must be `expected`.
fn numpy(file: &std::path::Path, expected: &[u32]) -> std::result::Result<f64, String> {
    let python = std::env::var("TOMBOLA_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/hamming.py");
    let output = Command::new(&python).arg(script).arg(file).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let seconds = lines.next().and_then(|line| line.parse().ok());
    let seconds = seconds.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let sum: u64 = expected.iter().map(|distance| u64::from(*distance)).sum();
    match lines.next() == Some(&format!("{sum} {} {}", expected[0], expected[expected.len() - 1])) {
        true => Ok(seconds),
        false => Err("its distances are others".to_string()),
    }
}

/// What drawing, packing, sending and keeping the masks of an epoch takes, beside the epoch itself.
fn epoch(bars: &mut Bars) -> Result<()> {
    tombola_train::tch::set_num_threads(1);
    let choice = Choice::named("resnet");
    let graph = Arc::new(zoo::build(&choice, Shape::Image(3, 32, 32), 10)?);
    let layout = Arc::new(Layout::of(&graph));
    let mut steps = Steps::new(&graph, &layout, &initial(&layout, NormStart::One, 1, 0))?;
    steps.times(3);
    let seconds = median(&mut steps.times(15)) * 45_000usize.div_ceil(BATCH) as f64;
    println!("an epoch of resnet, depth 20, 45,000 images, batch 64, one thread: {seconds:.1} s");
    let pruner = Pruner::new(&graph, &layout);
    let state = initial(&layout, NormStart::Uniform, 1, 0);
    let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
    let store = Store::new(folder.path());
    let id = dense_id(&Settings::default(), None, None);
    for (pruning_type, what) in [(PruningType::Unstructured, "weights"), (PruningType::Structured, "channels")] {
        let settings = Settings { pruning_type, ..Settings::default() };
        let mut worker = Vec::new();
        let mut coordinator = Vec::new();
        let track = Track::of(&Pruning::of(&settings, 0.5));
        for epoch in 1..=MASKS {
            let begun = Instant::now();
            let ticket = pruner.draw(&state, &track.pruning, Key { seed: 1, level: 1 }, &mut NoGradients)?;
            let mask = Arc::new(pruner.compared(ticket, &track.pruning));
            let sent = message::encode(&TrainingEvent::Mask { track: track.key, epoch, mask: Arc::clone(&mask) })?;
            worker.push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            let TrainingEvent::Mask { mask, .. } = message::decode(&sent)? else { continue };
            let place = MaskPlace { first: 1, rows: MASKS, len: mask.len() };
            store.distances(id, track.key, place, epoch, &mask)?;
            store.write_mask(id, track.key, place, epoch, &mask)?;
            coordinator.push(begun.elapsed().as_secs_f64());
        }
        let (own, there) = (median(&mut worker), coordinator.iter().copied().fold(0.0, f64::max));
        println!("  {what}: {:.2} ms to draw, pack and send; {:.2} ms at rank 0 at most", own * 1e3, there * 1e3);
        bars.at_most(&format!("masks of {what}, share of an epoch"), 100.0 * own / seconds, 2.0, "%");
    }
    Ok(())
}

/// Rank 0 with 100 dense trainings of ResNet-18 at three ratios: what is in memory after some epochs of each.
fn memory(bars: &mut Bars) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
    let store = Store::new(folder.path());
    let id = dense_id(&Settings::default(), None, None);
    let place = MaskPlace { first: 1, rows: MASKS, len: BITS };
    let mut distances = Vec::new();
    let begun = Instant::now();
    for epoch in 1..=3 {
        for track in 0..300u64 {
            let mask = random(track + 1000 * epoch as u64, BITS);
            distances.push(store.distances(id, track, place, epoch, &mask)?);
            store.write_mask(id, track, place, epoch, &mask)?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64() / 900.0;
    let journal = 300.0 * (MASKS * MASKS / 2 * 4) as f64 / 1e6;
    let peak = peak_megabytes()?;
    println!("rank 0, 100 trainings of resnet-18 at 3 ratios: {:.1} ms a mask", seconds * 1e3);
    println!("  {peak:.0} MB at most; distances of all {MASKS} epochs are {journal:.0} MB more");
    bars.at_most("memory of rank 0", peak + journal, 1000.0, "MB");
    Ok(())
}

fn peak_megabytes() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status").map_err(|error| Error::environment(error.to_string()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.map(|kilobytes| kilobytes / 1e3).ok_or_else(|| Error::environment("the peak of memory is not told here"))
}
