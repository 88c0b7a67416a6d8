//! `tombola tables`: rebuilds the tables of a results folder from its journal, and prints the readable one.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::error::{Error, Result};
use crate::journal::History;
use crate::plan::Plan;
use crate::sweep::Spec;
use crate::tables::{self, Style};

const EXAMPLES: &str = "\
Examples:
  tombola tables results/quickstart";

/// The verb.
pub fn command() -> Command {
    let folder = Arg::new("folder").value_name("RESULTS").required(true).value_parser(value_parser!(PathBuf));
    Command::new("tables")
        .about("Rebuild the tables of a results folder from its journal, and print the readable one")
        .after_help(EXAMPLES)
        .arg(folder.help("Results folder of a sweep, finished or not"))
}

/// Rebuilds and prints.
///
/// # Errors
/// When the folder holds no sweep or cannot be written.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let none = PathBuf::new();
    let folder = matches.get_one::<PathBuf>("folder").unwrap_or(&none);
    let plan = plan_of(folder)?;
    let history = History::read(&folder.join("journal"))?;
    tables::write_all(folder, &plan, &history)?;
    print!("{}", tables::render(&plan, &history, &style()));
    Ok(())
}

/// The plan of the sweep that a results folder holds.
///
/// # Errors
/// When there is none.
pub fn plan_of(folder: &Path) -> Result<Plan> {
    let path = folder.join("sweep.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::file("read", &path, &error).hint("give a results folder, such as `results/quickstart`")
    })?;
    let spec = Spec::read(Some(&text), &[]).map_err(|error| error.at(format!("`{}`", path.display())))?;
    super::sweep::grow(&spec)
}

/// The width of the terminal, or 100 columns where there is none.
pub fn style() -> Style {
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
    Style { width: width.max(40), ..Style::default() }
}
