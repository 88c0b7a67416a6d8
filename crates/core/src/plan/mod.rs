//! From trials to the forest of trainings that they share.

mod advice;
mod asked;
mod demanded;
mod digits;
pub mod estimate;
mod extent;
pub mod forest;
pub mod form;
pub mod halving;
mod loaded;
mod lookup;
mod near;
pub mod networks;
pub mod outside;
mod pruning;
mod revision;
pub mod search;
pub mod stage;
mod track;
mod twins;

pub use advice::Advice;
pub use asked::{Asked, grow};
pub use demanded::{Needed, NoResults};
pub use extent::Extent;
pub use forest::{Chain, Part, Plan};
pub use halving::Halving;
pub use loaded::{LoadedFile, LoadedFiles, LoadedPart, loaded_anew};
pub use near::near_misses;
pub use networks::{Network, Networks};
pub use pruning::{LayerChoice, Pruning, Teaching};
pub use search::{Demanded, Search, SearchState, TrainingResults};
pub use stage::{Stage, dense_id};
pub use track::{Bird, Track};
