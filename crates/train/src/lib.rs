//! Tensors: one training on one device. The only place of libtorch.
//!
//! In the order in which one may use another:
//!
//! | place | what it is |
//! | --- | --- |
//! | `cuda` | NVIDIA GPUs, as far as the bindings do not reach |
//! | `device` | the devices that libtorch has |
//! | `determinism` | kernels that add in the same order each time |
//! | `augment` | how training images are varied |
//! | `batches` | data on a device, cut into batches and varied |
//! | `network` | weights as one tensor, the forward pass, kernels |
//! | `race` | networks in evaluation, timed by turns |
//! | `memory` | memory that tensors free is kept for the next |
//! | `training` | one training from its first weights to its last |
//! | `recipe` | what a recipe asks of its data and its network |
//! | `workshop` | networks and data that the workers of a process share |
//! | `script` | a network as TorchScript |
//! | `exactness` | how exactly a network is computed |
//! | `rehearsal` | a training on made-up images, to compare ways of taking steps |
//! | `measure` | one step, timed |
//!
//! This crate may not know of sweeps' files, workers or messages.

pub mod ahead;
pub mod augment;
pub mod batches;
pub mod cuda;
mod data_part;
pub mod determinism;
pub mod device;
pub mod exactness;
pub mod measure;
pub mod memory;
pub mod network;
pub mod race;
pub mod recipe;
pub mod rehearsal;
pub mod script;
pub mod training;
pub mod workshop;

/// libtorch itself, for tests that read what was written.
pub use tch;

/// Lets go of a tensor: of one that an operation in place gives back, which is the one that it changed.
fn done(_tensor: tch::Tensor) {}
pub use tch::Device;
