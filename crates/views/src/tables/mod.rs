//! The tables of a sweep: everything a reader sees, derived from the plan and the journal and nothing else.
//!
//! Any of them can be rebuilt at any time, also while the sweep runs. Only `timing.csv` depends on when, where and in
//! which order the trainings ran and how often they were started; all others are the same to the byte however a sweep
//! came to its end.

pub(crate) mod answers;
mod barrier;
mod birds;
mod classes;
pub mod epochs;
mod hamming;
mod methods;
mod overlap;
mod paired;
mod pairs;
pub(crate) mod repeats;
pub mod results;
mod rows;
mod sheet;
pub mod standing;
pub mod summary;
pub mod terminal;
mod tickets;
pub mod timing;
mod tracked;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use tombola_core::folder::journal::History;
use tombola_core::folder::{Store, write_atomically, write_for_now};
use tombola_core::net::custom::OwnNetwork;
use tombola_core::plan::Plan;
use tombola_words::error::{Error, Result};

pub use standing::{Standing, TrainingState};
pub use terminal::{Style, render};

/// Writes one table.
type Table = fn(&mut dyn Write, &Plan, &History) -> std::io::Result<()>;

/// The files and what writes them.
const FILES: [(&str, Table); 9] = [
    ("results.csv", results::write),
    ("epochs.csv", epochs::write),
    ("summary.csv", summary::write),
    ("hamming.csv", hamming::write),
    ("tickets.csv", tickets::write),
    ("barrier.csv", barrier::write),
    (CLASSES, classes::write),
    (ANSWERS, answers::write),
    ("timing.csv", timing::write),
];

/// The table that is written only where some training has rows of it.
const CLASSES: &str = "classes.csv";

/// The table that is written only where the sweep asks which ticket is the sparsest that matches.
const ANSWERS: &str = "sparsest.csv";

/// The table that [`write_final`] writes beside those.
pub const OVERLAP: &str = "overlap.csv";

/// The names of the tables that [`write_all`] may write.
pub fn names() -> [&'static str; FILES.len()] {
    FILES.map(|(name, _)| name)
}

/// The files that are written for what is known.
fn files(plan: &Plan, history: &History) -> impl Iterator<Item = (&'static str, Table)> {
    let is_there = |name: &str| match name {
        CLASSES => classes::are_counted(history),
        ANSWERS => !plan.questions().is_empty(),
        _ => true,
    };
    FILES.into_iter().filter(move |(name, _)| is_there(name))
}

/// The names of the tables that [`write_all`] writes of what is known.
pub fn written(plan: &Plan, history: &History) -> impl Iterator<Item = &'static str> {
    files(plan, history).map(|(name, _)| name)
}

/// The text of one of the tables that [`write_all`] writes; of another name, an empty one.
///
/// # Errors
/// When it cannot be made.
pub fn text(name: &str, plan: &Plan, history: &History) -> Result<String> {
    let mut bytes = Vec::new();
    if let Some((_, table)) = FILES.iter().find(|(file, _)| *file == name) {
        table(&mut bytes, plan, history)
            .map_err(|error| Error::environment(format!("cannot make the table `{name}`: {error}")))?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes all tables of a sweep into its folder, each whole or not at all.
///
/// # Errors
/// When the folder does not exist or a file cannot be written; the tables that were there stay as they were.
pub fn write_all(folder: &Path, plan: &Plan, history: &History) -> Result<()> {
    for (name, table) in files(plan, history) {
        write_atomically(&folder.join(name), |file| table(file, plan, history))?;
    }
    // An answer that nobody asks for any more would be taken for one of these results.
    if plan.questions().is_empty() {
        remove_if_there(&folder.join(ANSWERS))?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path, &error)),
        _ => Ok(()),
    }
}

/// As [`write_all`] for a sweep that runs on: what a power failure would take is written again soon, so nobody waits for the disk,
/// which may take longer for the gigabytes of a large sweep than to make them.
///
/// # Errors
/// As [`write_all`].
pub fn write_meanwhile(folder: &Path, plan: &Plan, history: &History) -> Result<()> {
    for (name, table) in files(plan, history) {
        write_for_now(&folder.join(name), |file| table(file, plan, history))?;
    }
    Ok(())
}

/// As [`write_all`], and `overlap.csv`, which reads the masks of all tickets in `stores`: for the end of a run. `own` are
/// the networks of the sweep file.
///
/// # Errors
/// As [`write_all`], and when a mask cannot be read.
pub fn write_final(
    folder: &Path,
    stores: &[Store],
    own: &BTreeMap<String, OwnNetwork>,
    plan: &Plan,
    history: &History,
) -> Result<()> {
    write_all(folder, plan, history)?;
    let pairs = overlap::pairs(stores, own, plan, history)?;
    write_atomically(&folder.join(OVERLAP), |file| overlap::write(file, plan, &pairs))
}

#[cfg(test)]
pub(crate) mod tests;
