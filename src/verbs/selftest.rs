//! `tombola selftest`: whether this machine trains right, and how fast.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::process::let_the_first_rank_speak;
use crate::selftest::{self, CHECKS, INNER, SelftestWish};
use tombola_cluster::link::launcher;
use tombola_core::place::{self, ShownGpus};
use tombola_words::error::{Error, Kind, Result, nearest};

const EXAMPLES: &str = "\
Examples:
  tombola selftest
  tombola selftest --device cpu
  tombola selftest --device cuda:1 --minutes 10
  tombola selftest --only networks,steps
  tombola selftest --list

It trains on made-up images, and on Fashion-MNIST where that is here, in a folder of its own for temporary files. Each run is written
as a dated file. A check that takes too long is ended, and the step named that it was at. Exit codes: 0 nothing failed,
3 something did or nothing was checked, 2 wrong flags, 75 interrupted.";

/// The verb.
pub fn command() -> Command {
    Command::new("selftest")
        .about("Check whether this machine trains right, and measure how fast")
        .after_help(EXAMPLES)
        .arg(Arg::new("device").long("device").value_name("DEVICE").help(
            "cpu, cuda (all GPUs in turn, the first one for the rest) or cuda:N [default: cuda where there is one]",
        ))
        .arg(
            Arg::new("minutes")
                .long("minutes")
                .value_name("NUMBER")
                .value_parser(value_parser!(f64))
                .default_value("5")
                .help("Time for all checks: those that it does not reach are skipped, and said to be"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64).range(1..1_000_000))
                .help("Time for each check, in place of what each has by itself"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("LIST")
                .value_delimiter(',')
                .help("These checks alone; `--list` names them"),
        )
        .arg(Arg::new("list").long("list").action(ArgAction::SetTrue).help("List the checks and what each asks"))
        .arg(
            Arg::new("records")
                .long("records")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .default_value("results/selftest")
                .help("Where records are"),
        )
        .arg(Arg::new("no-record").long("no-record").action(ArgAction::SetTrue).help("Write no record"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the record as JSON"))
        .arg(
            Arg::new("data-dir")
                .long("data-dir")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Folder that holds the data sets"),
        )
        .arg(Arg::new(INNER).long(INNER).hide(true).value_parser(value_parser!(PathBuf)))
}

/// Has the checks done by another process, and tells. The exit code is 0 if nothing fails.
///
/// # Errors
/// When a flag is wrong, the checks cannot be started, or the record cannot be written.
pub fn run(matches: &ArgMatches) -> Result<u8> {
    if matches.get_flag("list") {
        let lines = CHECKS.iter().map(|check| format!("{:<14}{}\n", check.name, check.asks));
        return super::print(&lines.collect::<String>()).map(|()| 0);
    }
    let wish = read(matches)?;
    match launcher::launch().filter(|launch| launch.size > 1) {
        None => selftest::run(&wish),
        // Each rank would check the same machine beside the others.
        Some(launch) if launch.rank == 0 => {
            Err(Error::input(format!("the self-test is of one machine, but was started as {} ranks", launch.size))
                .hint("start it without the launcher, on each machine that is to be checked"))
        }
        Some(_) => {
            let_the_first_rank_speak();
            Ok(Kind::Input.exit_code())
        }
    }
}

/// What was asked.
///
/// # Errors
/// When a flag is wrong.
pub fn read(matches: &ArgMatches) -> Result<SelftestWish> {
    let device = matches.get_one::<String>("device").cloned().filter(|device| device != "auto");
    // What is no device on any machine is a mistake of the flag, not of this one.
    place::choose(device.as_deref(), 0, &ShownGpus::default(), || usize::MAX)?;
    let minutes = matches.get_one("minutes").copied().unwrap_or(5.0);
    if !(minutes > 0.0 && minutes <= 1e4) {
        return Err(Error::input(format!("`--minutes`: found `{minutes}`, expected a number above 0, up to 10000")));
    }
    let mut only = Vec::new();
    for name in matches.get_many::<String>("only").into_iter().flatten().map(|name| name.trim()) {
        let known = CHECKS.iter().find(|check| check.name == name).ok_or_else(|| {
            let error = Error::input(format!("`--only`: there is no check `{name}`"));
            match nearest(name, CHECKS.iter().map(|check| check.name)) {
                Some(word) => error.hint(format!("did you mean `{word}`?")),
                None => error.hint("`tombola selftest --list` names them"),
            }
        })?;
        only.push(known.name);
    }
    Ok(SelftestWish {
        device,
        minutes,
        limit: matches.get_one("limit").copied(),
        only,
        records: (!matches.get_flag("no-record")).then(|| matches.get_one::<PathBuf>("records").cloned()).flatten(),
        json: matches.get_flag("json"),
        data_dir: matches.get_one::<PathBuf>("data-dir").cloned(),
    })
}
