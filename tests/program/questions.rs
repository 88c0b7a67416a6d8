//! `find = "sparsest"`: the answer is that of the whole grid, by fewer trainings, and a function of results alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::common::ranks::{can_start, mpirun};
use super::common::sweep::{self, journal, kill_at, tables};
use super::common::{Folder, PROGRAM, skipped, started};
use rand::RngCore;
use tombola_words::stream::stream;

const FASHION_MNIST: &str = "/usr/share/datasets/fashion-mnist";
const KILLS: usize = 20;

/// Fifteen ratios that LeNet-300-100 is pruned to at once, over three seeds.
fn question(images: usize, epochs: usize) -> String {
    format!(
        "name = \"sweep\"\nnetwork = \"lenet-300-100\"\ndataset = \"fashion-mnist\"\ntrain-limit = {images}\nepochs = {epochs}\n\
         seed = [1, 2, 3]\nlearning-rate = 0.1\nschedule = \"cosine\"\nreinit = \"init\"\nsnapshot-seconds = 0\n\
         pruning-ratio = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998]\n\
         find = \"sparsest\"\nwithin = 1.0\n"
    )
}

/// Whether the data are here; noted as skipped if not.
fn has_data(test: &str) -> bool {
    let there = Path::new(FASHION_MNIST).exists();
    if !there {
        skipped(test, "there is no Fashion-MNIST (Debian's dataset-fashion-mnist)");
    }
    there
}

/// All tables that must not depend on how a sweep came to its end.
fn told(folder: &Folder) -> Vec<String> {
    let mut all = tables(folder);
    all.push(folder.read("results/sweep/sparsest.csv"));
    all
}

/// The sparsest ratio whose mean over seeds is within a point of the dense mean, by plain loops over all rows.
fn sparsest(rows: &[std::collections::HashMap<String, String>]) -> f64 {
    let accuracy =
        |row: &std::collections::HashMap<String, String>| row["best_validation_accuracy"].parse::<f64>().unwrap();
    let dense: BTreeMap<&str, f64> =
        rows.iter().filter(|row| row["level"] == "0").map(|row| (row["seed"].as_str(), accuracy(row))).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let dense = mean(&dense.into_values().collect::<Vec<f64>>());
    let mut tickets: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["level"] == "1") {
        tickets.entry(&row["pruning-ratio"]).or_default().push(accuracy(row));
    }
    let matches = tickets.iter().filter(|(_, values)| mean(values) >= dense - 0.01);
    matches.map(|(ratio, _)| ratio.parse::<f64>().unwrap()).fold(0.0, f64::max)
}

#[test]
fn the_answer_is_that_of_the_whole_grid_by_at_most_half_of_its_trainings() {
    if !has_data("the_answer_is_that_of_the_whole_grid_by_at_most_half_of_its_trainings") {
        return;
    }
    let folder = sweep::folder(&question(10_000, 5));
    let plan = folder.tombola("plan sweep.toml").expect(0);
    plan.prints("48 trainings with 240 epochs").prints("6 are certain, up to 42 more come as results say");
    folder.tombola("run sweep.toml --workers 2").expect(0).prints("Sparsest match (within 1 point");
    let answer = &folder.table("results/sweep/sparsest.csv")[0];
    assert_eq!(
        (answer["answer"].as_str(), answer["trained"].as_str(), answer["spared"].as_str()),
        ("found", "15", "33")
    );
    assert_eq!(started(&folder, "results/sweep"), 15);
    let spared = folder.table("results/sweep/results.csv").iter().filter(|row| row["state"] == "spared").count();
    assert_eq!(spared, 33);
    folder.tombola("status results/sweep").expect(0).prints("15 of 15");
    // Again: there is nothing to do, and nothing changes.
    let before = told(&folder);
    folder.tombola("run sweep.toml").expect(0).says("nothing to train");
    assert_eq!(told(&folder), before);
    // The rest of the grid, in the same folder.
    folder.tombola("run sweep.toml --find none --workers 2").expect(0);
    assert_eq!(started(&folder, "results/sweep"), 48);
    let whole = sparsest(&folder.table("results/sweep/results.csv"));
    assert_eq!(answer["ratio"].parse::<f64>().unwrap(), whole);
}

