//! How a run ends, whatever happens to it meanwhile: with its words and its exit code, never by a signal, a panic or a hang.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::common::{Folder, PROGRAM, Ran, wait_until};

/// Enough for some seconds, with snapshots.
const SOME: &str = "run --dataset synthetic --synthetic-size 2000 --network lenet-300-100 --epochs 4 --pr 0.5 --reinit init --save --out out";
/// Done in no time.
const SMALL: &str =
    "run --dataset synthetic --synthetic-size 100 --network lenet-300-100 --epochs 2 --pr 0.5,0.75 --out out";

fn start(folder: &Folder, arguments: &str) -> Child {
    folder.command(PROGRAM).args(arguments.split(' ')).spawn().unwrap()
}

/// A write end that nobody reads.
fn unread() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn signal(name: &str, child: &Child) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn bytes(folder: &Folder, name: &str) -> u64 {
    std::fs::metadata(folder.path(name)).map_or(0, |found| found.len())
}

#[test]
fn an_error_while_trainings_run_ends_with_its_own_exit_code_each_time() {
    let folder = Folder::new();
    for time in 0..12 {
        // The first snapshot of one of four trainings finds no folder; the others are in the middle of an epoch.
        folder.write("out/stages", "a file");
        let ran = folder.tombola(&format!("{SOME} --seed 1,2,3,4 --workers 4"));
        assert!(ran.code == Some(2), "time {time}: {ran}");
        ran.says("error: cannot create `out/stages").says("hint: ");
        std::fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

#[test]
fn a_results_folder_that_is_gone_ends_the_run_and_is_never_called_done() {
    for change in ["mv out other", "rm -rf out", "mv out other && mkdir out && cp other/journal out/journal"] {
        let folder = Folder::new();
        let child = start(&folder, &format!("{SOME} --epochs 400 --workers 2"));
        wait_until("a training began", || bytes(&folder, "out/journal") > 1000);
        let changed = folder.command("bash").args(["-c", change]).output().unwrap();
        // Removing races with writing: what matters is that the journal is gone.
        assert!(changed.status.success() || change.starts_with("rm"), "{changed:?}");
        let ran = Ran::of(change, child.wait_with_output().unwrap()).expect(3);
        let ran = ran.says("error: `out/journal`, to which this run writes, was removed, renamed or replaced: ");
        ran.says("hint: put the results folder back").does_not_say("trainings done in");
    }
}

#[test]
fn nobody_who_reads_what_a_run_says_is_no_reason_to_end_it() {
    for (what, out, err) in [("output", true, false), ("error", false, true), ("both", true, true)] {
        let folder = Folder::new();
        let mut command = folder.command(PROGRAM);
        command.args(SMALL.split(' ')).arg("--verbose");
        if out {
            command.stdout(unread());
        }
        if err {
            command.stderr(unread());
        }
        Ran::of(what, command.output().unwrap()).expect(0);
        assert_eq!(folder.table("out/results.csv").len(), 4, "{what}");
    }
    let folder = Folder::new();
    let piped = folder.shell(&format!("tombola {SMALL} --verbose 2>&1 | head -2; exit ${{PIPESTATUS[0]}}")).expect(0);
    assert_eq!(piped.out.lines().count(), 2, "{piped}");
    // What it says of a training that fails goes to nobody either, and the exit code stays.
    let folder = Folder::new();
    let mut command = folder.command(PROGRAM);
    command.args(SMALL.split(' ')).args(["--lr", "1e6", "--batch-size", "8"]).stdout(unread()).stderr(unread());
    Ran::of("a failure", command.output().unwrap()).expect(1);
}

#[test]
fn nobody_who_reads_what_a_verb_prints_is_no_error() {
    let folder = Folder::new();
    folder.tombola(SMALL).expect(0);
    let plan = SMALL.replacen("run", "plan", 1);
    for (line, code) in [
        (plan.as_str(), 0),
        ("settings", 0),
        ("--help", 0),
        ("run --help", 0),
        ("completions bash", 0),
        ("status out", 0),
        ("status out --json", 0),
        ("explain out 1", 0),
        ("watch out", 0),
        ("table out", 0),
        ("tables out", 0),
        ("report out", 0),
        ("data", 2),
        ("plan --epochs 0", 2),
        ("status nothing", 2),
    ] {
        let mut command = folder.command(PROGRAM);
        command.args(line.split(' ')).stdout(unread()).stderr(unread());
        Ran::of(line, command.output().unwrap()).expect(code);
    }
    // A disk that is full is one.
    let ran = folder.shell("tombola settings > /dev/full").expect(3);
    ran.says("cannot write to standard output: No space left on device");
}

#[test]
fn signals_before_anything_listens_for_them_stop_the_run_as_later_ones_do() {
    // Whoever started the tests by `nohup` has the runs ignore HUP.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = own.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_string();
    let ignores_hup = u64::from_str_radix(&ignored, 16).unwrap() & 1 != 0;
    for name in ["-INT", "-TERM", "-USR1", "-USR2", "-HUP", "-XCPU"] {
        let folder = Folder::new();
        let child = start(&folder, SOME);
        let status = format!("/proc/{}/status", child.id());
        // Bit 15 - 1 of those that are held back: from the first moments of the first program on.
        wait_until("signals are held back", || {
            let text = std::fs::read_to_string(&status).unwrap();
            let mask = text.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or("0").trim().to_string();
            u64::from_str_radix(&mask, 16).unwrap() & 1 << 14 != 0 || text.contains("State:\tZ")
        });
        signal(name, &child);
        let ran = Ran::of(name, child.wait_with_output().unwrap());
        if name == "-HUP" && ignores_hup {
            ran.expect(0);
            continue;
        }
        ran.expect(75).says("hint: run the same command again: it continues where this stopped");
    }
}

#[test]
fn a_closed_terminal_is_ignored_by_a_run_that_was_started_so() {
    let folder = Folder::new();
    let until_it_ends = "process=$!; while kill -HUP $process 2>/dev/null; do sleep 0.05; done; wait $process";
    folder.shell(&format!("trap '' HUP; tombola {SOME} & {until_it_ends}")).expect(0);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_with_its_cure() {
    let folder = Folder::new();
    let ran = folder.shell(&format!("ulimit -f 100; tombola {SOME}")).expect(3);
    ran.says("error: cannot write `out/").says("File too large").says("hint: `ulimit -f` limits");
    folder.tombola(&SOME.replace("--save ", "")).expect(0);
}

#[test]
fn a_time_limit_beyond_all_clocks_is_none() {
    for limit in ["1e19", "1e300", "9223372036854775807"] {
        let folder = Folder::new();
        folder.tombola(&format!("{SMALL} --time-limit {limit}")).expect(0);
    }
}

#[test]
fn a_defect_ends_with_words_and_the_exit_code_that_is_kept_for_it() {
    let folder = Folder::new();
    let mut command = folder.command(PROGRAM);
    command.args(SOME.split(' ')).env("TOMBOLA_FAULT", "0:panic:0");
    let Output { status, stderr, .. } = command.output().unwrap();
    let words = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), status.signal()), (Some(101), None), "{words}");
    assert!(words.contains("error: the program has a defect: ") && words.contains("\n\nhint: everything"), "{words}");
    assert!(!words.contains("stack backtrace") && !words.contains("RUST_BACKTRACE"), "{words}");
}

#[test]
fn libraries_of_the_program_that_trains_are_named_when_they_are_missing() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("bin")).unwrap();
    let own = folder.path("bin/tombola");
    std::fs::copy(PROGRAM, &own).unwrap();
    let other = Path::new(PROGRAM).with_file_name("tombola-torch");
    let mut program = std::fs::read(&other).unwrap();
    let (name, gone) = (b"libtorch_cpu.so\0", b"libtorch_off.so\0");
    let places: Vec<usize> = (0..program.len() - name.len()).filter(|at| program[*at..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for at in places {
        program[at..at + gone.len()].copy_from_slice(gone);
    }
    folder.write("bin/tombola-torch", program);
    std::fs::set_permissions(folder.path("bin/tombola-torch"), std::fs::metadata(&other).unwrap().permissions())
        .unwrap();
    let ran = folder.shell(&format!("{} {SMALL}", own.display())).expect(3);
    let ran = ran.says("tombola-torch`, which trains, cannot be loaded: found no `libtorch_off.so`");
    ran.says("hint: put its libraries back").does_not_say("error while loading shared libraries");
    assert!(!folder.path("out").exists());
}
