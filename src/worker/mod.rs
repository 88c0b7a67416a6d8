//! Trains stages: which device, which data, which network, the thread that does it, and the rank that it lives in.

#[cfg(feature = "torch")]
pub mod device;
pub mod place;
pub mod processor;
#[cfg(feature = "mpi")]
pub mod rank;
pub mod serve;
#[cfg(feature = "torch")]
pub mod trainer;
#[cfg(feature = "torch")]
pub mod workshop;

pub use serve::{Handle, Trainer, spawn};
#[cfg(feature = "torch")]
pub use workshop::Workshop;
