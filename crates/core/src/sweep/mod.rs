//! What was asked: settings, the grid that a sweep file and flags span, and its points, the trials.

pub mod grid;
pub mod own_data;
mod points;
pub mod schedule;
pub mod settings;
pub mod spec;

pub use grid::{Axis, Grid};
pub use own_data::OwnData;
pub use settings::{Decides, FIELDS, Field, NAME_FILES, Settings, check_fits};
pub use spec::{Flag, Spec};

/// One point of the sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its place in the sweep, from 1.
    pub number: usize,
    /// Its settings, with every `auto` decided.
    pub settings: Settings,
}
