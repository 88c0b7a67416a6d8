//! The power fails at a random moment of a run, again and again: the next run gives the tables of one that was left alone, to the
//! byte. The disk is an imitation that keeps what was brought to it and, of all else, what chance leaves (`tests/power`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use super::common::sweep::{expect_same, tables};
use super::common::{Folder, PROGRAM, Ran, compiled};
use disk::Trace;
use rand::{Rng, RngCore};
use tombola_words::stream::stream;

#[path = "../power/disk.rs"]
mod disk;

/// Cuts where `TOMBOLA_TEST_CUTS` names no other number.
const CUTS: usize = 25;
/// Runs of which the next cut may be one: each begins with what a cut of an earlier one left.
const TRACES: usize = 8;

/// Small networks whose states and masks are all written: early birds that are drawn while they train, tickets that go back to
/// an epoch, whose optimisers go on, and channels.
const SWEEP: &str = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 160
network = "resnetb"
depth = 11
width = 2
epochs = 5
seed = [1, 2]
snapshot-seconds = 0
workers = 2
save = true

[[grid]]
optimizer = "adam"
learning-rate = 0.003
pruning-ratio = 0.6
prune-iterations = 2
reinit = ["epoch:1", "none"]

[[grid]]
pruning-type = "structured"
pruning-ratio = 0.5
draw = "early-bird"
early-bird-window = 2
early-bird-epsilon = 0.15
reinit = "lr"
"#;

static RECORDER: LazyLock<PathBuf> = LazyLock::new(|| compiled("power/record.c"));

/// Files with their contents, folders without, by path.
type Contents = BTreeMap<String, Option<Vec<u8>>>;

fn contents(folder: &Folder) -> Contents {
    let below = folder.listing().into_iter().filter_map(|path| path.strip_prefix("results/sweep/").map(str::to_string));
    below
        .map(|path| {
            let whole = folder.path(&format!("results/sweep/{path}"));
            (path, (!whole.is_dir()).then(|| std::fs::read(whole).unwrap()))
        })
        .collect()
}

/// Runs the sweep on a disk that holds `before`, and writes down what is done to it.
fn run(before: &Contents) -> (Ran, Folder, Trace) {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP);
    let root = folder.path("results/sweep");
    std::fs::create_dir_all(&root).unwrap();
    for (path, bytes) in before {
        match bytes {
            None => std::fs::create_dir_all(root.join(path)).unwrap(),
            Some(bytes) => {
                folder.write(&format!("results/sweep/{path}"), bytes);
            }
        }
    }
    let mut command = folder.command(PROGRAM);
    command.args(["run", "sweep.toml", "--quiet"]);
    command.env("LD_PRELOAD", &*RECORDER).env("POWER_ROOT", &root).env("POWER_TRACE", folder.path("trace"));
    let ran = Ran::of("run sweep.toml", command.output().unwrap());
    let trace = Trace::read(before.clone(), &std::fs::read(folder.path("trace")).unwrap_or_default());
    (ran, folder, trace)
}

#[test]
fn a_power_failure_at_any_moment_costs_time_and_nothing_else() {
    let cuts = std::env::var("TOMBOLA_TEST_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let seed = std::env::var("TOMBOLA_TEST_SEED").map_or_else(|_| rand_seed(), |seed| seed.parse().unwrap());
    let mut random = stream(seed, "power", &[]);
    let (ran, folder, trace) = run(&Contents::new());
    ran.expect(0);
    let expected = tables(&folder);
    assert!(expected.iter().all(|table| !table.contains("failed")));
    assert!(expected[4].contains("drawn"), "{}", expected[4]);
    assert!(trace.end() == contents(&folder), "the imitation is not what the program did");
    let mut traces = vec![trace];
    for cut in 0..cuts {
        let situation = format!("TOMBOLA_TEST_SEED={seed}, cut {cut}");
        let trace = &traces[random.random_range(0..traces.len())];
        let left = trace.cut(random.random_range(0..=trace.len()), &mut random);
        let (ran, folder, trace) = run(&left);
        let torn = left.get("journal").is_some_and(|bytes| bytes.as_ref().is_some_and(|bytes| bytes.is_empty()));
        assert_eq!(ran.code, Some(0), "{situation}, empty journal: {torn}\n{ran}");
        expect_same(&folder, &expected, &situation);
        match traces.len() {
            TRACES => traces[random.next_u64() as usize % TRACES] = trace,
            _ => traces.push(trace),
        }
    }
    eprintln!("{cuts} power failures, seed {seed}: no table differs");
}

fn rand_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
