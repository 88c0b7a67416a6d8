//! Pruning while training beside a ticket: rows with the densities of the end, masks on disk, the same bytes after any kill.

use std::time::Duration;

use super::common::Folder;
use super::common::sweep::{self, expect_same, expect_same_states, journal, kill_at, tables};
use rand::RngCore;
use tombola_words::stream::stream;

/// Nine steps an epoch, 36 in all.
const SWEEP: &str = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 200
batch-size = 20
network = "lenet-5"
synthetic-shape = [1, 12, 12]
epochs = 4
learning-rate = 0.02
pruning-ratio = 0.8
save = true
epochs-save = [1, "15it"]
snapshot-seconds = 0

[[grid]]
while-training = "gradual"
draw = "epoch:0"
reinit = "init"
mask-every = 5
mask-from = 2
mask-until = 0.7
start-ratio = 0.1
scope = ["global", "layer"]

[[grid]]
while-training = "rigl"
scope = "erk"
draw = "epoch:0"
reinit = "init"
mask-every = 4
optimizer = "adam"
learning-rate = 0.001

[[grid]]
draw = "last"
"#;

#[test]
fn rows_have_the_density_of_the_end_and_tables_show_how_masks_move() {
    let folder = sweep::folder(SWEEP);
    folder
        .tombola("plan sweep.toml")
        .expect(0)
        .prints("magnitude layer, gradual while it trains")
        .prints("random erk, rigl");
    let ran = folder.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    ran.prints("gradual ·").prints("rigl ·").prints("one-shot ·").does_not_print("while-training");
    let rows = folder.table("results/sweep/results.csv");
    let tickets: Vec<_> = rows.iter().filter(|row| row["level"] == "1").collect();
    let kinds: Vec<&str> = tickets.iter().map(|row| row["while-training"].as_str()).collect();
    assert_eq!(kinds, ["gradual", "gradual", "rigl", ""]);
    for row in &tickets {
        let (alive, prunable): (f64, f64) = (row["alive"].parse().unwrap(), row["prunable"].parse().unwrap());
        assert!((alive - 0.2 * prunable).abs() <= 3.0, "{row:?}");
        assert!((row["density"].parse::<f64>().unwrap() - 0.2).abs() < 1e-3, "{row:?}");
        assert!(!row["start_test_accuracy"].is_empty() && !row["macs"].is_empty(), "{row:?}");
        // From the 25th of 36 steps on the ratio is the final one: the third epoch ends after 27.
        let best: usize = row["best_epoch"].parse().unwrap();
        assert!(row["while-training"] != "gradual" || best >= 3, "{row:?}");
    }
    let hamming = folder.table("results/sweep/hamming.csv");
    for row in &tickets[..3] {
        let own = hamming.iter().filter(|pair| pair["stage"] == row["stage"]);
        let moved: Vec<usize> = own.map(|pair| pair["differing"].parse().unwrap()).collect();
        assert!(moved.len() == 6 && moved[0] > 0, "{moved:?}");
        let stage = &row["stage"];
        let file = |name: &str| folder.path(&format!("results/sweep/stages/{stage}/{name}.safetensors"));
        assert!(["mask", "best.mask", "epoch-1.mask", "15it.mask"].iter().all(|name| file(name).exists()));
        assert!(!file("last.mask").exists());
        for name in ["best", "15it", "last"] {
            let export = format!("export results/sweep {stage} --snapshot {name} --kind safetensors");
            folder.tombola(&format!("{export} --out {stage}-{name}.safetensors")).expect(0);
        }
        folder
            .tombola(&format!("export results/sweep {stage} --snapshot init --out x.safetensors"))
            .expect(2)
            .says("changed while it trained");
        folder.tombola(&format!("explain results/sweep {stage}")).expect(0).prints("while-training");
    }
    folder.tombola("report results/sweep").expect(0);
    folder.tombola("repair results/sweep --check").expect(0);
    // What is trained is not trained again.
    folder.tombola("run sweep.toml").expect(0).says("nothing to train");
}

#[test]
fn masks_that_change_come_to_the_same_bytes_with_any_workers_and_after_any_kill() {
    let alone = sweep::folder(SWEEP);
    alone.tombola("run sweep.toml --workers 1 --quiet").expect(0);
    let (expected, whole) = (tables(&alone), journal(&alone));
    assert!(expected.iter().all(|table| !table.contains("failed")));
    let killed = sweep::folder(SWEEP);
    let mut random = stream(5, "kills of changing masks", &[]);
    let mut lengths: Vec<u64> = (0..6).map(|_| random.next_u64() % (whole * 9 / 10)).collect();
    lengths.sort_unstable();
    for length in lengths {
        kill_at(&killed, length, Duration::ZERO);
    }
    killed.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    expect_same(&killed, &expected, "killed six times");
    expect_same_states(&killed, &alone, "killed six times");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_trained() {
    let folder = Folder::new();
    let base = "plan --dataset synthetic --network lenet-300-100 --while-training gradual";
    for (more, said) in [
        ("--priter 2", "found `prune-iterations` 2, expected 1"),
        ("--prunety structured", "found `pruning-type` `structured`"),
        ("--mask-from 100000", "`mask-from`: found the first change after 100000 steps, expected one before step 1800"),
    ] {
        folder.tombola(&format!("{base} {more}")).expect(2).says(said).says("hint");
    }
}
