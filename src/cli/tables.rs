//! `tombola tables`: rebuilds the tables of a results folder from its journal, and prints the readable one.

use std::path::Path;

use clap::{ArgMatches, Command};

use super::folder::{self, Results};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::store::write_atomically;
use crate::sweep::Spec;
use crate::tables::{self, Style};

const EXAMPLES: &str = "\
Examples:
  tombola tables results/quickstart

A folder that holds the shards of a sweep (`run --shard 1/8` and so on) gets the tables of all of them.";

/// The verb.
pub fn command() -> Command {
    Command::new("tables")
        .about("Rebuild the tables of a results folder from its journal, and print the readable one")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, finished or not, or one that holds its shards"))
}

/// Rebuilds and prints.
///
/// # Errors
/// When the folder holds no sweep, shards of several, or cannot be written.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let results = Results::read(&folder::given(matches))?;
    let stores = results.stores();
    let Results { folder, spec, plan, history, runs, joined } = results;
    if joined {
        write_spec(&folder, &spec)?;
    }
    tables::write_final(&folder, &stores, &spec.networks, &plan, &history)?;
    super::print(&tables::render(&plan, &history, &style()))?;
    let count = runs.iter().find_map(|run| run.shard).map_or(0, |shard| shard.count);
    let missing: Vec<String> = (1..=count)
        .filter(|index| joined && runs.iter().all(|run| run.shard.is_none_or(|shard| shard.index != *index)))
        .map(|index| index.to_string())
        .collect();
    if let Some((last, others)) = missing.split_last() {
        match others {
            [] => eprintln!("shard {last} of {count} is not there yet"),
            _ => eprintln!("shards {} and {last} of {count} are not there yet", others.join(", ")),
        }
    }
    Ok(())
}

/// Writes down what joined shards are of, in place of what an earlier call wrote.
fn write_spec(folder: &Path, spec: &Spec) -> Result<()> {
    let path = folder.join("sweep.toml");
    if std::fs::read_to_string(&path).is_ok_and(|text| !Spec::wrote(&text)) {
        return Err(Error::input(format!(
            "`{}` was not written by this program, and would be overwritten by that of the shards",
            path.display()
        ))
        .hint("move it to another folder"));
    }
    write_atomically(&path, |file| file.write_all(spec.to_toml().as_bytes()))
}

/// The plan of the sweep that a results folder holds.
///
/// # Errors
/// When there is none.
pub fn plan_of(folder: &Path) -> Result<Plan> {
    super::sweep::grow(&folder::spec_of(folder)?)
}

/// The width of the terminal, or 100 columns where there is none.
pub fn style() -> Style {
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
    Style { width: width.max(40), ..Style::default() }
}
