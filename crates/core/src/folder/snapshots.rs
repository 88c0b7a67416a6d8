//! Snapshots on disk: safetensors files with PyTorch's parameter names and shapes.
//!
//! `stages/ID/NAME.safetensors` is a plain state dict, `stages/ID/mask.safetensors` holds one truth value for each
//! connection, `stages/ID/NAME.optimizer.safetensors` the optimiser's vectors where training may go on from there. A
//! snapshot is there when its main file is: it is written last. It may not know of torch.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::atomic::write_atomically;
use crate::checkpoint::torch_file;
use crate::mask::Bits;
use crate::net::{Layout, OptimizerState, Parameter, Snapshot};
use tombola_words::StageId;
use tombola_words::error::{Error, Result};

/// Version of the files' metadata.
const VERSION: &str = "1";

/// The snapshots of a results folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store of a results folder.
    pub fn new(results: &Path) -> Self {
        Self { folder: results.join("stages") }
    }

    /// The folder of one stage.
    pub fn folder(&self, stage: StageId) -> PathBuf {
        self.folder.join(stage.to_string())
    }

    /// The main file of a snapshot.
    pub fn path(&self, stage: StageId, name: &str) -> PathBuf {
        self.folder(stage).join(format!("{}.safetensors", file_name(name)))
    }

    fn optimizer_path(&self, stage: StageId, name: &str) -> PathBuf {
        self.folder(stage).join(format!("{}.optimizer.safetensors", file_name(name)))
    }

    /// Writes a snapshot; when it returns, the snapshot is on the disk.
    ///
    /// # Errors
    /// When the folder or a file cannot be written. An older snapshot of that name stays as it was.
    pub fn save(&self, stage: StageId, name: &str, snapshot: &Snapshot, layout: &Layout) -> Result<()> {
        let folder = self.folder(stage);
        std::fs::create_dir_all(&folder).map_err(|error| Error::file("create", &folder, &error))?;
        let mask = folder.join("mask.safetensors");
        if let Some(bits) = &snapshot.mask
            && !mask.exists()
        {
            write(&mask, mask_tensors(bits, layout), &[])?;
        }
        if let Some(state) = &snapshot.optimizer {
            let mut tensors = Vec::new();
            for (vector, values) in &state.vectors {
                for parameter in &layout.parameters {
                    tensors.push(float(format!("{vector}.{}", parameter.name), parameter, values));
                }
            }
            let facts = [("steps", state.steps.to_string()), ("epoch", snapshot.epoch.to_string())];
            write(&self.optimizer_path(stage, name), tensors, &facts)?;
        }
        let facts = [("epoch", snapshot.epoch.to_string()), ("stage", stage.to_string())];
        write(&self.path(stage, name), state_dict(snapshot, layout), &facts)
    }

    /// Writes a snapshot as one file anywhere, for other programs: a plain state dict, with `facts` in its metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn export(path: &Path, snapshot: &Snapshot, layout: &Layout, facts: &[(&str, String)]) -> Result<()> {
        write(path, state_dict(snapshot, layout), facts)
    }

    /// Reads a snapshot back.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another network.
    pub fn load(&self, stage: StageId, name: &str, layout: &Layout) -> Result<Snapshot> {
        let mut snapshot = load_weights(&self.path(stage, name), layout)?;
        let optimizer = self.optimizer_path(stage, name);
        if optimizer.exists() {
            snapshot.optimizer = Some(load_optimizer(&optimizer, layout)?);
        }
        snapshot.mask = self.mask(stage, layout)?.map(Arc::new);
        Ok(snapshot)
    }

    /// The mask of a stage's snapshots, over connections (all else counts as alive); nothing if there are none or if they
    /// are of a dense network.
    ///
    /// # Errors
    /// When the file is damaged or of another network.
    pub fn mask(&self, stage: StageId, layout: &Layout) -> Result<Option<Bits>> {
        let path = self.folder(stage).join("mask.safetensors");
        path.exists().then(|| load_mask(&path, layout)).transpose()
    }

    /// Removes a snapshot, and the stage's folder with the last one.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self, stage: StageId, name: &str) -> Result<()> {
        for path in [self.path(stage, name), self.optimizer_path(stage, name)] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &path, &error));
                }
                _ => {}
            }
        }
        remove_if_only_mask(&self.folder(stage));
        Ok(())
    }

    /// Removes what a killed process left behind: files half written, and snapshots that `known` does not name. Only
    /// files named as this store names them are touched.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn tidy(&self, known: impl Fn(StageId) -> Vec<String>) -> Result<()> {
        for folder in entries(&self.folder) {
            let Some(stage) = folder.file_name().and_then(|name| StageId::parse(&name.to_string_lossy())) else {
                continue;
            };
            let known: Vec<String> = known(stage).iter().map(|name| file_name(name)).collect();
            for path in entries(&folder) {
                let file = path.file_name().unwrap_or_default().to_string_lossy().to_string();
                let torn = file.starts_with('.') && file.ends_with(".tmp");
                let snapshot = file.strip_suffix(".safetensors").filter(|name| *name != "mask");
                let snapshot = snapshot.map(|name| name.strip_suffix(".optimizer").unwrap_or(name));
                let ours = |name: &&str| is_own_name(name) && !known.iter().any(|known| known == name);
                if torn || snapshot.as_ref().is_some_and(ours) {
                    std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, &error))?;
                }
            }
            remove_if_only_mask(&folder);
        }
        Ok(())
    }

    /// Copies a snapshot of the same stage from another results folder.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_from(&self, other: &Store, stage: StageId, name: &str) -> Result<()> {
        let folder = self.folder(stage);
        std::fs::create_dir_all(&folder).map_err(|error| Error::file("create", &folder, &error))?;
        let mask = |store: &Store| store.folder(stage).join("mask.safetensors");
        let pairs = [
            (mask(other), mask(self)),
            (other.optimizer_path(stage, name), self.optimizer_path(stage, name)),
            (other.path(stage, name), self.path(stage, name)),
        ];
        for (from, to) in pairs.iter().filter(|(from, _)| from.exists()) {
            let bytes = read(from)?;
            write_atomically(to, |file| file.write_all(&bytes))?;
        }
        Ok(())
    }
}

