//! What a sweep file and flags ask for: the sweep, its plan, and where its results go.

use std::path::PathBuf;
use std::sync::Arc;

use super::forest::Plan;
use super::loaded::{LoadedFiles, loaded};
use crate::sweep::Spec;
use tombola_words::error::Result;

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

/// The plan of a sweep. Of files that it loads, those that are `known` are not opened.
///
/// # Errors
/// When a file that it loads cannot be read, settings contradict each other, or a network cannot work on its data.
pub fn grow(spec: &Spec, known: &LoadedFiles) -> Result<Plan> {
    let trials = spec.trials()?;
    let loaded = loaded(spec, &trials, known)?;
    Plan::of(spec, trials, loaded)
}
