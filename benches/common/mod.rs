//! What the benches of whole runs share: pretended trainings, ranks, processor time, and bars that hold or not.

#![allow(dead_code, reason = "each bench uses some of it")]

pub(crate) mod bars;
pub(crate) mod finished;
pub(crate) mod pretended;
pub(crate) mod processor;
#[cfg(feature = "mpi")]
pub(crate) mod ranks;

/// Whether Cargo asks for the bench; `cargo test --all-targets` only wants to know that it starts.
pub(crate) fn is_asked_for() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The parts of a bench that were asked for by name, behind `--`; all of them if none is named.
pub(crate) fn wants(part: &str) -> bool {
    let mut named = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|name| name == part)
}
