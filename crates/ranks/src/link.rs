//! The coordinator's link under MPI: ranks by messages, and the worker of its own process, if there is one, by channels.
//!
//! It may not know what is trained.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::heart::{Heart, Ranks, SharedRanks, turn};
use super::mpi::Neighbour;
use super::post::{News, Post};
use tombola_cluster::link::local::LocalLink;
use tombola_cluster::link::message::{Order, Welcome, Word, decode, encode};
use tombola_cluster::link::{Link, Worker};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::seconds;

/// Longest pause between two looks for messages. A look and the pause before it take some 20 microseconds of processor
/// time and more with busy sockets, so that waiting stays well below 1 % of a core.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Shortest, right after a message: more often come together.
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
/// Pauses that are always allowed while nothing moves: what a run of short trainings may lose.
const FAIR_PAUSE: Duration = Duration::from_micros(250);
/// Beyond that, a message waits for at most this part of the time that nothing happened: 0.5 %.
const PART: u32 = 200;
/// The same while messages move, which they do by some 100 kB at each look.
const PART_MOVING: u32 = 1000;
/// Time between two signs of life before ranks know of the lease: a large folder takes long to read.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// Time that ranks have to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Pauses that grow while nothing happens, so that waiting costs next to no processor time.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    quiet_since: Instant,
    /// What [`Post::moving`] said, and since when.
    moving: Option<(u64, Instant)>,
}

impl Backoff {
    /// As after a message.
    pub fn new() -> Self {
        Self { next: SHORTEST_PAUSE, quiet_since: Instant::now(), moving: None }
    }

    /// The next pause; `moving` is [`Post::moving`].
    pub fn pause(&mut self, moving: Option<u64>) -> Duration {
        self.moving = moving.map(|count| match self.moving {
            Some((before, since)) if before == count => (count, since),
            _ => {
                self.next = SHORTEST_PAUSE;
                (count, Instant::now())
            }
        });
        // Never the shortest for ever: a rank that died may leave a message under way.
        let most = match self.moving {
            Some((_, since)) => (since.elapsed() / PART_MOVING).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            None => (self.quiet_since.elapsed() / PART).clamp(FAIR_PAUSE, LONGEST_PAUSE),
        };
        let pause = self.next.min(most);
        self.next = 2 * pause;
        pause
    }

    /// Something happened that others follow upon: an order, or [`Word::calls_for_orders`].
    pub fn again(&mut self) {
        *self = Self { moving: self.moving, ..Self::new() };
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// All ranks of an MPI start, as rank 0 sees them.
#[derive(Debug)]
pub struct RankLink {
    ranks: SharedRanks,
    heart: Option<Heart>,
    /// The worker in this process.
    own: Option<LocalLink>,
    welcome: Welcome,
    version: String,
    /// The process of each rank on the own host.
    neighbours: BTreeMap<Worker, Neighbour>,
    said: VecDeque<(Worker, Word)>,
    /// Whether the own worker is heard before the others: they take turns, or one that talks much would keep the other from it.
    own_first: bool,
    backoff: Backoff,
}

impl RankLink {
    /// A link to ranks that are told nothing yet but that rank 0 is there. `neighbours` are the processes of those on this host.
    /// Nobody else may use MPI from now on.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(post: Post, neighbours: BTreeMap<Worker, Neighbour>) -> Result<Self> {
        let version = env!("CARGO_PKG_VERSION").to_string();
        let (welcome, backoff) = (Welcome::default(), Backoff::new());
        let (ranks, said) = (Arc::new(Mutex::new(Ranks::new(post, ALIVE_EVERY)?)), VecDeque::new());
        let heart = Some(Heart::begin(&ranks)?);
        Ok(Self { ranks, heart, own: None, welcome, version, neighbours, said, own_first: false, backoff })
    }

    /// From now on, ranks that say hello are told `welcome`; `own` is the worker of rank 0.
    pub fn open(&mut self, own: Option<LocalLink>, welcome: Welcome) {
        self.ranks().every = seconds(welcome.lease) / 8;
        if let Some(heart) = &self.heart {
            heart.wake();
        }
        (self.own, self.welcome) = (own, welcome);
    }

    fn ranks(&self) -> MutexGuard<'_, Ranks> {
        turn(&self.ranks)
    }

    fn post(&mut self, worker: Worker, order: &Order) -> Result<()> {
        let message = encode(order)?;
        self.ranks().post.send(worker, message);
        Ok(())
    }

    /// What a rank said, or that it cannot be understood.
    fn take(&mut self, news: News) -> Result<Option<(Worker, Word)>> {
        let (rank, bytes) = match news {
            News::Message(rank, bytes) => (rank, bytes),
            News::Trouble(rank, error) => return Ok(Some((rank, Word::Unable(error)))),
        };
        let word = match decode::<Word>(&bytes) {
            Ok(word) => word,
            Err(error) => return Ok(Some((rank, Word::Unable(error)))),
        };
        if word.calls_for_orders() {
            self.backoff.again();
        }
        if let Word::Hello(hello) = &word {
            if hello.version != self.version {
                let reason = format!("it runs Tombola {}, rank 0 runs {}", hello.version, self.version);
                let error = Error::environment(reason).hint("start the same build of Tombola on every node");
                return Ok(Some((rank, Word::Unable(error))));
            }
            self.post(rank, &Order::Welcome(Box::new(self.welcome.clone())))?;
        }
        Ok(Some((rank, word)))
    }

