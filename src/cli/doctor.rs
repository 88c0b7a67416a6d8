//! `tombola doctor`: whether this machine, or this start of many ranks, is fit for a long run.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::flags;
use crate::data::catalogue::{self, Source};
use crate::doctor::Asked;
use crate::doctor::facts::Gathered;
use crate::doctor::look::{self, Own};
use crate::doctor::verdict::{Level, Report, judge};
use crate::error::{Error, Kind, Result};
use crate::link::launcher::{self, Launch};
use crate::sweep::{Field, Settings};
use crate::worker::place;

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

/// Looks, judges and prints. The exit code is 0 if nothing fails.
///
/// # Errors
/// When the flags are wrong, or MPI cannot be begun.
pub fn run(matches: &ArgMatches) -> Result<u8> {
    let launch = launcher::launch().filter(|launch| launch.size > 1);
    let asked = match read(matches) {
        // Many ranks are given the same command line: one of them says what is wrong with it.
        Err(error) if launch.is_some_and(|launch| launch.rank > 0) => return Ok(error.kind.exit_code()),
        asked => asked?,
    };
    let json = matches.get_flag("json");
    match launch {
        Some(launch) => many(launch, &asked, json),
        None => tell(&Gathered { facts: vec![look::look(&asked, alone(None))], ..Gathered::default() }, &asked, json),
    }
}

fn read(matches: &ArgMatches) -> Result<Asked> {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().to_string()).collect();
    let (mut run, mut datasets) = (Settings::default(), Vec::new());
    for flag in flags::read(matches, &words)? {
        for value in &flag.values {
            flag.field.assign(&mut run, value)?;
            if flag.field.key == "dataset" {
                datasets.push(catalogue::find(value)?);
            }
        }
    }
    // What is no device on any machine is a mistake of the flag, not of this one.
    place::choose(run.device.as_deref(), 0, || usize::MAX)?;
    // One that is made has no files.
    let datasets = datasets.iter().filter(|known| known.source != Source::Made).map(|known| known.name.to_string());
    let folder = matches.get_one::<PathBuf>("folder").cloned().unwrap_or_else(|| "results".into());
    Ok(Asked { folder, datasets: datasets.collect(), run })
}

fn alone(launch: Option<Launch>) -> Own {
    let rank = launch.map_or(0, |launch| launch.rank);
    Own { rank, host: look::host(), launch, mpi: None, library: library() }
}

#[cfg(feature = "mpi")]
fn library() -> Option<String> {
    Some(crate::link::mpi::library())
}

#[cfg(not(feature = "mpi"))]
fn library() -> Option<String> {
    None
}

/// Without MPI the ranks know nothing of each other: the first one says so.
#[cfg(not(feature = "mpi"))]
fn many(launch: Launch, asked: &Asked, json: bool) -> Result<u8> {
    if launch.rank > 0 {
        // Any other code would end the first before it has told.
        return Ok(0);
    }
    tell(&Gathered { facts: vec![look::look(asked, alone(Some(launch)))], ..Gathered::default() }, asked, json)
}

/// Looks as one of many ranks. Returns only if MPI cannot be begun; otherwise the process ends here, because a rank that
/// ends in another way than its peers would keep them waiting.
#[cfg(feature = "mpi")]
fn many(launch: Launch, asked: &Asked, json: bool) -> Result<u8> {
    use std::io::Write;
    use std::time::Instant;

    use crate::doctor::facts::Mpi;
    use crate::doctor::round::{self, Round};
    use crate::link::launcher::Starter;
    use crate::link::mpi::Session;

    // Where `srun` and MPI do not fit together, MPI ends the process, with a text that names no cure for it.
    if launcher::starter() == Some(Starter::Srun) && launch.rank == 0 {
        eprintln!("MPI is begun under `srun`. If that fails, start it by `mpirun` inside the job instead");
    }
    let session = Session::open()?;
    let begun = Instant::now();
    let (local_rank, local_size) = session.local;
    let mpi = Mpi { threads: session.threads(), size: session.size(), local_rank, local_size };
    let (rank, host) = (session.rank(), session.host.clone());
    let own = Own { rank, host, launch: Some(launch), mpi: Some(mpi), library: library() };
    // Started as one of many, but alone as far as MPI knows: the launcher's first rank speaks.
    let code = if session.size() == 1 && launch.rank > 0 {
        session.finish(0);
        0
    } else if rank == 0 {
        let mut round = Round::new(&session);
        let told = round.ask(look::look(asked, own), begun).and_then(|gathered| tell(&gathered, asked, json));
        let code = super::outcome(told);
        let _ = std::io::stdout().flush();
        match round.end(code).unwrap_or(false) {
            true => session.finish(code),
            false => session.leave(code),
        }
        code
    } else {
        match round::answer(&session, look::look(asked, own)) {
            Ok((true, _)) => {
                session.finish(0);
                0
            }
            Ok((false, code)) => session.leave(code),
            Err(error) => session.leave(super::outcome(Err(error))),
        }
    };
    // Not by `exit`: something may still be waited for in a thread.
    signal_hook::low_level::exit(i32::from(code))
}

/// Everything, for other programs.
#[derive(Serialize)]
struct Json<'a> {
    passed: usize,
    warnings: usize,
    failed: usize,
    #[serde(flatten)]
    report: &'a Report,
    found: &'a Gathered,
}

fn tell(gathered: &Gathered, asked: &Asked, json: bool) -> Result<u8> {
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
