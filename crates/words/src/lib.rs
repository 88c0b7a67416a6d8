//! The words that every other crate uses and none of them owns. Nothing here does anything, but for the last five.
//!
//! | file | word |
//! | --- | --- |
//! | `value` | what a setting can be: numbers, choices, moments, shards |
//! | `stage_id`, `shape` | the name of a training, the shape of an image or a vector |
//! | `arithmetic` | what a training was computed with |
//! | `duration` | a time that is given as a number |
//! | `record` | what the journal holds |
//! | `checksum` | of what lies on disk |
//! | `catalogue` | the data sets that Tombola knows: names, shapes, files, checksums |
//! | `parts` | how many training images are trained on and how many validate |
//! | `filtering` | which images a filter is defined for |
//! | `error` | what goes wrong, with its cure and its exit code |
//! | `stream` | random numbers, named by seed, purpose and counters |
//! | `speech` | the only place that prints |
//! | `regular` | files that are no pipes or devices |
//! | `process` | other processes of this machine |
//! | `signals` | what asks a run to stop |
//! | `guarded` | libraries that panic at damaged files |
//! | `fault` | failures on purpose, for tests |
//!
//! This crate may not know of any other.

pub mod arithmetic;
pub mod catalogue;
mod checksum;
mod duration;
pub mod error;
pub mod fault;
mod filtering;
pub mod guarded;
mod own_data;
pub mod parts;
pub mod process;
pub mod record;
pub mod regular;
mod shape;
pub mod signals;
pub mod speech;
mod stage_id;
pub mod statistics;
pub mod stream;
pub mod value;

pub use checksum::Checksum;
pub use duration::seconds;
pub use filtering::check_filter;
pub use own_data::{Alpha, AxesOrder, DataForm, DataOptions, DataShape, Resize};
pub use shape::{Axes, MOST_AXES, Shape};
pub use stage_id::StageId;
