//! Archives in the form of zip, as NumPy and PyTorch write them.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use tombola_words::error::{Error, Result};

/// The bytes of an archive of some files, stored as they are, with a comment; the same for the same files, whenever it is made.
///
/// # Errors
/// When a file is larger than the form allows.
pub fn archive(files: impl Iterator<Item = (String, Vec<u8>)>, comment: &str) -> Result<Vec<u8>> {
    let fail = |error: &dyn std::fmt::Display| Error::environment(format!("cannot make an archive: {error}"));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.set_comment(comment).map_err(|error| fail(&error))?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for (name, bytes) in files {
        writer.start_file(name, options.large_file(bytes.len() >= u32::MAX as usize)).map_err(|error| fail(&error))?;
        writer.write_all(&bytes).map_err(|error| fail(&error))?;
    }
    Ok(writer.finish().map_err(|error| fail(&error))?.into_inner())
}

/// The bytes of the archive in `bytes`, which `path` holds, with one more file in the folder that all of it is in.
///
/// # Errors
/// When it is no archive, or a damaged one.
pub fn with_file(path: &Path, bytes: &[u8], name: &str, contents: &[u8]) -> Result<Vec<u8>> {
    let fail = |error: &dyn std::fmt::Display| {
        Error::environment(format!("cannot add `{name}` to `{}`: {error}", path.display()))
    };
    let mut own = Archive::open(path, bytes)?;
    let names = own.names();
    let folder = names.first().and_then(|name| name.split_once('/')).map_or("", |(folder, _)| folder);
    let mut writer = ZipWriter::new(Cursor::new(Vec::with_capacity(bytes.len() + contents.len())));
    for index in 0..own.archive.len() {
        // As it is: compressed files stay so.
        let file = own.archive.by_index_raw(index).map_err(|error| fail(&error))?;
        writer.raw_copy_file(file).map_err(|error| fail(&error))?;
    }
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    writer.start_file(format!("{folder}/{name}"), options).map_err(|error| fail(&error))?;
    writer.write_all(contents).map_err(|error| fail(&error))?;
    Ok(writer.finish().map_err(|error| fail(&error))?.into_inner())
}

/// An archive that is read.
#[derive(Debug)]
pub struct Archive<'a> {
    path: &'a Path,
    archive: ZipArchive<Cursor<&'a [u8]>>,
}

impl<'a> Archive<'a> {
    /// Opens the archive in `bytes`, which `path` holds.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
            Error::input(format!("`{}` is no zip archive, or a damaged one: {error}", path.display()))
        })?;
        Ok(Self { path, archive })
    }

    /// The names of its files; those that are no text are left out.
    pub fn names(&self) -> Vec<String> {
        self.archive.file_names().flatten().map(std::borrow::Cow::into_owned).collect()
    }

    /// One of its files.
    ///
    /// # Errors
    /// When it is missing, damaged, or larger than `most` bytes.
    pub fn read(&mut self, name: &str, most: u64) -> Result<Vec<u8>> {
        let damaged = |what: String| Error::input(format!("`{}` is damaged: `{name}` {what}", self.path.display()));
        let file = self.archive.by_name(name).map_err(|error| damaged(format!("cannot be read: {error}")))?;
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(|error| damaged(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > most {
            return Err(damaged(format!("is larger than the {most} bytes that it may have")));
        }
        Ok(bytes)
    }
}
