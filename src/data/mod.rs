//! Images and labels: read from public file formats, split, and cut into batches.

#[cfg(feature = "torch")]
pub mod batches;
pub mod catalogue;
pub mod check;
mod checksum;
pub mod cifar;
pub mod fetch;
pub mod idx;
pub mod images;
pub mod places;
pub mod split;
pub mod synthetic;

pub use images::{DataSet, Images};
pub use places::load;
pub use split::{Normalisation, Split, split};
pub use synthetic::synthetic;

#[cfg(test)]
mod samples;
