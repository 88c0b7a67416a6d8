//! The file of a journal, read as a whole or refused: whoever reads it knows everything that was written, or is told what is
//! damaged and where. It may not know what records tell, and writes nothing.

use std::ops::Range;
use std::path::Path;

use super::frames::{HEADER, Piece, Pieces};
use super::read::History;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Damaged places that are listed.
const MOST_LISTED: usize = 3;

impl History {
    /// Reads a journal; an absent file is an empty history. A frame that did not get to the end of the file as a whole is left
    /// out (`torn`).
    ///
    /// # Errors
    /// When the file cannot be read, is no journal, is damaged before its last frame, or has records of a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        match regular::read(path) {
            Ok(bytes) => Self::of(path, &bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::file("read", path, &error)),
        }
    }

    /// The same of the bytes of the file `path`, which is named where they are refused.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn of(path: &Path, bytes: &[u8]) -> Result<Self> {
        let Survey { history, sound, damaged } = survey(path, bytes)?;
        if damaged.is_empty() { Ok(history) } else { Err(damage(path, &damaged, sound.len())) }
    }
}

/// What the bytes of a journal hold, damaged or not.
#[derive(Debug, Default)]
pub(in crate::folder) struct Survey {
    /// What its sound records tell.
    pub(in crate::folder) history: History,
    /// Where its sound records lie.
    pub(in crate::folder) sound: Vec<Range<usize>>,
    /// What is no record.
    pub(in crate::folder) damaged: Vec<Range<usize>>,
}

/// Looks at every byte of a journal.
///
/// # Errors
/// When it is no journal, or has records of a newer version.
pub(in crate::folder) fn survey(path: &Path, bytes: &[u8]) -> Result<Survey> {
    let mut found = Survey::default();
    // A kill right after the file was made leaves less than a header.
    if bytes.len() < HEADER.len() && HEADER.starts_with(bytes) {
        found.history.torn = bytes.len() as u64;
        return Ok(found);
    }
    for piece in Pieces::of(bytes) {
        match piece {
            Piece::Sound(record, range) => {
                found.history.add(record);
                found.sound.push(range);
            }
            Piece::Newer(words, range) => return Err(newer(path, &words, &range)),
            Piece::Damaged(range) => found.damaged.push(range),
            Piece::Torn(range) => found.history.torn = range.len() as u64,
        }
    }
    if !bytes.starts_with(HEADER) {
        if found.sound.is_empty() {
            return Err(no_journal(path, bytes));
        }
        found.damaged.insert(0, 0..HEADER.len());
    }
    found.history.end = found.sound.last().map_or(HEADER.len(), |range| range.end) as u64;
    Ok(found)
}

fn no_journal(path: &Path, bytes: &[u8]) -> Error {
    let found = String::from_utf8_lossy(&bytes[..bytes.len().min(HEADER.len())]).escape_default().to_string();
    Error::input(format!(
        "`{}` is no journal that this version reads: it starts with `{found}`, expected `{}`",
        path.display(),
        String::from_utf8_lossy(HEADER)
    ))
    .hint(match bytes.starts_with(&HEADER[..HEADER.len() - 1]) {
        true => "choose another results folder with `--out`, or use the version of Tombola that wrote it",
        false => {
            "choose another results folder with `--out`; or, if it was a journal once, put it back from a copy, or move it away and `tombola repair` the folder"
        }
    })
}

fn newer(path: &Path, found: &str, range: &Range<usize>) -> Error {
    Error::input(format!(
        "`{}` has a record at byte {} that this version does not know: {found}",
        path.display(),
        range.start
    ))
    .hint("use the version of Tombola that wrote it, or a later one; nothing was changed")
}

fn damage(path: &Path, damaged: &[Range<usize>], sound: usize) -> Error {
    let folder = path.parent().unwrap_or(path);
    Error::environment(format!(
        "`{}` is damaged: {}; {sound} of its records are sound",
        path.display(),
        places(damaged)
    ))
    .hint(format!(
        "restore the file from a copy, or `tombola repair {}`: it keeps every sound record and snapshot, says what is lost, and deletes nothing. Nothing was changed",
        folder.display()
    ))
}

