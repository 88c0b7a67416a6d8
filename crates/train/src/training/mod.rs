//! One training, from its first weights to its last. It knows nothing of sweeps, files or workers.

pub mod average;
mod barrier;
mod changing;
mod clock;
pub mod evaluate;
pub mod form;
mod masks;
pub mod objective;
pub mod optimizer;
pub mod portions;
pub mod replay;
pub mod room;
pub mod run;
pub mod scores;
mod start;
pub mod step;
mod task;
pub mod tf32;

pub use run::run;
pub use step::{step, step_towards};
pub use task::Task;
