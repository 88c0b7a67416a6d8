//! The program. What needs no libtorch it does itself; for the rest it becomes `tombola-torch`, which lies beside it.
//!
//! Nothing that this program is made of may lead to libtorch or MPI: loading them takes a quarter of a second, and a login
//! node may have neither. `tests/program/programs.rs` asks the linker.

use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::ArgMatches;

use tombola::doctor::look::Build;
use tombola::libraries;
use tombola::memory;
use tombola::training_program::{LIBRARY_PATH, TrainingProgram};
use tombola::verbs::{self, process};
use tombola_words::error::{Error, Result};

const CUBLAS_WORKSPACE: &str = "CUBLAS_WORKSPACE_CONFIG";

fn main() -> ! {
    process::run(|matches| verbs::dispatch(matches).unwrap_or_else(|| become_torch(matches)))
}

/// The same process with the same arguments, as the other program.
///
/// # Errors
/// When that does not lie beside this one, or its MPI is missing.
fn become_torch(matches: &ArgMatches) -> Result<u8> {
    let own = std::env::current_exe()
        .map_err(|error| Error::environment(format!("cannot find out where this program lies: {error}")))?;
    let trainer = TrainingProgram::find(&own)?;
    let other = &trainer.program;
    if let (Some(("doctor", matches)), false) = (matches.subcommand(), other.exists()) {
        return verbs::doctor::run(matches, Build::bare());
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new(other);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.env(memory::TUNABLES, memory::with_huge_pages(std::env::var_os(memory::TUNABLES)));
    // cuBLAS reads it once: with memory of a fixed size it can be held to one order of adding (`--deterministic`).
    if std::env::var_os(CUBLAS_WORKSPACE).is_none() {
        command.env(CUBLAS_WORKSPACE, ":4096:8");
    }
    let library_path = trainer.library_path(std::env::var_os(LIBRARY_PATH))?;
    if let Some(path) = &library_path {
        command.env(LIBRARY_PATH, path);
    }
    if other.exists() {
        libraries::check(other, library_path.as_deref())?;
    }
    let error = command.args(arguments).exec();
    Err(Error::environment(format!("cannot start `{}`, which trains: {error}", other.display()))
        .hint("`tombola` alone plans and shows. A build with libtorch makes `tombola-torch` beside it (`scripts/tombola`): copy both"))
}
