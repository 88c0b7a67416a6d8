//! `tombola status`: how far a sweep is, who trains what, and what to do next.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::folder::{self, Results};
use crate::error::{Error, Result};
use crate::status::{Status, View, text};

const EXAMPLES: &str = "\
Examples:
  tombola status results/quickstart
  tombola status results/quickstart --json | jq .trainings
  watch tombola status results/quickstart

It only reads, so it can be called at any time and from any machine that sees the folder. A folder that holds the shards
of a sweep is shown as one.";

/// The verb.
pub fn command() -> Command {
    Command::new("status")
        .about("Show how far a sweep is, who trains what, what failed, and what to do next")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, running or not, or one that holds its shards"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print all of it as JSON"))
}

/// Prints it.
///
/// # Errors
/// When the folder holds no sweep.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let results = Results::read(&folder::given(matches))?;
    let work = super::sweep::epoch_work(&results.plan, &results.spec)?;
    let shown = results.folder.display().to_string();
    let view = View::of(results.facts(&work, &shown));
    let status = Status::of(&view);
    if matches.get_flag("json") {
        let json = serde_json::to_string_pretty(&status)
            .map_err(|error| Error::environment(format!("cannot write the status as JSON: {error}")))?;
        return super::print(&format!("{json}\n"));
    }
    super::print(&text::text(&status, view.digits()))
}
