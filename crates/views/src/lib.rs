//! What a reader sees of a sweep, from its plan and journal alone.
//!
//! | folder | what it is |
//! | --- | --- |
//! | `tables` | the CSV files, and the table on the terminal |
//! | `status` | how far a sweep is, and why a training stands where it stands |
//! | `report` | one page with charts, made from the tables |
//!
//! This crate may not know how anything is trained.

pub mod report;
pub mod status;
pub mod tables;
