//! `target = "time:…"`: channels go until a batch takes that share of the dense network's time, and all that are drawn alike are
//! measured once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::common::Folder;
use super::common::sweep::{self, journal, kill_at};

const SWEEP: &str = "name = \"sweep\"\nnetwork = \"resnet\"\ndepth = 14\ndataset = \"synthetic\"\nsynthetic-shape = [3, 32, 32]\n\
                     epochs = 2\npruning-type = \"structured\"\ncriterion = \"l1\"\nstreams = \"group\"\n\
                     target = \"time:0.5\"\nreinit = [\"lr\", \"init\"]\ncontrol = [\"none\", \"random-mask\", \"reinit\"]\nsnapshot-seconds = 0\n";

/// What is left of the channels of each ticket, and of the dense network's time.
fn left(folder: &Folder) -> (BTreeSet<String>, BTreeSet<String>) {
    let of = |table: &str, column: &str| -> BTreeSet<String> {
        let rows = folder.table(&format!("results/sweep/{table}"));
        rows.iter().filter(|row| row["level"] == "1").map(|row| row[column].clone()).collect()
    };
    (of("results.csv", "channels_alive"), of("timing.csv", "density_time"))
}

#[test]
fn twins_and_rewinds_lose_the_channels_that_were_measured_once_and_again_after_kills() {
    let folder = sweep::folder(SWEEP);
    folder.tombola("plan sweep.toml").expect(0).prints("time:0.5");
    folder.tombola("run sweep.toml --workers 2").expect(0);
    let (channels, share) = left(&folder);
    assert_eq!((channels.len(), share.len()), (1, 1), "{channels:?} {share:?}");
    // How closely it is met `tombola bench target` says; other tests run beside this one.
    let share: f64 = share.first().unwrap().parse().unwrap();
    assert!((0.3..0.75).contains(&share), "{share}");
    let rows = folder.table("results/sweep/results.csv");
    assert_eq!(rows.iter().filter(|row| row["level"] == "1" && row["state"] == "done").count(), 6);

    let killed = sweep::folder(SWEEP);
    let whole = journal(&folder);
    for kill in 4..9 {
        kill_at(&killed, whole * kill / 9, Duration::ZERO);
    }
    killed.tombola("run sweep.toml --workers 1").expect(0);
    let (channels, share) = left(&killed);
    assert_eq!((channels.len(), share.len()), (1, 1), "{channels:?} {share:?}");
    // Twins that come later take what was measured before.
    let later = SWEEP.replace("[\"lr\", \"init\"]", "[\"lr\", \"init\", \"random\"]");
    killed.write("sweep.toml", later);
    killed.tombola("run sweep.toml --workers 1").expect(0);
    assert_eq!(left(&killed), (channels.clone(), share.clone()));
    // Also where what was measured is in the sweep no more; masks that are watched have ratios of their own.
    let other = SWEEP.replace("[\"lr\", \"init\"]", "\"epoch:1\"") + "track-masks = [0.3, 0.6]\n";
    killed.write("sweep.toml", other);
    killed.tombola("run sweep.toml --workers 1").expect(0);
    assert_eq!(left(&killed), (channels, share));
    let watched: BTreeSet<String> =
        killed.table("results/sweep/hamming.csv").iter().map(|row| row["ratio"].clone()).collect();
    assert_eq!(watched.into_iter().collect::<Vec<_>>(), ["0.3", "0.6"]);
}

#[test]
fn times_beyond_reach_are_told_when_they_are_measured_and_twins_are_left_out() {
    let folder = sweep::folder(&SWEEP.replace("time:0.5", "time:0.0001"));
    let ran = folder.tombola("run sweep.toml --workers 2").expect(1);
    ran.says("`target = \"time:0.0001\"` is beyond reach")
        .says("of the dense network's time are left, expected at most 0.0001");
    let rows = folder.table("results/sweep/results.csv");
    let of_state = |state: &str| rows.iter().filter(|row| row["level"] == "1" && row["state"] == state).count();
    assert_eq!((of_state("failed"), of_state("skipped"), of_state("done")), (1, 5, 0));
}
