//! Trainings on tensors, without the program: against recorded values of PyTorch, against each other, against plain loops.
//!
//! `TOMBOLA_TEST_DEVICE=cuda` runs them on a GPU.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a test that fails should say where"
)]

mod augment;
mod changing;
mod channels;
mod compact;
mod counterparts;
mod criteria;
mod exactness;
mod gpu;
mod inputs;
mod kernels;
mod place;
mod recipes;
mod reference;
mod training;
