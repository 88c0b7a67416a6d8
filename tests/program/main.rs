//! The program as its users meet it, in fresh folders on one machine: one file a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a test that fails should say where"
)]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod browser;
mod changing_masks;
mod checkpoints;
mod classes;
mod damage;
mod doctor;
mod early_birds;
mod ends;
mod exports;
mod filters;
mod halving;
mod hanging;
mod help;
mod kept;
mod kill_and_resume;
mod kit;
mod loaded;
mod locks;
mod networks;
mod numbers;
mod onnx_models;
mod operations;
mod original_scripts;
mod own_data;
mod plan;
mod power_cuts;
mod pretended_gpu;
mod programs;
mod questions;
mod report;
mod saved_epochs;
mod script_commands;
mod selftest;
mod serve;
mod settling;
mod setup;
mod slurm;
mod status;
mod steps;
mod taken_over;
mod tickets;
mod timed;
mod tuned;
mod wheel;
