//! Weights and masks that other programs wrote: archives of NumPy and PyTorch, and the pickles in them. Nothing in a file is run.
//!
//! A file is read in three steps. `tables.rs` lists its tensors, whatever form it has. `fit.rs` finds those of the network among
//! them. `weights.rs` and `masks.rs` take their values.

mod by_order;
mod compact;
mod fit;
mod masks;
mod names;
mod npz;
mod pieces;
mod refusal;
mod tables;
pub mod torch_file;
mod values;
mod weights;
mod wording;
pub mod zipped;

pub use compact::{KeptChannels, channel_facts};
pub use masks::{TakenMask, mask_in};
pub use names::NamePairs;
pub(crate) use tables::VERSION;
pub use weights::{Choices, Taken, weights};

#[cfg(test)]
mod hand_made;
#[cfg(test)]
mod tests;
