//! A journal and what is known from it: whoever writes a record has it in both.
//!
//! It may not know who writes, or what records are for.

use std::path::Path;

use super::read::History;
use super::write::Journal;
use tombola_words::error::Result;
use tombola_words::record::Record;

/// An open journal, and the history that its records make.
#[derive(Debug)]
pub struct Chronicle {
    journal: Journal,
    history: History,
}

impl Chronicle {
    /// Goes on behind what `history` was read from, or begins a journal where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, cut or begun.
    pub fn open(path: &Path, history: History) -> Result<Self> {
        Ok(Self { journal: Journal::open(path, history.end)?, history })
    }

    /// What is known so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Appends a record. It survives a kill at once, a power failure after the next [`Chronicle::sync`].
    ///
    /// # Errors
    /// When the journal cannot be written; the history is as before then.
    pub fn write(&mut self, record: Record) -> Result<()> {
        self.write_all(vec![record])
    }

    /// Appends records that are there all or not at all after a kill.
    ///
    /// # Errors
    /// As [`Chronicle::write`].
    pub fn write_all(&mut self, records: Vec<Record>) -> Result<()> {
        self.journal.append_all(&records)?;
        records.into_iter().for_each(|record| self.history.add(record));
        Ok(())
    }

    /// Refuses to go on once the file lies no longer where it was opened: what is written then is lost with the folder.
    ///
    /// # Errors
    /// When it was removed, renamed or replaced.
    pub fn check_place(&self) -> Result<()> {
        self.journal.check_place()
    }

    /// Waits until everything written is on the disk.
    ///
    /// # Errors
    /// When the disk refuses, and as [`Chronicle::check_place`].
    pub fn sync(&mut self) -> Result<()> {
        self.journal.sync()
    }

    /// As [`Chronicle::sync`], and notes how long the journal is now.
    ///
    /// # Errors
    /// As [`Chronicle::sync`], and when that cannot be noted.
    pub fn seal(&mut self) -> Result<()> {
        self.journal.seal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_known_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut chronicle = Chronicle::open(&path, History::default()).unwrap();
        let record = |name: &str| Record::Data { dataset: name.into(), fingerprint: "f".into() };
        chronicle.write(record("one")).unwrap();
        let read = History::read(&path).unwrap();
        assert_eq!(read.data, chronicle.history().data);
        // Two writers would lose records, whatever became of the lock of the folder.
        assert!(Chronicle::open(&path, read.clone()).unwrap_err().message.contains("another run writes to"));
        drop(chronicle);
        let mut again = Chronicle::open(&path, read).unwrap();
        again.write(record("two")).unwrap();
        assert_eq!(again.history().data.len(), 2);
        assert_eq!(History::read(&path).unwrap().data, again.history().data);
    }
}