    /// Waits for a word of the own worker, or for so long where there is none.
    fn hear_own(&mut self, pause: Duration) -> Result<()> {
        let Some(own) = &mut self.own else {
            std::thread::sleep(pause);
            return Ok(());
        };
        if let Some(said) = own.receive(pause)? {
            if said.1.calls_for_orders() {
                self.backoff.again();
            }
            self.said.push_back(said);
        }
        Ok(())
    }

    /// Tells all ranks that all is over, and waits a moment for their answers. Returns whether all have answered: only
    /// then may MPI be ended in good order.
    ///
    /// # Errors
    /// When an order cannot be encoded.
    pub fn end(&mut self) -> Result<bool> {
        self.heart = None;
        let clean = self.ranks().silent.is_empty();
        let mut waiting: BTreeSet<Worker> = (1..self.ranks().post.size()).collect();
        for &rank in &waiting {
            self.post(rank, &Order::End { clean })?;
        }
        self.own = None;
        let begun = Instant::now();
        let mut ranks = turn(&self.ranks);
        while (!waiting.is_empty() || ranks.post.on_their_way() > 0) && begun.elapsed() < GOODBYE {
            match ranks.post.look() {
                Some(News::Message(rank, bytes)) => {
                    if matches!(decode::<Word>(&bytes), Ok(Word::Bye)) {
                        waiting.remove(&rank);
                    }
                }
                Some(News::Trouble(rank, _)) => {
                    waiting.remove(&rank);
                    ranks.silent.insert(rank);
                }
                None if !clean && waiting.iter().all(|rank| ranks.silent.contains(rank)) => break,
                None => std::thread::sleep(LONGEST_PAUSE),
            }
        }
        self.end_neighbours(&ranks.silent);
        Ok(clean && waiting.is_empty() && ranks.silent.is_empty() && ranks.post.on_their_way() == 0)
    }

    /// Ends ranks of this host that were given up but are still there, such as a stopped process: the launcher would
    /// wait for them for ever. A number that is another program's by now is left alone.
    fn end_neighbours(&self, silent: &BTreeSet<Worker>) {
        let given_up = self.neighbours.iter().filter(|(rank, _)| silent.contains(rank));
        for (_, neighbour) in given_up {
            if !neighbour.is_gone() {
                let mut kill = Command::new("kill");
                ignored(
                    kill.args(["-KILL", &neighbour.process.to_string()])
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .status(),
                    "a process that is gone already needs no end",
                );
            }
        }
    }
}

impl Link for RankLink {
    fn expected(&self) -> Vec<Worker> {
        let own = usize::from(self.own.is_none());
        let ranks = self.ranks();
        (own..ranks.post.size()).filter(|rank| !ranks.silent.contains(rank)).collect()
    }

    fn send(&mut self, worker: Worker, order: Order) -> Result<()> {
        match (worker, &mut self.own) {
            (0, Some(own)) => own.send(0, order),
            (0, None) => Ok(()),
            (rank, _) => {
                self.post(rank, &order)?;
                // A rank that was given up hears no more after this.
                if matches!(order, Order::End { .. }) {
                    let mut ranks = self.ranks();
                    ranks.silent.insert(rank);
                    ranks.post.give_up(rank);
                }
                Ok(())
            }
        }
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<(Worker, Word)>> {
        let begun = Instant::now();
        self.own_first = !self.own_first;
        if self.own_first {
            self.hear_own(Duration::ZERO)?;
        }
        loop {
            if let Some(said) = self.said.pop_front() {
                return Ok(Some(said));
            }
            let mut ranks = turn(&self.ranks);
            let (news, moving) = (ranks.post.look(), ranks.post.moving());
            drop(ranks);
            if let Some(news) = news {
                return self.take(news);
            }
            if begun.elapsed() >= wait {
                return Ok(None);
            }
            let pause = self.backoff.pause(moving);
            // Words of the own worker end the pause.
            self.hear_own(pause)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state after a wait of `quiet`.
    fn after(quiet: Duration) -> Backoff {
        Backoff { next: quiet, quiet_since: Instant::now() - quiet, moving: None }
    }

    #[test]
    fn a_message_waits_for_a_small_part_of_the_time_before_it() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.pause(None), SHORTEST_PAUSE);
        assert_eq!(backoff.pause(None), 2 * SHORTEST_PAUSE);
        let pause = after(Duration::from_millis(400)).pause(None);
        assert!(pause >= Duration::from_millis(2) && pause <= Duration::from_millis(5), "{pause:?}");
        assert_eq!(after(Duration::from_secs(60)).pause(None), LONGEST_PAUSE);
    }

    #[test]
    fn what_begins_to_move_ends_long_pauses_but_what_never_arrives_does_not_keep_them_short() {
        let mut backoff = after(Duration::from_secs(60));
        assert_eq!(backoff.pause(Some(0)), SHORTEST_PAUSE);
        backoff.moving = Some((0, Instant::now() - Duration::from_secs(60)));
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.pause(Some(0))).collect();
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert_eq!(backoff.pause(Some(1)), SHORTEST_PAUSE, "another one moves");
    }
}
