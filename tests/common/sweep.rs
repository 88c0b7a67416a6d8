//! A sweep that meets every way of going on from a snapshot, and what must not depend on how it came to its end.

use super::Folder;

/// Fully connected and convolutional, one-shot and iterative, each rewind, two seeds: 24 trials, 40 trainings. A snapshot
/// after each epoch, so that every way of going on from one is met.
pub(crate) const SWEEP: &str = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 200
epochs = 3
pruning-ratio = 0.75
prune-iterations = [1, 2]
reinit = ["init", "epoch:1", "none"]
seed = [1, 2]
snapshot-seconds = 0

[[grid]]
network = "lenet-300-100"
optimizer = "adam"
learning-rate = 0.001

[[grid]]
network = "resnetb"
depth = 11
width = 4
"#;
/// What it trains.
pub(crate) const TRAININGS: usize = 40;
/// What must not depend on how a sweep came to its end.
pub(crate) const TABLES: [&str; 3] = ["results.csv", "epochs.csv", "summary.csv"];

/// A fresh folder with the sweep in it.
pub(crate) fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP);
    folder
}

/// The same sweep with so many images that it takes some seconds: enough to do something to it in the middle.
pub(crate) fn slow_folder() -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP.replace("synthetic-size = 200", "synthetic-size = 1000"));
    folder
}

/// The tables of its results.
pub(crate) fn tables(folder: &Folder) -> Vec<String> {
    TABLES.iter().map(|name| folder.read(&format!("results/sweep/{name}"))).collect()
}

/// Bytes of its journal: how far it is.
pub(crate) fn journal(folder: &Folder) -> u64 {
    std::fs::metadata(folder.path("results/sweep/journal")).map_or(0, |found| found.len())
}

/// All tables are those of a run that was left alone.
#[track_caller]
pub(crate) fn expect_same(folder: &Folder, expected: &[String], situation: &str) {
    for ((name, found), expected) in TABLES.iter().zip(tables(folder)).zip(expected) {
        let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == *expected, "{name} differs, {situation}: {differing:#?}");
    }
}
