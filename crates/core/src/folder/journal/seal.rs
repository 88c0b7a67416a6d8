//! How long a journal was when it was sealed, at the beginning and the end of a run. One that is shorter now was cut: by its own
//! bytes it could not be told from that of a run that was killed.
//!
//! The length stands in `journal.end`, with a checksum of it. A folder of before has none; what is no such file says nothing. It may
//! not know what records tell.

use std::io::ErrorKind;
use std::path::Path;

use super::read::History;
use crate::folder::atomic::write_atomically;
use tombola_words::Checksum;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// The least length of a journal, as its folder knows it. Whoever reads a journal that may be written to looks at this first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(u64);

impl Seal {
    /// That of a journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(journal: &Path) -> Result<Self> {
        let path = journal.with_extension("end");
        match regular::read(&path) {
            Ok(bytes) => Ok(Self(length_in(&bytes).unwrap_or(0))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Self(0)),
            Err(error) => Err(Error::file("read", &path, &error)),
        }
    }

    /// Writes down that a journal has this length on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::folder) fn write(journal: &Path, length: u64) -> Result<()> {
        let text = format!("{length} {}\n", Checksum::of(length.to_string().as_bytes()));
        write_atomically(&journal.with_extension("end"), |file| file.write_all(text.as_bytes()))
    }

    /// Bytes that a journal has lost at its end. All that was sealed were whole records: what is half a record now was spoilt.
    pub fn missing(self, history: &History) -> u64 {
        self.0.saturating_sub(history.end)
    }

    /// Refuses a journal that lost its end, for whoever only reads.
    ///
    /// # Errors
    /// When it did.
    pub fn check(self, journal: &Path, history: &History) -> Result<()> {
        let missing = self.missing(history);
        if missing == 0 {
            return Ok(());
        }
        let folder = journal.parent().unwrap_or(journal).display();
        Err(Error::environment(format!(
            "`{}` was cut: {} bytes of it are whole records, expected at least {}",
            journal.display(),
            history.end,
            self.0
        ))
        .hint(format!(
            "restore the file from a copy, or copy it again if a run was at work meanwhile; or run the same sweep again, which trains \
             anew what the last {missing} bytes told of; or `tombola repair {folder}`, and nothing is told of them any more"
        )))
    }
}

/// The length that such a file tells of.
fn length_in(bytes: &[u8]) -> Option<u64> {
    let (length, sum) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
    (Checksum::of(length.as_bytes()).to_string() == sum).then(|| length.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::error::Kind;

    #[test]
    fn a_journal_that_is_shorter_than_it_was_is_refused_and_a_longer_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        let history = |end, torn| History { end, torn, ..History::default() };
        assert_eq!(Seal::of(&journal).unwrap().missing(&history(0, 0)), 0);
        Seal::write(&journal, 120).unwrap();
        let seal = Seal::of(&journal).unwrap();
        for (end, torn) in [(120, 0), (120, 20), (121, 0)] {
            seal.check(&journal, &history(end, torn)).unwrap();
        }
        for (end, torn) in [(0, 0), (119, 0), (100, 20), (100, 90)] {
            let error = seal.check(&journal, &history(end, torn)).unwrap_err();
            assert!(error.kind == Kind::Environment && error.message.contains("expected at least 120"), "{error}");
        }
    }

    #[test]
    fn a_seal_with_any_byte_changed_or_cut_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        Seal::write(&journal, 120).unwrap();
        let path = folder.path().join("journal.end");
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 0x01;
            for bytes in [&changed, &whole[..place]] {
                std::fs::write(&path, bytes).unwrap();
                assert_eq!(Seal::of(&journal).unwrap(), Seal(0), "{place}");
            }
        }
    }
}
