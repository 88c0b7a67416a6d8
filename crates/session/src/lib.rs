//! One run of a sweep, from its results folder to its tables.
//!
//! | file | what it is |
//! | --- | --- |
//! | `request` | what is to be trained, and how much is told |
//! | `opening` | takes the folder, reads the journal, finds out what is missing, loads networks and data |
//! | `adopt` | dense trainings that a neighbouring folder has already |
//! | `start` | which of the two that follow this process is |
//! | `alone`, `ranks` | the workers: threads of one process, or processes that talk by MPI |
//! | `tuned` | how many workers, where `tombola tune` has measured it |
//! | `trainer` | a worker's training: a stage of the plan by `tombola_train` |
//! | `closing` | the last tables, and how it ended |
//!
//! This crate may not know of command lines.

mod adopt;
mod alone;
mod closing;
mod opening;
#[cfg(feature = "mpi")]
mod ranks;
mod request;
mod start;
mod trainer;
mod tuned;

pub use request::Request;
pub use start::start;
