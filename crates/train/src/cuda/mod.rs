//! NVIDIA GPUs, as far as the bindings to libtorch do not reach: which GPU and stream a thread computes on, CUDA graphs, memory.
//!
//! | place | what it is |
//! | --- | --- |
//! | `cuda.cpp` | the functions of CUDA and libtorch behind plain ones: a library that this program carries |
//! | `pretended` | what tests put in their place |
//! | `part` | libtorch's CUDA part, and the GPUs that it finds |
//! | `private` | how a library is loaded that lies in a program |
//! | `shim` | the functions of that library, once it is loaded, and how their failures are read |
//! | `lane` | the GPU and stream of a thread: chosen once, kept for its life |
//! | `graph` | work that is captured once and replayed |
//! | `trials` | ways that may be faster, to be measured |
//! | `gpu` | what a GPU is called, and how much of its memory is free |
//!
//! It may not know of networks or trainings. Without a GPU every function gives the reason why there is none, and does nothing.

pub mod gpu;
pub mod graph;
pub mod lane;
pub mod part;
#[cfg(test)]
mod pretended;
mod private;
mod shim;
pub mod trials;

pub use graph::{CaptureFailure, CudaGraph};
