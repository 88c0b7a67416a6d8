//! Files of tensors of our own: snapshots and masks as safetensors.
//!
//! Names and shapes are PyTorch's. Equal contents are equal files. It may not know where files lie, or of torch.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::atomic::write_atomically;
use crate::checkpoint::VERSION;
use crate::mask::Bits;
use crate::net::{Buffer, Layout, OptimizerState, Parameter, Snapshot};
use tombola_words::error::{Error, Result};
use tombola_words::{Checksum, regular};

/// A named tensor that owns its bytes.
pub(super) type Named = (String, Dtype, Vec<usize>, Vec<u8>);

pub(super) fn float(name: String, parameter: &Parameter, vector: &[f32]) -> Named {
    (name, Dtype::F32, parameter.shape.clone(), bytes_of(&parameter.to_pytorch(&vector[parameter.range()])))
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The tensors of `torch.nn.Module.state_dict()`, under the same names.
pub(super) fn state_dict(snapshot: &Snapshot, layout: &Layout) -> Vec<Named> {
    let parameters = layout.parameters.iter().map(|p| float(p.name.clone(), p, &snapshot.parameters));
    let buffers = statistics("", &snapshot.buffers, layout);
    let counts = layout.norms.iter().map(|norm| {
        let count = (snapshot.batches as i64).to_le_bytes().to_vec();
        (format!("{norm}.num_batches_tracked"), Dtype::I64, Vec::new(), count)
    });
    parameters.chain(buffers).chain(counts).collect()
}

/// Batch-norm statistics under their names, with something before each.
pub(super) fn statistics(before: &str, values: &[f32], layout: &Layout) -> Vec<Named> {
    let named = |buffer: &Buffer| {
        (format!("{before}{}", buffer.name), Dtype::F32, vec![buffer.len], bytes_of(&values[buffer.range()]))
    };
    layout.buffers.iter().map(named).collect()
}

pub(super) fn mask_tensors(mask: &Bits, layout: &Layout) -> Vec<Named> {
    let connections = layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
    connections
        .map(|parameter| {
            let stored: Vec<u8> = parameter.range().map(|position| u8::from(mask.get(position))).collect();
            (parameter.name.clone(), Dtype::BOOL, parameter.shape.clone(), parameter.to_pytorch(&stored))
        })
        .collect()
}

pub(super) fn write(path: &Path, tensors: Vec<Named>, facts: &[(&str, String)]) -> Result<Checksum> {
    let bytes = encoded(path, tensors, facts)?;
    write_atomically(path, |file| file.write_all(&bytes))?;
    Ok(Checksum::of(&bytes))
}

/// A safetensors file. Equal tensors and facts give equal bytes: the library would write the facts in another order each time.
pub(super) fn encoded(path: &Path, tensors: Vec<Named>, facts: &[(&str, String)]) -> Result<Vec<u8>> {
    let fail =
        |error: &dyn std::fmt::Display| Error::environment(format!("cannot encode `{}`: {error}", path.display()));
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, kind, shape, bytes)| Ok((name.as_str(), TensorView::new(*kind, shape.clone(), bytes)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(|error| fail(&error))?;
    let plain = safetensors::serialize(views, None).map_err(|error| fail(&error))?;
    let mut about: BTreeMap<&str, &str> = facts.iter().map(|(key, value)| (*key, value.as_str())).collect();
    about.extend([("format", "pt"), ("tombola", VERSION)]);
    with_facts(&plain, &about).ok_or_else(|| fail(&"its header is none"))
}

/// Puts `__metadata__` at the beginning of the header of a safetensors file without any: the header's length in eight bytes, JSON
/// padded with spaces to a multiple of eight, tensors.
fn with_facts(plain: &[u8], about: &BTreeMap<&str, &str>) -> Option<Vec<u8>> {
    let length = u64::from_le_bytes(plain.get(..8)?.try_into().ok()?) as usize;
    let header = std::str::from_utf8(plain.get(8..8 + length)?).ok()?.trim_end();
    let facts = serde_json::to_string(about).ok()?;
    let rest = header.strip_prefix('{')?;
    let comma = if rest == "}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{facts}{comma}{rest}");
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let tensors = &plain[8 + length..];
    let mut bytes = Vec::with_capacity(8 + header.len() + tensors.len());
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(tensors);
    Some(bytes)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    regular::read(path).map_err(|error| Error::file("read", path, &error))
}

/// The bytes of a file that hold what was written, as far as that is known.
pub(super) fn read_sound(path: &Path, sum: Option<Checksum>) -> Result<Vec<u8>> {
    let Some(expected) = sum else { return read(path) };
    let lost = |what: String| {
        Error::environment(format!("`{}` {what}", path.display()))
            .hint("restore the file from a copy, or run the sweep again: what the file held is trained anew")
    };
    let bytes = match regular::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(lost("is missing, and the journal tells of it".to_string()));
        }
        found => found.map_err(|error| Error::file("read", path, &error))?,
    };
    match Checksum::of(&bytes) {
        found if found == expected => Ok(bytes),
        found => {
            Err(lost(format!("has changed since it was written: its checksum is {found}, the journal says {expected}")))
        }
    }
}

