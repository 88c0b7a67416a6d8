//! The type of this machine in words: what measured times hold for.
//!
//! It may not know of torch: a GPU without a driver that tells its model is called as whoever asks calls it.

use std::fs;

use crate::plan::estimate::many;
use crate::processor::instruction_set;

/// Processor, its instructions, usable cores, and the model of the GPU where `device` is one. Virtual machines of one name may
/// be on processors with other instructions, and then compute at another speed.
pub fn machine(device: &str) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let device = if device == "cpu" { String::new() } else { format!(", {}", gpu().as_deref().unwrap_or(device)) };
    let model = model.unwrap_or(std::env::consts::ARCH);
    format!("{model}, {}, {}{device}", instruction_set(), many(cores(), "core"))
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The model of the first GPU, as the driver has it.
fn gpu() -> Option<String> {
    let entry = fs::read_dir("/proc/driver/nvidia/gpus").ok()?.flatten().next()?;
    let text = fs::read_to_string(entry.path().join("information")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Model:")).map(|model| model.trim().to_string())
}
