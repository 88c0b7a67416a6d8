//! `tombola doctor` with libtorch and, as one of many ranks, with MPI.

use clap::ArgMatches;

use tombola::doctor::look::Build;
use tombola::verbs::doctor;
use tombola_train::device;
use tombola_words::error::Result;

/// Looks, judges and prints. The exit code is 0 if nothing fails.
///
/// # Errors
/// When the flags are wrong, or MPI cannot be begun.
pub(super) fn run(matches: &ArgMatches) -> Result<u8> {
    #[cfg(feature = "mpi")]
    if let Some(launch) = tombola_cluster::link::launcher::launch().filter(|launch| launch.size > 1) {
        return super::ranks::doctor(launch, matches, build());
    }
    doctor::run(matches, build())
}

/// What this program is made of.
fn build() -> Build {
    #[cfg(feature = "mpi")]
    let library = Some(tombola_ranks::mpi::library());
    #[cfg(not(feature = "mpi"))]
    let library = None;
    Build { torch: true, mpi: cfg!(feature = "mpi"), library, gpus: || Some(device::gpus()) }
}
