//! Ends a process that waits within MPI for a rank which is gone. Until MPI has begun, nothing else notices: `MPI_Init` waits for all
//! ranks, and a launcher that was asked to go on after a loss (`mpirun --enable-recovery`) tells nobody of one.
//!
//! It may not call MPI.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tombola_cluster::link::launcher::RanksOfHost;
use tombola_words::error::{Error, Result};
use tombola_words::speech;

/// Time between two looks at who is there. What is long is counted in looks, not by a clock: a job that stood still as a whole, as
/// Slurm has it do for another one, has not waited.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks for which `MPI_Init` may take, where nobody can say who is there: ranks of a large job may take minutes to load their
/// libraries.
const MOST_OF_INIT: u32 = 240;
/// Looks for which ranks may take after it to tell each other where they are.
const MOST_OF_GREETING: u32 = 40;
/// Looks in a row that find fewer ranks on this host than were started, after which MPI will not begin: a launcher starts them all
/// within a second or two.
const MOST_MISSED: u32 = 20;

/// MPI begins, watched until this is dropped.
pub(crate) struct Beginning {
    has_init: Arc<AtomicBool>,
    _begun: Sender<()>,
}

impl Beginning {
    /// From now on, this process ends with words where MPI cannot begin.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn watch() -> Result<Self> {
        let (begun, waiting) = channel();
        let has_init = Arc::new(AtomicBool::new(false));
        // Whatever is asked of the environment is asked before MPI, which may change it.
        let (told, ranks) = (Arc::clone(&has_init), RanksOfHost::find());
        let present = move || ranks.as_ref().and_then(|ranks| Some((ranks.given, ranks.there()?)));
        let end = move || {
            if let Some(reason) = watch(&waiting, LOOK_EVERY, &told, present) {
                let error = Error::interrupted(reason).hint("start the same command again");
                signal_hook::low_level::exit(i32::from(speech::outcome(Err(error))));
            }
        };
        let thread = std::thread::Builder::new().name("beginning".to_string()).spawn(end);
        thread.map_err(|error| Error::environment(format!("cannot start a thread: {error}")))?;
        Ok(Self { has_init, _begun: begun })
    }

    /// `MPI_Init` has ended: so all ranks have come to it.
    pub(crate) fn init_has_ended(&self) {
        self.has_init.store(true, Ordering::Relaxed);
    }
}

/// Why MPI will not begin; nothing once it has. `present` says how many ranks this host was given, and how many are there.
fn watch(
    begun: &Receiver<()>,
    every: Duration,
    has_init: &AtomicBool,
    present: impl Fn() -> Option<(usize, usize)>,
) -> Option<String> {
    let (mut missed, mut of_init, mut of_greeting) = (0, 0, 0);
    while begun.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let (given, there) = present().unwrap_or_default();
        missed = if there < given { missed + 1 } else { 0 };
        if missed == MOST_MISSED {
            return Some(format!(
                "{there} of {given} ranks on this host are left, and MPI begins with all or with none"
            ));
        }
        match has_init.load(Ordering::Relaxed) {
            true => of_greeting += 1,
            false => of_init += 1,
        }
        if of_init == MOST_OF_INIT {
            let waited = (every * MOST_OF_INIT).as_secs();
            return Some(format!("MPI has not begun within {waited} s: another rank may be gone"));
        }
        if of_greeting == MOST_OF_GREETING {
            let waited = (every * MOST_OF_GREETING).as_secs();
            return Some(format!(
                "MPI has begun, but not all ranks said within {waited} s where they are: one may be gone"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const EVERY: Duration = Duration::from_millis(1);

    fn watched(ranks: impl Fn() -> Option<(usize, usize)>) -> String {
        let (_begun, waiting) = channel();
        watch(&waiting, EVERY, &AtomicBool::new(false), ranks).unwrap()
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
        assert!(late.contains("has not begun within") && looks.get() == MOST_OF_INIT);
    }

    #[test]
    fn where_nobody_can_say_who_is_there_the_wait_is_long_and_ends() {
        assert!(watched(|| None).contains("another rank may be gone"));
        // Shorter once all have come to `MPI_Init`.
        let (looks, (_begun, waiting)) = (Cell::new(0), channel());
        let reason = watch(&waiting, EVERY, &AtomicBool::new(true), || {
            looks.set(looks.get() + 1);
            None
        });
        assert!(reason.unwrap().contains("MPI has begun, but") && looks.get() == MOST_OF_GREETING);
        // The time for it is not what the slowest rank has left.
        let (looks, has_init, (_begun, waiting)) = (Cell::new(0), AtomicBool::new(false), channel());
        let reason = watch(&waiting, EVERY, &has_init, || {
            looks.set(looks.get() + 1);
            has_init.store(looks.get() >= MOST_OF_INIT, Ordering::Relaxed);
            None
        });
        assert!(reason.unwrap().contains("MPI has begun, but") && looks.get() == MOST_OF_INIT + MOST_OF_GREETING - 1);
    }

    #[test]
    fn mpi_that_has_begun_ends_the_watch() {
        let (begun, waiting) = channel();
        drop(begun);
        assert_eq!(watch(&waiting, EVERY, &AtomicBool::new(false), || Some((2, 1))), None);
    }
}
