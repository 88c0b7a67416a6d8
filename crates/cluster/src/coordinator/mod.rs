//! Decides which stage is trained next, writes down what comes back, and shows how far it is.

mod alike;
pub mod demand;
mod events;
pub mod inventory;
pub mod ledger;
pub mod limit;
mod presence;
pub mod progress;
mod queue;
pub mod rules;
pub mod serve;
pub mod state;
pub mod tables;
mod timed;
mod workers;

pub use demand::{Demand, Need};
pub use events::{Action, Event, Worker};
pub use progress::{Loudness, Progress};
pub use rules::{OnFail, Rules};
pub use state::State;
