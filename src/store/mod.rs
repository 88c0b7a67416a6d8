//! A results folder on disk: who may write to it, and the snapshots in it. Only one process writes.

pub mod atomic;
pub mod lock;
pub mod snapshots;

pub use atomic::write_atomically;
pub use lock::Lock;
pub use snapshots::Store;
