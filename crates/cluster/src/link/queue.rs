//! The queue in which threads put their words. It is bounded in number and in bytes: a snapshot is as large as thousands of
//! other words, and whoever takes them may be slower than whoever trains.
//!
//! It may not know what is said.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Worker;
use super::message::Word;

/// Words that may wait before their sender has to.
const MOST_WORDS: usize = 64;
/// Bytes that may wait before the sender of more has to; a single word may have any length.
const MOST_BYTES: usize = 32 << 20;

/// Where a thread puts its words.
#[derive(Debug, Clone)]
pub struct Words {
    sender: Sender<(Worker, Word)>,
    room: Arc<Room>,
}

/// Where they are taken out. When it is dropped, nobody listens any more.
#[derive(Debug)]
pub struct WordsInbox {
    words: Receiver<(Worker, Word)>,
    room: Arc<Room>,
}

/// How much waits.
#[derive(Debug, Default)]
struct Room {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    words: usize,
    bytes: usize,
    closed: bool,
}

/// An empty queue.
pub fn queue() -> (Words, WordsInbox) {
    let (sender, words) = channel();
    let room = Arc::new(Room::default());
    (Words { sender, room: Arc::clone(&room) }, WordsInbox { words, room })
}

impl Words {
    /// Says something, as soon as there is room for it. Returns whether anybody still listens.
    pub fn say(&self, worker: Worker, word: Word) -> bool {
        let bytes = word.bytes();
        let mut waiting = self.room.waiting();
        while !waiting.closed
            && (waiting.words >= MOST_WORDS || (waiting.bytes > 0 && waiting.bytes + bytes > MOST_BYTES))
        {
            waiting = self.room.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return false;
        }
        waiting.words += 1;
        waiting.bytes += bytes;
        drop(waiting);
        self.sender.send((worker, word)).is_ok()
    }
}

impl WordsInbox {
    /// A word that is already there.
    ///
    /// # Errors
    /// When there is none, or all who could say something are gone.
    pub fn try_take(&self) -> Result<(Worker, Word), TryRecvError> {
        self.words.try_recv().inspect(|(_, word)| self.room.leave(word))
    }

    /// The next word.
    ///
    /// # Errors
    /// When none comes within `wait`, or all who could say something are gone.
    pub fn take(&self, wait: Duration) -> Result<(Worker, Word), RecvTimeoutError> {
        self.words.recv_timeout(wait).inspect(|(_, word)| self.room.leave(word))
    }
}

impl Drop for WordsInbox {
    fn drop(&mut self) {
        self.room.waiting().closed = true;
        self.room.changed.notify_all();
    }
}

impl Room {
    fn leave(&self, word: &Word) {
        let mut waiting = self.waiting();
        waiting.words -= 1;
        waiting.bytes -= word.bytes();
        drop(waiting);
        self.changed.notify_all();
    }

    /// A thread that panicked while it held the lock has left two numbers that are right.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use tombola_core::net::Snapshot;
    use tombola_core::training::TrainingEvent;
    use tombola_words::value::Moment;

    fn snapshot(bytes: usize) -> Word {
        let snapshot = Snapshot {
            epoch: 1,
            step: 0,
            batches: 0,
            parameters: vec![0.0; bytes / 4],
            buffers: Vec::new(),
            optimizer: None,
            mask: None,
        };
        Word::Report { attempt: 1, report: TrainingEvent::Snapshot(Moment::Last, Arc::new(snapshot)) }
    }

    #[test]
    fn whoever_says_more_than_there_is_room_for_waits_until_it_is_taken() {
        let (words, inbox) = queue();
        let (said, heard) = sync_channel(100);
        std::thread::spawn(move || {
            for number in 0..4 {
                assert!(words.say(number, snapshot(MOST_BYTES / 2)));
                said.send(number).unwrap();
            }
        });
        // Two fit; each that is taken lets one in.
        assert_eq!([heard.recv().unwrap(), heard.recv().unwrap()], [0, 1]);
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
        for (taken, then) in [(0, Some(2)), (1, Some(3)), (2, None), (3, None)] {
            assert_eq!(inbox.take(Duration::from_secs(60)).unwrap().0, taken);
            then.into_iter().for_each(|then| assert_eq!(heard.recv().unwrap(), then));
        }
    }

    #[test]
    fn a_word_longer_than_the_room_is_let_in_alone() {
        let (words, inbox) = queue();
        assert!(words.say(0, snapshot(2 * MOST_BYTES)));
        assert_eq!(inbox.try_take().unwrap().0, 0);
        assert_eq!(inbox.try_take().unwrap_err(), TryRecvError::Empty);
    }

    #[test]
    fn whoever_waits_for_room_learns_that_nobody_listens_any_more() {
        let (words, inbox) = queue();
        let waiting = std::thread::spawn(move || (0..=MOST_WORDS).all(|_| words.say(0, Word::Alive)));
        drop(inbox);
        assert!(!waiting.join().unwrap());
    }
}
