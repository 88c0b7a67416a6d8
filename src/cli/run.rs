//! `tombola run`: trains what a sweep asks for and is not in its results folder yet. Alone, or as one rank of many.

#[cfg(feature = "torch")]
mod adopt;
#[cfg(feature = "torch")]
mod alone;
#[cfg(feature = "torch")]
mod opening;
#[cfg(all(feature = "torch", feature = "mpi"))]
mod ranks;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::retry;
use super::sweep::{self, Asked};
use crate::coordinator::Loudness;
use crate::error::Result;
use crate::link::launcher::{self, Launch};

const EXAMPLES: &str = "\
Examples:
  tombola run sweeps/quickstart.toml
  tombola run sweeps/quickstart.toml --seed 1,2,3 --out results/three-seeds
  tombola run --network resnet --depth 20 --dataset cifar-10 --priter 4 --pr 0.9 --reinit init,epoch:10
  tombola run --model resnetb --depth 20 --priter 1 --pr 0.7 --prunety u --load auto --save
  mpirun -np 8 tombola run sweeps/lenet.toml
  mpirun --hostfile hostfiles/several-nodes tombola run sweeps/lenet.toml
  tombola run sweeps/lenet.toml --shard 2/8

A setting with several values (0.5,0.7) is an axis: every combination is a trial, and trials share their trainings.
Running the same command again continues where it stopped; adding values trains only what is new.
`tombola plan` shows what would be trained. All settings: docs/settings.md.";

/// The verb.
pub fn command() -> Command {
    let flag = |name: &'static str, short: char, help: &'static str| {
        Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
    };
    let command = Command::new("run")
        .about("Train what a sweep asks for, and write its tables")
        .after_help(EXAMPLES)
        .arg(flag("quiet", 'q', "Print nothing but errors and the final table").conflicts_with("verbose"))
        .arg(flag("verbose", 'v', "Print a line for every epoch"))
        .arg(log_argument());
    sweep::arguments(command)
}

/// What is to be trained.
#[derive(Debug)]
#[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "only a program with torch trains it"))]
struct Request {
    asked: Asked,
    loudness: Loudness,
    /// Where the log is written, if not into the results folder.
    log: Option<PathBuf>,
    /// The only stages to train, if not all that are missing.
    chosen: Option<HashSet<usize>>,
}

/// Trains and prints the table; the exit code is 0, or 1 if some training failed.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub fn run(matches: &ArgMatches) -> Result<u8> {
    let loudness = loudness(matches);
    start(|| Ok(Request { asked: sweep::read(matches)?, loudness, log: log(matches), chosen: None }))
}

/// `tombola retry`: the same for what failed in a results folder.
///
/// # Errors
/// As [`run`], and when nothing failed.
pub fn again(matches: &ArgMatches) -> Result<u8> {
    start(|| {
        let (asked, loudness, chosen) = retry::read(matches)?;
        Ok(Request { asked, loudness, log: log(matches), chosen: Some(chosen) })
    })
}

/// The argument that says where a verb that trains writes its log.
pub fn log_argument() -> Arg {
    Arg::new("log-file")
        .long("log")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Write the log behind what this file has, instead of into the results folder")
}

fn log(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<PathBuf>("log-file").cloned()
}

/// How much a verb that trains is to tell.
pub fn loudness(matches: &ArgMatches) -> Loudness {
    match (matches.get_flag("quiet"), matches.get_flag("verbose")) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    }
}

/// Alone or as one of many. Only the first rank reads the request: the others may not even have the sweep file.
fn start(request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    match launcher::launch().filter(|launch| launch.size > 1) {
        None => alone(request()?),
        Some(launch) => many(launch, request),
    }
}

#[cfg(feature = "torch")]
fn alone(request: Request) -> Result<u8> {
    alone::run(request)
}

#[cfg(not(feature = "torch"))]
fn alone(_: Request) -> Result<u8> {
    no_torch()
}

/// What a program without torch says where it should train.
///
/// # Errors
/// Always.
#[cfg(not(feature = "torch"))]
pub(super) fn no_torch<T>() -> Result<T> {
    use crate::error::Error;

    Err(Error::environment("this program was built without torch: it plans and shows, but does not train")
        .hint("build it with `cargo build --release`, or use `scripts/tombola`"))
}

#[cfg(all(feature = "torch", feature = "mpi"))]
fn many(launch: Launch, request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    ranks::run(launch, request)
}

#[cfg(not(all(feature = "torch", feature = "mpi")))]
fn many(launch: Launch, request: impl FnOnce() -> Result<Request>) -> Result<u8> {
    use crate::error::Error;

    if !cfg!(feature = "torch") {
        return alone(request()?);
    }
    Err(Error::environment(format!(
        "this program was built without MPI, but was started as rank {} of {}: each would run the whole sweep",
        launch.rank, launch.size
    ))
    .hint("build it where MPI is (`scripts/tombola` does, with `mpicc` on the path), or start it without the launcher"))
}
