//! Measures this machine for `tombola bench` and `tombola tune`: rows of figures, kept as dated records, so that a later
//! run on the same type of machine shows what became slower.

pub mod peer;
pub mod record;
pub mod start;
pub mod step;
pub mod steps;
pub mod tune;
pub mod whole;

pub use record::Row;
