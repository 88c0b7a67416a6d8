//! What the two programs have in common: `tombola` itself, and `tombola-torch`, which it becomes where libtorch is needed.
//! Loading libtorch takes a quarter of a second, which nobody should wait for to read a help text.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use clap::ArgMatches;

use super::command;
use tombola_cluster::link::launcher;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::guarded::is_guarded;
use tombola_words::signals;
use tombola_words::speech::{self, outcome};

/// How long the other ranks wait for the launcher to end them; a crowded machine may start the first rank late.
const FIRST_RANK_SPEAKS: Duration = Duration::from_secs(10);
/// Exit code of a process that a defect of the program ended.
const DEFECT: u8 = 101;

/// Reads the command line, does what it says, and turns errors into words and exit codes.
pub fn run(dispatch: impl FnOnce(&ArgMatches) -> Result<u8>) -> ! {
    quiet_panics();
    // What panics has said so. A rank of many has left by now: dropping its session ends it.
    let code = catch_unwind(AssertUnwindSafe(|| outcome(prepared(dispatch)))).unwrap_or(DEFECT);
    leave(i32::from(code))
}

fn prepared(dispatch: impl FnOnce(&ArgMatches) -> Result<u8>) -> Result<u8> {
    let fail = |error: std::io::Error| Error::environment(format!("cannot prepare for signals: {error}"));
    signals::survive_large_files().map_err(fail)?;
    // What trains listens for signals as soon as it can; all else ends by them, as programs do.
    signals::hold().map_err(fail)?;
    let matches = command().try_get_matches().unwrap_or_else(|error| refuse(&error));
    if !matches!(matches.subcommand_name(), Some("run" | "retry")) {
        signals::release().map_err(fail)?;
    }
    dispatch(&matches)
}

/// Ends the process. Not by `exit`, which takes libtorch down around a training that still runs in a thread: the process would
/// die of it, with another exit code than its own. Nothing is left to be written: what is printed goes out at once, and what
/// goes to files has no buffers that outlive a call.
fn leave(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

/// Says what is wrong with the command line, or what `--help` asks for. Many ranks are given the same command line: the
/// first one says it. A launcher ends all ranks as soon as one fails, so the others leave it the time to do so.
fn refuse(error: &clap::Error) -> ! {
    if launcher::launch().is_none_or(|launch| launch.rank == 0) {
        ignored(error.print(), "whoever would read it may be gone");
    } else if error.exit_code() != 0 {
        let_the_first_rank_speak();
    }
    std::process::exit(error.exit_code())
}

/// Waits for the launcher to end this rank, because the first one has said what is wrong and has ended.
pub fn let_the_first_rank_speak() {
    std::thread::sleep(FIRST_RANK_SPEAKS);
}

/// A failing tensor operation panics in its worker, which reports it as the training's error: nothing to print here.
/// Nor where a library of others may panic at a damaged file. Any other panic is a defect of the program, and says so without a backtrace.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let in_worker = std::thread::current().name().is_some_and(|name| name.starts_with("worker"));
        if !in_worker && !is_guarded() {
            speech::say(format!(
                "error: the program has a defect: {panic}\n\nhint: everything written so far is kept; please report this"
            ));
        }
    }));
}
