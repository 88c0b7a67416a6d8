//! Draws masks and sends kept weights back to where they train on from. Works on snapshots, without torch.

pub mod criterion;
pub mod rewind;
pub mod unstructured;

pub use rewind::{Sources, starting_point};
pub use unstructured::draw;
