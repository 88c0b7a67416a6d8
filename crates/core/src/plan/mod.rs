//! From trials to the forest of trainings that they share.

mod advice;
mod asked;
pub mod estimate;
pub mod forest;
mod loaded;
mod lookup;
pub mod networks;
mod pruning;
mod revision;
pub mod stage;
mod track;

pub use advice::Advice;
pub use asked::{Asked, grow};
pub use forest::{Chain, Part, Plan};
pub use loaded::{LoadedFile, LoadedFiles, loaded_anew};
pub use networks::{Network, Networks};
pub use pruning::Pruning;
pub use stage::{Stage, dense_id};
pub use track::{Bird, Track};
