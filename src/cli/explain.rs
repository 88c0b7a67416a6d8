//! `tombola explain`: why a training waits, failed or is where it is.

use std::path::Path;

use clap::{Arg, ArgMatches, Command};

use super::folder::{self, Results};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::status::{View, explain};

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
    let stages = words.map(|word| find(&results.plan, word)).collect::<Result<Vec<usize>>>()?;
    let work = super::sweep::epoch_work(&results.plan, &results.spec)?;
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

/// The stage that a word means: the last one of a trial, or the one whose name begins with it.
fn find(plan: &Plan, word: &str) -> Result<usize> {
    // Names are 20 digits and letters: their beginning can look like a number, but hardly like that of a trial.
    let Some(number) = word.parse::<usize>().ok().filter(|number| *number <= plan.chains.len() + plan.repeated) else {
        return folder::stage_of(plan, word);
    };
    let chain = plan.chains.iter().find(|chain| chain.trial.number == number);
    match chain.and_then(|chain| chain.stages.last()) {
        Some(stage) => Ok(*stage),
        None if number == 0 => Err(Error::input("there is no trial `0`").hint("trials are counted from 1")),
        None => {
            Err(Error::input(format!("trial {number} means the same as one before it, so it has no rows of its own"))
                .hint("`tombola tables` lists the trials that differ, in `results.csv`"))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::forest::Outside;
    use crate::sweep::Spec;

    #[test]
    fn a_trial_is_found_by_its_number_and_a_training_by_its_name() {
        let spec = Spec::read(Some("pr = [0.5, 0.7]\n[[grid]]\n[[grid]]\nseed = 2"), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        assert_eq!(plan.repeated, 0);
        assert_eq!(find(&plan, "2").unwrap(), plan.chains[1].stages[1]);
        let name = plan.stages[1].id.to_string();
        assert_eq!(find(&plan, &name).unwrap(), 1);
        assert_eq!(find(&plan, &name[..10]).unwrap(), 1);
        assert!(find(&plan, "0").unwrap_err().message.contains("`0`"));
        assert!(find(&plan, "none").unwrap_err().message.contains("begins with `none`"));
        assert!(folder::stage_of(&plan, "").is_err());
    }
}
