//! What the two programs have in common: `tombola` itself, and `tombola-torch`, which it becomes where libtorch is needed.
//! Loading libtorch takes a quarter of a second, which nobody should wait for to read a help text.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::command;
use tombola_cluster::link::launcher;
use tombola_words::error::{Result, outcome};

/// How long the other ranks wait for the launcher to end them; a crowded machine may start the first rank late.
const FIRST_RANK_SPEAKS: Duration = Duration::from_secs(10);

/// Reads the command line, does what it says, and turns errors into words and exit codes.
pub fn run(dispatch: impl FnOnce(&ArgMatches) -> Result<u8>) -> ExitCode {
    quiet_panics();
    let matches = command().try_get_matches().unwrap_or_else(|error| refuse(&error));
    ExitCode::from(outcome(dispatch(&matches)))
}

/// Says what is wrong with the command line, or what `--help` asks for. Many ranks are given the same command line: the
/// first one says it. A launcher ends all ranks as soon as one fails, so the others leave it the time to do so.
fn refuse(error: &clap::Error) -> ! {
    if launcher::launch().is_none_or(|launch| launch.rank == 0) {
        let _ = error.print();
    } else if error.exit_code() != 0 {
        std::thread::sleep(FIRST_RANK_SPEAKS);
    }
    std::process::exit(error.exit_code())
}

/// A failing tensor operation panics in its worker, which reports it as the training's error: nothing to print here.
/// Any other panic is a defect of the program, and says so without a backtrace.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let in_worker = std::thread::current().name().is_some_and(|name| name.starts_with("worker"));
        if !in_worker {
            eprintln!(
                "error: the program has a defect: {panic}\n\nhint: everything written so far is kept; please report this"
            );
        }
    }));
}
