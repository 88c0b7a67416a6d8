//! One training, from its first weights to its last. It knows nothing of sweeps, files or workers.

#[cfg(feature = "torch")]
mod barrier;
#[cfg(feature = "torch")]
pub mod evaluate;
#[cfg(feature = "torch")]
pub mod form;
#[cfg(feature = "torch")]
pub mod graph;
#[cfg(feature = "torch")]
mod masks;
pub mod memory;
#[cfg(feature = "torch")]
pub mod optimizer;
#[cfg(feature = "torch")]
pub mod replay;
pub mod report;
pub mod room;
#[cfg(feature = "torch")]
pub mod run;
pub mod schedule;
#[cfg(feature = "torch")]
pub mod scores;
#[cfg(feature = "torch")]
mod start;
#[cfg(feature = "torch")]
pub mod step;
#[cfg(feature = "torch")]
pub mod tf32;

pub use report::{Flow, Report, Resume};
#[cfg(feature = "torch")]
pub use run::{Task, run};
#[cfg(feature = "torch")]
pub use step::step;
