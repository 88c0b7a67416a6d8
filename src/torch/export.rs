//! `tombola export` as TorchScript.

use clap::ArgMatches;

use tombola::verbs::export;
use tombola_train::script;
use tombola_words::error::Result;

/// Writes the file.
///
/// # Errors
/// When there is no such training or snapshot, or the file cannot be written.
pub(super) fn run(matches: &ArgMatches) -> Result<()> {
    export::run(matches, |ticket, path| script::write(ticket.graph, ticket.layout, ticket.state, path))
}