/// Damaged places in words.
pub(super) fn places(damaged: &[Range<usize>]) -> String {
    let place = |range: &Range<usize>| match range.len() {
        1 => format!("byte {} is no record", range.start),
        _ => format!("bytes {} to {} are no record", range.start, range.end - 1),
    };
    let mut listed: Vec<String> = damaged.iter().take(MOST_LISTED).map(place).collect();
    if damaged.len() > MOST_LISTED {
        listed.push(format!("and {} more places", damaged.len() - MOST_LISTED));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::journal::Journal;
    use tombola_words::StageId;
    use tombola_words::error::Kind;
    use tombola_words::record::{EpochRecord, Evaluation, Record};
    use tombola_words::value::Moment;

    fn records() -> Vec<Record> {
        let stage = StageId::of("stage");
        let train = Evaluation { loss: 1.0 / 3.0, correct: 5, images: 9, top5: None };
        let epoch = |epoch| EpochRecord { epoch, learning_rate: 0.1, train, ..EpochRecord::default() };
        vec![
            Record::Started { version: "0".into(), time: 1, machine: "m".into() },
            Record::Epoch { stage, epoch: epoch(1) },
            Record::Kept { stage, moment: Moment::Epoch(1), sums: None },
            Record::Epoch { stage, epoch: epoch(2) },
            Record::Progress { stage, epoch: 2, best: Some(1), sums: None, best_sums: None },
        ]
    }

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, 0).unwrap();
        records().iter().for_each(|record| journal.append(record).unwrap());
        (folder, path)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (_folder, path) = written();
        let history = History::read(&path).unwrap();
        let stage = history.stages.values().next().unwrap();
        assert_eq!((history.runs, stage.epochs.len(), stage.progress), (1, 2, Some((2, Some(1)))));
        assert_eq!(stage.epochs[&1].train.loss, 1.0 / 3.0);
        assert_eq!(history.torn, 0);
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_the_whole_frames_before_the_cut_and_can_be_continued() {
        let (folder, path) = written();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let history = History::read(&path).unwrap_or_else(|e| panic!("{length}: {e}"));
            assert_eq!(history.end + history.torn, length as u64);
            let mut journal = Journal::open(&path, history.end).unwrap();
            records().iter().for_each(|record| journal.append(record).unwrap());
            let again = History::read(&path).unwrap();
            assert_eq!((again.torn, again.stages.values().next().unwrap().epochs.len()), (0, 2), "{length}");
            let torn = std::fs::read(folder.path().join("journal.torn")).unwrap_or_default();
            assert!(torn.ends_with(&whole[length - history.torn as usize..length]), "{length}");
        }
    }

    #[test]
    fn a_journal_with_any_byte_flipped_is_refused_and_left_as_it_is() {
        let (folder, path) = written();
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= flip;
                std::fs::write(&path, &bytes).unwrap();
                let error = History::read(&path).unwrap_err();
                assert!(error.message.contains("damaged") && error.kind == Kind::Environment, "{place}: {error}");
                assert!(error.hint.unwrap().contains("tombola repair"), "{place}");
                assert_eq!(std::fs::read(&path).unwrap(), bytes);
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_record_of_a_newer_version_is_no_reason_to_cut_the_journal() {
        let (_folder, path) = written();
        let payload = b"\x81\xa7Unknown\x80";
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(crc32fast::hash(payload).to_le_bytes());
        bytes.extend(payload);
        std::fs::write(&path, bytes).unwrap();
        let error = History::read(&path).unwrap_err();
        assert!(error.kind == Kind::Input && error.message.contains("does not know"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "tombola journal9 of the future").unwrap();
        assert!(History::read(&path).unwrap_err().message.contains("journal9"));
    }
}
