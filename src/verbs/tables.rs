//! `tombola tables`: rebuilds the tables of a results folder from its journal, and prints the readable one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::folder;
use super::folder::Results;
use tombola_core::folder::journal::History;
use tombola_core::folder::{write_atomically, write_down};
use tombola_core::plan::LoadedFiles;
use tombola_core::plan::Plan;
use tombola_core::plan::estimate::many;
use tombola_core::sweep::Spec;
use tombola_exports::{parquet, tensorboard};
use tombola_views::report::sheet::Sheet;
use tombola_views::tables::{self, Style};
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::speech;

const EXAMPLES: &str = "\
Examples:
  tombola tables results/quickstart
  tombola tables results/quickstart --format parquet
  tombola tables results/quickstart --out /tmp/tables
  tombola tables results/quickstart --tensorboard && tensorboard --logdir results/quickstart/tensorboard

A folder that holds the shards of a sweep (`run --shard 1/8` and so on) gets the tables of all of them.";

/// The verb.
pub fn command() -> Command {
    Command::new("tables")
        .about("Rebuild the tables of a results folder from its journal, and print the readable one")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep, finished or not, or one that holds its shards"))
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Write them there and leave the results folder as it is, also that of a sweep that runs"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["csv", "parquet"])
                .default_value("csv")
                .help("Write the tables in this form too, beside the CSV files"),
        )
        .arg(
            Arg::new("tensorboard")
                .long("tensorboard")
                .value_name("FOLDER")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("")
                .value_parser(value_parser!(OsString))
                .help("Write the curves of all trainings for TensorBoard too [folder: tensorboard beside the tables]"),
        )
}

/// Rebuilds and prints.
///
/// # Errors
/// When the folder holds no sweep, shards of several, or the tables cannot be written.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let results = Results::read(&folder::given(matches))?;
    let stores = results.stores();
    let left_out = folder::left_out(&results.folder)?;
    if !left_out.is_empty() {
        let (whole, shards) = (results.folder.display(), left_out.join(", "));
        speech::say(format!("`{whole}` has a run of the whole sweep, which the tables are of; left out: {shards}"));
    }
    let Results { folder, spec, plan, history, runs, joined, .. } = results;
    let folder = match matches.get_one::<PathBuf>("out") {
        Some(other) => {
            std::fs::create_dir_all(other).map_err(|error| Error::file("create", other, &error))?;
            other.clone()
        }
        None => folder,
    };
    if joined {
        write_spec(&folder, &spec, &plan.loaded)?;
    }
    tables::write_final(&folder, &stores, &spec.networks, &plan, &history)?;
    if matches.get_one::<String>("format").is_some_and(|format| format == "parquet") {
        write_parquet(&folder, &plan, &history)?;
    }
    if let Some(place) = matches.get_one::<OsString>("tensorboard") {
        let place = if place.is_empty() { folder.join("tensorboard") } else { PathBuf::from(place) };
        let count = tensorboard::write(&place, &plan, &history)?;
        speech::say(format!("curves of {}: tensorboard --logdir {}", many(count, "training"), place.display()));
    }
    super::print(&tables::render(&plan, &history, &style()))?;
    let count = runs.iter().find_map(|run| run.shard).map_or(0, |shard| shard.count);
    let missing: Vec<String> = (1..=count)
        .filter(|index| joined && runs.iter().all(|run| run.shard.is_none_or(|shard| shard.index != *index)))
        .map(|index| index.to_string())
        .collect();
    if let Some((last, others)) = missing.split_last() {
        match others {
            [] => speech::say(format!("shard {last} of {count} is not there yet")),
            _ => speech::say(format!("shards {} and {last} of {count} are not there yet", others.join(", "))),
        }
    }
    Ok(())
}

/// Writes each table of a folder as a Parquet file beside it.
fn write_parquet(folder: &Path, plan: &Plan, history: &History) -> Result<()> {
    for name in tables::written(plan, history).chain([tables::OVERLAP]) {
        let path = folder.join(name);
        let text = regular::read_to_string(&path).map_err(|error| Error::file("read", &path, &error))?;
        let bytes = parquet::bytes(&Sheet::parse(&text)?)?;
        write_atomically(&path.with_extension("parquet"), |file| file.write_all(&bytes))?;
    }
    Ok(())
}

/// Writes down what joined shards are of, in place of what an earlier call wrote.
fn write_spec(folder: &Path, spec: &Spec, loaded: &LoadedFiles) -> Result<()> {
    let path = folder.join("sweep.toml");
    if regular::read_to_string(&path).is_ok_and(|text| !Spec::wrote(&text)) {
        return Err(Error::input(format!(
            "`{}` was not written by this program, and would be overwritten by that of the shards",
            path.display()
        ))
        .hint("move it to another folder"));
    }
    write_down(folder, spec, loaded)
}

/// The width of the terminal, or 100 columns where there is none.
pub fn style() -> Style {
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
    Style { width: width.max(40), ..Style::default() }
}
