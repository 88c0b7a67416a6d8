//! Trains stages: which device, which data, which network, and the thread that does it.

pub mod device;
pub mod serve;
pub mod workshop;

pub use serve::{Assignment, Message, spawn};
pub use workshop::Workshop;
