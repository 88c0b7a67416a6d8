//! `tombola selftest`: what is checked, how a check that hangs is ended, and what is told and written down.
//!
//! The checks themselves are in `src/torch/selftest`: this may not know of torch, so that a program whose libtorch does not even load
//! says so. One process does them, and tells of each (`told`); this one watches it (`watch`), ends it where a check takes too long, and
//! starts another for the rest.

mod record;
pub mod told;
mod watch;

use std::path::PathBuf;
use std::time::Instant;

use told::{CheckLevel, CheckResult};
use watch::Watched;

use tombola_core::own_folder::OwnFolder;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::seconds;
use tombola_words::signals;
use tombola_words::speech::print;

/// The flag of the process that does the checks. It is watched by another, and ended where it hangs.
pub const INNER: &str = "inner";

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct SelftestCheck {
    /// Its name.
    pub name: &'static str,
    /// The question.
    pub asks: &'static str,
    /// Seconds after which it is ended. Loading libraries for a GPU counts for the first one.
    pub limit: u64,
}

const fn check(name: &'static str, asks: &'static str, limit: u64) -> SelftestCheck {
    SelftestCheck { name, asks, limit }
}

/// All checks, in the order in which the answers matter.
pub const CHECKS: [SelftestCheck; 12] = [
    check("device", "what is trained on, and by steps that are replayed as graphs?", 60),
    check("networks", "does each built-in network compute what double precision does, as far as float32 can?", 150),
    check("half", "does bfloat16 compute that as far as it can?", 60),
    check("steps", "are captured steps those of eager ones, for every optimiser?", 60),
    check("gpus", "does each GPU train, and to the same weights?", 240),
    check("together", "do two and four trainings at a time give what each gives alone?", 60),
    check(
        "sweep",
        "does a sweep with tickets, channels and an early bird give the same tables twice, and killed?",
        240,
    ),
    check("memory", "do 200 trainings one after another leave the memory free that was free before?", 60),
    check("too-large", "is a training that does not fit refused with what would, and does the next one work?", 60),
    check("fashion-mnist", "does it learn real images?", 60),
    check("rate", "how many images a second does one training step through?", 90),
    check("workers", "how many trainings at a time are best?", 90),
];

/// What was asked.
#[derive(Debug, Clone)]
pub struct SelftestWish {
    /// As `--device` of a run.
    pub device: Option<String>,
    /// Time for all.
    pub minutes: f64,
    /// Seconds for each check, in place of its own.
    pub limit: Option<u64>,
    /// These checks alone, if any are named.
    pub only: Vec<&'static str>,
    /// Where the record goes, if one is to be written.
    pub records: Option<PathBuf>,
    /// Whether the record is printed in place of lines.
    pub json: bool,
    /// Where data sets are.
    pub data_dir: Option<PathBuf>,
}

/// Has all checks done, tells of each when it is known, and gives the exit code.
///
/// # Errors
/// When no process can be started, or the record cannot be written; kind `Interrupted` when it was asked to stop.
pub fn run(wish: &SelftestWish) -> Result<u8> {
    let begun = Instant::now();
    let until = begun + seconds(60.0 * wish.minutes);
    // Not after minutes of checks.
    wish.records.iter().try_for_each(|folder| record::check(folder))?;
    let stop = signals::listen(false)?;
    let scratch = OwnFolder::within(&std::env::temp_dir())?;
    let chosen = |check: &&SelftestCheck| wish.only.is_empty() || wish.only.contains(&check.name);
    let mut left: Vec<&SelftestCheck> = CHECKS.iter().filter(chosen).collect();
    let mut results: Vec<CheckResult> = Vec::new();
    let mut tell = |result: CheckResult| -> Result<()> {
        if !wish.json {
            print(&result.text())?;
        }
        results.push(result);
        Ok(())
    };
    while !left.is_empty() {
        let mut process = Watched::start(wish, &left, scratch.path(), &stop)?;
        while let Some(check) = left.first() {
            let result = match process.next(check, until)? {
                Some(result) => result,
                // It was ended, or ended by itself: another one goes on after this check.
                None => break,
            };
            left.remove(0);
            tell(result)?;
        }
        if let Some(check) = left.first() {
            let result = process.ended(check, until)?;
            left.remove(0);
            tell(result)?;
        }
    }
    let record = record::SelftestRecord::new(wish, results, begun.elapsed());
    if wish.json {
        print(&record.json()?)?;
    } else {
        print(&record.summary())?;
    }
    if let Some(folder) = &wish.records {
        let path = record.save(folder)?;
        if !wish.json {
            print(&format!("Recorded in {}\n", path.display()))?;
        }
    }
    let has = |level| record.checks.iter().any(|result| result.level == level);
    if record.checks.iter().all(|result| result.level == CheckLevel::Skip) {
        return Err(
            Error::environment("nothing was checked").hint("give more time by `--minutes`, or name other checks")
        );
    }
    Ok(if has(CheckLevel::Fail) { Kind::Environment.exit_code() } else { 0 })
}

/// That a process could not be started or heard.
fn trouble(what: &str, error: &std::io::Error) -> Error {
    Error::environment(format!("cannot {what} the process that does the checks: {error}"))
}
