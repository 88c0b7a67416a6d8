//! What is asked, what follows from it, and what is known so far: without tensors, MPI or threads.
//!
//! In the order in which one may use another:
//!
//! | folder | what it is |
//! | --- | --- |
//! | `mask` | packed bits, distances between masks, when masks have settled |
//! | `net` | a network as a graph: shapes, where its weights lie, channels, costs |
//! | `onnx` | networks in files of ONNX |
//! | `sweep` | the settings, and the grid that a sweep file and flags span |
//! | `place`, `gpus`, `processor` | which device a worker or a rank takes; GPUs that none takes; what this processor can do |
//! | `gpu_faults` | errors after which a GPU is of no use to a process |
//! | `plan` | the forest of trainings that the trials share |
//! | `machine` | the type of this machine in words |
//! | `prune` | draws masks and sends kept weights back |
//! | `trainable` | what could only fail in training, and is refused before |
//! | `training` | what a training tells while it runs, and what it goes on from |
//! | `checkpoint` | weights that others wrote: archives and pickles of PyTorch |
//! | `memory` | how much memory this process may still take |
//! | `own_folder` | a folder for temporary files that nobody else can reach |
//! | `folder` | the results folder: journal, snapshots, masks, lock |
//! | `finding` | how many trainings side by side `tombola tune` found to be best |
//!
//! This crate may know `tombola_words` only.

pub mod checkpoint;
pub mod finding;
pub mod folder;
pub mod gpu_faults;
pub mod gpus;
pub mod machine;
pub mod mask;
pub mod memory;
pub mod net;
pub mod onnx;
pub mod own_folder;
pub mod place;
pub mod plan;
pub mod processor;
pub mod prune;
pub mod sweep;
pub mod trainable;
pub mod training;
