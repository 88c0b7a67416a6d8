//! What was asked: settings, the grid that a sweep file and flags span, and its points, the trials.

mod choices;
pub mod grid;
mod moment;
pub mod settings;
pub mod shard;
pub mod spec;
pub mod value;

pub use grid::{Axis, Grid};
pub use settings::{Decides, FIELDS, Field, Settings};
pub use spec::{Flag, Spec};
pub use value::Value;

/// One point of the sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its place in the sweep, from 1.
    pub number: usize,
    /// Its settings, with every `auto` decided.
    pub settings: Settings,
}
