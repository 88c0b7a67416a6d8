//! `tombola run`: trains what a sweep asks for and is not in its results folder yet. Its command line: `src/torch/run.rs` trains.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::sweep;
use tombola_cluster::coordinator::Loudness;

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

/// The argument that says where a verb that trains writes its log.
pub fn log_argument() -> Arg {
    Arg::new("log-file")
        .long("log")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Write the log behind what this file has, instead of into the results folder")
}

/// Where a verb that trains writes its log, if not into the results folder.
pub fn log(matches: &ArgMatches) -> Option<PathBuf> {
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
