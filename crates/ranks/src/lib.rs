//! Processes that talk by MPI: the only place that names it.
//!
//! | file | what it is |
//! | --- | --- |
//! | `mpi` | begins and ends MPI |
//! | `post` | sends and probes messages |
//! | `beginning` | ends a process that waits within MPI for a rank that was killed before MPI had begun |
//! | `pieces` | long messages in pieces |
//! | `link` | the coordinator's end: all ranks, and the worker in its own process |
//! | `heart` | signs of life of rank 0, whatever its main thread is at |
//! | `worker` | a rank other than 0: passes orders to its training thread, and words back |
//!
//! This crate may not know how a stage is trained.

mod beginning;
mod heart;
pub mod link;
pub mod mpi;
pub mod pieces;
pub mod post;
pub mod worker;
