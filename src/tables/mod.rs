//! The tables of a sweep: everything a reader sees, derived from the plan and the journal and nothing else.
//!
//! Any of them can be rebuilt at any time, also while the sweep runs. Only `timing.csv` depends on when, where and in
//! which order the trainings ran and how often they were started; all others are the same to the byte however a sweep
//! came to its end.

pub mod epochs;
mod methods;
pub mod results;
mod rows;
mod sheet;
pub mod standing;
pub mod statistics;
pub mod summary;
pub mod terminal;
pub mod timing;

use std::io::Write;
use std::path::Path;

use crate::error::Result;
use crate::journal::History;
use crate::plan::Plan;
use crate::store::write_atomically;

pub use standing::{Standing, State};
pub use terminal::{Style, render};

/// Writes one table.
type Table = fn(&mut dyn Write, &Plan, &History) -> std::io::Result<()>;

/// The files and what writes them.
const FILES: [(&str, Table); 4] = [
    ("results.csv", results::write),
    ("epochs.csv", epochs::write),
    ("summary.csv", summary::write),
    ("timing.csv", timing::write),
];

/// Writes all tables of a sweep into its folder, each whole or not at all.
///
/// # Errors
/// When the folder does not exist or a file cannot be written; the tables that were there stay as they were.
pub fn write_all(folder: &Path, plan: &Plan, history: &History) -> Result<()> {
    for (name, table) in FILES {
        write_atomically(&folder.join(name), |file| table(file, plan, history))?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
