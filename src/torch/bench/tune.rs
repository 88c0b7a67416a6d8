//! How many trainings side by side a device is best given: their rates together. What is measured is what is advised: the threads of
//! one process, or processes. Each number of them is measured by fresh processes of this program, because libtorch's threads are
//! set up once, and because memory goes back with them.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tombola_train::Device;

use super::step::StepWish;
use super::threads::side_by_side;
use tombola_train::measure::Steps;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::seconds as duration;
use tombola_words::speech::print;
use tombola_words::value::Precision;

/// Steps that nobody measures: libraries choose their ways in them.
const WARM_UP: usize = 3;
/// Steps on a GPU between two looks at the clock, for which the GPU is waited for.
const AT_ONCE: usize = 8;

/// A number of trainings side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Trainings at the same time.
    pub together: usize,
    /// Threads of each.
    pub threads: usize,
}

/// What a number of trainings side by side reach.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TuneTrial {
    /// How many.
    pub of: Candidate,
    /// Images a second of all of them that could be measured.
    pub rate: f64,
    /// Why others could not, a line each.
    pub errors: Vec<String>,
}

/// What a measuring process answers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct TuneAnswer {
    rate: f64,
    errors: Vec<String>,
}

/// What a measuring process says when all of its trainings are ready.
const READY: &str = "ready";

/// A measuring process: says that it is ready, waits for a line, trains steps for some seconds in as many threads as are
/// wanted, and prints the rate as a line of JSON.
///
/// # Errors
/// When no network is named, or whoever started it is gone.
pub(crate) fn measure(wish: &StepWish, precision: Precision, candidate: Candidate, seconds: f64) -> Result<()> {
    let network = wish.networks.first().ok_or_else(|| Error::input("no network is named"))?;
    // As a run does: before its workers start.
    tombola_train::device::use_threads(candidate.threads);
    let at_once = if wish.device == Device::Cpu { 1 } else { AT_ONCE };
    let prepare = || {
        let mut steps = Steps::of_zoo(wish.device, wish.batch, &wish.choice(network), precision)?;
        steps.times(WARM_UP);
        Ok(steps)
    };
    let work = |mut steps: Steps, end: Instant| {
        let (begun, mut done) = (Instant::now(), 0);
        loop {
            done += steps.times(at_once).len();
            if Instant::now() >= end {
                break (done * wish.batch) as f64 / begun.elapsed().as_secs_f64();
            }
        }
    };
    let mut answer = TuneAnswer::default();
    for found in side_by_side(candidate.together, duration(seconds), prepare, work, may_begin)? {
        match found {
            Ok(rate) => answer.rate += rate,
            Err(error) => answer.errors.push(error.message),
        }
    }
    let line = serde_json::to_string(&answer)
        .map_err(|error| Error::environment(format!("cannot write the rate as JSON: {error}")))?;
    print(&format!("{line}\n"))
}

/// Says that this process is ready, and waits until it is told to begin.
fn may_begin() -> Result<()> {
    print(&format!("{READY}\n"))?;
    match std::io::stdin().lock().read_line(&mut String::new()) {
        Ok(1..) => Ok(()),
        _ => Err(Error::environment("whoever started this measuring process is gone")),
    }
}

/// Numbers of trainings, and threads of each, that are worth trying.
pub(crate) fn candidates(device: Device, cores: usize) -> Vec<Candidate> {
    let candidate = |together, threads| Candidate { together, threads };
    match device {
        // All cores, shared out between one training and as many as there are cores; and half of them, where two that the
        // system calls cores may be one.
        Device::Cpu => {
            let divisors = (1..=cores).rev().filter(|together| cores.is_multiple_of(*together));
            let mut all: Vec<Candidate> = divisors.map(|together| candidate(together, cores / together)).collect();
            if cores > 1 {
                all.insert(1, candidate(cores / 2, 1));
            }
            all
        }
        _ => {
            let numbers = [1, 2, 3, 4, 6, 8, 12, 16].into_iter();
            numbers.filter(|together| *together <= cores.max(1)).map(|together| candidate(together, 1)).collect()
        }
    }
}

/// A process that measures.
struct Measuring {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Measuring {
    fn start(program: &Path, arguments: &[String], candidate: Candidate) -> Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            .args(["--together", &candidate.together.to_string(), "--threads", &candidate.threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::environment(format!("cannot start `{}`: {error}", program.display())))?;
        match process.stdout.take() {
            Some(output) => Ok(Self { process, output: BufReader::new(output) }),
            None => Err(Error::environment("the output of a measuring process is missing")),
        }
    }

    /// Waits until it is ready, or has ended.
    fn prepared(&mut self) {
        ignored(self.output.read_line(&mut String::new()), "one that has failed says why in the end");
    }

    fn begin(&mut self) {
        if let Some(mut input) = self.process.stdin.take() {
            ignored(input.write_all(b"begin\n"), "one that has failed says why in the end");
        }
    }

