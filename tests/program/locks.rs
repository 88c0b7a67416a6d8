//! Two runs never write to one results folder, also where the file system knows no locks.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::LazyLock;

use super::common::{Folder, PROGRAM, Ran, compiled, wait_until};

/// What stands for a file system without locks, compiled.
static NO_LOCKS: LazyLock<PathBuf> = LazyLock::new(|| compiled("program/no_locks.c"));

const SWEEP: &str = "dataset = \"synthetic\"\nsynthetic-size = 400\nnetwork = \"lenet-300-100\"\npr = 0.5\nepochs = 40\n\
     seed = [1, 2, 3, 4]\nworkers = 1\nsnapshot-seconds = 0\n";

fn without_locks(folder: &Folder, number: i32, arguments: &str) -> Command {
    let mut command = folder.command(PROGRAM);
    command.env("LD_PRELOAD", &*NO_LOCKS).env("TOMBOLA_TEST_LOCKS", number.to_string());
    command.args(arguments.split_whitespace());
    command
}

/// Ends a run as a machine that loses its power does.
fn kill(mut run: Child) {
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn without_locks_a_second_run_is_kept_out_and_a_killed_one_is_not_in_the_way() {
    // ENOLCK, ENOSYS, EOPNOTSUPP.
    for number in [37, 38, 95] {
        let folder = Folder::new();
        folder.write("sweep.toml", SWEEP);
        let run = "run sweep.toml --out r --quiet";
        let other = |arguments: &str| Ran::of(arguments, without_locks(&folder, number, arguments).output().unwrap());
        let first = without_locks(&folder, number, run).spawn().unwrap();
        wait_until("the first epoch", || folder.path("r/log").exists() && folder.read("r/log").contains(" started "));
        let words = format!("process {} on", first.id());
        other(run).expect(3).says("is in use by another run").says(&words).says("hint: ");
        // Where there are locks, one that has none is seen too.
        folder.tombola(run).expect(3).says(&words);
        other("status r").expect(0).prints(&words);
        other("doctor r").prints("signs of life");
        kill(first);
        assert!(folder.path("r/lock.alive").exists());
        other(&format!("{run} --epochs 2")).expect(0);
        assert!(folder.listing().iter().all(|path| !path.contains("lock.") && !path.ends_with(".tmp")));
        folder.tombola("status r").expect(0);
    }
}
