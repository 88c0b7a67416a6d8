//! What happens when a rank fails, on one machine: whatever it is, the start goes on or stops so that it can be continued,
//! within a minute, and never hangs.
//!
//! `cargo test --release --test cluster failures:: -- --nocapture` prints the table that docs/clusters.md has. TOMBOLA_TEST_LEASE sets
//! the lease that it is made with (default: 3 s, to be quick; the program's own is 20 s).

use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use super::common::ranks::{RECOVERY, can_start, end_of, kill_all, mpirun, processes, signal, wait_until};
use super::common::sweep::{TABLES, expect_same, journal, slow_folder, tables};
use super::common::{Folder, PROGRAM, skipped, wait_until as wait_for};

/// Ranks of each start.
const RANKS: usize = 3;

/// The tables of a run that was left alone, and the length of its journal.
fn undisturbed() -> &'static (Vec<String>, u64) {
    static ALONE: OnceLock<(Vec<String>, u64)> = OnceLock::new();
    ALONE.get_or_init(|| {
        let folder = slow_folder();
        folder.tombola("run sweep.toml").expect(0);
        (tables(&folder), journal(&folder))
    })
}

fn arguments() -> String {
    format!("run sweep.toml --lease {}", std::env::var("TOMBOLA_TEST_LEASE").unwrap_or_else(|_| "3".to_string()))
}

/// How a start of ranks ended after something was done to it.
struct Ended {
    code: i32,
    after: Duration,
    /// Whether it came to the end of the sweep in spite of it.
    went_on: bool,
}

/// Starts ranks, does something to them in the middle, and waits for the end; then the next run must give the tables of
/// an undisturbed one.
fn disturb(event: &str, options: &[&str], prepare: impl FnOnce(&mut Command), act: impl FnOnce(&Folder)) -> Ended {
    let (expected, whole) = undisturbed();
    let folder = slow_folder();
    let mut command = mpirun(&folder, RANKS, options, &arguments());
    prepare(&mut command);
    let mut child = command.spawn().unwrap();
    // A fault comes by itself, sooner or later than this.
    let in_the_middle = wait_until(&mut child, || journal(&folder) > whole / 6);
    assert!(
        in_the_middle || command.get_envs().any(|(name, _)| name == "TOMBOLA_FAULT"),
        "{event}: it ended too early"
    );
    act(&folder);
    let (code, after) = end_of(&mut child, &folder).unwrap_or_else(|| panic!("{event} {options:?}: it hangs"));
    await_last(&mut child, &folder, event);
    let status = folder.tombola("status results/sweep").expect(0);
    let went_on = status.out.contains("30 of 30 done");
    let next = folder.tombola("run sweep.toml").expect(0);
    if went_on {
        next.says("nothing to train");
    }
    expect_same(&folder, expected, &format!("{event} {options:?}"));
    let how = if went_on { "went on" } else { "stopped, resumable" };
    println!("| {event} | {} | {how} | {code} | {:.1} |", options.join(" "), after.as_secs_f64());
    Ended { code, after, went_on }
}

