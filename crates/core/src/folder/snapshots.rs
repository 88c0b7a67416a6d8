//! Snapshots on disk: safetensors files with PyTorch's parameter names and shapes.
//!
//! `stages/ID/NAME.safetensors` is a plain state dict, `stages/ID/mask.safetensors` holds one truth value for each
//! connection, `stages/ID/NAME.optimizer.safetensors` the optimiser's vectors where training may go on from there. A
//! snapshot is there when its main file is: it is written last. Checksums of the files are given to who writes them, and asked
//! back from who reads them: what has changed meanwhile is not read. It may not know of torch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::atomic::{make_folder, write_atomically};
use crate::checkpoint::torch_file;
use crate::mask::Bits;
use crate::net::{Layout, OptimizerState, Parameter, Snapshot};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::record::SnapshotSums;
use tombola_words::{Checksum, StageId, regular};

/// Version of the files' metadata.
const VERSION: &str = "1";

/// What is known of a snapshot before it is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// What its files must hold; nothing for those of journals that did not tell.
    pub sums: Option<SnapshotSums>,
    /// Whether it is of a pruned network, which has a mask.
    pub mask: bool,
    /// Whether training goes on from it, with the optimiser's vectors.
    pub optimizer: bool,
}

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

    /// The file of a stage's mask.
    pub fn mask_file(&self, stage: StageId) -> PathBuf {
        self.folder(stage).join("mask.safetensors")
    }

    /// Writes a snapshot; when it returns, the snapshot is on the disk. Returns what its files hold.
    ///
    /// # Errors
    /// When the folder or a file cannot be written. An older snapshot of that name stays as it was.
    pub fn save(&self, stage: StageId, name: &str, snapshot: &Snapshot, layout: &Layout) -> Result<SnapshotSums> {
        make_folder(&self.folder(stage))?;
        let mask = match &snapshot.mask {
            Some(bits) => Some(self.save_mask(stage, bits, layout)?),
            None => None,
        };
        let mut optimizer = None;
        if let Some(state) = &snapshot.optimizer {
            let mut tensors = Vec::new();
            for (vector, values) in &state.vectors {
                for parameter in &layout.parameters {
                    tensors.push(float(format!("{vector}.{}", parameter.name), parameter, values));
                }
            }
            let facts = [("steps", state.steps.to_string()), ("epoch", snapshot.epoch.to_string())];
            optimizer = Some(write(&self.optimizer_path(stage, name), tensors, &facts)?);
        }
        let facts = [("epoch", snapshot.epoch.to_string()), ("stage", stage.to_string())];
        let weights = write(&self.path(stage, name), state_dict(snapshot, layout), &facts)?;
        Ok(SnapshotSums { weights, optimizer, mask })
    }

    /// Writes the mask of a stage where there is none or another one: of an attempt that began from another parent.
    fn save_mask(&self, stage: StageId, bits: &Bits, layout: &Layout) -> Result<Checksum> {
        let path = self.mask_file(stage);
        let bytes = encoded(&path, mask_tensors(bits, layout), &[])?;
        let sum = Checksum::of(&bytes);
        // One that cannot be read is written again.
        if !regular::read(&path).is_ok_and(|there| Checksum::of(&there) == sum) {
            write_atomically(&path, |file| file.write_all(&bytes))?;
        }
        Ok(sum)
    }

    /// Writes a snapshot as one file anywhere, for other programs: a plain state dict, with `facts` in its metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn export(path: &Path, snapshot: &Snapshot, layout: &Layout, facts: &[(&str, String)]) -> Result<()> {
        write(path, state_dict(snapshot, layout), facts).map(|_| ())
    }

    /// Reads a snapshot back.
    ///
    /// # Errors
    /// When a file is missing, has changed since it was written, or is of another network.
    pub fn load(&self, stage: StageId, name: &str, layout: &Layout, expected: Expected) -> Result<Snapshot> {
        let sums = expected.sums;
        let path = self.path(stage, name);
        let mut snapshot = weights_of(&path, read_sound(&path, sums.map(|sums| sums.weights))?, layout)?;
        let path = self.optimizer_path(stage, name);
        let sum = sums.and_then(|sums| sums.optimizer);
        let there = if sums.is_some() { sum.is_some() } else { expected.optimizer || path.exists() };
        if there {
            snapshot.optimizer = Some(load_optimizer(&path, &read_sound(&path, sum)?, layout)?);
        }
        let path = self.mask_file(stage);
        let sum = sums.and_then(|sums| sums.mask);
        if expected.mask || sum.is_some() {
            snapshot.mask = Some(Arc::new(load_mask(&path, &read_sound(&path, sum)?, layout)?));
        }
        Ok(snapshot)
    }

    /// Whether the files of a snapshot are there and hold what they should.
    ///
    /// # Errors
    /// When one is missing, cannot be read, or has changed since it was written.
    pub fn check(&self, stage: StageId, name: &str, expected: Expected) -> Result<()> {
        let sums = expected.sums;
        let (weights, optimizer, mask) =
            (self.path(stage, name), self.optimizer_path(stage, name), self.mask_file(stage));
        let files = [
            (true, weights, sums.map(|sums| sums.weights)),
            (expected.optimizer && sums.is_none(), optimizer.clone(), None),
            (sums.is_some_and(|sums| sums.optimizer.is_some()), optimizer, sums.and_then(|sums| sums.optimizer)),
            (expected.mask || sums.is_some_and(|sums| sums.mask.is_some()), mask, sums.and_then(|sums| sums.mask)),
        ];
        for (_, path, sum) in files.iter().filter(|(needed, ..)| *needed) {
            let bytes = read_sound(path, *sum)?;
            if sum.is_none() {
                parsed(path, &bytes)?;
            }
        }
        Ok(())
    }

    /// Whether the file of a stage's mask, where there is one, holds what it should.
    ///
    /// # Errors
    /// When it cannot be read, or has changed since it was written.
    pub fn check_mask(&self, stage: StageId, sum: Checksum) -> Result<()> {
        let path = self.mask_file(stage);
        if path.exists() { read_sound(&path, Some(sum)).map(|_| ()) } else { Ok(()) }
    }

    /// The mask of a stage's snapshots, over connections (all else counts as alive); nothing if there are none or if they
    /// are of a dense network. `sum` is what the file must hold, as far as that is known.
    ///
    /// # Errors
    /// When the file is damaged, has changed since it was written, or is of another network.
    pub fn mask(&self, stage: StageId, layout: &Layout, sum: Option<Checksum>) -> Result<Option<Bits>> {
        let path = self.mask_file(stage);
        path.exists().then(|| load_mask(&path, &read_sound(&path, sum)?, layout)).transpose()
    }

    /// The files of a snapshot, of those that it can have: state dict, optimiser.
    pub fn files(&self, stage: StageId, name: &str) -> [PathBuf; 2] {
        [self.path(stage, name), self.optimizer_path(stage, name)]
    }

    /// Removes a snapshot, and the stage's folder with the last one.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self, stage: StageId, name: &str) -> Result<()> {
        for path in self.files(stage, name) {
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

    /// Removes what a killed process left behind and `is_past` knows: snapshots that nothing needs any more, by their names, and
    /// files half written. A file that is not understood stays.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn tidy(&self, is_past: impl Fn(StageId, &str) -> bool) -> Result<()> {
        for (stage, folder) in self.stages() {
            for path in entries(&folder) {
                let file = path.file_name().unwrap_or_default().to_string_lossy().to_string();
                let torn = file.starts_with('.') && file.ends_with(".tmp");
                let snapshot = file.strip_suffix(".safetensors");
                let snapshot = snapshot.map(|name| name.strip_suffix(".optimizer").unwrap_or(name));
                if torn || snapshot.is_some_and(|name| is_past(stage, name)) {
                    std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, &error))?;
                }
            }
            remove_if_only_mask(&folder);
        }
        Ok(())
    }

    /// The names of the snapshots of a stage that are there, as their files have them, each once.
    pub fn names(&self, stage: StageId) -> BTreeSet<String> {
        let files = entries(&self.folder(stage)).into_iter();
        let names = files.filter_map(|path| {
            let file = path.file_name()?.to_string_lossy().to_string();
            let name = file.strip_suffix(".safetensors")?;
            Some(name.strip_suffix(".optimizer").unwrap_or(name).to_string())
        });
        names.filter(|name| name != "mask" && !name.starts_with('.')).collect()
    }

    /// The folders of stages that are there.
    pub fn stages(&self) -> Vec<(StageId, PathBuf)> {
        let named = |folder: PathBuf| {
            let stage = folder.file_name().and_then(|name| StageId::parse(&name.to_string_lossy()))?;
            Some((stage, folder))
        };
        entries(&self.folder).into_iter().filter_map(named).collect()
    }

    /// Copies a snapshot of the same stage from another results folder.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_from(&self, other: &Store, stage: StageId, name: &str) -> Result<()> {
        make_folder(&self.folder(stage))?;
        let pairs = [
            (other.mask_file(stage), self.mask_file(stage)),
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
        ignored(std::fs::remove_file(&mask), "a mask that stays does no harm");
        ignored(std::fs::remove_dir(folder), "the folder stays if something else is left");
    }
}