#[test]
fn ranks_and_twenty_kills_change_no_byte_of_an_answer() {
    if !has_data("ranks_and_twenty_kills_change_no_byte_of_an_answer") {
        return;
    }
    let alone = sweep::folder(&question(2_000, 2));
    alone.tombola("run sweep.toml --workers 1").expect(0);
    let (expected, whole) = (told(&alone), journal(&alone));
    assert!(alone.table("results/sweep/sparsest.csv")[0]["answer"] != "open");
    if can_start("ranks_and_twenty_kills_change_no_byte_of_an_answer") {
        for count in [2, 4] {
            let ranks = sweep::folder(&question(2_000, 2));
            let ran = mpirun(&ranks, count, &[], "run sweep.toml").output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            assert_eq!(told(&ranks), expected, "{count} ranks");
        }
    }
    let mut random = stream(std::process::id().into(), "kills of a question", &[]);
    let situation = format!("seed {}", std::process::id());
    let mut lengths: Vec<u64> = (0..KILLS).map(|_| random.next_u64() % (whole * 9 / 10)).collect();
    lengths.sort_unstable();
    let killed = sweep::folder(&question(2_000, 2));
    let mut kills = 0;
    for length in lengths {
        let pause = Duration::from_micros(random.next_u64() % 15_000);
        kills += usize::from(kill_at(&killed, length, pause));
    }
    assert!(kills > KILLS / 2, "only {kills} kills, {situation}");
    killed.tombola("run sweep.toml --workers 2").expect(0);
    assert_eq!(told(&killed), expected, "{situation}");
}

#[test]
fn a_run_that_ends_early_leaves_an_answer_open_and_the_next_finds_it() {
    let text = "name = \"sweep\"\ndataset = \"synthetic\"\nnetwork = \"lenet-300-100\"\nepochs = 2\nseed = [1, 2]\n\
                prune-rate = 0.5\nlevels = 4\nfind = \"sparsest\"\nwithin = 100.0\n";
    let folder = sweep::folder(text);
    // The only worker hangs after an epoch, and is given up.
    let mut command = folder.command(PROGRAM);
    command.args(["run", "sweep.toml", "--workers", "1", "--give-up-after", "2"]).env("TOMBOLA_FAULT", "0:hang:1");
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(75), "{}", String::from_utf8_lossy(&ran.stderr));
    folder.tombola("tables results/sweep").expect(0).prints("not known yet");
    let answer = &folder.table("results/sweep/sparsest.csv")[0];
    assert_eq!((answer["answer"].as_str(), answer["spared"].as_str()), ("open", "0"));
    folder.tombola("run sweep.toml").expect(0).prints("Sparsest match");
    let answer = &folder.table("results/sweep/sparsest.csv")[0];
    assert_eq!((answer["answer"].as_str(), answer["level"].as_str(), answer["trained"].as_str()), ("found", "4", "10"));
}

#[test]
fn questions_that_cannot_be_answered_are_refused() {
    let folder = Folder::new();
    let refused = |flags: &str| {
        folder.tombola(&format!("plan --dataset synthetic --network lenet-5 --find sparsest {flags}")).expect(2)
    };
    refused("--within ci --pr 0.5,0.9").says("of one seed there is no interval").says("seed = [1, 2, 3]");
    refused("--shard 1/2 --pr 0.5,0.9").says("`find` decides by the results of all seeds");
    folder
        .tombola("plan --dataset synthetic --network lenet-5 --lr 0.1,0.2 --halving 2 --shard 1/2")
        .expect(2)
        .says("`halving` decides by");
    refused("--within 101 --pr 0.5").says("points of accuracy from 0 to 100, or `ci`");
}
