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

use std::path::{Path, PathBuf};

use super::example::{Content, Label, Numbers, Reader, SetParts};
use super::images::Images;
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
mod thrift_types;
mod tree;

/// Finds out which format lies at a path, and where the parts of its set are. The last piece of a path may be a pattern of files:
/// `train-{0000..0012}.tar`, `*.parquet`.
///
/// # Errors
/// Nothing there, nothing that is known, or options that the format does not have.
pub fn open(path: &Path, options: &DataOptions) -> Result<SetParts> {
    parts::SetPart::check(options)?;
    let parts = match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => set::of_folder(path, options),
        Ok(_) => set::of_file(path, options),
        Err(_) if pattern::is_pattern(&path.to_string_lossy()) => set::of_pattern(path, options),
        Err(error) => Err(Error::file("read", path, &error)),
    }?;
    set::check_options(&parts, options)?;
    Ok(parts)
}

/// The batches of the Python version of CIFAR as the binary version would be read.
///
/// # Errors
/// Files that are none, and labels that are not below `classes`.
pub(super) fn cifar_of_python(files: &[PathBuf], classes: usize) -> Result<Images> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in files {
        cifar_python::batch(path)?.read(&mut |example| {
            let label = match example.label {
                Label::Number(number) => u16::try_from(number).ok(),
                Label::Word(_) => None,
            };
            let (Content::Array(array), Some(label)) = (example.content, label) else {
                return Err(Error::input(format!("`{}` has a label that is none of a class", path.display()))
                    .hint(source::AGAIN));
            };
            if let Numbers::Bytes(bytes) = array.numbers {
                pixels.extend(bytes);
            }
            labels.push(label);
            Ok(())
        })?;
    }
    Images::new(pixels, labels, (3, 32, 32), classes).map_err(|error| error.hint(source::AGAIN))
}

#[cfg(test)]
mod tests;
