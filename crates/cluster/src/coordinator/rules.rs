//! How patient a run is: with workers that fall silent, and with stages that go wrong. It may not know of how either is
//! noticed.

use std::time::Duration;

pub use tombola_words::value::OnFail;

/// How patient a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A worker that is silent for longer is lost.
    pub lease: Duration,
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
        Self { lease: Duration::from_secs(20), retries: 0, on_fail: OnFail::Continue, max_fails: None }
    }
}

impl Rules {
    /// Whether this many stages that failed for good, at least one, are enough to stop.
    pub(super) fn is_enough(&self, failed: usize) -> bool {
        self.on_fail == OnFail::Stop || self.max_fails.is_some_and(|most| failed >= most)
    }
}
