//! The only place that prints. Whoever reads may have seen enough, as `head` has, or be gone: that ends nothing.
//!
//! The macros of the standard library panic there, and a sweep must not end because nobody watches it any more:
//! `scripts/structure.py` refuses them elsewhere.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::error::{Error, Kind, Result, ignored};

/// A line on standard error, in one piece.
pub fn say(line: impl Display) {
    prompt(format!("{line}\n"));
}

/// Text on standard error with no line break behind it.
pub fn prompt(text: impl Display) {
    ignored(std::io::stderr().write_all(text.to_string().as_bytes()), "there is nowhere left to say so");
}

/// Text on standard output, at once.
///
/// # Errors
/// When it cannot be written for another reason than that nobody reads it: a full disk, say.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::environment(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints an error, if it came to one, and gives the exit code of the process.
pub fn outcome(result: Result<u8>) -> u8 {
    result.unwrap_or_else(|error| {
        let word = if error.kind == Kind::Interrupted { "stopped" } else { "error" };
        say(format!("{word}: {error}"));
        error.kind.exit_code()
    })
}
