//! Snapshots on disk: safetensors files with PyTorch's parameter names and shapes.
//!
//! `stages/ID/NAME.safetensors` is a plain state dict, `stages/ID/mask.safetensors` holds one truth value for each
//! connection, `stages/ID/NAME.optimizer.safetensors` the optimiser's vectors where training may go on from there. Where masks change
//! while a stage trains, a snapshot has its mask for itself, as `stages/ID/NAME.mask.safetensors`, and that at the end is the stage's. A
//! snapshot is there when its main file is: it is written last. Checksums of the files are given to who writes them, and asked
//! back from who reads them: what has changed meanwhile is not read. It may not know of torch.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::atomic::{is_temporary, make_folder, write_atomically};
pub use super::tensor_file::load_weights;
use super::tensor_file::{
    encoded, float, load_mask, load_optimizer, mask_tensors, parsed, read, read_sound, state_dict, statistics,
    weights_of, write,
};
use crate::mask::Bits;
use crate::net::{Layout, OptimizerState, Snapshot};
use tombola_words::error::{Error, Result, ignored};
use tombola_words::record::SnapshotSums;
use tombola_words::{Checksum, StageId, regular};

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

/// A file, and what it must hold if that is known.
type NeededFile = (PathBuf, Option<Checksum>);

/// The files that a snapshot must have.
struct NeededFiles {
    weights: NeededFile,
    optimizer: Option<NeededFile>,
    mask: Option<NeededFile>,
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

    fn own_mask_path(&self, stage: StageId, name: &str) -> PathBuf {
        self.folder(stage).join(format!("{}.mask.safetensors", file_name(name)))
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
        let write = |bits: &Bits| self.save_mask(&self.mask_file(stage), bits, layout);
        make_folder(&self.folder(stage))?;
        let mask = snapshot.mask.as_deref().map(write).transpose()?;
        Ok(SnapshotSums { mask, ..self.save_without_mask(stage, name, snapshot, layout)? })
    }

