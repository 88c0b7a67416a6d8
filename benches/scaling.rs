//! How much faster two workers are than one: the same small sweep by the real program, as one worker, as two threads of
//! one process, and as two ranks on a core each.
//!
//! `cargo bench --bench scaling`, on an idle machine with two cores or more, with `mpirun`. Eight seeds of a ResNet-8 on
//! synthetic images, one thread a training. The ways take turns, so that whatever else the machine does hits all
//! alike; the fastest round of each counts. Bar: two ranks take at most 1/1.9 of the time of one worker, from the start
//! of the program to its end. Two programs that know nothing of each other, with half of the sweep each, show what the
//! machine itself allows. Ends with exit code 1 when the bar does not hold.

mod common;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use common::bars::Bars;
use common::processor::{self, Others};
use tombola_words::error::{Error, Result};
use tombola_words::record::Record;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tombola");
const ROUNDS: usize = 3;
const BAR: f64 = 1.9;
/// Cores that others may keep busy before the figures are of them as much as of the program.
const QUIET: f64 = 0.05;
const SWEEP: &str = "\
network = \"resnet\"
depth = 8
dataset = \"synthetic\"
synthetic-shape = [3, 32, 32]
synthetic-size = 2000
seed = [1, 2, 3, 4, 5, 6, 7, 8]
epochs = 2
prune-iterations = 0
keep = \"nothing\"
threads = 1
device = \"cpu\"
";

/// A way to run the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    One,
    Threads,
    Ranks,
    /// Each with half of the sweep.
    Programs,
}

const WAYS: [Way; 4] = [Way::One, Way::Threads, Way::Ranks, Way::Programs];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::One => "one worker",
            Self::Threads => "two threads",
            Self::Ranks => "two ranks",
            Self::Programs => "two programs",
        }
    }

    /// What runs side by side, with the results folders that it writes.
    fn commands(self) -> Vec<(Command, &'static str)> {
        let alone = |out: &'static str, words: &[&str]| {
            let mut command = Command::new(PROGRAM);
            command.args(["run", "sweep.toml", "--quiet", "--out", out]).args(words);
            (command, out)
        };
        match self {
            Self::One => vec![alone("out", &["--workers", "1"])],
            Self::Threads => vec![alone("out", &["--workers", "2"])],
            Self::Programs => vec![
                alone("first", &["--workers", "1", "--seed", "1,2,3,4"]),
                alone("second", &["--workers", "1", "--seed", "5,6,7,8"]),
            ],
            Self::Ranks => {
                let mut command = Command::new("mpirun");
                command.args(["-np", "2", "--bind-to", "core"]);
                command.envs(["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"].map(|name| (name, "1")));
                command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
                command.args([PROGRAM, "run", "sweep.toml", "--quiet", "--out", "out"]);
                vec![(command, "out")]
            }
        }
    }
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Seconds from the start of the program to its end.
    all: f64,
    /// Seconds from the start of the first training to the end of the last.
    training: f64,
    /// Processor seconds, of all processes.
    processor: f64,
    /// Cores that others kept busy.
    others: f64,
}

fn main() -> ExitCode {
    if !common::is_asked_for() {
        return ExitCode::SUCCESS;
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    let mut fastest: [Option<Figures>; WAYS.len()] = [None; WAYS.len()];
    println!("{:6} {:12} {:>8} {:>12} {:>13} {:>8}", "round", "how", "all, s", "training, s", "processor, s", "others");
    for round in 1..=ROUNDS {
        for (way, fastest) in WAYS.into_iter().zip(&mut fastest) {
            let Some(figures) = run(way)? else {
                println!("{round:<6} {:12} skipped: there is no `mpirun`", way.name());
                continue;
            };
            let Figures { all, training, processor, others } = figures;
            println!("{round:<6} {:12} {all:>8.2} {training:>12.2} {processor:>13.2} {others:>8.2}", way.name());
            if fastest.is_none_or(|before| all < before.all) {
                *fastest = Some(figures);
            }
        }
    }
    let mut bars = Bars::default();
    let [Some(one), threads, ranks, programs] = fastest else { return Ok(bars) };
    for (way, figures) in [(Way::Threads, threads), (Way::Ranks, ranks), (Way::Programs, programs)] {
        let Some(figures) = figures else { continue };
        let (all, training) = (one.all / figures.all, one.training / figures.training);
        let bound = 2.0 * one.processor / figures.processor;
        println!(
            "{}: {all:.2} times as fast in all, {training:.2} times while training; by processor time at most {bound:.2}",
            way.name()
        );
        if figures.others.max(one.others) > QUIET {
            println!(
                "others kept up to {:.2} cores busy: this does not show what two workers can do",
                figures.others.max(one.others)
            );
        }
        if way == Way::Ranks {
            bars.at_least(way.name(), all, BAR, "times one worker");
        }
    }
    Ok(bars)
}

/// Runs the sweep in a fresh folder; nothing where there is no `mpirun`.
fn run(way: Way) -> Result<Option<Figures>> {
    let fail = |error: std::io::Error| Error::environment(format!("cannot run the sweep: {error}"));
    let folder = tempfile::tempdir().map_err(fail)?;
    std::fs::write(folder.path().join("sweep.toml"), SWEEP).map_err(fail)?;
    let (begun, before, others) = (Instant::now(), processor::children(), Others::watch());
    let (mut running, mut folders) = (Vec::new(), Vec::new());
    for (mut command, out) in way.commands() {
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        running.push(match command.spawn() {
            Err(error) if way == Way::Ranks && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            child => child.map_err(fail)?,
        });
        folders.push(folder.path().join(out));
    }
    for mut child in running {
        let status = child.wait().map_err(fail)?;
        if !status.success() {
            return Err(Error::environment(format!("{}: the program ended with {status}", way.name())));
        }
    }
    let (all, others) = (begun.elapsed().as_secs_f64(), others.cores());
    let training = training(&folders)?;
    Ok(Some(Figures { all, training, processor: processor::children() - before, others }))
}

/// Seconds from the start of the first training to the end of the last, by the journals in `folders`.
fn training(folders: &[PathBuf]) -> Result<f64> {
    let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
    for path in folders.iter().map(|folder| folder.join("journal")) {
        let bytes = std::fs::read(&path).map_err(|error| Error::file("read", &path, &error))?;
        // Behind a header of 16 bytes: frames of a length, a checksum and a record.
        let mut rest = bytes.get(16..).unwrap_or_default();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(payload) = behind.get(4..4 + length) else { break };
            match rmp_serde::from_slice(payload) {
                Ok(Record::Began { time, .. }) => first = first.min(time),
                Ok(Record::Finished { time, .. }) => last = last.max(time),
                _ => {}
            }
            rest = &behind[4 + length..];
        }
    }
    Ok(last - first)
}
