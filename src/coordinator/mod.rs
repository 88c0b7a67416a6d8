//! Decides which stage is trained next, writes down what comes back, and shows how far it is.

pub mod progress;
#[cfg(feature = "torch")]
pub mod serve;
pub mod state;

pub use progress::{Loudness, Progress};
pub use state::{Action, Event, State};
