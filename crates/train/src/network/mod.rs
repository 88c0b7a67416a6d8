//! A network with tensors: its weights, and what flows from images to scores.

pub mod arena;
pub mod forward;
mod fused;
pub mod leaves;
pub mod noise;
mod operations;
mod strided;
