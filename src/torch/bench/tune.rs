//! How many trainings side by side a device is best given: their rates together, measured by processes of this program.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use tombola_train::Device;

use super::step::StepWish;
use tombola_train::measure::Steps;
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;

/// Steps that nobody measures: libraries choose their ways in them.
const WARM_UP: usize = 3;

/// A number of trainings side by side, and what they reach.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TuneTrial {
    /// Trainings at the same time.
    pub together: usize,
    /// Threads of each.
    pub threads: usize,
    /// Images a second of all of them.
    pub rate: f64,
    /// Why it could not be measured.
    pub error: Option<String>,
}

/// What a measuring process answers.
#[derive(Debug, Serialize, Deserialize)]
struct TuneAnswer {
    rate: f64,
}

/// Trains steps for some seconds in this process; prints the rate as a line of JSON.
///
/// # Errors
/// When the network cannot be built.
pub(crate) fn one(wish: &StepWish, precision: Precision, threads: usize, seconds: f64) -> Result<String> {
    tombola_train::device::use_threads(threads);
    let network = wish.networks.first().ok_or_else(|| Error::input("no network is named"))?;
    let mut steps = Steps::of_zoo(wish.device, wish.batch, &wish.choice(network), precision)?;
    steps.times(WARM_UP);
    let (mut done, mut spent) = (0, 0.0);
    while spent < seconds {
        let times = steps.times(8);
        done += times.len();
        spent += times.iter().sum::<f64>();
    }
    let answer = TuneAnswer { rate: (done * wish.batch) as f64 / spent };
    serde_json::to_string(&answer).map_err(|error| Error::environment(format!("cannot write the rate: {error}")))
}

/// Numbers of trainings, and threads of each, that are worth trying.
pub(crate) fn candidates(device: Device, cores: usize) -> Vec<(usize, usize)> {
    match device {
        // All cores, shared out between one training and as many as there are cores.
        Device::Cpu => {
            let divisors = (1..=cores).rev().filter(|together| cores.is_multiple_of(*together));
            divisors.map(|together| (together, cores / together)).collect()
        }
        _ => [1, 2, 3, 4, 6, 8, 12, 16]
            .into_iter()
            .filter(|together| *together <= cores.max(1))
            .map(|t| (t, 1))
            .collect(),
    }
}

/// Measures `together` processes with `threads` threads each at the same time. `arguments` name what they train.
///
/// # Errors
/// When a process cannot be started. One that fails is told in the trial: with too many, memory is at an end.
pub(crate) fn together(program: &Path, arguments: &[String], together: usize, threads: usize) -> Result<TuneTrial> {
    let start = |_| {
        Command::new(program)
            .args(arguments)
            .args(["--threads", &threads.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::environment(format!("cannot start `{}`: {error}", program.display())))
    };
    let processes: Result<Vec<_>> = (0..together).map(start).collect();
    let (mut rate, mut error) = (0.0, None);
    for process in processes? {
        let output = process
            .wait_with_output()
            .map_err(|error| Error::environment(format!("cannot wait for a measuring process: {error}")))?;
        match serde_json::from_slice::<TuneAnswer>(&output.stdout) {
            Ok(answer) => rate += answer.rate,
            Err(_) => {
                let words = String::from_utf8_lossy(&output.stderr);
                error = Some(words.lines().next().unwrap_or("it ended without a word").to_string());
            }
        }
    }
    Ok(TuneTrial { together, threads, rate, error })
}

/// The best of some trials: the fewest trainings within 2 % of the highest rate, because each takes memory.
pub(crate) fn best(trials: &[TuneTrial]) -> Option<&TuneTrial> {
    let whole = || trials.iter().filter(|trial| trial.error.is_none());
    let highest = whole().map(|trial| trial.rate).fold(0.0, f64::max);
    whole().filter(|trial| trial.rate >= 0.98 * highest).min_by_key(|trial| trial.together)
}

/// Settings that follow from a trial, as flags of `tombola run`.
pub(crate) fn flags(trial: &TuneTrial, device: Device) -> String {
    match device {
        Device::Cpu => format!("--workers {} --threads {}", trial.together, trial.threads),
        _ => format!("--ranks-per-gpu {}", trial.together),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_out_whole() {
        assert_eq!(candidates(Device::Cpu, 6), [(6, 1), (3, 2), (2, 3), (1, 6)]);
        assert_eq!(candidates(Device::Cuda(0), 4), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    }

    #[test]
    fn the_fewest_trainings_near_the_highest_rate_are_best() {
        let trial = |together, rate| TuneTrial { together, threads: 1, rate, error: None };
        let failed = TuneTrial { error: Some("out of memory".into()), ..trial(8, 900.0) };
        let trials = [trial(1, 100.0), trial(2, 197.0), trial(4, 200.0), failed];
        assert_eq!(best(&trials).unwrap().together, 2);
        assert_eq!(flags(&trials[1], Device::Cuda(0)), "--ranks-per-gpu 2");
        assert_eq!(flags(&trials[1], Device::Cpu), "--workers 2 --threads 1");
        assert!(best(&[]).is_none());
    }
}
