//! The last run on a results folder: whether it is at work, or how it came to its end.
//!
//! It may not know of files: whoever looks at the lock and at the times of the files says what was found.

use std::ops::Range;

use tombola_core::folder::Holder;
use tombola_core::folder::journal::History;
use tombola_words::value::Shard;

/// Seconds without a word after which a run that cannot be seen counts as gone. One that works writes to its log each
/// half minute.
const SILENCE: f64 = 120.0;

/// The last run on a results folder, or on the folder of one shard.
#[derive(Debug, Clone)]
pub struct Run {
    /// The part of the sweep that it trains, if not all of it.
    pub shard: Option<Shard>,
    /// The numbers that its workers have in the history.
    pub workers: Range<usize>,
    /// How many runs there were, this one included.
    pub runs: usize,
    /// When it began, in seconds since 1970; 0 if there was none.
    pub begun: u64,
    /// How it ended, if it told.
    pub ended: Option<String>,
    /// When that was.
    pub ended_at: Option<f64>,
    /// Who holds the lock.
    pub holder: Holder,
    /// When something was last written, in seconds since 1970.
    pub written: Option<f64>,
}

/// Whether a run is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// None has begun yet.
    None,
    /// It is.
    Running,
    /// It wrote something a moment ago, but its lock cannot be seen from here.
    Probably,
    /// It came to its end.
    Ended,
    /// It left without a word.
    Killed,
}

impl Activity {
    /// The word for it in the JSON form.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Probably => "probably-running",
            Self::Ended => "ended",
            Self::Killed => "killed",
        }
    }

    /// Whether somebody is, or seems to be, at work.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Probably)
    }
}

impl Run {
    /// What a journal tells of the last run, beside what was found out about the folder.
    pub fn of(history: &History, shard: Option<Shard>, holder: Holder, written: Option<f64>) -> Self {
        Self {
            shard,
            workers: 0..history.workers.last_key_value().map_or(0, |(number, _)| number + 1),
            runs: history.runs,
            begun: history.begun,
            ended: history.ended.clone(),
            ended_at: history.ended_at,
            holder,
            written,
        }
    }

    /// Whether it is at work at this time.
    pub fn activity(&self, now: f64) -> Activity {
        match &self.holder {
            Holder::Process(_) => Activity::Running,
            _ if self.ended.is_some() => Activity::Ended,
            Holder::Unknown(_) if self.written.is_some_and(|written| now - written < SILENCE) => Activity::Probably,
            _ if self.runs == 0 => Activity::None,
            _ => Activity::Killed,
        }
    }

    /// The process that holds, or last held, the lock, in words.
    pub fn process(&self) -> Option<&str> {
        match &self.holder {
            Holder::Process(words) | Holder::Unknown(words) if !words.is_empty() => Some(words),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(holder: Holder, ended: Option<&str>, written: f64) -> Run {
        let mut run = Run::of(&History::default(), None, holder, Some(written));
        (run.runs, run.begun, run.ended) = (1, 10, ended.map(str::to_string));
        run
    }

    #[test]
    fn a_lock_that_is_held_says_all() {
        let process = || Holder::Process("process 1 on here".into());
        assert_eq!(run(process(), None, 0.0).activity(1e6), Activity::Running);
        // The next one has begun and not yet written anything.
        assert_eq!(run(process(), Some("done"), 0.0).activity(1e6), Activity::Running);
    }

    #[test]
    fn a_free_lock_without_a_word_of_an_end_means_killed() {
        assert_eq!(run(Holder::Nobody, None, 99.0).activity(100.0), Activity::Killed);
        assert_eq!(run(Holder::Nobody, Some("done"), 99.0).activity(100.0), Activity::Ended);
        let never = Run { runs: 0, ..run(Holder::Nobody, None, 99.0) };
        assert_eq!(never.activity(100.0), Activity::None);
    }

    #[test]
    fn where_locks_cannot_be_seen_what_was_written_a_moment_ago_counts() {
        let unknown = || Holder::Unknown("process 1 on another".into());
        assert_eq!(run(unknown(), None, 1000.0).activity(1040.0), Activity::Probably);
        assert_eq!(run(unknown(), None, 1000.0).activity(2000.0), Activity::Killed);
        assert_eq!(run(unknown(), Some("stopped"), 1000.0).activity(1001.0), Activity::Ended);
    }
}
