//! What a sweep file and flags ask for: the sweep, its plan, and where its results go.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use super::forest::Plan;
use crate::sweep::{Spec, Trial};
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::value::Load;

/// A sweep, read and laid out.
#[derive(Debug)]
pub struct Asked {
    /// What was asked.
    pub spec: Spec,
    /// The stages that follow.
    pub plan: Arc<Plan>,
    /// The results folder.
    pub folder: PathBuf,
}

/// The plan of a sweep.
///
/// # Errors
/// When a file that it loads cannot be read, settings contradict each other, or a network cannot work on its data.
pub fn grow(spec: &Spec) -> Result<Plan> {
    let trials = spec.trials()?;
    let loaded = loaded(&trials)?;
    Plan::of(spec, trials, loaded)
}

/// Checksum of each file that a dense network of a sweep is loaded from.
///
/// # Errors
/// When one cannot be read.
pub fn loaded(trials: &[Trial]) -> Result<HashMap<String, String>> {
    let mut loaded = HashMap::new();
    for trial in trials {
        if let Load::Path(path) = &trial.settings.load
            && let Entry::Vacant(entry) = loaded.entry(path.display().to_string())
        {
            let bytes = regular::read(path).map_err(|error| {
                Error::file("read", path, &error)
                    .hint("give the path of a state dict (safetensors or .pth), or `--load auto`")
            })?;
            entry.insert(blake3::hash(&bytes).to_hex().to_string());
        }
    }
    Ok(loaded)
}
