//! The journal: an append-only file of records, the truth from which every table is derived.

mod merge;
pub mod read;
pub mod write;

pub use read::{History, Recent, Running, Shift, StageHistory, WorkerHistory};
pub use write::Journal;
