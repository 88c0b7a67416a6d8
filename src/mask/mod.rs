//! Masks without torch: packed bits.

pub mod bits;

pub use bits::Bits;
