//! Appends records to a journal.
//!
//! A frame is the payload's length and CRC-32, four bytes each, little-endian, then the payload. A frame is written by
//! one call, so that a kill leaves whole frames and at most one torn tail, which `read.rs` drops.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tombola_words::error::{Error, Result};
use tombola_words::record::Record;

/// The first bytes of every journal: a name and the version of the format.
pub(super) const HEADER: &[u8; 16] = b"tombola journal1";

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens a journal behind its last whole frame, `end`, or begins one when there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, cut or begun.
    pub fn open(path: &Path, end: u64) -> Result<Self> {
        let fail = |error: &std::io::Error| Error::file("write", path, error);
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|e| fail(&e))?;
        let mut journal = Self { file, path: path.to_path_buf() };
        if end == 0 {
            journal.file.set_len(0).map_err(|e| fail(&e))?;
            journal.file.write_all(HEADER).map_err(|e| fail(&e))?;
        } else {
            journal.file.set_len(end).map_err(|e| fail(&e))?;
        }
        journal.sync()?;
        Ok(journal)
    }

    /// Appends one record. After a kill of this process it is there; after a power failure only if [`Journal::sync`]
    /// followed.
    ///
    /// # Errors
    /// When the disk is full or the file cannot be written. What was written before stays readable.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let payload = rmp_serde::to_vec_named(record)
            .map_err(|error| Error::environment(format!("cannot encode a journal record: {error}")))?;
        let mut frame = Vec::with_capacity(payload.len() + 8);
        frame.extend((payload.len() as u32).to_le_bytes());
        frame.extend(crc32fast::hash(&payload).to_le_bytes());
        frame.extend(payload);
        self.file.write_all(&frame).map_err(|error| Error::file("write", &self.path, &error))
    }

    /// Waits until everything appended is on the disk, in the file of that name.
    ///
    /// # Errors
    /// When the disk refuses, and as [`Journal::check_place`].
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::file("write", &self.path, &error))?;
        self.check_place()
    }

    /// Looks whether the file still lies where it was opened.
    ///
    /// # Errors
    /// When it was removed, renamed or replaced.
    pub fn check_place(&self) -> Result<()> {
        let own = self.file.metadata().map_err(|error| Error::file("read", &self.path, &error))?;
        let found = match std::fs::metadata(&self.path) {
            Ok(other) if (own.dev(), own.ino()) == (other.dev(), other.ino()) => return Ok(()),
            Ok(_) => "found another file in its place".to_string(),
            Err(error) => error.to_string(),
        };
        Err(Error::environment(format!(
            "`{}`, to which this run writes, was removed, renamed or replaced: {found}",
            self.path.display()
        ))
        .hint("put the results folder back, or begin again: what was trained since is lost with the old one"))
    }
}
