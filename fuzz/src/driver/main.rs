//! The driver of the fuzzing: `scripts/fuzz` builds and starts it.
//!
//! `run` starts a process for each target (`watch`, `work`), which makes inputs (`mutate`), runs them (`trial`, `memory`) and
//! goes on from those that reach something new (`coverage`). `replay` runs inputs that were kept.

mod coverage;
mod memory;
mod mutate;
mod tally;
mod trial;
mod watch;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use tombola_fuzz::{FuzzTarget, TARGETS, scratch};
use tombola_words::error::{Error, Result};
use tombola_words::speech;
use work::FuzzWork;

#[global_allocator]
static ALLOCATOR: memory::CountedAllocator = memory::CountedAllocator;

fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = match matches.subcommand() {
        Some(("run", arguments)) => run(arguments),
        Some(("work", arguments)) => chosen(arguments).and_then(|targets| {
            let work = work(arguments);
            targets.iter().try_for_each(|target| work::run(target, &work)).map(|()| true)
        }),
        Some(("replay", arguments)) => replay(arguments),
        Some(("distil", arguments)) => distil(arguments),
        _ => Ok(true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => ExitCode::from(speech::outcome(Err(error))),
    }
}

fn command() -> Command {
    let targets =
        Arg::new("target").num_args(0..).value_parser(TARGETS.map(|target| target.name)).help("[default: all]");
    let number = |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("NUMBER").help(help);
    let folder = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FOLDER").value_parser(value_parser!(PathBuf)).help(help)
    };
    let manifest = env!("CARGO_MANIFEST_DIR");
    let fuzzing = |command: Command| {
        command
            .arg(
                number("seconds", "How long each target is fuzzed")
                    .value_parser(value_parser!(f64))
                    .default_value("60"),
            )
            .arg(number("inputs", "How many inputs each target gets at most").value_parser(value_parser!(u64)))
            .arg(number("seed", "Where the random numbers begin").value_parser(value_parser!(u64)).default_value("1"))
            .arg(folder("corpus", "Kept inputs, a folder a target").default_value(format!("{manifest}/corpus")))
            .arg(
                folder("findings", "Where inputs go that something is wrong with")
                    .default_value(format!("{manifest}/findings")),
            )
            .arg(folder("keep", "Where inputs go that reach something new"))
    };
    let files = Arg::new("files").num_args(1..).required(true).value_parser(value_parser!(PathBuf));
    Command::new("fuzz")
        .about("Gives inputs that nobody means to everything that Tombola reads")
        .subcommand_required(true)
        .subcommand(
            fuzzing(Command::new("run").about("Fuzz targets; exit code 1 if anything is wrong").arg(targets.clone()))
                .arg(number("jobs", "Targets at a time [default: one a processor]").value_parser(value_parser!(usize))),
        )
        .subcommand(fuzzing(Command::new("work").hide(true).arg(targets)))
        .subcommand(
            Command::new("replay")
                .about("Run inputs, and say what came of each")
                .arg(Arg::new("target").required(true).value_parser(TARGETS.map(|target| target.name)))
                .arg(files),
        )
        .subcommand(
            Command::new("distil")
                .about("Keep the smallest inputs of a folder that together reach what all of them reach")
                .arg(Arg::new("target").required(true).value_parser(TARGETS.map(|target| target.name)))
                .arg(folder("from", "Where they are").required(true))
                .arg(folder("corpus", "Where they go").default_value(format!("{manifest}/corpus"))),
        )
}

fn chosen(matches: &ArgMatches) -> Result<Vec<&'static FuzzTarget>> {
    let names: Vec<&String> = matches.get_many("target").unwrap_or_default().collect();
    let targets =
        TARGETS.iter().copied().filter(|target| names.is_empty() || names.iter().any(|name| *name == target.name));
    Ok(targets.collect())
}

fn work(matches: &ArgMatches) -> FuzzWork {
    let folder = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    FuzzWork {
        time: Duration::try_from_secs_f64(*matches.get_one("seconds").unwrap_or(&60.0)).unwrap_or_default(),
        inputs: matches.get_one("inputs").copied().unwrap_or(u64::MAX),
        seed: matches.get_one("seed").copied().unwrap_or_default(),
        corpus: folder("corpus").unwrap_or_default(),
        findings: folder("findings").unwrap_or_default(),
        keep: folder("keep"),
    }
}

fn run(matches: &ArgMatches) -> Result<bool> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = matches.get_one("jobs").copied().unwrap_or(processors);
    let rows = watch::all(&chosen(matches)?, jobs, &work(matches))?;
    speech::print(&tally::table(&rows))?;
    Ok(rows.iter().all(|row| row.findings.is_empty()))
}

fn replay(matches: &ArgMatches) -> Result<bool> {
    trial::keep_panics();
    let mut sound = true;
    for target in chosen(matches)? {
        for path in matches.get_many::<PathBuf>("files").unwrap_or_default() {
            let bytes = std::fs::read(path).map_err(|error| Error::file("read", path, &error))?;
            speech::print(&format!("{}: {} bytes\n", path.display(), bytes.len()))?;
            let measured = trial::run(target, &bytes);
            let (time, memory) = (measured.time.as_secs_f64() * 1e3, measured.memory as f64 / 1e6);
            speech::print(&format!("  {time:.1} ms, {memory:.1} MB\n"))?;
            if let Some(finding) = measured.finding {
                speech::print(&format!("  {}: {}\n", finding.kind, finding.reason))?;
                sound = false;
            }
        }
    }
    watch::remove(scratch::folder())?;
    Ok(sound)
}

/// Inputs of one target that are kept.
const MOST_KEPT: (usize, usize) = (100, 48_000);

fn distil(matches: &ArgMatches) -> Result<bool> {
    let folder = |name: &str| matches.get_one::<PathBuf>(name).cloned().unwrap_or_default();
    for target in chosen(matches)? {
        let (mut coverage, mut reached) = (coverage::Coverage::new(), 0);
        // How often a place is reached makes no difference here.
        let mut news = |bytes: &[u8]| {
            let sound = trial::run(target, bytes).finding.is_none();
            let before = reached;
            if sound && coverage.is_new() {
                reached = coverage.reached();
            }
            reached > before
        };
        let kept = work::kept(&folder("corpus"), target);
        for bytes in (target.seeds)().iter().chain(kept.iter().map(|(_, bytes)| bytes)) {
            news(bytes);
        }
        let mut inputs = work::kept(&folder("from"), target);
        inputs.sort_by_key(|(_, bytes)| bytes.len());
        let (mut files, mut length) = (kept.len(), kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
        for (_, bytes) in inputs {
            if files >= MOST_KEPT.0 || length + bytes.len() > MOST_KEPT.1 {
                break;
            }
            if news(&bytes) {
                work::write_named(&folder("corpus").join(target.name), "", &bytes)?;
                (files, length) = (files + 1, length + bytes.len());
            }
        }
    }
    watch::remove(scratch::folder())?;
    Ok(true)
}
