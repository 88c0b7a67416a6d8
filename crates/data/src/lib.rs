//! Images and labels: from public and own files to bytes.
//!
//! | file | what it is |
//! | --- | --- |
//! | `images` | what every reader gives: pixels and labels |
//! | `idx`, `cifar`, `synthetic` | the readers of sets that have a name, one a format |
//! | `places`, `check`, `checksum`, `fetch` | where files lie, whether they are right, how they come here |
//! | `example`, `readers` | one example after the other, from the formats that people have |
//! | `own`, `part_file` | data of the user's own: looked at, decoded, put into their order, kept; and the file of a part |
//! | `values` | many values, in memory or mapped |
//! | `filter` | long or short waves of images in the place of the images |
//! | `split` | training and validation parts, and how images are normalised |
//!
//! This crate may not know of networks, tensors or sweeps.

pub mod check;
mod checksum;
pub mod cifar;
pub mod example;
pub mod fetch;
pub mod filter;
pub mod idx;
pub mod images;
pub mod own;
mod part_file;
pub mod places;
pub mod readers;
pub mod split;
pub mod synthetic;
mod values;

pub use images::{DataSet, Images};
pub use places::load;
pub use split::{Normalisation, Split, split, unlike, untrained};
pub use synthetic::{load_or_make, synthetic};
pub use values::{ValueKind, Values};

#[cfg(test)]
mod samples;

/// Notes for `scripts/test` that a test could not run.
#[cfg(test)]
fn skipped(test: &str, reason: &str) {
    use std::io::Write;
    if let Some(path) = std::env::var_os("TOMBOLA_SKIPPED_TESTS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
