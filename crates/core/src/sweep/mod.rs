//! What was asked: settings, the grid that a sweep file and flags span, and its points, the trials.

mod condition;
mod defaults;
pub mod grid;
mod idle;
mod levels;
pub mod own_data;
mod points;
mod range;
mod rates;
pub mod schedule;
pub mod settings;
pub mod spec;
mod spellings;

pub use condition::Condition;
pub use grid::{Axis, Grid, GridSample};
pub use idle::IDLE_CURE;
pub use own_data::OwnData;
pub use rates::rate_of;
pub use settings::{Decides, FIELDS, Field, NAME_FILES, SEEDS, Settings, check_fits};
pub use spec::{Flag, Spec};
pub use spellings::{SPELLINGS, Spelling};

/// One point of the sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its place in the sweep, from 1.
    pub number: usize,
    /// Its settings, with every `auto` decided.
    pub settings: Settings,
}
