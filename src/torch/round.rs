//! Asks all ranks what they found and what their clocks say, and ends the start: rank 0's side and that of the others.
//!
//! Nobody waits for ever: rank 0 judges without those that do not answer, the others leave when rank 0 is silent. It may
//! not know what the facts mean.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use tombola::doctor::facts::{Clock, Facts, Gathered};
use tombola_cluster::link::message::{decode, encode};
use tombola_ranks::link::Backoff;
use tombola_ranks::mpi::MpiSession;
use tombola_ranks::post::{News, Post};
use tombola_words::error::{Error, Result};

/// Time for a rank to say what it found.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Time for the answers about clocks, which come at once.
const CLOCKS: Duration = Duration::from_secs(5);
/// How often each clock is asked for; the quickest answer counts.
const TIMES: usize = 5;
/// Time for the last words.
const GOODBYE: Duration = Duration::from_secs(5);
/// Time after which a rank gives rank 0 up.
const UNTIL_END: Duration = Duration::from_secs(60);

/// What rank 0 says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Say {
    /// What time is it?
    Clock,
    /// All is over.
    End {
        /// Whether all ranks are there to take leave of each other.
        clean: bool,
        /// The exit code, should each end alone.
        code: u8,
    },
}

/// What another rank answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Answer {
    Facts(Box<Facts>),
    /// Seconds since 1970.
    Clock(f64),
    Bye,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Rank 0's side.
#[derive(Debug)]
pub(crate) struct Round {
    post: Post,
    silent: BTreeMap<usize, String>,
    backoff: Backoff,
}

impl Round {
    /// Nobody was asked yet.
    pub(crate) fn new(session: &MpiSession) -> Self {
        Self { post: session.post(), silent: BTreeMap::new(), backoff: Backoff::new() }
    }

    /// What each rank found, with `own` for rank 0, and what its clock says. Waits until [`PATIENCE`] after `begun`.
    ///
    /// # Errors
    /// When a question cannot be encoded.
    pub(crate) fn ask(&mut self, own: Facts, begun: Instant) -> Result<Gathered> {
        let mut facts = BTreeMap::from([(0, own)]);
        let mut waiting: BTreeSet<usize> = (1..self.post.size()).collect();
        while !waiting.is_empty() {
            match self.hear() {
                Some((rank, Answer::Facts(found))) => {
                    waiting.remove(&rank);
                    facts.insert(rank, *found);
                }
                Some(_) => {}
                None if begun.elapsed() >= PATIENCE => break,
                None => std::thread::sleep(self.backoff.pause(self.post.moving())),
            }
            waiting.retain(|rank| !self.silent.contains_key(rank));
        }
        for rank in waiting {
            self.silent.insert(rank, format!("no answer within {} s", PATIENCE.as_secs()));
        }
        let clocks = self.clocks(facts.keys().copied().filter(|rank| *rank > 0).collect())?;
        Ok(Gathered { facts: facts.into_values().collect(), silent: self.silent.clone(), clocks })
    }

    /// The difference between clocks is that between the answer and the middle of its round trip, at most half of which
    /// it can be wrong by.
    fn clocks(&mut self, ranks: Vec<usize>) -> Result<BTreeMap<usize, Clock>> {
        let mut clocks: BTreeMap<usize, Clock> = BTreeMap::new();
        let begun = Instant::now();
        for _ in 0..TIMES {
            let question = encode(&Say::Clock)?;
            let mut asked = BTreeMap::new();
            for &rank in ranks.iter().filter(|rank| !self.silent.contains_key(rank)) {
                asked.insert(rank, (now(), Instant::now()));
                self.post.send(rank, question.clone());
            }
            while !asked.is_empty() && begun.elapsed() < CLOCKS {
                match self.hear() {
                    Some((rank, Answer::Clock(theirs))) => {
                        let Some((at, since)) = asked.remove(&rank) else { continue };
                        let round_trip = since.elapsed().as_secs_f64();
                        let clock = Clock { ahead: theirs - (at + round_trip / 2.0), round_trip };
                        let known = clocks.entry(rank).or_insert(clock);
                        if clock.round_trip < known.round_trip {
                            *known = clock;
                        }
                    }
                    Some(_) => {}
                    None => std::thread::sleep(self.backoff.pause(self.post.moving())),
                }
                asked.retain(|rank, _| !self.silent.contains_key(rank));
            }
            if !asked.is_empty() {
                let gone = |rank| (rank, "it stopped answering when asked for its clock".to_string());
                self.silent.extend(asked.into_keys().map(gone));
            }
        }
        Ok(clocks)
    }

