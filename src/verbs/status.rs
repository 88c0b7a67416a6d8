//! `tombola status`: how far a sweep is, who trains what, and what to do next.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::folder;
use super::folder::Results;
use tombola_views::status::{Status, View, text};
use tombola_words::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  tombola status results/quickstart
  tombola status results/quickstart --json | jq .trainings
  watch tombola status results/quickstart
  tombola status results/quickstart --check || echo \"not done yet\"

It only reads, so it can be called at any time and from any machine that sees the folder. A folder that holds the shards
of a sweep is shown as one. Exit codes with `--check`: 0 all done, 1 some trainings failed and nothing else is left, 75
something is left to train.";

/// The verb.
pub fn command() -> Command {
    Command::new("status")
        .about("Show how far a sweep is, who trains what, what failed, and what to do next")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, running or not, or one that holds its shards"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print all of it as JSON"))
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .conflicts_with("json")
                .help("Print one line, and tell by the exit code whether all is done"),
        )
}

/// Prints it. The exit code is 0, or with `--check` how far the sweep is.
///
/// # Errors
/// When the folder holds no sweep.
pub fn run(matches: &ArgMatches) -> Result<u8> {
    let results = Results::read(&folder::given(matches))?;
    let work = tombola_core::plan::estimate::epoch_work(&results.plan, &results.spec)?;
    let shown = results.folder.display().to_string();
    let view = View::of(results.facts(&work, &shown));
    let status = Status::of(&view);
    if matches.get_flag("check") {
        return super::print(&text::line(&status)).map(|()| status.exit_code());
    }
    if matches.get_flag("json") {
        let json = serde_json::to_string_pretty(&status)
            .map_err(|error| Error::environment(format!("cannot write the status as JSON: {error}")))?;
        return super::print(&format!("{json}\n")).map(|()| 0);
    }
    super::print(&text::text(&status, view.digits())).map(|()| 0)
}
