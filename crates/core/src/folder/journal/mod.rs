//! The journal: an append-only file of records, the truth from which every table is derived.

mod chronicle;
mod file;
pub mod frames;
mod merge;
mod mixture;
pub mod read;
mod results;
mod seal;
pub mod write;

pub use chronicle::Chronicle;
pub(super) use file::{Survey, survey};
pub use mixture::counted;
pub use read::{History, Recent, Running, Shift, StageHistory, WorkerHistory};
pub use results::{KnownResults, comes_to_nothing};
pub use seal::Seal;
pub use write::Journal;
pub(in crate::folder) use write::refuse_other_writer;
