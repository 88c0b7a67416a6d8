//! From trials to the forest of trainings that they share.

pub mod estimate;
pub mod forest;
mod lookup;
pub mod networks;
pub mod stage;

pub use forest::{Chain, Plan};
pub use networks::{Network, Networks};
pub use stage::{Pruning, Stage, StageId};
