//! Tombola runs sweeps of pruning, lottery-ticket and early-bird experiments.

#[cfg(feature = "torch")]
pub mod bench;
pub mod cli;
pub mod coordinator;
pub mod data;
pub mod doctor;
pub mod error;
pub mod export;
pub mod fault;
pub mod journal;
pub mod link;
pub mod mask;
pub mod net;
pub mod plan;
pub mod prune;
pub mod report;
pub mod slurm;
pub mod status;
pub mod store;
pub mod stream;
pub mod sweep;
pub mod tables;
pub mod train;
#[cfg(feature = "torch")]
pub mod trainer;
pub mod worker;
