//! Readers, one a format: from files to examples.
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
mod shards;
mod source;
mod stored;
mod thrift;
mod tree;

/// Finds out which format lies at a path, and where the parts of its set are.
///
/// # Errors
/// Nothing there, nothing that is known, or options that the format does not have.
pub fn open(path: &Path, _options: &DataOptions) -> Result<Parts> {
    Err(Error::input(format!("`{}` is of no format that is read", path.display())))
}
