//! Alone, or as one of many: which of the two this process is, and what it then does.

use tombola_cluster::link::launcher::{self, Launch};
use tombola_words::error::Result;

use super::alone;
use super::request::Request;

/// Trains and prints the table; the exit code is 0, or 1 if some training failed.
///
/// Only the first rank of many makes the request: the others may not even have the sweep file.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub fn start(request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    match launcher::launch().filter(|launch| launch.size > 1) {
        None => alone::run(request()?),
        Some(launch) => many(launch, request),
    }
}

#[cfg(feature = "mpi")]
fn many(launch: Launch, request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    super::ranks::run(launch, request)
}

#[cfg(not(feature = "mpi"))]
fn many(launch: Launch, _: impl FnOnce() -> Result<Request>) -> Result<u8> {
    use tombola_words::error::Error;

    Err(Error::environment(format!(
        "this program was built without MPI, but was started as rank {} of {}: each would run the whole sweep",
        launch.rank, launch.size
    ))
    .hint("build it where MPI is (`scripts/tombola` does, with `mpicc` on the path), or start it without the launcher"))
}
