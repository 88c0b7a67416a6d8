//! Ends a process that waits within MPI for a rank which is gone. Until MPI has begun, nothing else notices: `MPI_Init` waits for all
//! ranks, and a launcher that was asked to go on after a loss (`mpirun --enable-recovery`) tells nobody of one.
//!
//! It may not call MPI.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tombola_cluster::link::launcher;
use tombola_words::error::{Error, Result};
use tombola_words::speech;

/// Time between two looks at who is there. What is long is counted in looks, not by a clock: a job that stood still as a whole, as
/// Slurm has it do for another one, has not waited.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks for which MPI may take to begin, where nobody can say who is there: ranks of a large job may take minutes to load their
/// libraries.
const MOST_LOOKS: u32 = 240;
/// Looks in a row that find fewer ranks on this host than were started, after which MPI will not begin: a launcher starts them all
/// within a second or two.
const MOST_MISSED: u32 = 20;

/// MPI begins, watched until this is dropped.
pub(crate) struct Beginning {
    _begun: Sender<()>,
}

impl Beginning {
    /// From now on, this process ends with words and with `code` where MPI cannot begin.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn watch(code: i32) -> Result<Self> {
        let (begun, waiting) = channel();
        let end = move || {
            if let Some(reason) = watch(&waiting, LOOK_EVERY, launcher::ranks_of_host) {
                speech::say(format!("error: {reason}\n\nhint: start the same command again"));
                signal_hook::low_level::exit(code);
            }
        };
        let thread = std::thread::Builder::new().name("beginning".to_string()).spawn(end);
        thread.map_err(|error| Error::environment(format!("cannot start a thread: {error}")))?;
        Ok(Self { _begun: begun })
    }
}

/// Why MPI will not begin; nothing once it has. `ranks` says how many ranks this host was given, and how many are there.
fn watch(begun: &Receiver<()>, every: Duration, ranks: impl Fn() -> Option<(usize, usize)>) -> Option<String> {
    let mut missed = 0;
    for _ in 0..MOST_LOOKS {
        if begun.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
            return None;
        }
        let (given, there) = ranks().unwrap_or_default();
        missed = if there < given { missed + 1 } else { 0 };
        if missed == MOST_MISSED {
            return Some(format!(
                "{there} of {given} ranks on this host are left, and MPI begins with all or with none"
            ));
        }
    }
    let waited = (every * MOST_LOOKS).as_secs();
    Some(format!("MPI has not begun within {waited} s: a rank on another host may be gone"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const EVERY: Duration = Duration::from_millis(1);

    fn watched(ranks: impl Fn() -> Option<(usize, usize)>) -> String {
        let (_begun, waiting) = channel();
        watch(&waiting, EVERY, ranks).unwrap()
    }

    #[test]
    fn a_rank_that_stays_away_ends_the_wait_before_its_time() {
        assert!(watched(|| Some((4, 3))).contains("3 of 4 ranks on this host are left"));
        // Those that are not started yet are waited for.
        let looks = Cell::new(0u32);
        let late = watched(|| {
            looks.set(looks.get() + 1);
            Some((4, if looks.get() < 5 { 3 } else { 4 }))
        });
        assert!(late.contains("has not begun within") && looks.get() == MOST_LOOKS);
    }

    #[test]
    fn where_nobody_can_say_who_is_there_the_wait_is_long_and_ends() {
        assert!(watched(|| None).contains("a rank on another host may be gone"));
    }

    #[test]
    fn mpi_that_has_begun_ends_the_watch() {
        let (begun, waiting) = channel();
        drop(begun);
        assert_eq!(watch(&waiting, EVERY, || Some((2, 1))), None);
    }
}
