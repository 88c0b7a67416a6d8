//! Decides which stage is trained next, writes down what comes back, and shows how far it is.

mod crew;
pub mod demand;
pub mod ledger;
pub mod limit;
pub mod progress;
mod queue;
mod roster;
pub mod rules;
pub mod serve;
pub mod state;

pub use demand::{Demand, Need};
pub use progress::{Loudness, Progress};
pub use rules::{OnFail, Rules};
pub use state::{Action, Event, State, Worker};