/// No rank may outlive its launcher for long.
fn await_last(child: &mut Child, folder: &Folder, event: &str) {
    let begun = std::time::Instant::now();
    while !processes(folder).is_empty() {
        if begun.elapsed() > Duration::from_secs(20) {
            kill_all(child, folder);
            panic!("{event}: a rank goes on without its launcher");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn fault(rank: usize, how: &str) -> impl FnOnce(&mut Command) {
    let fault = format!("{rank}:{how}:1.5");
    move |command| {
        // Each epoch waits for up to so many seconds: on a fast machine all would be done before the fault comes.
        command.env("TOMBOLA_FAULT", fault).env("TOMBOLA_SLOW", "1:0.8");
    }
}

fn send(rank: usize, name: &'static str) -> impl FnOnce(&Folder) {
    move |folder| signal(processes(folder)[&rank], name)
}

fn log(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path("results/sweep/log")).unwrap_or_default()
}

/// For events that happen by themselves.
fn wait(_: &Folder) {}

/// For starts with nothing special.
fn plain(_: &mut Command) {}

#[test]
fn a_rank_that_panics_ends_all_at_once() {
    if can_start("a_rank_that_panics_ends_all_at_once") {
        for rank in [0, 1] {
            let ended = disturb(&format!("panic on rank {rank}"), &[], fault(rank, "panic"), wait);
            assert!(!ended.went_on && ended.code == 101);
        }
    }
}

#[test]
fn a_rank_that_leaves_early_ends_all() {
    if can_start("a_rank_that_leaves_early_ends_all") {
        for (rank, how, code) in [(0, "error", 3), (1, "error", 3), (0, "exit", 9), (1, "exit", 9)] {
            let ended = disturb(&format!("{how} on rank {rank}"), &[], fault(rank, how), wait);
            assert!(!ended.went_on && ended.code == code, "{}", ended.code);
        }
    }
}

#[test]
fn a_killed_rank_ends_all_or_is_replaced() {
    if can_start("a_killed_rank_ends_all_or_is_replaced") {
        for rank in [0, 1] {
            let ended = disturb(&format!("SIGKILL on rank {rank}"), &[], plain, send(rank, "KILL"));
            assert!(!ended.went_on && ended.code == 137, "{}", ended.code);
        }
        let ended = disturb("SIGKILL on rank 1", RECOVERY, plain, send(1, "KILL"));
        assert!(ended.went_on && ended.code == 0, "{}", ended.code);
        // Before it has told the others anything, there is no lease to wait for.
        let ended = disturb("SIGKILL on rank 0 at its start", RECOVERY, fault(0, "early"), wait);
        assert!(!ended.went_on && ended.after < Duration::from_secs(20), "{:?}", ended.after);
        // Without rank 0 there is nobody to go on for.
        let ended = disturb("SIGKILL on rank 0", RECOVERY, plain, send(0, "KILL"));
        assert!(!ended.went_on);
    }
}

#[test]
fn ranks_that_wait_within_mpi_for_one_that_was_killed_end_with_words() {
    if can_start("ranks_that_wait_within_mpi_for_one_that_was_killed_end_with_words") {
        for rank in [0, 1] {
            let (event, folder) = (format!("SIGKILL on rank {rank} before MPI begins"), slow_folder());
            let mut command = mpirun(&folder, RANKS, RECOVERY, &arguments());
            fault(rank, "unbegun")(&mut command);
            let said = folder.path("said");
            command.stderr(std::fs::File::create(&said).unwrap());
            let mut child = command.spawn().unwrap();
            let (code, after) = end_of(&mut child, &folder).unwrap_or_else(|| panic!("{event}: it hangs"));
            await_last(&mut child, &folder, &event);
            let said = std::fs::read_to_string(said).unwrap();
            assert!(said.contains("of 3 ranks on this host are left") && after < Duration::from_secs(40), "{said}");
            assert!(!folder.path("results").exists());
            println!("| {event} | {} | stopped, resumable | {code} | {:.1} |", RECOVERY.join(" "), after.as_secs_f64());
        }
    }
}

#[test]
fn a_stopped_process_is_given_up() {
    if can_start("a_stopped_process_is_given_up") {
        for options in [&[], RECOVERY] {
            let ended = disturb("SIGSTOP on rank 1", options, plain, send(1, "STOP"));
            assert!(ended.went_on, "the others go on");
        }
        let ended = disturb("SIGSTOP on rank 0", &[], plain, send(0, "STOP"));
        assert!(!ended.went_on && ended.code == 75, "{}", ended.code);
    }
}

#[test]
fn a_job_that_stands_still_as_a_whole_goes_on() {
    if can_start("a_job_that_stands_still_as_a_whole_goes_on") {
        // As Slurm does for another job. Ten seconds: longer than two leases.
        let ended = disturb("SIGSTOP on all ranks for 10 s", &[], plain, |folder| {
            processes(folder).into_values().for_each(|process| signal(process, "STOP"));
            std::thread::sleep(Duration::from_secs(10));
            processes(folder).into_values().for_each(|process| signal(process, "CONT"));
            wait_for("the sweep is done", || log(folder).contains("trainings done in"));
            assert!(!log(folder).contains("lost worker"), "{}", log(folder));
        });
        assert!(ended.went_on && ended.code == 0, "{}", ended.code);
    }
}

#[test]
fn a_rank_0_that_is_kept_by_a_slow_disk_loses_nobody() {
    if can_start("a_rank_0_that_is_kept_by_a_slow_disk_loses_nobody") {
        // Ten seconds: longer than the two leases after which ranks would give it up.
        let ended = disturb("the disk of rank 0 is slow for 10 s", &[], fault(0, "stall"), |folder| {
            wait_for("the sweep is done", || log(folder).contains("trainings done in"));
            assert!(!log(folder).contains("lost worker"), "{}", log(folder));
        });
        assert!(ended.went_on && ended.code == 0, "{}", ended.code);
    }
}

#[test]
fn a_training_that_hangs_goes_on_elsewhere() {
    if can_start("a_training_that_hangs_goes_on_elsewhere") {
        for rank in [0, 1] {
            let hang = |command: &mut Command| {
                command.args(["--give-up-after", "2"]).env("TOMBOLA_FAULT", format!("{rank}:hang:1"));
            };
            let ended = disturb(&format!("a training hangs on rank {rank}"), &[], hang, |folder| {
                wait_for("the training is given up", || log(folder).contains(&format!("lost worker {rank}")));
                assert!(log(folder).contains("its training reported nothing for"), "{}", log(folder));
            });
            assert!(ended.went_on && ended.code == 0, "{}", ended.code);
        }
    }
}

#[test]
fn a_signal_to_the_launcher_ends_in_time() {
    if can_start("a_signal_to_the_launcher_ends_in_time") {
        for name in ["USR1", "TERM"] {
            let ended = disturb(&format!("SIG{name} to mpirun"), &[], plain, |folder| {
                let launcher = std::fs::read_to_string(format!("/proc/{}/stat", processes(folder)[&0])).unwrap();
                // The fourth field, behind the name in parentheses, is the parent.
                let parent = launcher.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap();
                signal(parent.parse().unwrap(), name);
            });
            assert!(!ended.went_on && ended.after < Duration::from_secs(20));
        }
    }
}

#[test]
fn a_full_disk_on_rank_0_stops_all_and_loses_nothing() {
    let test = "a_full_disk_on_rank_0_stops_all_and_loses_nothing";
    if !can_start(test) {
        return;
    }
    let (expected, _) = undisturbed();
    let folder = slow_folder();
    // A disk of its own for the results, in a mount namespace that ends with the shell.
    let line = mpirun(&folder, RANKS, &[], &arguments());
    let words: Vec<String> = line.get_args().map(|word| word.to_string_lossy().to_string()).collect();
    let script = format!(
        "mkdir results && mount -t tmpfs -o size=400k none results || exit 99
         timeout 60 mpirun {}; echo code $?
         ls -a results/sweep/stages/* | grep -c tmp
         mount -o remount,size=100m none results
         {PROGRAM} run sweep.toml --quiet; echo code $?
         mkdir kept; cp results/sweep/*.csv kept",
        words.join(" ")
    );
    let mut shell = folder.command("unshare");
    shell
        .args(["--mount", "bash", "-c", &script])
        .envs(line.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(99) || told.contains("unshare failed") {
        return skipped(test, "no disk can be mounted here");
    }
    assert!(told.contains("No space left on device") && told.contains("hint: free some space"), "{told}");
    let codes: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("code ")).collect();
    assert_eq!(codes, ["3", "0"], "{said}{told}");
    let found: Vec<String> = TABLES.map(|name| folder.read(&format!("kept/{name}"))).into();
    assert!(found == *expected, "the tables are not those of an undisturbed run");
}
