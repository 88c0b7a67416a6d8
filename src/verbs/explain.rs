//! `tombola explain`: why a training waits, failed or is where it is.

use std::path::Path;

use clap::{Arg, ArgMatches, Command};

use super::folder;
use super::folder::Results;
use tombola_views::status::{View, explain};
use tombola_words::error::Result;

const EXAMPLES: &str = "\
Examples:
  tombola explain results/quickstart 12
  tombola explain results/quickstart 3f2a91c0
  tombola explain results/quickstart 12 13 3f2a91c0

A number is a trial, of which the last level is explained; anything else is the name of a training, as in `results.csv`,
or its beginning.";

/// The verb.
pub fn command() -> Command {
    let what = Arg::new("what").value_name("STAGE-OR-TRIAL").required(true).num_args(1..);
    Command::new("explain")
        .about("Explain why a training waits, failed or is where it is, and what it left")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, running or not, or one that holds its shards"))
        .arg(what.help("Name of a training or its beginning, or number of a trial"))
}

/// Prints the explanations.
///
/// # Errors
/// When the folder holds no sweep, or it has no such training.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let results = Results::read(&folder::given(matches))?;
    let words = matches.get_many::<String>("what").into_iter().flatten();
    let stages = words.map(|word| folder::find(&results.plan, word)).collect::<Result<Vec<usize>>>()?;
    let work = tombola_core::plan::estimate::epoch_work(&results.plan, &results.spec)?;
    let shown = results.folder.display().to_string();
    let view = View::of(results.facts(&work, &shown));
    let texts: Vec<String> = stages
        .into_iter()
        .map(|stage| {
            let own = Path::new(&explain::folder_of(&view, stage)).join("stages");
            explain::text(&view, stage, &files(&own.join(results.plan.stages[stage].id.to_string())))
        })
        .collect();
    super::print(&texts.join("\n\n"))
}

/// The files in a folder and their sizes, by name; none if it cannot be read.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<(String, u64)> = entries
        .flatten()
        .map(|entry| {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            (entry.file_name().to_string_lossy().to_string(), size)
        })
        .collect();
    files.sort();
    files
}
