//! The journal: an append-only file of records, the truth from which every table is derived.

mod merge;
pub mod read;
pub mod record;
pub mod write;

pub use read::{History, Recent, Running, StageHistory, WorkerHistory};
pub use record::{Drawn, EpochRecord, Evaluation, Outcome, Record, Scores};
pub use write::Journal;
