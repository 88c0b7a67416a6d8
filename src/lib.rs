//! Tombola runs sweeps of pruning, lottery-ticket and early-bird experiments. Here are its verbs, one file each.

pub mod doctor;
pub mod memory;
pub mod trainer;
pub mod verbs;
