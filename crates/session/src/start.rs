//! Alone, or as one of many: which of the two this process is, and what it then does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tombola_cluster::link::launcher::{self, Launch};
use tombola_words::error::Result;
use tombola_words::signals;

use super::alone;
use super::request::Request;

/// Trains and prints the table; the exit code is 0, or 1 if some training failed.
///
/// Only the first rank of many makes the request: the others may not even have the sweep file.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub fn start(request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    let launch = launcher::launch().filter(|launch| launch.size > 1);
    // Before anything that takes time: reading a sweep and its data does.
    let stop = signals::listen(launch.is_none())?;
    match launch {
        None => alone::run(request()?, stop),
        Some(launch) => many(launch, &stop, request),
    }
}

#[cfg(feature = "mpi")]
fn many(launch: Launch, stop: &Arc<AtomicBool>, request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    super::ranks::run(launch, stop, request)
}

#[cfg(not(feature = "mpi"))]
fn many(launch: Launch, _: &Arc<AtomicBool>, _: impl FnOnce() -> Result<Request>) -> Result<u8> {
    use tombola_words::error::Error;

    Err(Error::environment(format!(
        "this program was built without MPI, but was started as rank {} of {}: each would run the whole sweep",
        launch.rank, launch.size
    ))
    .hint("build it where MPI is (`scripts/tombola` does, with `mpicc` on the path), or start it without the launcher"))
}
