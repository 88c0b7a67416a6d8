//! The link within a process: each worker is a thread, messages are moved, snapshots shared.
//!
//! It may not know what workers do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::message::{Order, Word};
use super::queue::{Words, WordsInbox, queue};
use super::{Link, Worker};
use tombola_words::error::{Error, Result};

/// Time between two signs of life of a thread, which has no need to give them itself.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// A worker thread as its process sees it.
pub trait Hand: Send {
    /// Gives it an order. One that is gone swallows it.
    fn give(&self, order: Order);

    /// Whether its thread still runs.
    fn lives(&self) -> bool;
}

/// The workers of one process.
pub struct LocalLink {
    hands: BTreeMap<Worker, Box<dyn Hand>>,
    words: WordsInbox,
    /// Said by the link itself.
    own: VecDeque<(Worker, Word)>,
    last_look: Instant,
}

impl LocalLink {
    /// Starts `count` workers; `start` is given each number and the place for its words.
    ///
    /// # Errors
    /// When a worker cannot be started.
    pub fn start<H: Hand + 'static>(count: usize, mut start: impl FnMut(Worker, Words) -> Result<H>) -> Result<Self> {
        let (sender, words) = queue();
        let mut hands: BTreeMap<Worker, Box<dyn Hand>> = BTreeMap::new();
        for worker in 0..count {
            hands.insert(worker, Box::new(start(worker, sender.clone())?));
        }
        Ok(Self { hands, words, own: VecDeque::new(), last_look: Instant::now() })
    }

    /// A word that is already there.
    fn look(&mut self) {
        if self.last_look.elapsed() < ALIVE_EVERY {
            return;
        }
        self.last_look = Instant::now();
        let dead: Vec<Worker> =
            self.hands.iter().filter(|(_, hand)| !hand.lives()).map(|(worker, _)| *worker).collect();
        for worker in dead {
            self.hands.remove(&worker);
            let error = Error::environment("its thread has ended");
            self.own.push_back((worker, Word::Unable(error)));
        }
        self.own.extend(self.hands.keys().map(|worker| (*worker, Word::Alive)));
    }
}

impl Link for LocalLink {
    fn expected(&self) -> Vec<Worker> {
        self.hands.keys().copied().collect()
    }

    fn send(&mut self, worker: Worker, order: Order) -> Result<()> {
        if let Some(hand) = self.hands.get(&worker) {
            hand.give(order);
        }
        Ok(())
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<(Worker, Word)>> {
        self.look();
        // What a worker said before it was seen to have ended comes first.
        if let Ok(word) = self.words.try_take() {
            return Ok(Some(word));
        }
        if let Some(word) = self.own.pop_front() {
            return Ok(Some(word));
        }
        match self.words.take(wait) {
            Ok(word) => Ok(Some(word)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            // All threads have ended; the next look says so.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait);
                Ok(None)
            }
        }
    }
}

impl std::fmt::Debug for LocalLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLink").field("workers", &self.hands.len()).finish()
    }
}