    fn end(mut self) -> Result<TuneAnswer> {
        let mut text = String::new();
        let read = self.output.read_to_string(&mut text);
        let output = self.process.wait_with_output();
        let output =
            output.map_err(|error| Error::environment(format!("cannot wait for a measuring process: {error}")))?;
        Ok(match (read, serde_json::from_str(&text)) {
            (Ok(_), Ok(answer)) => answer,
            _ => {
                let words = String::from_utf8_lossy(&output.stderr);
                let line = words.lines().next().map(|line| line.trim_start_matches("error: "));
                let error = line.map_or_else(|| format!("it ended with {}", output.status), str::to_string);
                TuneAnswer { rate: 0.0, errors: vec![error] }
            }
        })
    }
}

/// Measures a number of trainings at the same time: threads of one process, or `ranks`, a process each. `arguments` name what
/// they train.
///
/// # Errors
/// When a process cannot be started. A training that fails is told in the trial: with too many, memory is at an end.
pub(crate) fn together(program: &Path, arguments: &[String], of: Candidate, ranks: bool) -> Result<TuneTrial> {
    let (count, each) = match ranks {
        true => (of.together, Candidate { together: 1, ..of }),
        false => (1, of),
    };
    // Those that started before one that could not end when this lets go of them.
    let mut processes: Vec<Measuring> =
        (0..count).map(|_| Measuring::start(program, arguments, each)).collect::<Result<_>>()?;
    processes.iter_mut().for_each(Measuring::prepared);
    processes.iter_mut().for_each(Measuring::begin);
    let mut trial = TuneTrial { of, rate: 0.0, errors: Vec::new() };
    for process in processes {
        let answer = process.end()?;
        trial.rate += answer.rate;
        trial.errors.extend(answer.errors);
    }
    Ok(trial)
}

impl TuneTrial {
    /// What it reached, and how many trainings failed of what.
    pub(crate) fn words(&self) -> String {
        match self.errors.first() {
            None => format!("{:>8.0}", self.rate),
            Some(first) => {
                format!("{:>8.0}  {} of {} failed: {first}", self.rate, self.errors.len(), self.of.together)
            }
        }
    }
}

/// The best of some trials: the fewest trainings within 2 % of the highest rate, because each takes memory.
pub(crate) fn best<'a>(trials: impl IntoIterator<Item = &'a TuneTrial>) -> Option<&'a TuneTrial> {
    let whole: Vec<&TuneTrial> = trials.into_iter().filter(|trial| trial.errors.is_empty()).collect();
    let highest = whole.iter().map(|trial| trial.rate).fold(0.0, f64::max);
    whole.into_iter().filter(|trial| trial.rate >= 0.98 * highest).min_by_key(|trial| trial.of.together)
}

/// The best of those that have the same number of threads, for each.
pub(crate) fn best_by_threads(trials: &[TuneTrial]) -> Vec<&TuneTrial> {
    let mut threads: Vec<usize> = trials.iter().map(|trial| trial.of.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads.into_iter().filter_map(|threads| best(trials.iter().filter(|trial| trial.of.threads == threads))).collect()
}

/// The command that follows from a trial, which was on one of `gpus` if on any.
pub(crate) fn command(of: Candidate, ranks: bool, device: Device, gpus: usize) -> String {
    let Candidate { together, threads } = of;
    match (device, ranks) {
        (Device::Cpu, false) => format!("tombola run … --workers {together} --threads {threads}"),
        (Device::Cpu, true) => format!("mpirun -np {together} tombola run … --threads {threads}"),
        (_, false) => format!("tombola run … --workers {}", together * gpus),
        (_, true) => format!("mpirun -np {} tombola run … --ranks-per-gpu {together}", together * gpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(device: Device, cores: usize) -> Vec<(usize, usize)> {
        candidates(device, cores).into_iter().map(|one| (one.together, one.threads)).collect()
    }

    fn trial(together: usize, threads: usize, rate: f64) -> TuneTrial {
        TuneTrial { of: Candidate { together, threads }, rate, errors: Vec::new() }
    }

    #[test]
    fn cores_are_shared_out_whole_or_half() {
        assert_eq!(pairs(Device::Cpu, 6), [(6, 1), (3, 1), (3, 2), (2, 3), (1, 6)]);
        assert_eq!(pairs(Device::Cpu, 2), [(2, 1), (1, 1), (1, 2)]);
        assert_eq!(pairs(Device::Cpu, 1), [(1, 1)]);
        assert_eq!(pairs(Device::Cuda(0), 4), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    }

    #[test]
    fn the_fewest_trainings_near_the_highest_rate_are_best() {
        let failed = TuneTrial { errors: vec!["out of memory".into()], ..trial(8, 1, 900.0) };
        assert_eq!(failed.words(), "     900  1 of 8 failed: out of memory");
        let trials = [trial(1, 1, 100.0), trial(2, 1, 197.0), trial(4, 1, 200.0), failed];
        assert_eq!(best(&trials), Some(&trials[1]));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn each_number_of_threads_has_its_best() {
        let trials = [trial(4, 1, 100.0), trial(2, 1, 120.0), trial(2, 2, 200.0), trial(1, 4, 90.0)];
        assert_eq!(best_by_threads(&trials), [&trials[1], &trials[2], &trials[3]]);
    }

    #[test]
    fn the_advice_is_what_was_measured() {
        let advice = |ranks, device, gpus| command(trial(4, 2, 1.0).of, ranks, device, gpus);
        assert_eq!(advice(false, Device::Cpu, 1), "tombola run … --workers 4 --threads 2");
        assert_eq!(advice(true, Device::Cpu, 1), "mpirun -np 4 tombola run … --threads 2");
        assert_eq!(advice(false, Device::Cuda(0), 2), "tombola run … --workers 8");
        assert_eq!(advice(true, Device::Cuda(0), 1), "mpirun -np 4 tombola run … --ranks-per-gpu 4");
    }
}
