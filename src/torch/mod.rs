//! The verbs that need libtorch.

mod bench;
mod doctor;
mod export;
mod measure;
#[cfg(feature = "mpi")]
mod ranks;
#[cfg(feature = "mpi")]
mod round;
mod run;
mod selftest;

use clap::ArgMatches;

use tombola::selftest::INNER;
use tombola::verbs;
use tombola_words::error::Result;

/// Does what was asked. The result is the exit code of a run that came to its end.
///
/// # Errors
/// Whatever stops it; [`tombola_words::error::Kind::exit_code`] is the exit code.
pub(crate) fn dispatch(matches: &ArgMatches) -> Result<u8> {
    match matches.subcommand() {
        Some(("run", matches)) => run::run(matches),
        Some(("retry", matches)) => run::again(matches),
        Some(("doctor", matches)) => doctor::run(matches),
        Some(("selftest", matches)) if matches.contains_id(INNER) => selftest::run(matches),
        Some(("bench", matches)) => measure::bench(matches).map(|()| 0),
        Some(("tune", matches)) => measure::tune(matches).map(|()| 0),
        Some(("export", matches)) => export::run(matches).map(|()| 0),
        _ => verbs::dispatch(matches).unwrap_or(Ok(2)),
    }
}
