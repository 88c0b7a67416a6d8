//! The time of a process that listens, by which the others count as silent.

use std::time::{Duration, Instant};

/// A turn of whoever listens takes less. One that took longer was held up: by a slow disk, or because the whole process, or its
/// machine, stood still.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// Counts the time that a process paid attention: what it could not have heard in is no silence of others.
#[derive(Debug)]
pub struct AttentiveClock {
    now: Duration,
    looked: Instant,
}

impl AttentiveClock {
    /// A clock that begins at 0.
    pub fn new() -> Self {
        Self { now: Duration::ZERO, looked: Instant::now() }
    }

    /// The time, after a turn.
    pub fn turn(&mut self) -> Duration {
        self.turn_at(Instant::now())
    }

    fn turn_at(&mut self, instant: Instant) -> Duration {
        self.now += instant.saturating_duration_since(self.looked).min(LONGEST_TURN);
        self.looked = instant;
        self.now
    }

    /// The time at the last turn.
    pub fn now(&self) -> Duration {
        self.now
    }
}

impl Default for AttentiveClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_process_was_held_up_does_not_count() {
        let mut clock = AttentiveClock::new();
        let begun = clock.looked;
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!([1, 2, 3].map(|second| clock.turn_at(at(second)).as_secs()), [1, 2, 3]);
        assert_eq!(clock.turn_at(at(3600)), Duration::from_secs(3) + LONGEST_TURN);
        assert_eq!((clock.turn_at(at(3601)), clock.now()), (Duration::from_secs(4) + LONGEST_TURN, clock.now));
    }
}
