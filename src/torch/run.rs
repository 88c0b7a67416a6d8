//! `tombola run` and `tombola retry`: from the command line to a session.

use clap::ArgMatches;

use tombola::verbs::{self, retry, sweep, tables};
use tombola_session::{Request, start};
use tombola_words::error::Result;

/// Trains and prints the table; the exit code is 0, or 1 if some training failed.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub(super) fn run(matches: &ArgMatches) -> Result<u8> {
    let (loudness, log) = (verbs::run::loudness(matches), verbs::run::log(matches));
    start(|| Ok(Request { asked: sweep::read(matches)?, loudness, log, chosen: None, style: tables::style() }))
}

/// The same for what failed in a results folder.
///
/// # Errors
/// As [`run`], and when nothing failed.
pub(super) fn again(matches: &ArgMatches) -> Result<u8> {
    start(|| {
        let (asked, loudness, chosen) = retry::read(matches)?;
        let log = verbs::run::log(matches);
        Ok(Request { asked, loudness, log, chosen: Some(chosen), style: tables::style() })
    })
}
