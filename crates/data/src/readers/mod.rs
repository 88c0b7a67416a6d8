//! Readers, one a format: from files to examples.
//!
//! | file | what it is |
//! | --- | --- |
//! | `set`, `kind` | which files make a set, and of what format each is |
//! | `parts`, `pattern`, `tree` | which part of a set a name belongs to, names with `*`, folders below folders |
//! | `source`, `scalar`, `stored`, `form`, `labelled`, `named` | arrays: their bytes, numbers, examples, the shape of these, their labels, their names |
//! | `npy`, `npz`, `safetensors_file`, `matlab`, `idx_files`, `records`, `pickled`, `cifar_python` | formats of arrays |
//! | `folders`, `csv_rows`, `shards`, `parquet_rows`, `thrift` | formats of examples |
//!
//! Nothing in a file is believed before it is checked, and no more memory is taken than an example needs, whatever a file says of
//! itself. Readers may not know what becomes of examples.

use std::path::Path;

use super::example::Parts;
use tombola_words::DataOptions;
use tombola_words::error::{Error, Result};

mod cifar_python;
mod csv_rows;
mod folders;
mod form;
mod idx_files;
mod kind;
mod labelled;
mod matlab;
mod named;
mod npy;
mod npz;
mod parquet_rows;
mod parts;
mod pattern;
mod pickled;
mod records;
mod safetensors_file;
mod scalar;
mod set;
mod shards;
mod source;
mod stored;
mod thrift;
mod tree;

/// Finds out which format lies at a path, and where the parts of its set are. The last piece of a path may be a pattern of files:
/// `train-{0000..0012}.tar`, `*.parquet`.
///
/// # Errors
/// Nothing there, nothing that is known, or options that the format does not have.
pub fn open(path: &Path, options: &DataOptions) -> Result<Parts> {
    match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => set::of_folder(path, options),
        Ok(_) => set::of_file(path, options),
        Err(_) if pattern::is_pattern(&path.to_string_lossy()) => set::of_pattern(path, options),
        Err(error) => Err(Error::file("read", path, &error)),
    }
}

#[cfg(test)]
mod tests;
