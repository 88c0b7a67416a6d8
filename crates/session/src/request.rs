//! What is to be trained, and how much of it is told. It may not know where that was read.

use std::collections::HashSet;
use std::path::PathBuf;

use tombola_cluster::coordinator::Loudness;
use tombola_core::plan::Asked;
use tombola_views::tables::Style;

/// What is to be trained.
#[derive(Debug)]
pub struct Request {
    /// The sweep, its plan and its results folder.
    pub asked: Asked,
    /// How much is told.
    pub loudness: Loudness,
    /// Where the log is written, if not into the results folder.
    pub log: Option<PathBuf>,
    /// The only stages to train, if not all that are missing.
    pub chosen: Option<HashSet<usize>>,
    /// How the table at the end looks.
    pub style: Style,
}
