//! Draws masks and sends kept weights back to where they train on from. Works on snapshots, without torch.

pub mod channels;
pub mod criterion;
pub mod densities;
pub mod goal;
pub mod layers;
pub mod regrow;
pub mod rewind;
pub mod scorer;
pub mod ticket;
pub mod unstructured;

pub use layers::prunable;
pub use regrow::{Regrowth, regrow};
pub use rewind::{Sources, starting_point};
pub use scorer::{Scorer, TimePrecision, Want};
pub use ticket::{Pruner, Ticket};
