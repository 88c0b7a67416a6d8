//! The program with libtorch in it: every verb. `tombola` becomes it where a verb needs libtorch.

use std::process::ExitCode;

use tombola::cli;
use tombola::train::memory::keep_freed_memory;

fn main() -> ExitCode {
    keep_freed_memory();
    cli::process::run(cli::dispatch)
}