/// A file whose version this program knows; files of other programs carry none.
pub(super) fn parsed<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, HashMap<String, String>)> {
    let damaged = |error| {
        Error::input(format!("`{}` is no safetensors file, or a damaged one: {error}", path.display()))
            .hint("restore the file from a copy, or run the sweep again: what the file held is trained anew")
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let about = metadata.metadata().clone().unwrap_or_default();
    match about.get("tombola").map(String::as_str) {
        None | Some(VERSION) => Ok((SafeTensors::deserialize(bytes).map_err(damaged)?, about)),
        Some(other) => Err(Error::input(format!("`{}` is of version {other}, expected {VERSION}", path.display()))
            .hint("read it with the version of Tombola that wrote it")),
    }
}

/// One tensor of the expected shape.
fn tensor<'a>(file: &SafeTensors<'a>, path: &Path, name: &str, kind: Dtype, shape: &[usize]) -> Result<TensorView<'a>> {
    let wrong = |found: String| {
        Error::input(format!("`{}` is of another network: {found}", path.display()))
            .hint("load it with the same `--network`, `--depth`, `--width` and data set that it was trained with")
    };
    let view = file.tensor(name).map_err(|_| {
        let mut names = file.names();
        names.sort_unstable();
        wrong(format!("`{name}` is missing; the file holds {}", names.join(", ")))
    })?;
    if (view.dtype(), view.shape()) != (kind, shape) {
        let (found, found_shape) = (view.dtype(), view.shape());
        return Err(wrong(format!("`{name}` is {found:?} {found_shape:?}, expected {kind:?} {shape:?}")));
    }
    Ok(view)
}

pub(super) fn floats(view: &TensorView) -> Vec<f32> {
    view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// Reads the weights and statistics of a snapshot. What other programs wrote is read by `checkpoint::weights`.
///
/// # Errors
/// When the file is missing, no state dict, or of another network.
pub fn load_weights(path: &Path, layout: &Layout) -> Result<Snapshot> {
    weights_of(path, &read(path)?, layout)
}

/// As [`load_weights`], of bytes that were read already; `path` is for errors.
pub(super) fn weights_of(path: &Path, bytes: &[u8], layout: &Layout) -> Result<Snapshot> {
    let (file, about) = parsed(path, bytes)?;
    let mut parameters = vec![0f32; layout.len];
    for parameter in &layout.parameters {
        let view = tensor(&file, path, &parameter.name, Dtype::F32, &parameter.shape)?;
        parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&floats(&view)));
    }
    let mut buffers = vec![0f32; layout.buffer_len];
    for buffer in &layout.buffers {
        let view = tensor(&file, path, &buffer.name, Dtype::F32, &[buffer.len])?;
        buffers[buffer.range()].copy_from_slice(&floats(&view));
    }
    let known = layout.parameters.len() + layout.buffers.len() + layout.norms.len();
    if file.len() > known {
        return Err(Error::input(format!(
            "`{}` is of another network: it holds {} tensors, the network {known}",
            path.display(),
            file.len()
        ))
        .hint("load it with the same `--network`, `--depth` and `--width` that it was trained with"));
    }
    let count = layout.norms.first().and_then(|norm| file.tensor(&format!("{norm}.num_batches_tracked")).ok());
    let batches = count.and_then(|view| Some(i64::from_le_bytes(view.data().try_into().ok()?))).unwrap_or(0);
    let number = |key: &str| about.get(key).and_then(|number| number.parse().ok()).unwrap_or(0);
    let (epoch, step) = (number("epoch"), number("step"));
    Ok(Snapshot { epoch, step, batches: batches.max(0) as u64, parameters, buffers, optimizer: None, mask: None })
}

pub(super) fn load_optimizer(path: &Path, bytes: &[u8], layout: &Layout) -> Result<OptimizerState> {
    let (file, about) = parsed(path, bytes)?;
    // Names are VECTOR.PARAMETER; the first parameter tells the vectors.
    let first = layout.parameters.first().map(|parameter| format!(".{}", parameter.name)).unwrap_or_default();
    // Its name may be the end of another one's (`conv1.weight`, `layer1.0.conv1.weight`), so what stands before it must be
    // a vector that some optimiser has.
    let vectors = file.names().into_iter().filter_map(|name| name.strip_suffix(first.as_str()));
    let mut names: Vec<String> = vectors.filter(|name| ORDER.contains(name)).map(str::to_string).collect();
    // Optimisers list their vectors alphabetically, but for SGD, which has one.
    names.sort_by_key(|name| ORDER.iter().position(|known| known == name));
    let mut vectors = Vec::new();
    for name in names {
        let mut values = vec![0f32; layout.len];
        for parameter in &layout.parameters {
            let view = tensor(&file, path, &format!("{name}.{}", parameter.name), Dtype::F32, &parameter.shape)?;
            values[parameter.range()].copy_from_slice(&parameter.from_pytorch(&floats(&view)));
        }
        vectors.push((name, values));
    }
    if vectors.iter().any(|(name, _)| name == OptimizerState::TRAINED) && layout.buffer_len > 0 {
        let mut values = vec![0f32; layout.buffer_len];
        for buffer in &layout.buffers {
            let name = format!("{}.{}", OptimizerState::STATISTICS, buffer.name);
            values[buffer.range()].copy_from_slice(&floats(&tensor(&file, path, &name, Dtype::F32, &[buffer.len])?));
        }
        vectors.push((OptimizerState::STATISTICS.to_string(), values));
    }
    let steps = about.get("steps").and_then(|steps| steps.parse().ok()).unwrap_or(0);
    Ok(OptimizerState { steps, vectors })
}

/// The order in which optimisers keep their vectors (crates/train/src/training/optimizer.rs); files keep no order.
const ORDER: [&str; 5] = ["momentum", "mean", "square", "change", OptimizerState::TRAINED];

pub(super) fn load_mask(path: &Path, bytes: &[u8], layout: &Layout) -> Result<Bits> {
    let (file, _) = parsed(path, bytes)?;
    let mut mask = Bits::ones(layout.len);
    for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        let view = tensor(&file, path, &parameter.name, Dtype::BOOL, &parameter.shape)?;
        for (position, alive) in parameter.range().zip(parameter.from_pytorch(view.data())) {
            mask.set(position, alive != 0);
        }
    }
    Ok(mask)
}