    /// As [`Store::save`], with a mask that may be another than that of the stage's other snapshots.
    ///
    /// # Errors
    /// As there.
    pub fn save_with_own_mask(
        &self,
        stage: StageId,
        name: &str,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<SnapshotSums> {
        let write = |bits: &Bits| self.save_mask(&self.own_mask_path(stage, name), bits, layout);
        make_folder(&self.folder(stage))?;
        let own_mask = snapshot.mask.as_deref().map(write).transpose()?;
        Ok(SnapshotSums { own_mask, ..self.save_without_mask(stage, name, snapshot, layout)? })
    }

    fn save_without_mask(
        &self,
        stage: StageId,
        name: &str,
        snapshot: &Snapshot,
        layout: &Layout,
    ) -> Result<SnapshotSums> {
        let mut optimizer = None;
        if let Some(state) = &snapshot.optimizer {
            let mut tensors = Vec::new();
            for (vector, values) in &state.vectors {
                if vector == OptimizerState::STATISTICS {
                    tensors.extend(statistics(&format!("{vector}."), values, layout));
                    continue;
                }
                for parameter in &layout.parameters {
                    tensors.push(float(format!("{vector}.{}", parameter.name), parameter, values));
                }
            }
            let facts = [("steps", state.steps.to_string()), ("epoch", snapshot.epoch.to_string())];
            optimizer = Some(write(&self.optimizer_path(stage, name), tensors, &facts)?);
        }
        let mut facts = vec![("epoch", snapshot.epoch.to_string()), ("stage", stage.to_string())];
        if snapshot.step > 0 {
            facts.push(("step", snapshot.step.to_string()));
        }
        let weights = write(&self.path(stage, name), state_dict(snapshot, layout), &facts)?;
        Ok(SnapshotSums { weights, optimizer, mask: None, own_mask: None })
    }

    /// Writes a mask where there is none or another one: of an attempt that began from another parent.
    fn save_mask(&self, path: &Path, bits: &Bits, layout: &Layout) -> Result<Checksum> {
        let bytes = encoded(path, mask_tensors(bits, layout), &[])?;
        let sum = Checksum::of(&bytes);
        // One that cannot be read is written again.
        if !regular::read(path).is_ok_and(|there| Checksum::of(&there) == sum) {
            write_atomically(path, |file| file.write_all(&bytes))?;
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

    /// The files that a snapshot must have, each with what the file must hold as far as that is known.
    fn needed(&self, stage: StageId, name: &str, expected: Expected) -> NeededFiles {
        let optimizer = self.optimizer_path(stage, name);
        let (weights, sums) = (self.path(stage, name), expected.sums);
        let has_optimizer = match sums {
            Some(sums) => sums.optimizer.is_some(),
            None => expected.optimizer || regular::may_be_there(&optimizer),
        };
        let has_mask = expected.mask || sums.is_some_and(|sums| sums.mask.is_some());
        NeededFiles {
            weights: (weights, sums.map(|sums| sums.weights)),
            optimizer: has_optimizer.then(|| (optimizer, sums.and_then(|sums| sums.optimizer))),
            mask: match sums.and_then(|sums| sums.own_mask) {
                Some(own) => Some((self.own_mask_path(stage, name), Some(own))),
                None => has_mask.then(|| (self.mask_file(stage), sums.and_then(|sums| sums.mask))),
            },
        }
    }

    /// Reads a snapshot back.
    ///
    /// # Errors
    /// When a file is missing, has changed since it was written, or is of another network.
    pub fn load(&self, stage: StageId, name: &str, layout: &Layout, expected: Expected) -> Result<Snapshot> {
        let NeededFiles { weights: (path, sum), optimizer, mask } = self.needed(stage, name, expected);
        let mut snapshot = weights_of(&path, &read_sound(&path, sum)?, layout)?;
        if let Some((path, sum)) = optimizer {
            snapshot.optimizer = Some(load_optimizer(&path, &read_sound(&path, sum)?, layout)?);
        }
        if let Some((path, sum)) = mask {
            snapshot.mask = Some(Arc::new(load_mask(&path, &read_sound(&path, sum)?, layout)?));
        }
        Ok(snapshot)
    }

    /// Whether the files of a snapshot are there and hold what they should.
    ///
    /// # Errors
    /// When one is missing, cannot be read, or has changed since it was written.
    pub fn check(&self, stage: StageId, name: &str, expected: Expected) -> Result<()> {
        let NeededFiles { weights, optimizer, mask } = self.needed(stage, name, expected);
        for (path, sum) in [Some(weights), optimizer, mask].into_iter().flatten() {
            check_file(&path, sum)?;
        }
        Ok(())
    }

    /// Whether the file of a stage's mask, where there must be one, holds what it should; `sum` as far as that is known.
    ///
    /// # Errors
    /// When it is missing beside snapshots, cannot be read, or has changed since it was written.
    pub fn check_mask(&self, stage: StageId, sum: Option<Checksum>) -> Result<()> {
        let path = self.mask_file(stage);
        if self.must_have_mask(stage, sum)? { check_file(&path, sum) } else { Ok(()) }
    }

    /// Whether a stage has a mask, or had one: who tidied up by hand has removed its snapshots, too.
    fn must_have_mask(&self, stage: StageId, sum: Option<Checksum>) -> Result<bool> {
        Ok(regular::may_be_there(&self.mask_file(stage)) || (sum.is_some() && !self.names(stage)?.is_empty()))
    }

    /// The mask of a stage's snapshots, over connections (all else counts as alive); nothing if there are none or if they
    /// are of a dense network. `sum` is what the file must hold, as far as that is known.
    ///
    /// # Errors
    /// When the file is missing beside snapshots, damaged, has changed since it was written, or is of another network.
    pub fn mask(&self, stage: StageId, layout: &Layout, sum: Option<Checksum>) -> Result<Option<Bits>> {
        let path = self.mask_file(stage);
        self.must_have_mask(stage, sum)?.then(|| load_mask(&path, &read_sound(&path, sum)?, layout)).transpose()
    }

    /// The files of a snapshot, of those that it can have for itself: state dict, optimiser, mask.
    pub fn files(&self, stage: StageId, name: &str) -> [PathBuf; 3] {
        [self.path(stage, name), self.optimizer_path(stage, name), self.own_mask_path(stage, name)]
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
    /// When a folder cannot be listed, or a file is there and cannot be removed.
    pub fn tidy(&self, is_past: impl Fn(StageId, &str) -> bool) -> Result<()> {
        for (stage, folder) in self.stages()? {
            for path in entries(&folder)? {
                let file = path.file_name().unwrap_or_default().to_string_lossy().to_string();
                let torn = is_temporary(&file);
                let snapshot = file.strip_suffix(".safetensors");
                let snapshot = snapshot.map(snapshot_name);
                if torn || snapshot.is_some_and(|name| is_past(stage, name)) {
                    std::fs::remove_file(&path).map_err(|error| Error::file("remove", &path, &error))?;
                }
            }
            remove_if_only_mask(&folder);
        }
        Ok(())
    }

    /// The names of the snapshots of a stage that are there, as their files have them, each once.
    ///
    /// # Errors
    /// When its folder cannot be listed.
    pub fn names(&self, stage: StageId) -> Result<BTreeSet<String>> {
        let files = entries(&self.folder(stage))?.into_iter();
        let names = files.filter_map(|path| {
            let file = path.file_name()?.to_string_lossy().to_string();
            let name = file.strip_suffix(".safetensors")?;
            Some(snapshot_name(name).to_string())
        });
        Ok(names.filter(|name| name != "mask" && !name.starts_with('.')).collect())
    }

    /// The folders of stages that are there.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn stages(&self) -> Result<Vec<(StageId, PathBuf)>> {
        let named = |folder: PathBuf| {
            let stage = folder.file_name().and_then(|name| StageId::parse(&name.to_string_lossy()))?;
            Some((stage, folder))
        };
        Ok(entries(&self.folder)?.into_iter().filter_map(named).collect())
    }

    /// Copies a snapshot of the same stage from another results folder.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_from(&self, other: &Store, stage: StageId, name: &str) -> Result<()> {
        make_folder(&self.folder(stage))?;
        let pairs = [
            (other.mask_file(stage), self.mask_file(stage)),
            (other.own_mask_path(stage, name), self.own_mask_path(stage, name)),
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

/// The name of the snapshot that a file belongs to, by that of the file without `.safetensors`.
fn snapshot_name(file: &str) -> &str {
    file.strip_suffix(".optimizer").or_else(|| file.strip_suffix(".mask")).unwrap_or(file)
}

/// Whether a file holds what it should, or, where that is not known, tensors.
fn check_file(path: &Path, sum: Option<Checksum>) -> Result<()> {
    let bytes = read_sound(path, sum)?;
    if sum.is_none() {
        parsed(path, &bytes)?;
    }
    Ok(())
}

/// What lies in a folder; nothing if there is none. What cannot be listed is not taken for empty.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder).and_then(|all| all.map(|entry| Ok(entry?.path())).collect()) {
        // A link that leads nowhere is a disk that is not there.
        Err(error) if error.kind() == ErrorKind::NotFound && !folder.is_symlink() => Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(Vec::new()),
        listed => listed.map_err(|error| Error::file("list", folder, &error)),
    }
}

/// The mask says nothing without the weights. Masks of every epoch (`masks.rs`) stay; so does all where that cannot be seen.
fn remove_if_only_mask(folder: &Path) {
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "safetensors");
    let mask = folder.join("mask.safetensors");
    if entries(folder).is_ok_and(|all| !all.iter().any(|path| is_snapshot(path) && *path != mask)) {
        ignored(std::fs::remove_file(&mask), "a mask that stays does no harm");
        ignored(std::fs::remove_dir(folder), "the folder stays if something else is left");
    }
}

/// `epoch:10` as a file name.
pub fn file_name(name: &str) -> String {
    name.replace(':', "-")
}

#[cfg(test)]
mod tests;
