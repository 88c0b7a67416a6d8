//! Tombola runs sweeps of pruning, lottery-ticket and early-bird experiments.

pub mod cli;
pub mod data;
pub mod error;
pub mod mask;
pub mod net;
