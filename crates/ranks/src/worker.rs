//! A worker in a process of its own: a rank other than 0.
//!
//! The main thread owns MPI: it passes orders on to the thread that trains, and that thread's words to rank 0, gives
//! signs of life whatever the training does, and listens for signals. It may not know how a stage is trained.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::link::Backoff;
use crate::mpi::{MpiSession, Neighbour};
use crate::post::{News, Post};
use tombola_cluster::clock::AttentiveClock;
use tombola_cluster::link::local::Hand;
use tombola_cluster::link::message::{decode, encode};
use tombola_cluster::link::queue::{Words, WordsInbox, queue};
use tombola_cluster::link::{Hello, Order, Ready, Welcome, Word, Worker};
use tombola_cluster::worker::{Handle, Trainer, spawn};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::fault::Fault;
use tombola_words::seconds;

/// With more than this on its way to rank 0, the training waits.
const MOST_ON_THE_WAY: usize = 256 << 20;
/// Longest silence of rank 0 before anything is known of the lease, as with a lease of 20 s: it gives signs of life while it reads
/// its input and loads its data. On the same host it is known sooner when its process is gone.
const UNTIL_WELCOME: Duration = Duration::from_secs(40);
/// Time that the last words have to leave.
const GOODBYE: Duration = Duration::from_secs(5);

/// How a rank's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All ranks take leave of each other.
    Together,
    /// Some ranks are gone: each ends alone.
    Alone,
}

/// Trains what rank 0 says until rank 0 says that all is over. `begin` makes what trains, in its own thread.
///
/// # Errors
/// When nothing is heard of rank 0 any more, or it speaks another version.
pub fn serve<T, B>(session: &MpiSession, stop: &Arc<AtomicBool>, begin: B) -> Result<End>
where
    T: Trainer,
    B: FnOnce(Welcome) -> Result<(T, Ready)> + Send + 'static,
{
    let mut relay = Relay::new(session);
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_string(),
        host: session.host.clone(),
        process: std::process::id(),
    };
    relay.say(&Word::Hello(Box::new(hello)))?;
    let ended = relay.serve(stop, begin);
    match &ended {
        Ok(_) => relay.say_goodbye(),
        Err(error) => {
            ignored(
                relay.say(&Word::Unable(error.clone())),
                "rank 0 may be there still, and should know at once; if not, nobody can be told",
            );
            relay.flush(Duration::from_secs(1));
            Ok(())
        }
    }?;
    ended
}

struct Relay {
    rank: Worker,
    /// The process of rank 0, if that is on this host.
    coordinator: Option<Neighbour>,
    post: Post,
    hand: Option<Handle>,
    words: WordsInbox,
    sender: Option<Words>,
    /// By which rank 0 counts as silent.
    clock: AttentiveClock,
    heard: Duration,
    told: Instant,
    lease: Option<Duration>,
    fault: Option<Fault>,
    begun: Instant,
}

impl Relay {
    fn new(session: &MpiSession) -> Self {
        let (sender, words) = queue();
        let (rank, post, now) = (session.rank(), session.post(), Instant::now());
        let (sender, fault) = (Some(sender), Fault::of(rank));
        let coordinator = session.neighbours.get(&0).copied();
        Self {
            rank,
            coordinator,
            post,
            hand: None,
            words,
            sender,
            clock: AttentiveClock::new(),
            heard: Duration::ZERO,
            told: now,
            lease: None,
            fault,
            begun: now,
        }
    }

    fn say(&mut self, word: &Word) -> Result<()> {
        self.told = Instant::now();
        self.post.send(0, encode(word)?);
        Ok(())
    }

    fn serve<T, B>(&mut self, stop: &Arc<AtomicBool>, begin: B) -> Result<End>
    where
        T: Trainer,
        B: FnOnce(Welcome) -> Result<(T, Ready)> + Send + 'static,
    {
        let (mut begin, mut signalled, mut backoff) = (Some(begin), false, Backoff::new());
        loop {
            self.clock.turn();
            while let Some(news) = self.post.look() {
                let bytes = match news {
                    News::Message(_, bytes) => bytes,
                    News::Trouble(0, error) => return Err(error.at("rank 0")),
                    // Others are rank 0's to miss.
                    News::Trouble(..) => continue,
                };
                self.heard = self.clock.now();
                let order = decode::<Order>(&bytes)?;
                if order != Order::Alive {
                    backoff.again();
                }
                match order {
                    Order::Welcome(welcome) => {
                        if let (Some(begin), Some(sender)) = (begin.take(), self.sender.take()) {
                            self.lease = Some(seconds(welcome.lease));
                            self.hand = Some(spawn(self.rank, sender, move || begin(*welcome))?);
                        }
                    }
                    Order::End { clean: true } => return Ok(End::Together),
                    Order::End { clean: false } => return Ok(End::Alone),
                    Order::Alive => {}
                    order => {
                        if let Some(hand) = &self.hand {
                            hand.give(order);
                        }
                    }
                }
            }
            self.look_at_the_clock()?;
            if stop.load(Ordering::Relaxed) && !std::mem::replace(&mut signalled, true) {
                self.say(&Word::Signal)?;
            }
            let pause = backoff.pause(self.post.moving());
            if self.post.on_their_way() > MOST_ON_THE_WAY || self.sender.is_some() {
                std::thread::sleep(pause);
            } else if let Ok((_, word)) = self.words.take(pause) {
                if word.calls_for_orders() {
                    backoff.again();
                }
                self.say(&word)?;
            } else if self.hand.as_ref().is_some_and(|hand| !hand.lives()) {
                // Its thread has said why, and the channel is closed: nothing to do but to give signs of life.
                std::thread::sleep(pause);
            }
        }
    }

    /// Gives a sign of life, and notices that rank 0 gives none.
    fn look_at_the_clock(&mut self) -> Result<()> {
        self.fault.as_mut().map_or(Ok(()), |fault| fault.strike(self.begun.elapsed()))?;
        let (often, patience) = match self.lease {
            Some(lease) => (lease / 8, 2 * lease),
            None => (Duration::from_secs(1), UNTIL_WELCOME),
        };
        if self.told.elapsed() >= often {
            self.told = Instant::now();
            self.post.send_sign(0, encode(&Word::Alive)?);
        }
        let silent = self.clock.now().saturating_sub(self.heard);
        let gone = self.lease.is_none() && silent >= often && self.coordinator.is_some_and(|process| process.is_gone());
        let (rank, seconds) = (self.rank, silent.as_secs());
        let what = match (gone, silent >= patience) {
            (true, _) => format!("rank {rank}: rank 0 was gone before it said what to do"),
            (_, true) => format!("rank {rank}: no sign of rank 0 for {seconds} s"),
            _ => return Ok(()),
        };
        Err(Error::interrupted(what).hint("start the same command again: it continues where this stopped"))
    }

    fn say_goodbye(&mut self) -> Result<()> {
        self.say(&Word::Bye)?;
        self.flush(GOODBYE);
        Ok(())
    }

    /// Waits until everything said has left, but not for ever.
    fn flush(&mut self, patience: Duration) {
        let begun = Instant::now();
        while self.post.on_their_way() > 0 && begun.elapsed() < patience {
            // News that come now are of no use any more.
            let _ = self.post.look();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
