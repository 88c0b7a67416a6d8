//! Decides which stage is trained next, writes down what comes back, and shows how far it is.

pub mod state;

pub use state::{Action, Event, State};
