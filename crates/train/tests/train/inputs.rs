//! The inputs of `record.py` and `criteria.py`, made here by the same formula, and their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tch::Tensor;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Graph, Layout, Role, Snapshot};
use tombola_words::Shape;
use tombola_words::value::ShortcutOption;
use tombola_words::value::Value;

/// FNV-1a, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Endless 64-bit hashes (splitmix64) of the stream `name`.
pub(crate) fn hashes(name: &str) -> impl Iterator<Item = u64> + use<> {
    let start = fnv(name.as_bytes());
    (1u64..).map(move |index| {
        let x = start.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    })
}

/// Even over [-1, 1) in steps of 2^-23.
pub(crate) fn noise(name: &str, count: usize) -> Vec<f32> {
    hashes(name).take(count).map(|hash| (hash >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

pub(crate) fn label(image: usize) -> i64 {
    (image * 7 % 10) as i64
}

pub(crate) fn labels(count: usize) -> Tensor {
    Tensor::from_slice(&(0..count).map(label).collect::<Vec<_>>())
}

/// Every parameter and every running statistic of a network.
pub(crate) fn filled(layout: &Layout, salt: &str) -> Snapshot {
    let mut parameters = vec![0.0; layout.len];
    for parameter in &layout.parameters {
        let mut values = noise(&format!("{salt}{}", parameter.name), parameter.len);
        match parameter.role {
            Role::ConvWeight | Role::TransposedWeight(_) | Role::LinearWeight => {
                let bound = (6.0 / parameter.fan_in() as f64).sqrt() as f32;
                values.iter_mut().for_each(|value| *value *= bound);
            }
            Role::NormScale | Role::Gain => values.iter_mut().for_each(|value| *value = 1.0 + *value / 4.0),
            _ => values.iter_mut().for_each(|value| *value /= 8.0),
        }
        parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&values));
    }
    let mut buffers = vec![0.0; layout.buffer_len];
    for buffer in &layout.buffers {
        let values = noise(&format!("{salt}{}", buffer.name), buffer.len);
        for (place, value) in buffers[buffer.range()].iter_mut().zip(values) {
            *place = if buffer.name.ends_with("running_var") { 1.0 + value / 4.0 } else { value / 8.0 };
        }
    }
    Snapshot { epoch: 0, step: 0, batches: 0, parameters, buffers, optimizer: None, mask: None }
}

/// Images in PyTorch's order of values, in channels-last memory as batches are.
pub(crate) fn images(stream: &str, count: usize, [channels, height, width]: [usize; 3]) -> Tensor {
    let size = [count as i64, channels as i64, height as i64, width as i64];
    let images = Tensor::from_slice(&noise(stream, count * channels * height * width)).view(size);
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

pub(crate) fn network(
    name: &str,
    depth: usize,
    width: usize,
    shortcut: &str,
    image: [usize; 3],
) -> (Arc<Graph>, Arc<Layout>) {
    let shortcut = ShortcutOption::parse(shortcut).unwrap();
    let choice = Choice { depth, width, shortcut, ..Choice::named(name) };
    let graph = zoo::build(&choice, Shape::Image(image[0], image[1], image[2]), 10).unwrap();
    let layout = Layout::of(&graph);
    (Arc::new(graph), Arc::new(layout))
}

/// A recorded file: in the repository, or where `TOMBOLA_TEST_FILES` says, on a machine that has the test program only.
pub(crate) fn path(name: &str) -> PathBuf {
    let repository = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    std::env::var_os("TOMBOLA_TEST_FILES").map_or_else(repository, PathBuf::from).join(name)
}

pub(crate) fn recorded<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}
