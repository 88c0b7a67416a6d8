//! How many workers a run in one process takes by itself, where `tombola tune` has measured what it trains.
//!
//! A guess all the same: what was measured are steps of one of the run's networks. It changes when a training ends, never how.

use std::collections::HashSet;
use std::path::Path;

use tombola_core::finding::{self, TuneFinding, TunedWork};
use tombola_core::machine::{cores, machine};
use tombola_core::plan::{Asked, estimate};
use tombola_core::sweep::Settings;
use tombola_train::cuda::gpu;
use tombola_train::training::room;
use tombola_train::{Device, device};
use tombola_words::Shape;

/// The images that `tombola tune` measures with; larger ones take more memory and other ways.
const MEASURED: Shape = Shape::Image(3, 32, 32);

/// What follows from findings.
#[derive(Debug, Default)]
pub(super) struct TunedWorkers {
    /// How many workers, if any were found for what is to be trained.
    pub count: Option<usize>,
    /// What is to be said of it.
    pub words: Option<String>,
}

/// The workers for a run on `first`, or on `gpus` like it, of which the `chosen` stages are to be trained.
pub(super) fn workers(asked: &Asked, chosen: Option<&HashSet<usize>>, first: Device, gpus: usize) -> TunedWorkers {
    match finding::folder().filter(|folder| folder.is_dir()) {
        Some(folder) => workers_of(&folder, asked, chosen, first, gpus).unwrap_or_default(),
        None => TunedWorkers::default(),
    }
}

fn workers_of(
    folder: &Path,
    asked: &Asked,
    chosen: Option<&HashSet<usize>>,
    first: Device,
    gpus: usize,
) -> Option<TunedWorkers> {
    let run = &asked.spec.run;
    let stage = costliest(asked, chosen)?;
    let work = work(asked, &asked.plan.stages[stage].settings, first)?;
    let found = match TuneFinding::find(folder, &work) {
        Ok(found) => found?,
        Err(error) => {
            let hint = error.hint.unwrap_or_default();
            let words = format!("warning: {}\nhint: {hint}", error.message);
            return Some(TunedWorkers { count: None, words: Some(words) });
        }
    };
    let count = match first {
        Device::Cpu => found.on_processor(cores()),
        // Who says how many share a GPU has chosen already.
        _ if run.ranks_per_gpu != 1 => None,
        Device::Cuda(number) if !fits(asked, stage, number, found.together) => None,
        _ => found.on_gpus(gpus),
    }?;
    let many = estimate::many(count, "worker");
    let words = format!("{many}, as `tombola tune` found on {}; `--workers N` chooses otherwise", found.day());
    Some(TunedWorkers { count: Some(count), words: Some(words) })
}

/// The stage whose epochs are thought to take longest, the first of several.
fn costliest(asked: &Asked, chosen: Option<&HashSet<usize>>) -> Option<usize> {
    // What is wrong with a network is told when the sweep is opened.
    let work = estimate::epoch_work(&asked.plan, &asked.spec).ok()?;
    let stages = (0..work.len()).filter(|stage| chosen.is_none_or(|chosen| chosen.contains(stage)));
    stages.reduce(|most, stage| if work[stage] > work[most] { stage } else { most })
}

/// What `tombola tune` would have measured for some settings, if it could.
fn work(asked: &Asked, settings: &Settings, first: Device) -> Option<TunedWork> {
    let (shape, ..) = estimate::data_form(settings).ok()?;
    if asked.spec.networks.contains_key(&settings.network) || shape.size() > MEASURED.size() {
        return None;
    }
    let machine = machine(&device::short(first));
    TunedWork::of(machine, &settings.choice(), settings.precision, settings.batch_size, asked.spec.run.threads)
}

/// Whether so many trainings fit into the free memory of a GPU, which others may have taken since: nobody asked for trainings
/// beside each other that fail of it. Where that cannot be told they count as fitting.
fn fits(asked: &Asked, stage: usize, number: usize, together: usize) -> bool {
    let settings = &asked.plan.stages[stage].settings;
    let need = estimate::cost(&asked.plan, &asked.spec, stage)
        .map(|cost| room::need(&cost, settings.batch_size, settings).saturating_mul(together));
    let lacks = |need| gpu::free_memory(number, need).is_ok_and(|free| free < need);
    !need.is_ok_and(lacks)
}
