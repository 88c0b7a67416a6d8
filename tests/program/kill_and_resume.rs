//! A sweep that was killed, interrupted, run again or changed gives the tables of one that was left alone, to the byte,
//! and trains nothing twice that it need not.

use std::process::Child;
use std::time::{Duration, SystemTime};

use super::common::sweep::{self, TABLES, TRAININGS, expect_same, journal, tables};
use super::common::{Folder, PROGRAM, Ran, started};
use rand::RngCore;
use tombola_words::stream::stream;

const KILLS: usize = 10;

fn folder() -> Folder {
    sweep::folder(&sweep::text(200, 3))
}

/// Starts the sweep and waits until its journal has `length` bytes. None if it came to its end before.
fn start(folder: &Folder, arguments: &str, length: u64) -> Option<Child> {
    let mut child = folder.command(PROGRAM).args(arguments.split(' ')).spawn().unwrap();
    while journal(folder) < length {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Some(child)
}

#[test]
fn a_sweep_killed_at_ten_random_moments_gives_the_same_tables_to_the_byte() {
    let alone = folder();
    alone.tombola("run sweep.toml --workers 2").expect(0);
    let (expected, whole) = (tables(&alone), journal(&alone));
    assert!(expected.iter().all(|table| !table.contains("failed")));

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var("TOMBOLA_TEST_SEED").map_or(now, |seed| seed.parse().unwrap());
    let situation = format!("TOMBOLA_TEST_SEED={seed}");
    let mut random = stream(seed, "kills", &[]);
    // How far the sweep is when it is killed, as a length of its journal: moments spread over all of its work whatever
    // the speed of the machine. Several may fall together; then the next process dies while it starts.
    let mut lengths: Vec<u64> = (0..KILLS).map(|_| random.next_u64() % (whole * 9 / 10)).collect();
    lengths.sort_unstable();
    let killed = folder();
    for (kill, length) in lengths.into_iter().enumerate() {
        let workers = 1 + random.next_u64() % 2;
        let child = start(&killed, &format!("run sweep.toml --workers {workers}"), length);
        let mut child = child.unwrap_or_else(|| panic!("it ended before kill {kill}, {situation}"));
        std::thread::sleep(Duration::from_micros(random.next_u64() % 15_000));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ran = killed.tombola("run sweep.toml --workers 2").expect(0);
    ran.says("48 trainings").prints("lenet-300-100");
    expect_same(&killed, &expected, &situation);
    // What the killed processes had half done is gone.
    let is_torn = |path: &String| path.contains("progress") || path.ends_with(".tmp");
    let torn: Vec<String> = killed.listing().into_iter().filter(is_torn).collect();
    assert_eq!(torn, Vec::<String>::new(), "{situation}");
}

#[test]
fn the_number_of_workers_changes_no_table() {
    let (one, two) = (folder(), folder());
    one.tombola("run sweep.toml --workers 1 --quiet").expect(0);
    two.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    expect_same(&one, &tables(&two), "1 and 2 workers");
}

#[test]
fn ctrl_c_stops_after_the_epoch_and_the_next_run_goes_on() {
    let (alone, stopped) = (folder(), folder());
    alone.tombola("run sweep.toml").expect(0);
    let child = start(&stopped, "run sweep.toml", journal(&alone) / 4).expect("it ended before it could be stopped");
    let signal = stopped.command("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let ran = Ran::of("run sweep.toml, then Ctrl-C", child.wait_with_output().unwrap()).expect(75);
    let ran = ran.says("stopping after the running epochs; a second Ctrl-C stops at once");
    ran.says("trainings are left in results/sweep").says("hint: run the same command again");
    // Tables are there for what is done.
    assert!(!stopped.table("results/sweep/results.csv").is_empty());
    stopped.tombola("run sweep.toml").expect(0).says("trainings are done").says("to go");
    expect_same(&stopped, &tables(&alone), "after Ctrl-C");
}

#[test]
fn a_finished_sweep_is_not_trained_again_and_its_tables_can_be_rebuilt() {
    let folder = folder();
    let first = folder.tombola("run sweep.toml").expect(0);
    let expected = tables(&folder);
    let (begun, length) = (started(&folder, "results/sweep"), journal(&folder));
    assert_eq!(begun, TRAININGS);

    let second = folder.tombola("run sweep.toml").expect(0);
    let second = second.says("nothing to train: all 48 trainings are in results/sweep").does_not_say("changed");
    assert_eq!(second.out, first.out);
    assert_eq!((started(&folder, "results/sweep"), journal(&folder)), (begun, length));
    expect_same(&folder, &expected, "run again");

    for name in TABLES {
        std::fs::remove_file(folder.path(&format!("results/sweep/{name}"))).unwrap();
    }
    let rebuilt = folder.tombola("tables results/sweep").expect(0);
    assert!(first.out.starts_with(&rebuilt.out), "{rebuilt}");
    expect_same(&folder, &expected, "rebuilt");
}

/// A smaller sweep, where what is trained can be counted by hand.
const SMALL: &str =
    "run --dataset synthetic --synthetic-size 100 --network lenet-300-100 --epochs 2 --out out --reinit init";

#[test]
fn a_changed_axis_trains_only_what_is_new_and_says_what_is_gone() {
    let folder = Folder::new();
    folder.tombola(&format!("{SMALL} --pr 0.5,0.75")).expect(0).says("2 trials: 3 trainings");
    let before = folder.table("out/epochs.csv");

    let ran = folder.tombola(&format!("{SMALL} --pr 0.5,0.75,0.9 --seed 1,2")).expect(0);
    let ran = ran.says("4 trials are new, 2 stay, 0 are no longer asked for");
    ran.says("3 of 8 trainings are done, 5 to go").does_not_say("gone:");
    assert!(folder.table("out/timing.csv").iter().all(|row| row["attempts"] == "1"));
    let after = folder.table("out/epochs.csv");
    let kept = |row: &&std::collections::HashMap<String, String>| {
        after.iter().any(|new| new["stage"] == row["stage"] && new["validation_loss"] == row["validation_loss"])
    };
    assert_eq!((before.iter().filter(kept).count(), after.len()), (6, 16));

    let ran = folder.tombola(&format!("{SMALL} --pr 0.5 --seed 2")).expect(0).says("nothing to train");
    let ran = ran.says("0 trials are new, 1 stay, 5 are no longer asked for");
    ran.says("gone: lenet-300-100 seed 1 · level 1, 25.0 % · init")
        .says("gone: lenet-300-100 seed 2 · level 1, 10.0 %");
    assert_eq!(folder.table("out/results.csv").len(), 2);
    // The journal still has them.
    folder.tombola(&format!("{SMALL} --pr 0.5,0.75,0.9 --seed 1,2")).expect(0).says("nothing to train");
    assert_eq!(started(&folder, "out"), 8);
}

#[test]
fn a_deleted_snapshot_is_made_again_only_if_something_needs_it() {
    let folder = Folder::new();
    let sweep = format!("{SMALL} --pr 0.5 --keep nothing");
    folder.tombola(&sweep).expect(0);
    let expected = folder.read("out/epochs.csv");
    let snapshots = || folder.listing().into_iter().filter(|path| path.ends_with(".safetensors")).count();
    assert_eq!(snapshots(), 0, "`keep = nothing` leaves none");
    folder.tombola(&sweep).expect(0).says("nothing to train");

    // A new ratio needs the dense network once more, but not the ticket that is there.
    folder.tombola(&format!("{sweep} --pr 0.5,0.75")).expect(0).says("1 of 3 trainings are done, 2 to go");
    assert!(folder.read("out/epochs.csv").starts_with(&expected));
    assert_eq!(started(&folder, "out"), 4);

    // What the user asked to keep is made again when it is gone.
    let sweep = format!("{sweep} --pr 0.5,0.75 --save");
    folder.tombola(&sweep).expect(0);
    assert_eq!(started(&folder, "out"), 7);
    let (whole, epochs) = (folder.listing(), folder.read("out/epochs.csv"));
    let ticket = folder.table("out/results.csv")[1]["stage"].clone();
    std::fs::remove_file(folder.path(&format!("out/stages/{ticket}/best.safetensors"))).unwrap();
    folder.tombola(&sweep).expect(0).says("2 of 3 trainings are done, 1 to go");
    assert_eq!((folder.listing(), folder.read("out/epochs.csv")), (whole, epochs));
}
