//! Makes a process fail, or its workers dawdle, on purpose, for tests of what the others do then.
//!
//! `TOMBOLA_FAULT=RANK:HOW:SECONDS` lets that rank fail so many seconds after its main loop began: by a `panic`, an `error`
//! that leaves `main` early, or an `exit` without a word. `unbegun` is a kill before MPI begins. `early` is an exit before rank 0 has told the others what to do. `stall`
//! keeps the main loop for ten seconds, once, as a slow disk would. `hang` is of the training of that rank, or of that worker
//! of a single process, and its number counts epochs, however fast the machine is: when so many are done, the training goes
//! on no more.
//!
//! `TOMBOLA_SLOW=SEED:SECONDS` lets each worker wait after each epoch, up to so many seconds, another time each time and
//! other times with another seed: so trainings end in another order each run.
//!
//! Nothing else reads the variables, and nothing sets them but tests.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use crate::error::{Error, Result, ignored};
use crate::stream::stream;

/// How long a stall lasts.
const STALL: Duration = Duration::from_secs(10);

/// What is to happen to this process, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    how: String,
    /// Seconds, or epochs of a training.
    after: f64,
}

impl Fault {
    /// The fault that is meant for this rank or worker, if any.
    pub fn of(rank: usize) -> Option<Self> {
        parse(&std::env::var("TOMBOLA_FAULT").ok()?, rank)
    }

    /// Kills the process, if it is to end before MPI begins.
    pub fn strike_before_mpi(&self) {
        if self.how == "unbegun" {
            // As the system does where memory is short.
            ignored(signal_hook::low_level::raise(signal_hook::consts::SIGKILL), "nothing comes after it");
        }
    }

    /// Ends the process, if it is to end before its main loop.
    pub fn strike_early(&self) {
        if self.how == "early" {
            signal_hook::low_level::exit(9);
        }
    }

    /// Hangs for ever, if that is what a training is to do and so many of its epochs are done.
    pub fn strike_training(&self, epochs: usize) {
        if self.how == "hang" && epochs as f64 >= self.after {
            loop {
                std::thread::park();
            }
        }
    }

    /// Fails, once the time has come.
    ///
    /// # Errors
    /// When that is how it is to fail.
    ///
    /// # Panics
    /// When that is how it is to fail.
    #[expect(clippy::panic, reason = "that is how it is to fail")]
    pub fn strike(&mut self, running: Duration) -> Result<()> {
        match self.how.as_str() {
            _ if running.as_secs_f64() < self.after => Ok(()),
            "panic" => panic!("a panic that was asked for"),
            "exit" => signal_hook::low_level::exit(9),
            "stall" => {
                self.after = f64::INFINITY;
                std::thread::sleep(STALL);
                Ok(())
            }
            "unbegun" | "early" | "hang" => Ok(()),
            _ => Err(Error::environment("an error that was asked for")),
        }
    }
}

fn parse(text: &str, rank: usize) -> Option<Fault> {
    let mut parts = text.split(':');
    let (whose, how, after) = (parts.next()?, parts.next()?, parts.next()?);
    let after = after.parse().ok()?;
    (whose.parse() == Ok(rank)).then(|| Fault { how: how.to_string(), after })
}

/// How slow a worker is.
#[derive(Debug, Clone)]
pub struct Slowness {
    longest: Duration,
    numbers: ChaCha8Rng,
}

impl Slowness {
    /// That of this worker, if workers are to be slow.
    pub fn of(worker: usize) -> Option<Self> {
        let text = std::env::var("TOMBOLA_SLOW").ok()?;
        let (seed, longest) = text.split_once(':')?;
        let longest = Duration::try_from_secs_f64(longest.parse().ok()?).ok()?;
        let mut numbers = stream(seed.parse().ok()?, "slowness", &[worker as u64]);
        // Some are slow all along.
        Some(Self { longest: share(&mut numbers, longest), numbers })
    }

    /// Waits.
    pub fn dawdle(&mut self) {
        std::thread::sleep(share(&mut self.numbers, self.longest));
    }
}

/// Nothing to all of a time.
fn share(numbers: &mut ChaCha8Rng, whole: Duration) -> Duration {
    whole * (numbers.next_u32() % 1024) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_rank_that_it_names_and_not_before_its_time() {
        assert_eq!(parse("2:error:1.5", 1), None);
        assert_eq!(parse("nonsense", 0), None);
        let mut fault = parse("2:error:1.5", 2).unwrap();
        assert!(fault.strike(Duration::from_secs(1)).is_ok() && fault.strike(Duration::from_secs(2)).is_err());
    }
}
