//! Masks without torch: packed bits, how far they are from each other, when they have settled, and when they change
//! while a training runs.

pub mod bits;
pub mod changing;
pub mod early_bird;
pub mod hamming;
pub mod overlap;
pub(crate) mod place;

pub use bits::Bits;
pub use changing::{ChangeCourse, ChangeRule, Changing};
pub use early_bird::Settling;
pub use place::MaskPlace;