/// What lies in a folder; nothing if it is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// The mask says nothing without the weights. Masks of every epoch (`masks.rs`) stay.
fn remove_if_only_mask(folder: &Path) {
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "safetensors");
    let mask = folder.join("mask.safetensors");
    if !entries(folder).iter().any(|path| is_snapshot(path) && *path != mask) {
        let _ = std::fs::remove_file(&mask);
        // Not if something else is left.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Whether this store gives such names: `best`, `last`, `epoch-10`, `best-until-10`, `progress-10`, `progress-best-10`,
/// `early-bird-0123456789abcdef`.
fn is_own_name(name: &str) -> bool {
    if let Some(kind) = name.strip_prefix("early-bird-") {
        return kind.len() == 16 && kind.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = ["epoch-", "best-until-", "progress-", "progress-best-"];
    ["best", "last"].contains(&name) || (word.len() < name.len() && numbered.contains(&word))
}

/// `epoch:10` as a file name.
fn file_name(name: &str) -> String {
    name.replace(':', "-")
}

/// A named tensor that owns its bytes.
type Named = (String, Dtype, Vec<usize>, Vec<u8>);

fn float(name: String, parameter: &Parameter, vector: &[f32]) -> Named {
    (name, Dtype::F32, parameter.shape.clone(), bytes_of(&parameter.to_pytorch(&vector[parameter.range()])))
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The tensors of `torch.nn.Module.state_dict()`, under the same names.
fn state_dict(snapshot: &Snapshot, layout: &Layout) -> Vec<Named> {
    let parameters = layout.parameters.iter().map(|p| float(p.name.clone(), p, &snapshot.parameters));
    let buffers = layout
        .buffers
        .iter()
        .map(|buffer| (buffer.name.clone(), Dtype::F32, vec![buffer.len], bytes_of(&snapshot.buffers[buffer.range()])));
    let counts = layout.norms.iter().map(|norm| {
        let count = (snapshot.batches as i64).to_le_bytes().to_vec();
        (format!("{norm}.num_batches_tracked"), Dtype::I64, Vec::new(), count)
    });
    parameters.chain(buffers).chain(counts).collect()
}

fn mask_tensors(mask: &Bits, layout: &Layout) -> Vec<Named> {
    let connections = layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
    connections
        .map(|parameter| {
            let stored: Vec<u8> = parameter.range().map(|position| u8::from(mask.get(position))).collect();
            (parameter.name.clone(), Dtype::BOOL, parameter.shape.clone(), parameter.to_pytorch(&stored))
        })
        .collect()
}

fn write(path: &Path, tensors: Vec<Named>, facts: &[(&str, String)]) -> Result<()> {
    let fail = |error: safetensors::SafeTensorError| {
        Error::environment(format!("cannot encode `{}`: {error}", path.display()))
    };
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, kind, shape, bytes)| Ok((name.as_str(), TensorView::new(*kind, shape.clone(), bytes)?)))
        .collect::<Result<_, _>>()
        .map_err(fail)?;
    let plain = safetensors::serialize(views, None).map_err(fail)?;
    let always = [("format", "pt".to_string()), ("tombola", VERSION.to_string())];
    let bytes = with_facts(plain, always.iter().chain(facts)).ok_or_else(|| {
        Error::environment(format!("cannot encode `{}`: its header is no JSON object", path.display()))
    })?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// A safetensors file with facts about it, words and numbers, in its header. The library would write them in another order
/// each time, and equal snapshots are equal files.
fn with_facts<'a>(mut file: Vec<u8>, facts: impl Iterator<Item = &'a (&'a str, String)>) -> Option<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let tensors = std::str::from_utf8(rest.get(..length)?).ok()?.trim_end().strip_prefix('{')?;
    let facts: Vec<String> = facts.map(|(key, value)| format!("{key:?}:{value:?}")).collect();
    let comma = if tensors == "}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{{{}}}{comma}{tensors}", facts.join(","));
    // The tensors begin at a multiple of 8.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let front = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    file.splice(..8 + length, front);
    Some(file)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::file("read", path, &error))
}

/// A file whose version this program knows; files of other programs carry none.
fn parsed<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, HashMap<String, String>)> {
    let damaged = |error| {
        Error::input(format!("`{}` is no safetensors file, or a damaged one: {error}", path.display()))
            .hint(torch_file::CURE)
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

fn floats(view: &TensorView) -> Vec<f32> {
    view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// Reads the weights and statistics of a state dict: one of Tombola's or of any program that names them as PyTorch does, as
/// safetensors or as `torch.save` writes it, of which nothing is run.
///
/// # Errors
/// When the file is missing, no state dict, or of another network.
pub fn load_weights(path: &Path, layout: &Layout) -> Result<Snapshot> {
    let mut bytes = read(path)?;
    if torch_file::is_one(&bytes) {
        bytes = torch_file::as_safetensors(path, &bytes)?;
    }
    let (file, about) = parsed(path, &bytes)?;
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
    let epoch = about.get("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Ok(Snapshot { epoch, batches: batches.max(0) as u64, parameters, buffers, optimizer: None, mask: None })
}

fn load_optimizer(path: &Path, layout: &Layout) -> Result<OptimizerState> {
    let bytes = read(path)?;
    let (file, about) = parsed(path, &bytes)?;
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
    let steps = about.get("steps").and_then(|steps| steps.parse().ok()).unwrap_or(0);
    Ok(OptimizerState { steps, vectors })
}

/// The order in which optimisers keep their vectors (crates/train/src/training/optimizer.rs); files keep no order.
const ORDER: [&str; 4] = ["momentum", "mean", "square", "change"];

fn load_mask(path: &Path, layout: &Layout) -> Result<Bits> {
    let bytes = read(path)?;
    let (file, _) = parsed(path, &bytes)?;
    let mut mask = Bits::ones(layout.len);
    for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        let view = tensor(&file, path, &parameter.name, Dtype::BOOL, &parameter.shape)?;
        for (position, alive) in parameter.range().zip(parameter.from_pytorch(view.data())) {
            mask.set(position, alive != 0);
        }
    }
    Ok(mask)
}

#[cfg(test)]
mod tests;
