//! A results folder on disk: who may write to it, and the snapshots in it. Only one process writes.

pub mod atomic;
pub mod claim;
pub mod lock;
pub mod masks;
pub mod snapshots;
mod torch_file;
pub mod zipped;

pub use atomic::{write_atomically, write_atomically_by};
pub use claim::Claim;
pub use lock::{Holder, Lock};
pub use masks::MaskPlace;
pub use snapshots::Store;