    /// The next answer of any rank; one that is not understood is noted.
    fn hear(&mut self) -> Option<(usize, Answer)> {
        while let Some(news) = self.post.look() {
            self.backoff.again();
            let (rank, error) = match news {
                News::Message(rank, bytes) => match decode::<Answer>(&bytes) {
                    Ok(answer) => return Some((rank, answer)),
                    Err(error) => (rank, error),
                },
                News::Trouble(rank, error) => (rank, error),
            };
            self.silent.entry(rank).or_insert(error.message);
        }
        None
    }

    /// Tells all ranks that all is over. Returns whether all have said goodbye: only then may MPI be ended in good order.
    ///
    /// # Errors
    /// When the order cannot be encoded.
    pub(crate) fn end(&mut self, code: u8) -> Result<bool> {
        let clean = self.silent.is_empty();
        let order = encode(&Say::End { clean, code })?;
        let mut waiting: BTreeSet<usize> = (1..self.post.size()).collect();
        waiting.iter().for_each(|rank| self.post.send(*rank, order.clone()));
        let begun = Instant::now();
        while (!waiting.is_empty() || self.post.on_their_way() > 0) && begun.elapsed() < GOODBYE {
            if let Some((rank, Answer::Bye)) = self.hear() {
                waiting.remove(&rank);
            } else {
                std::thread::sleep(self.backoff.pause(self.post.moving()));
            }
            if waiting.iter().all(|rank| self.silent.contains_key(rank)) && !self.silent.is_empty() {
                break;
            }
        }
        Ok(self.silent.is_empty() && waiting.is_empty() && self.post.on_their_way() == 0)
    }
}

/// Another rank's side: tells rank 0 what it found, then answers until all is over. Returns whether all ranks end MPI
/// together, and the exit code if not.
///
/// # Errors
/// When nothing is heard of rank 0 any more, or it is not understood.
pub(crate) fn answer(session: &MpiSession, facts: Facts) -> Result<(bool, u8)> {
    let (mut post, mut backoff) = (session.post(), Backoff::new());
    post.send(0, encode(&Answer::Facts(Box::new(facts)))?);
    let mut heard = Instant::now();
    loop {
        match post.look() {
            Some(News::Message(_, bytes)) => {
                heard = Instant::now();
                backoff.again();
                match decode::<Say>(&bytes)? {
                    Say::Clock => post.send(0, encode(&Answer::Clock(now()))?),
                    Say::End { clean, code } => {
                        post.send(0, encode(&Answer::Bye)?);
                        flush(&mut post);
                        return Ok((clean, code));
                    }
                }
            }
            Some(News::Trouble(0, error)) => return Err(error.at("rank 0")),
            // Others are rank 0's to miss.
            Some(News::Trouble(..)) => {}
            None if heard.elapsed() > UNTIL_END => {
                let text = format!("rank {}: no sign of rank 0 for {} s", session.rank(), UNTIL_END.as_secs());
                return Err(Error::environment(text).hint("look at what the host of rank 0 does"));
            }
            None => std::thread::sleep(backoff.pause(post.moving())),
        }
    }
}

/// Waits until everything said has left, but not for ever.
fn flush(post: &mut Post) {
    let begun = Instant::now();
    while post.on_their_way() > 0 && begun.elapsed() < GOODBYE {
        // News that come now are of no use any more.
        let _ = post.look();
        std::thread::sleep(Duration::from_millis(1));
    }
}
