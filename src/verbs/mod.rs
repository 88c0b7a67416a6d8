//! The command line: one file a verb.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use tombola_words::error::{Error, Result};
pub use tombola_words::speech::print;

pub mod bench;
pub mod data;
mod data_look;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod flags;
pub mod folder;
pub mod init;
pub mod manual;
mod network_file;
mod original;
mod own_data;
pub mod plan;
pub mod process;
pub mod repair;
pub mod report;
pub mod retry;
pub mod run;
pub mod selftest;
pub mod serve;
pub mod settings;
pub mod slurm;
pub mod status;
pub mod sweep;
pub mod table;
pub mod tables;
pub mod watch;

const ABOUT: &str = "Runs sweeps of pruning, lottery-ticket and early-bird experiments";

const EXAMPLES: &str = "\
Examples:
  tombola init my-sweep.toml
  tombola run sweeps/quickstart.toml
  tombola run --network lenet-300-100 --dataset fashion-mnist --epochs 5 --pr 0.5,0.9 --reinit init,random
  tombola plan sweeps/experiment1.toml
  tombola doctor --dataset cifar-10
  tombola selftest --device cpu
  tombola status results/quickstart
  tombola report results/quickstart
  tombola data fetch cifar-10
  tombola slurm sweeps/experiment1.toml --nodes 2 --gpus-per-node 4 --submit

Exit codes: 0 all done, 1 some trainings failed, 2 wrong input, 3 the machine lacks something, 75 interrupted: run the
same command again, 101 a defect of the program";

/// The whole command line.
pub fn command() -> Command {
    Command::new("tombola")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run::command())
        .subcommand(plan::command())
        .subcommand(doctor::command())
        .subcommand(selftest::command())
        .subcommand(status::command())
        .subcommand(watch::command())
        .subcommand(explain::command())
        .subcommand(retry::command())
        .subcommand(repair::command())
        .subcommand(tables::command())
        .subcommand(report::command())
        .subcommand(serve::command())
        .subcommand(table::command())
        .subcommand(export::command())
        .subcommand(data::DataArgs::augment_args(
            Command::new("data").about("Get, verify and look at the files of data sets"),
        ))
        .subcommand(init::command())
        .subcommand(settings::command())
        .subcommand(manual::completions_command())
        .subcommand(manual::man_command())
        .subcommand(slurm::command())
        .subcommand(bench::command())
        .subcommand(bench::tune_command())
}

/// Does what was asked where that needs no libtorch, and nothing otherwise.
pub fn dispatch(matches: &ArgMatches) -> Option<Result<u8>> {
    let done = match matches.subcommand()? {
        ("plan", matches) => plan::run(matches).map(|()| 0),
        ("status", matches) => status::run(matches),
        ("explain", matches) => explain::run(matches).map(|()| 0),
        ("repair", matches) => repair::run(matches),
        ("report", matches) => report::run(matches).map(|()| 0),
        ("serve", matches) => serve::run(matches).map(|()| 0),
        ("watch", matches) => watch::run(matches),
        ("table", matches) => table::run(matches).map(|()| 0),
        ("tables", matches) => tables::run(matches).map(|()| 0),
        ("export", matches) if !export::needs_torch(matches) => export::run(matches, export::no_script).map(|()| 0),
        ("selftest", matches) if !matches.contains_id(crate::selftest::INNER) => selftest::run(matches),
        ("init", matches) => init::run(matches).map(|()| 0),
        ("completions", matches) => manual::completions(matches).map(|()| 0),
        ("man", matches) => manual::man(matches).map(|()| 0),
        ("settings", _) => print(&settings::markdown()).map(|()| 0),
        ("slurm", matches) => slurm::run(matches).map(|()| 0),
        ("data", matches) => data::DataArgs::from_arg_matches(matches)
            .map_err(|error| Error::input(error.to_string()))
            .and_then(|args| data::run(&args))
            .map(|()| 0),
        _ => return None,
    };
    Some(done)
}
