//! Who trains what, where and when: the coordinator, its workers, and the link between them.
//!
//! | folder | what it is |
//! | --- | --- |
//! | `link` | what the coordinator and its workers say, how it travels within a process, and what started this process |
//! | `worker` | the thread that trains one stage after another |
//! | `coordinator` | decides which stage is next, writes down what comes back, shows how far it is |
//! | `slurm` | a job of Slurm's for a sweep |
//! | `clock` | the time in which a process could have heard others |
//!
//! This crate may not know how a stage is trained, or of MPI: `tombola_ranks` has the link between processes.

pub mod clock;
pub mod coordinator;
mod held;
pub mod link;
pub mod slurm;
pub mod worker;
