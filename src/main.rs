//! The program: reads the command line, does what it says, and turns errors into words and exit codes.

use std::process::ExitCode;

use tombola::cli;
use tombola::link::launcher;

fn main() -> ExitCode {
    quiet_panics();
    let matches = cli::command().try_get_matches().unwrap_or_else(|error| {
        // Many ranks are given the same command line: one of them says what is wrong with it.
        if launcher::launch().is_none_or(|launch| launch.rank == 0) {
            let _ = error.print();
        }
        std::process::exit(error.exit_code())
    });
    ExitCode::from(cli::outcome(cli::dispatch(&matches)))
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
