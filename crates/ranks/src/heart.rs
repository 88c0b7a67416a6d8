//! Rank 0's signs of life, whatever its main thread is at: a slow disk, a snapshot of gigabytes, the last tables of a large sweep.
//!
//! It may not know what else is said.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::post::Post;
use tombola_cluster::link::Worker;
use tombola_cluster::link::message::{Order, encode};
use tombola_words::error::{Error, Result, ignored};

/// Time between two looks after signs of life that have not left yet: behind a long message, MPI moves them only while someone
/// looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The way to the other ranks, and to whom signs of life are given.
#[derive(Debug)]
pub(crate) struct Ranks {
    pub(crate) post: Post,
    /// Those that were given up.
    pub(crate) silent: BTreeSet<Worker>,
    /// Time between two signs of life.
    pub(crate) every: Duration,
    alive: Vec<u8>,
    told: Instant,
}

impl Ranks {
    pub(crate) fn new(post: Post, every: Duration) -> Result<Self> {
        let alive = encode(&Order::Alive)?;
        Ok(Self { post, silent: BTreeSet::new(), every, alive, told: Instant::now() })
    }

    /// Gives a sign of life, if it is time. Returns when the next look is due.
    fn give_sign_of_life(&mut self) -> Duration {
        if self.told.elapsed() >= self.every {
            self.told = Instant::now();
            for rank in (1..self.post.size()).filter(|rank| !self.silent.contains(rank)) {
                self.post.send_sign(rank, self.alive.clone());
            }
        }
        self.post.look_after_sending();
        let next = self.every.saturating_sub(self.told.elapsed());
        if self.post.on_their_way() > 0 { next.min(LOOK_EVERY) } else { next }
    }
}

/// What threads of rank 0 share, one at a time.
pub(crate) type SharedRanks = Arc<Mutex<Ranks>>;

/// Waits for the own turn. A thread that panicked while it had its turn has begun no call of MPI that it did not end.
pub(crate) fn turn(ranks: &SharedRanks) -> MutexGuard<'_, Ranks> {
    ranks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that gives signs of life until this is dropped.
#[derive(Debug)]
pub(crate) struct Heart {
    /// Closed when it is to end.
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    /// Begins to give signs of life.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn begin(ranks: &SharedRanks) -> Result<Self> {
        let ((wake, woken), ranks) = (channel(), Arc::clone(ranks));
        let thread = std::thread::Builder::new().name("signs of life".to_string()).spawn(move || beat(&woken, &ranks));
        let thread = thread.map_err(|error| Error::environment(format!("cannot start a thread: {error}")))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Has it look at once at how often signs are due.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            ignored(wake.send(()), "a thread that has ended has panicked, which was reported");
        }
    }
}

fn beat(woken: &Receiver<()>, ranks: &SharedRanks) {
    loop {
        let next = turn(ranks).give_sign_of_life();
        if woken.recv_timeout(next) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            ignored(thread.join(), "it has nothing to tell, and a panic in it was reported as the defect that it is");
        }
    }
}