/// `epoch:10` as a file name.
pub fn file_name(name: &str) -> String {
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

fn write(path: &Path, tensors: Vec<Named>, facts: &[(&str, String)]) -> Result<Checksum> {
    let bytes = encoded(path, tensors, facts)?;
    write_atomically(path, |file| file.write_all(&bytes))?;
    Ok(Checksum::of(&bytes))
}

/// A safetensors file. Equal tensors and facts give equal bytes: the library would write the facts in another order each time.
fn encoded(path: &Path, tensors: Vec<Named>, facts: &[(&str, String)]) -> Result<Vec<u8>> {
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

fn read(path: &Path) -> Result<Vec<u8>> {
    regular::read(path).map_err(|error| Error::file("read", path, &error))
}

/// The bytes of a file that hold what was written, as far as that is known.
fn read_sound(path: &Path, sum: Option<Checksum>) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    match sum.map(|expected| (Checksum::of(&bytes), expected)) {
        Some((found, expected)) if found != expected => Err(Error::environment(format!(
            "`{}` has changed since it was written: its checksum is {found}, the journal says {expected}",
            path.display()
        ))
        .hint("restore the file from a copy, or run the sweep again: what the file held is trained anew")),
        _ => Ok(bytes),
    }
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
    weights_of(path, read(path)?, layout)
}

/// As [`load_weights`], of bytes that were read already; `path` is for errors.
pub(super) fn weights_of(path: &Path, mut bytes: Vec<u8>, layout: &Layout) -> Result<Snapshot> {
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

fn load_optimizer(path: &Path, bytes: &[u8], layout: &Layout) -> Result<OptimizerState> {
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
    let steps = about.get("steps").and_then(|steps| steps.parse().ok()).unwrap_or(0);
    Ok(OptimizerState { steps, vectors })
}

/// The order in which optimisers keep their vectors (crates/train/src/training/optimizer.rs); files keep no order.
const ORDER: [&str; 4] = ["momentum", "mean", "square", "change"];

fn load_mask(path: &Path, bytes: &[u8], layout: &Layout) -> Result<Bits> {
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

#[cfg(test)]
mod tests;
