//! Measures this machine for `tombola bench` and `tombola tune`: rows of figures, kept as dated records, so that a later
//! run on the same type of machine shows what became slower.

pub(super) mod peer;
pub(super) mod record;
pub(super) mod start;
pub(super) mod step;
pub(super) mod target;
mod threads;
pub(super) mod tune;
pub(super) mod whole;

pub(super) use record::MeasuredFigure;
