//! Tickets that are drawn and go back within an epoch, schedules and lengths that count steps: the same bytes whoever trains them
//! and however often they are killed.

use std::time::Duration;

use super::common::Folder;
use super::common::sweep::{self, expect_same, expect_same_states, journal, kill_at, tables};
use rand::RngCore;
use tombola_words::stream::stream;

/// Six steps an epoch, the last of 20 images. The first two rewinds are the same.
const SWEEP: &str = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 200
batch-size = 32
epochs = 3
schedule = "cosine"
schedule-by = "iteration"
warmup-epochs = "0.5ep"
pruning-ratio = 0.75
prune-iterations = [1, 2]
draw = ["last", "13it"]
reinit = ["5it", "iteration:5", "1ep2it", "1ep6it", "init"]
epochs-save = ["3it", "2.5ep", 2]
snapshot-seconds = 0

[[grid]]
network = "lenet-300-100"
optimizer = "adam"
learning-rate = 0.001

[[grid]]
network = "resnetb"
depth = 11
width = 4
prune-iterations = 1
control = ["none", "fork", "random-mask"]
barrier-points = 3
reinit = "5it"
"#;

fn folder() -> Folder {
    sweep::folder(SWEEP)
}

#[test]
fn tickets_within_an_epoch_are_the_same_bytes_with_any_workers_and_after_any_kill() {
    let alone = folder();
    alone.tombola("run sweep.toml --workers 1 --quiet").expect(0);
    let (expected, whole) = (tables(&alone), journal(&alone));
    assert!(expected.iter().all(|table| !table.contains("failed")));

    let two = folder();
    two.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    expect_same(&two, &expected, "2 workers");
    expect_same_states(&two, &alone, "2 workers");

    let killed = folder();
    let mut random = stream(3, "kills within epochs", &[]);
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
fn points_are_shown_where_epochs_are_and_one_that_an_epoch_ends_at_is_that_epoch() {
    let folder = folder();
    let plan = folder.tombola("plan sweep.toml --all").expect(0);
    let plan = plan
        .prints("reinit 5it, 3 epochs")
        .prints("reinit 8it, 2 epochs")
        .prints("drawn at 13it, reinit epoch:2, 1 epoch");
    plan.prints("4 more mean the same").does_not_print("1ep");
    folder.tombola("run sweep.toml --workers 2 --quiet").expect(0).prints("draw 13it · reinit 5it");
    let rows = folder.table("results/sweep/results.csv");
    let ticket = rows.iter().find(|row| row["reinit"] == "5it" && row["level"] == "1").unwrap();
    assert_eq!((ticket["warmup-epochs"].as_str(), ticket["schedule-by"].as_str()), ("3it", "iteration"));
    // The rest of its first epoch: 180 images less five batches of 32.
    let epochs = folder.table("results/sweep/epochs.csv");
    let own: Vec<&str> =
        epochs.iter().filter(|row| row["stage"] == ticket["stage"]).map(|row| row["epoch"].as_str()).collect();
    assert_eq!(own, ["1", "2", "3"]);
    let stage = &ticket["stage"];
    for name in ["3it", "15it", "epoch-2", "best-until-2"] {
        let path = folder.path(&format!("results/sweep/stages/{stage}/{name}.safetensors"));
        assert_eq!(path.exists(), name != "3it", "{name}: the ticket begins after step 3, and passes the others");
    }
    let export = format!("export results/sweep {stage} --snapshot 15it --kind safetensors --out ticket.safetensors");
    folder.tombola(&export).expect(0);
    folder.tombola(&export.replace("15it", "2ep3it")).expect(0);
    folder.tombola(&export.replace("15it", "16it")).expect(2).says("no snapshot `16it`: found");
    folder.tombola("report results/sweep").expect(0);
    assert!(folder.read("results/sweep/report.html").contains("5it"));
}

#[test]
fn a_length_in_steps_is_whole_epochs_or_is_refused_with_the_nearest() {
    let folder = Folder::new();
    let common = "--network mlp --hidden 8 --dataset synthetic --synthetic-size 200 --batch-size 32 --priter 0";
    folder.tombola(&format!("plan {common} --iterations 18")).expect(0).prints("dense, 3 epochs");
    let refused = folder.tombola(&format!("plan {common} --iterations 20")).expect(2);
    refused.says("`iterations`: found 20, expected whole epochs of 6 steps").says("18 (3 epochs) and 24 (4 epochs)");
    folder.tombola(&format!("run {common} --iterations 18 --out first --quiet")).expect(0);
    folder.tombola(&format!("run {common} --epochs 3 --out second --quiet")).expect(0);
    assert_eq!(folder.read("first/epochs.csv"), folder.read("second/epochs.csv"));
    // The folder that was begun in steps goes on in steps.
    folder.tombola(&format!("run {common} --iterations 18 --out first")).expect(0).says("nothing to train");
}
