//! How training images are varied. It may not know of networks or of how a data set is held: bytes in, bytes out.

mod variation;

pub use variation::Variation;
