//! The program as many ranks, on this machine, on several hosts and in jobs of Slurm, and what happens when some of them fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a test that fails should say where"
)]

#[path = "../common/mod.rs"]
mod common;

// The names decide the order: what waits longest starts first.
mod batch_jobs;
mod differential;
mod failures;
mod hosts;
mod ranks;
mod soak;
