//! `tombola doctor`: whether this machine, or this start of many ranks, is fit for a long run.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::flags;
use crate::doctor::Checkup;
use crate::doctor::facts::Gathered;
use crate::doctor::look::{self, Build, Own};
use crate::doctor::verdict::{Diagnosis, Level, judge};
use tombola_cluster::link::launcher::{self, Launch};
use tombola_core::place::{self, ShownGpus};
use tombola_core::sweep::own_data::is_data_path;
use tombola_core::sweep::{Field, Settings};
use tombola_words::catalogue::{self, Source};
use tombola_words::error::{Error, Kind, Result};

/// The settings of a run that the answer depends on.
const SETTINGS: [&str; 6] = ["dataset", "data-dir", "device", "threads", "coordinator", "ranks-per-gpu"];

const EXAMPLES: &str = "\
Examples:
  tombola doctor
  tombola doctor results/lenet --dataset fashion-mnist --threads 2
  mpirun -np 8 tombola doctor --dataset cifar-10
  mpirun --hostfile hostfiles/several-nodes tombola doctor --ranks-per-gpu 2 --json

Give it the flags of the run that is to follow. It trains nothing and leaves nothing behind. Exit codes: 0 nothing failed,
3 something did.";

/// The verb.
pub fn command() -> Command {
    let folder = Arg::new("folder").value_name("RESULTS").value_parser(value_parser!(PathBuf));
    let command = Command::new("doctor")
        .about("Check whether this machine, or this start of many ranks, is fit for a long run")
        .after_help(EXAMPLES)
        .arg(folder.help("Results folder of the run, there or not yet [default: results]"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print all that was found as JSON"));
    flags::add_some(command, is_open)
}

fn is_open(field: &Field) -> bool {
    SETTINGS.contains(&field.key)
}

/// Looks, judges and prints, in a process that MPI is not begun in. The exit code is 0 if nothing fails.
///
/// # Errors
/// When the flags are wrong.
pub fn run(matches: &ArgMatches, build: Build) -> Result<u8> {
    let launch = launcher::launch().filter(|launch| launch.size > 1);
    let asked = read(matches);
    // Many ranks are given the same command line, and without MPI they know nothing of each other: the first one speaks.
    // Any other code of a rank would end the first before it has told.
    if launch.is_some_and(|launch| launch.rank > 0) {
        return Ok(asked.map_or_else(|error| error.kind.exit_code(), |_| 0));
    }
    let (asked, json) = (asked?, matches.get_flag("json"));
    tell(&Gathered { facts: vec![look::look(&asked, alone(launch, build))], ..Gathered::default() }, &asked, json)
}

/// What is to be checked.
///
/// # Errors
/// When a flag is wrong.
pub fn read(matches: &ArgMatches) -> Result<Checkup> {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().to_string()).collect();
    let (mut run, mut datasets) = (Settings::default(), Vec::new());
    for flag in flags::read(matches, &words)? {
        for value in &flag.values {
            flag.field.assign(&mut run, value)?;
            if flag.field.key == "dataset" && !is_data_path(value) {
                datasets.push(catalogue::find(value)?);
            }
        }
    }
    // What is no device on any machine is a mistake of the flag, not of this one.
    place::choose(run.device.as_deref(), 0, &ShownGpus::default(), || usize::MAX)?;
    // One that is made has no files.
    let datasets = datasets.iter().filter(|known| known.source != Source::Made).map(|known| known.name.to_string());
    let folder = matches.get_one::<PathBuf>("folder").cloned().unwrap_or_else(|| "results".into());
    Ok(Checkup { folder, datasets: datasets.collect(), run })
}

/// What a process that MPI was not begun in says of itself.
fn alone(launch: Option<Launch>, build: Build) -> Own {
    let rank = launch.map_or(0, |launch| launch.rank);
    Own { rank, host: look::host(), launch, mpi: None, build }
}

/// Everything, for other programs.
#[derive(Serialize)]
struct Json<'a> {
    passed: usize,
    warnings: usize,
    failed: usize,
    #[serde(flatten)]
    report: &'a Diagnosis,
    found: &'a Gathered,
}

/// Judges, prints, and gives the exit code.
///
/// # Errors
/// When nothing can be printed.
pub fn tell(gathered: &Gathered, asked: &Checkup, json: bool) -> Result<u8> {
    let report = &judge(gathered, asked);
    let failed = report.count(Level::Fail);
    let text = if json {
        let (passed, warnings) = (report.count(Level::Pass), report.count(Level::Warn));
        let all = Json { passed, warnings, failed, report, found: gathered };
        let fail = |error| Error::environment(format!("cannot write the findings as JSON: {error}"));
        format!("{}\n", serde_json::to_string_pretty(&all).map_err(fail)?)
    } else {
        report.text()
    };
    super::print(&text)?;
    Ok(if failed > 0 { Kind::Environment.exit_code() } else { 0 })
}
