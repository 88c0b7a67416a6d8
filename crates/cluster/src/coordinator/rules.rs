//! How patient a run is: with workers that fall silent, with trainings that hang, and with stages that go wrong. It may not
//! know of how any of these is noticed.

use std::time::Duration;

pub use tombola_words::value::OnFail;

/// A training may be silent for as long as so many of its epochs take: evaluations and masks come between them.
const EPOCHS: u32 = 10;
/// So many times longer may it be silent before its first epoch is done: until then its speed is only estimated, and a
/// device is slow to begin.
const BEGINNING: u32 = 3;
/// Workers at which a stage may hang before it is the stage that is given up.
pub(super) const MOST_HANGS: usize = 2;

/// How patient a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A worker that is silent for longer is lost.
    pub lease: Duration,
    /// A training that reports nothing for longer hangs, unless its epochs are long.
    pub give_up_after: Duration,
    /// How often a stage that failed is tried again in the same run.
    pub retries: usize,
    /// What a stage that failed for good means for the others.
    pub on_fail: OnFail,
    /// The run stops when this many stages have failed for good.
    pub max_fails: Option<usize>,
}

impl Default for Rules {
    /// A lease of eight signs of life; no retries, because the same bits usually fail the same way.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(20),
            give_up_after: Duration::from_secs(600),
            retries: 0,
            on_fail: OnFail::Continue,
            max_fails: None,
        }
    }
}

impl Rules {
    /// Longest silence of a training whose last epoch took so long.
    pub(super) fn patience(&self, epoch: Duration) -> Duration {
        self.give_up_after.max(epoch.saturating_mul(EPOCHS))
    }

    /// Longest time that a worker may take to load its data and get ready.
    pub fn until_ready(&self) -> Duration {
        self.first_patience(Duration::ZERO)
    }

    /// Longest silence of a training before the end of its first epoch, which is estimated to take so long.
    pub(super) fn first_patience(&self, epoch: Duration) -> Duration {
        self.patience(epoch).saturating_mul(BEGINNING)
    }

    /// Whether this many stages that failed for good, at least one, are enough to stop.
    pub(super) fn is_enough(&self, failed: usize) -> bool {
        self.on_fail == OnFail::Stop || self.max_fails.is_some_and(|most| failed >= most)
    }
}
