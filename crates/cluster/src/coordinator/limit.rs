//! How long a run may take: what was asked for, or what Slurm leaves the job. It may not know what is trained.
//!
//! Programs of the system are asked with patience: a cluster whose controller is away must not hold a run up.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tombola_core::sweep::Settings;
use tombola_words::error::ignored;

/// Longest that another program is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The moment at which running trainings are asked to stop, and what it follows from, in words.
pub fn deadline(run: &Settings) -> Option<(Instant, String)> {
    let (seconds, source) = match (run.time_limit, std::env::var("SLURM_JOB_ID")) {
        (Some(seconds), _) => (seconds, "the time limit".to_string()),
        (None, Ok(job)) => (time_left(&job)?, format!("Slurm job {job}")),
        (None, Err(_)) => return None,
    };
    let until = seconds - margin(seconds, run.stop_before);
    let words = format!("{source} leaves {seconds:.0} s: new epochs begin for {until:.0} s");
    // A limit beyond all clocks is none.
    Some((Instant::now().checked_add(Duration::try_from_secs_f64(until).ok()?)?, words))
}

/// Time kept for the end. A short job keeps a quarter: it would otherwise stop before it began, and be queued for ever.
fn margin(seconds: f64, asked: f64) -> f64 {
    asked.min(seconds / 4.0)
}

/// Seconds that Slurm leaves a job; nothing if it says none, or has no answer in time.
pub fn time_left(job: &str) -> Option<f64> {
    seconds(answer("squeue", &["-h", "-j", job, "-o", "%L"])?.trim())
}

/// What another program prints, a few lines; nothing if it cannot be run or does not end within 10 s.
pub fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            ignored(child.kill(), "a process that has ended needs no end");
            ignored(child.wait(), "it is not asked how it ended");
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Reads `days-hours:minutes:seconds`, each part but the last two optional. `UNLIMITED`, `NOT_SET`, `INVALID` are none.
fn seconds(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (f64::from(days.parse::<u32>().ok()?), clock),
        None => (0.0, text),
    };
    let parts: Vec<f64> =
        clock.split(':').map(|part| part.parse::<u32>().ok().map(f64::from)).collect::<Option<_>>()?;
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let clock = parts.iter().fold(0.0, |sum, part| 60.0 * sum + part);
    Some(86_400.0 * days + clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slurms_times_are_read() {
        let cases = [("1:05", 65.0), ("2:00:01", 7201.0), ("1-00:00:10", 86_410.0)];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for none in ["UNLIMITED", "NOT_SET", "INVALID", "", "5", "1:2:3:4"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }

    #[test]
    fn a_short_job_keeps_a_quarter_of_its_time_for_the_end() {
        assert_eq!(margin(3600.0, 120.0), 120.0);
        assert_eq!(margin(60.0, 120.0), 15.0);
        let run = Settings { time_limit: Some(100.0), stop_before: 20.0, ..Settings::default() };
        let (at, words) = deadline(&run).unwrap();
        assert!(at > Instant::now() + Duration::from_secs(78) && at <= Instant::now() + Duration::from_secs(80));
        assert_eq!(words, "the time limit leaves 100 s: new epochs begin for 80 s");
    }
}
