//! A sweep whose tables must not depend on where it was trained and on what went wrong meanwhile.

use std::time::Duration;

use super::{Folder, PROGRAM};

/// Trainings of [`text`].
pub(crate) const TRAININGS: usize = 48;

/// What must not depend on how a sweep came to its end.
pub(crate) const TABLES: [&str; 7] =
    ["results.csv", "epochs.csv", "summary.csv", "hamming.csv", "tickets.csv", "overlap.csv", "barrier.csv"];

/// Fully connected and convolutional, one-shot and iterative, each rewind, two seeds; channels of early birds at which the
/// dense training stops; forks: 30 trials, 48 trainings. A snapshot after each epoch, so that what is lost can be taken up
/// anywhere.
pub(crate) fn text(images: usize, epochs: usize) -> String {
    format!(
        r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = {images}
epochs = {epochs}
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

[[grid]]
network = "resnetb"
depth = 11
width = 4
slimming = 1e-4
pruning-type = "structured"
pruning-ratio = 0.5
prune-iterations = 1
draw = "early-bird"
early-bird-rule = "code"
early-bird-window = 2
early-bird-epsilon = 1.0
reinit = ["lr", "init"]
budget = "remaining"

[[grid]]
network = "lenet-300-100"
optimizer = "adam"
learning-rate = 0.001
prune-iterations = 1
reinit = "epoch:1"
control = "fork"
barrier-points = 3
"#
    )
}

/// A folder with the sweep in `sweep.toml`.
pub(crate) fn folder(text: &str) -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", text);
    folder
}

/// What one process makes of a sweep.
pub(crate) struct Alone {
    folder: Folder,
    /// Bytes of its journal: a measure of how far another run of the same sweep is.
    pub(crate) journal: u64,
}

impl Alone {
    pub(crate) fn run(text: &str) -> Self {
        let folder = folder(text);
        folder.tombola("run sweep.toml --quiet").expect(0);
        let journal = journal(&folder);
        assert!(tables(&folder).iter().all(|table| !table.contains("failed")));
        Self { folder, journal }
    }

    /// Another run of the sweep came to the same, to the byte.
    #[track_caller]
    pub(crate) fn expect_same(&self, other: &Folder, situation: &str) {
        expect_same(other, &tables(&self.folder), situation);
    }
}

/// Bytes of the journal of the sweep in a folder.
pub(crate) fn journal(folder: &Folder) -> u64 {
    std::fs::metadata(folder.path("results/sweep/journal")).map_or(0, |found| found.len())
}

/// Starts the sweep on two workers, lets it come to `length` bytes of its journal and `pause` longer, and kills it. Whether it was
/// still at work then.
pub(crate) fn kill_at(folder: &Folder, length: u64, pause: Duration) -> bool {
    let mut child = folder.command(PROGRAM).args(["run", "sweep.toml", "--workers", "2"]).spawn().unwrap();
    while journal(folder) < length && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(pause);
    let was_at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_at_work
}

/// The tables of the sweep in a folder.
pub(crate) fn tables(folder: &Folder) -> Vec<String> {
    TABLES.iter().map(|name| folder.read(&format!("results/sweep/{name}"))).collect()
}

/// All tables are those of a run that was left alone.
#[track_caller]
pub(crate) fn expect_same(folder: &Folder, expected: &[String], situation: &str) {
    for ((name, found), expected) in TABLES.iter().zip(tables(folder)).zip(expected) {
        let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == *expected, "{name} differs, {situation}: {differing:#?}");
    }
}

/// Every snapshot and mask that stayed, with its bytes.
fn states(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let kept = folder.listing().into_iter().filter(|path| path.contains("/stages/") && path.contains(".safetensors"));
    kept.map(|path| (path.clone(), std::fs::read(folder.path(&path)).unwrap())).collect()
}

/// All snapshots and masks that stayed are those of another run.
#[track_caller]
pub(crate) fn expect_same_states(one: &Folder, other: &Folder, situation: &str) {
    let (one, other) = (states(one), states(other));
    let names = |states: &[(String, Vec<u8>)]| states.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other), "{situation}");
    let differing: Vec<&String> =
        one.iter().zip(&other).filter(|(one, other)| one != other).map(|((name, _), _)| name).collect();
    assert_eq!(differing, Vec::<&String>::new(), "{situation}");
}

/// A folder with a sweep of some seconds: enough to do something to it in the middle.
pub(crate) fn slow_folder() -> Folder {
    folder(&text(1000, 3))
}
