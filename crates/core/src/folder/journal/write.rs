//! Appends records to a journal.
//!
//! A frame is written by one call, so that a kill leaves whole frames and at most one torn tail, which is kept aside before the
//! next run goes on.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::frames::{HEADER, framed};
use super::seal::Seal;
use crate::folder::atomic::{make_folder, sync_folder_of};
use tombola_words::error::{Error, Result};
use tombola_words::record::Record;
use tombola_words::regular;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Its length, up to the last frame that was written whole.
    end: u64,
}

impl Journal {
    /// Opens a journal behind its last whole frame, `end`, or begins one when there is none. What stands behind `end` goes
    /// to `journal.torn` first.
    ///
    /// # Errors
    /// When another process writes to it, or the file cannot be opened, cut or begun.
    pub fn open(path: &Path, end: u64) -> Result<Self> {
        let fail = |error: &std::io::Error| Error::file("write", path, error);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let open = regular::open_with(OpenOptions::new().create(true).read(true).append(true), path);
        let mut file = open.map_err(|error| fail(&error))?;
        refuse_other_writer(path, &file)?;
        keep_torn(path, &mut file, end)?;
        let mut begin = || -> std::io::Result<u64> {
            file.set_len(end)?;
            if end == 0 {
                file.write_all(HEADER)?;
            }
            file.sync_data()?;
            Ok(end.max(HEADER.len() as u64))
        };
        let end = begin().map_err(|error| fail(&error))?;
        sync_folder_of(path);
        Ok(Self { file, path: path.to_path_buf(), end })
    }

    /// Appends one record, as [`Journal::append_all`].
    ///
    /// # Errors
    /// As [`Journal::append_all`].
    pub fn append(&mut self, record: &Record) -> Result<()> {
        self.append_all([record])
    }

    /// Appends records by one call of the system. After a kill of this process they are there; after a power failure only if
    /// [`Journal::sync`] followed.
    ///
    /// # Errors
    /// When the disk is full or the file cannot be written. What was written before stays readable.
    pub fn append_all<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
        let mut frames = Vec::new();
        for record in records {
            let frame = framed(record);
            frames
                .extend(frame.map_err(|error| Error::environment(format!("cannot encode a journal record: {error}")))?);
        }
        if let Err(error) = self.file.write_all(&frames) {
            // Half a frame may be there. If it cannot be cut either, it is the torn tail that the next run keeps aside: nothing
            // may be appended behind it.
            return Err(match self.file.set_len(self.end) {
                Ok(()) => Error::file("write", &self.path, &error),
                Err(_) => Error::file("write", &self.path, &error).at("the end of the journal is torn"),
            });
        }
        self.end += frames.len() as u64;
        Ok(())
    }

    /// Waits until everything appended is on the disk, in the file of that name.
    ///
    /// # Errors
    /// When the disk refuses, and as [`Journal::check_place`].
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::file("write", &self.path, &error))?;
        self.check_place()
    }

    /// As [`Journal::sync`], and writes down how long the journal is: one that is shorter later was cut.
    ///
    /// # Errors
    /// As [`Journal::sync`], and when that cannot be written.
    pub fn seal(&mut self) -> Result<()> {
        self.sync()?;
        Seal::write(&self.path, self.end)
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

/// Refuses a journal that another process writes to; else no other can while `file` is open. The lock of a results folder is a file
/// that may be removed, and two runs on one journal lose records. Where the file system knows no locks, that of the folder must do.
///
/// # Errors
/// When another process writes to it.
pub(in crate::folder) fn refuse_other_writer(path: &Path, file: &File) -> Result<()> {
    if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Ok(());
    }
    Err(Error::environment(format!("another run writes to `{}`, though `lock` is not that run's", path.display()))
        .hint("wait for it, or choose another folder with `--out`"))
}

/// Appends what stands behind `end` to `journal.torn`, whose bytes reach the disk before they are cut off here.
fn keep_torn(path: &Path, file: &mut File, end: u64) -> Result<()> {
    let fail = |doing: &'static str, path: &Path| {
        let path = path.to_path_buf();
        move |error: std::io::Error| Error::file(doing, &path, &error)
    };
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(end)).map_err(fail("read", path))?;
    file.read_to_end(&mut torn).map_err(fail("read", path))?;
    if torn.is_empty() {
        return Ok(());
    }
    let aside = path.with_extension("torn");
    let open = regular::open_with(OpenOptions::new().create(true).append(true), &aside);
    let mut to = open.map_err(fail("write", &aside))?;
    to.write_all(&torn).and_then(|()| to.sync_all()).map_err(fail("write", &aside))?;
    sync_folder_of(&aside);
    Ok(())
}
