//! Tombola runs sweeps of pruning, lottery-ticket and early-bird experiments. Here are its verbs, one file
//! each, `doctor`, `selftest`, and what is decided before anything trains: which program that does, whether its libraries are there, and
//! how its memory is kept.

pub mod doctor;
pub mod libraries;
pub mod memory;
pub mod selftest;
pub mod training_program;
pub mod verbs;
