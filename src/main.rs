//! The program. What needs no libtorch it does itself; for the rest it becomes `tombola-torch`, which lies beside it.

use std::process::ExitCode;

use tombola::cli;

#[cfg(not(feature = "torch"))]
fn main() -> ExitCode {
    cli::process::run(cli::dispatch)
}

// Nothing named here may lead to libtorch, or the linker makes this program load it at each start.
#[cfg(feature = "torch")]
fn main() -> ExitCode {
    cli::process::run(|matches| cli::without_torch(matches).unwrap_or_else(become_torch))
}

/// The same process with the same arguments, as the other program.
///
/// # Errors
/// When that does not lie beside this one, or its MPI is missing.
#[cfg(feature = "torch")]
fn become_torch() -> tombola::error::Result<u8> {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use tombola::error::Error;
    use tombola::train::memory;
    use tombola::trainer::{LIBRARY_PATH, Trainer};

    let own = std::env::current_exe()
        .map_err(|error| Error::environment(format!("cannot find out where this program lies: {error}")))?;
    let trainer = Trainer::find(&own)?;
    let other = &trainer.program;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(other);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.env(memory::TUNABLES, memory::with_huge_pages(std::env::var_os(memory::TUNABLES)));
    if let Some(path) = trainer.library_path(std::env::var_os(LIBRARY_PATH))? {
        command.env(LIBRARY_PATH, path);
    }
    let error = command.args(arguments).exec();
    Err(Error::environment(format!("cannot start `{}`: {error}", other.display()))
        .hint("`tombola` trains by `tombola-torch`, which a build makes beside it: copy both"))
}
