//! The devices that torch has: which of them a worker trains on is decided in `place.rs`.

use std::collections::BTreeSet;

use tch::Device;

use crate::cuda::{gpu, graph, lane, part};
use crate::determinism;
use tombola_core::gpus::{self, EAGER, GpuSight, UnusedGpus};
use tombola_core::place::{self, DeviceChoice, ShownGpus, Wish};
use tombola_core::processor::instruction_set;
use tombola_core::sweep::Settings;
use tombola_words::arithmetic::Arithmetic;
use tombola_words::error::{Result, ignored};

pub use tombola_core::place::Place;

/// The device of worker number `worker`: `cpu`, `cuda`, `cuda:N`, or `auto` for a GPU where there is one. Several workers
/// on `cuda` take the GPUs in turn.
///
/// # Errors
/// When a GPU is asked for that is not there, or the word is none of these.
pub fn device(wish: Option<&str>, worker: usize) -> Result<Device> {
    place::choose(wish, worker, &ShownGpus::here(), gpus).map(of_choice)
}

/// Whether rank 0, which stands at `place`, leaves its devices to the other ranks that share them.
///
/// # Errors
/// When a GPU is asked for that is not there.
pub fn is_dedicated(run: &Settings, place: &Place) -> Result<bool> {
    place::is_dedicated(wish(run), place, gpus)
}

/// The device of a rank: the CPU, or the GPU that is its turn.
///
/// # Errors
/// When a GPU is asked for that is not there, or there are more ranks than GPUs for them.
pub fn of_rank(run: &Settings, place: &Place) -> Result<Device> {
    place::of_rank(wish(run), place, gpus).map(of_choice)
}

fn wish(run: &Settings) -> Wish<'_> {
    let (ranks_per_gpu, coordinator) = (run.ranks_per_gpu, run.coordinator);
    Wish { device: run.device.as_deref(), ranks_per_gpu, coordinator }
}

fn of_choice(choice: DeviceChoice) -> Device {
    match choice {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Gpu(number) => Device::Cuda(number),
    }
}

/// How many threads an operation on the CPU may use, for the whole process.
pub fn use_threads(threads: usize) {
    tch::set_num_threads(threads as i32);
}

/// Settles for the whole process how it computes: before its first training.
///
/// # Errors
/// When kernels of a GPU cannot be held to one order.
pub fn settle(run: &Settings, device: Device) -> Result<()> {
    use_threads(run.threads);
    determinism::set(run.deterministic && device != Device::Cpu)
}

/// From now on this thread computes on a device: on a GPU by a stream of its own. To be called before anything is allocated there,
/// because what is allocated belongs to the stream that the thread computes on.
pub fn enter(device: Device) {
    if let Device::Cuda(number) = device {
        ignored(lane::enter(number), "without the functions for it there are no graphs either, which is told");
    }
}

/// GPUs that torch can use.
pub fn gpus() -> usize {
    part::gpus()
}

/// Why the trainings of this process take the processor although the host has GPUs. Nothing where they were told to, or take GPUs.
pub fn unused_gpus(wish: Option<&str>) -> Option<UnusedGpus> {
    if wish.is_some() || !gpus::has_driver() || self::gpus() > 0 {
        return None;
    }
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    UnusedGpus::of(GpuSight {
        driver: gpus::of_driver(),
        torch: 0,
        cuda_loaded: part::is_loaded(),
        visible: visible.as_deref(),
    })
}

/// A device in words, and GPUs that stand unused beside it: the place of a worker.
pub fn place(device: Device, run: &Settings) -> String {
    let unused = (device == Device::Cpu).then(|| unused_gpus(run.device.as_deref())).flatten();
    format!("{}{}", describe(device, run.threads), unused.map(|unused| unused.mark()).unwrap_or_default())
}

/// A device in words, for the journal: which one it is, and whether its steps are replayed as graphs.
pub fn describe(device: Device, threads: usize) -> String {
    match device {
        Device::Cpu => format!("cpu, {threads} thread{}", if threads == 1 { "" } else { "s" }),
        Device::Cuda(number) => match graph::possible() {
            Ok(()) => format!("cuda:{number}, {}, graphs", model_of(number)),
            // Parts of a place are told apart by commas.
            Err(reason) => format!("cuda:{number}, {}{EAGER}{}", model_of(number), reason.replace(',', ";")),
        },
        other => format!("{other:?}"),
    }
}

/// The device in a word: `cpu`, `cuda:1`.
pub fn short(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_string(),
        Device::Cuda(number) => format!("cuda:{number}"),
        other => format!("{other:?}"),
    }
}

/// What the numbers of a training on a device depend on beside its settings.
pub fn arithmetic(device: Device, threads: usize) -> Arithmetic {
    let deterministic = device != Device::Cpu && determinism::is_on();
    match device {
        Device::Cpu => Arithmetic { device: "cpu".into(), instructions: instruction_set(), threads, deterministic },
        Device::Cuda(number) => {
            Arithmetic { device: model_of(number), instructions: String::new(), threads: 0, deterministic }
        }
        other => Arithmetic { device: format!("{other:?}"), instructions: String::new(), threads: 0, deterministic },
    }
}

/// The model of a GPU.
fn model_of(number: usize) -> String {
    gpu::model(number).map_or_else(|_| gpu_models(), |model| model.replace(',', " "))
}

/// The models of the GPUs of this host, as the driver has them, where CUDA cannot be asked: one, but where they differ.
fn gpu_models() -> String {
    let entries = std::fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("information")).ok());
    let model = |text: &str| text.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_string()));
    let models: BTreeSet<String> = texts.filter_map(|text| model(&text)).collect();
    match models.is_empty() {
        true => "cuda".to_string(),
        false => models.into_iter().collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_with_a_cure() {
        let missing = device(Some(&format!("cuda:{}", gpus())), 0).unwrap_err();
        assert_eq!(missing.kind, tombola_words::error::Kind::Environment);
    }
}
