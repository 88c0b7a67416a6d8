//! Whether a machine, or a start of many ranks, is fit for a long run: what each rank finds, and what follows from it.
//!
//! Each rank looks for itself (`look.rs`, `gpus.rs`, `folder.rs`) and tells rank 0 (`src/torch/round.rs`), which judges
//! (`verdict`). It may not know how anything is trained.

pub mod facts;
pub mod folder;
pub mod gpus;
mod loaded;
pub mod look;
pub mod verdict;

use std::path::PathBuf;

use tombola_core::sweep::Settings;

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct Checkup {
    /// Results folder, there or not yet.
    pub folder: PathBuf,
    /// Data sets that every rank needs, by their one name.
    pub datasets: Vec<String>,
    /// How the run is to be made.
    pub run: Settings,
}
