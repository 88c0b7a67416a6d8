//! Masks without torch: packed bits, how far they are from each other, and when they have settled.

pub mod bits;
pub mod early_bird;
pub mod hamming;
pub mod overlap;
pub(crate) mod place;

pub use bits::Bits;
pub use early_bird::Settling;
pub use place::MaskPlace;
