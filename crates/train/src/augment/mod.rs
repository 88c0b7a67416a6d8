//! How training images are varied. It may not know of networks or of how a data set is held: images in, images
//! out.

pub mod colour;
pub mod drawn;
pub mod geometry;
mod mixture;
mod variation;

pub use mixture::{Mixing, Mixture};
pub use variation::Variation;
