//! A results folder on disk: its journal, its snapshots and masks, and who may write to it. Only one process writes.

mod asked;
pub mod atomic;
pub mod claim;
pub mod journal;
pub mod lock;
pub mod masks;
pub mod repair;
pub mod snapshots;

pub use asked::{plan_of, spec_of};
pub use atomic::{make_folder, write_atomically, write_atomically_by};
pub use claim::Claim;
pub use lock::{Holder, Lock};
pub use snapshots::Store;
