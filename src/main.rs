//! The program: reads the command line, does what it says, and turns errors into words and exit codes.

use std::process::ExitCode;

use tombola::cli;
use tombola::error::Kind;

fn main() -> ExitCode {
    quiet_panics();
    let matches = cli::command().get_matches();
    match cli::dispatch(&matches) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let word = if error.kind == Kind::Interrupted { "stopped" } else { "error" };
            eprintln!("{word}: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
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
