//! Mends a results folder that was damaged: keeps every sound record and snapshot, moves what is damaged aside, deletes nothing.
//!
//! It may not know of plans, nor what records and snapshots are for.

use std::fs;
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::atomic::{make_folder, sync_folder_of, write_atomically};
use super::journal::frames::HEADER;
use super::journal::{History, Seal, StageHistory, Survey, survey};
use super::lock::Lock;
use super::snapshots::{Expected, Store};
use super::written::text_in;
use tombola_words::StageId;
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::value::Value;

/// What was found in a results folder, and what was done about it.
#[derive(Debug, Default)]
pub struct Repaired {
    /// Records of the journal that are sound.
    pub sound: usize,
    /// Bytes of the journal that are no record.
    pub damaged: Vec<Range<usize>>,
    /// Bytes that are missing at the end of the journal.
    pub cut: u64,
    /// Snapshots that were found sound.
    pub snapshots: usize,
    /// Files that are not what was written, and why.
    pub spoilt: Vec<(PathBuf, String)>,
    /// Snapshots that the journal names and that are not there.
    pub missing: Vec<PathBuf>,
    /// What was moved, or would be: from where, to where.
    pub moved: Vec<(PathBuf, PathBuf)>,
    /// Whether the trainings on disk are not those that the journal tells of.
    pub foreign: bool,
}

impl Repaired {
    /// Whether there is, or was, something to mend: files that are gone can only be made again, by a run.
    pub fn can_be_mended(&self) -> bool {
        !self.damaged.is_empty() || self.cut > 0 || !self.spoilt.is_empty() || self.foreign
    }

    /// Whether everything is there and as it was written.
    pub fn is_sound(&self) -> bool {
        !self.can_be_mended() && self.missing.is_empty()
    }
}

/// Looks at a results folder with a journal or trainings of its own, and mends it unless it is only to be looked at.
///
/// # Errors
/// When it is no results folder, another process writes to it, records are of a newer version, or a file cannot be read or
/// written. What was there before is there still then.
pub fn repair(folder: &Path, only_look: bool) -> Result<Repaired> {
    let (path, store) = (folder.join("journal"), Store::new(folder));
    let fail = |error: &std::io::Error| {
        Error::file("read", &path, error).hint("give a results folder, such as `results/quickstart`")
    };
    if store.stages()?.is_empty() {
        fs::metadata(&path).map_err(|error| fail(&error))?;
    }
    // Before anything is read: a run that comes to its end meanwhile writes more.
    let _lock = if only_look { None } else { Some(Lock::take(folder)?) };
    let trainings = store.stages()?;
    let mut work = RepairWork::new(folder, only_look)?;
    let bytes = match regular::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound && !trainings.is_empty() => None,
        Err(error) => return Err(fail(&error)),
    };
    let history = match bytes {
        Some(bytes) => work.journal(&path, &bytes)?,
        None => History::default(),
    };
    if let (Some(length), false) = (work.shorter, only_look) {
        Seal::write(&path, length)?;
    }
    if !trainings.is_empty() && !trainings.iter().any(|(stage, _)| history.stages.contains_key(stage)) {
        work.done.foreign = true;
        let stages = folder.join("stages");
        work.set_aside(&stages, &free(folder, "stages.unclaimed"))?;
        // Without a journal the folder would be none that a run goes on in.
        if !only_look && !regular::is_there(&path).map_err(|error| fail(&error))? {
            write_atomically(&path, |file| file.write_all(HEADER))?;
            Seal::write(&path, HEADER.len() as u64)?;
        }
        work.sweep()?;
        return Ok(work.done);
    }
    let mut known: Vec<_> = history.stages.iter().collect();
    known.sort_unstable_by_key(|(stage, _)| **stage);
    for (stage, known) in known {
        work.snapshots(&store, *stage, known)?;
    }
    work.sweep()?;
    Ok(work.done)
}

/// As [`repair`] of a folder that has nothing but what joined shards are of.
///
/// # Errors
/// When its `sweep.toml` cannot be read or moved.
pub fn repair_joined(folder: &Path, only_look: bool) -> Result<Repaired> {
    let mut work = RepairWork::new(folder, only_look)?;
    work.sweep()?;
    Ok(work.done)
}

/// A repair under way.
struct RepairWork<'a> {
    folder: &'a Path,
    only_look: bool,
    seal: Seal,
    /// What the journal has kept, where that is less than it had.
    shorter: Option<u64>,
    done: Repaired,
}

impl<'a> RepairWork<'a> {
    /// Before the journal is read: a run that ends meanwhile seals a longer one.
    fn new(folder: &'a Path, only_look: bool) -> Result<Self> {
        let seal = Seal::of(&folder.join("journal"))?;
        Ok(Self { folder, only_look, seal, shorter: None, done: Repaired::default() })
    }

    /// Writes a journal of the sound records where some are not, and keeps the old one. Returns what the sound ones tell.
    fn journal(&mut self, path: &Path, bytes: &[u8]) -> Result<History> {
        let Survey { history, sound, damaged } = survey(path, bytes)?;
        (self.done.sound, self.done.damaged) = (sound.len(), damaged);
        if self.done.damaged.is_empty() {
            self.done.cut = self.seal.missing(&history);
            self.shorter = (self.done.cut > 0).then_some(history.end);
            return Ok(history);
        }
        let length = HEADER.len() + sound.iter().map(Range::len).sum::<usize>();
        self.shorter = Some(length as u64);
        let aside = free(self.folder, "journal.damaged");
        self.done.moved.push((path.to_path_buf(), aside.clone()));
        if !self.only_look {
            write_atomically(&aside, |file| file.write_all(bytes))?;
            let records = sound.into_iter().map(|range| &bytes[range]);
            write_atomically(path, |file| {
                [&HEADER[..]].into_iter().chain(records).try_for_each(|part| file.write_all(part))
            })?;
        }
        Ok(history)
    }

    /// Moves a `sweep.toml` aside that is not what was written: a run writes it anew.
    fn sweep(&mut self) -> Result<()> {
        let path = self.folder.join("sweep.toml");
        let Err(error) = text_in(self.folder) else { return Ok(()) };
        // What cannot be read is not for that reason damaged.
        if regular::open(&path).is_err() {
            return Err(error);
        }
        self.spoilt(&path, error.message);
        let to = free(self.folder, "sweep.toml.damaged");
        self.set_aside(&path, &to)
    }

    /// Moves the snapshots of a stage aside that are not what was written.
    fn snapshots(&mut self, store: &Store, stage: StageId, known: &StageHistory) -> Result<()> {
        // A mask that keeps everything may be there or not.
        let mask = known.drawn.as_ref().is_some_and(|drawn| drawn.alive < drawn.prunable);
        for moment in &known.kept {
            let name = moment.show();
            let files = store.files(stage, &name);
            // Someone may have tidied up by hand: it is trained again where it is needed.
            if !regular::may_be_there(&files[0]) {
                self.done.missing.push(files[0].clone());
                continue;
            }
            let expected = Expected { sums: known.sums.get(moment).copied(), mask, optimizer: false };
            // What may not be read is not for that reason damaged.
            for file in &files {
                match regular::open(file) {
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                        return Err(Error::file("read", file, &error));
                    }
                    _ => {}
                }
            }
            match store.check(stage, &name, expected) {
                Ok(()) => self.done.snapshots += 1,
                Err(error) => {
                    self.spoilt(&files[0], error.message);
                    for file in files.iter().filter(|file| file.exists()) {
                        self.aside(file)?;
                    }
                }
            }
        }
        if let Err(error) = store.check_mask(stage, known.mask_sum()) {
            let path = store.mask_file(stage);
            if !self.done.spoilt.iter().any(|(_, why)| *why == error.message) {
                self.spoilt(&path, error.message);
            }
            if path.exists() {
                self.aside(&path)?;
            }
        }
        for (track, rows) in &known.masks {
            let path = store.mask_path(stage, *track);
            if path.exists() && !store.has_rows(stage, *track, rows) {
                self.spoilt(&path, format!("`{}` has changed since it was written", path.display()));
                self.aside(&path)?;
            }
        }
        Ok(())
    }

    fn spoilt(&mut self, path: &Path, why: String) {
        self.done.spoilt.push((path.to_path_buf(), why));
    }

    /// Moves a file under `stages` to the same place under `damaged`.
    fn aside(&mut self, path: &Path) -> Result<()> {
        let within = path.strip_prefix(self.folder).unwrap_or(path);
        let mut to = self.folder.join("damaged").join(within);
        if let (true, Some(folder), Some(name)) = (to.symlink_metadata().is_ok(), to.parent(), to.file_name()) {
            to = free(folder, &name.to_string_lossy());
        }
        self.set_aside(path, &to)
    }

    fn set_aside(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.done.moved.push((from.to_path_buf(), to.to_path_buf()));
        if self.only_look {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        match fs::rename(from, to) {
            // `stages` may lead to another disk.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let copy = |file: &mut dyn Write| std::io::copy(&mut regular::open(from)?, file).map(|_| ());
                write_atomically(to, copy)?;
                fs::remove_file(from).map_err(|error| Error::file("move", from, &error))?;
            }
            moved => moved.map_err(|error| Error::file("move", from, &error))?,
        }
        sync_folder_of(to);
        sync_folder_of(from);
        Ok(())
    }
}

/// A name in a folder that nothing has: `NAME-1`, `NAME-2`, …
fn free(folder: &Path, name: &str) -> PathBuf {
    let free = |path: &PathBuf| regular::is_there(path).is_ok_and(|there| !there);
    (1_u32..).map(|number| folder.join(format!("{name}-{number}"))).find(free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::journal::Journal;
    use tombola_words::Checksum;
    use tombola_words::record::{EpochRecord, Record, SnapshotSums};
    use tombola_words::value::Moment;

    fn records() -> Vec<Record> {
        let epoch = |epoch| EpochRecord { epoch, learning_rate: 0.1, ..EpochRecord::default() };
        let mut all = vec![Record::Started { version: "0".into(), time: 1, machine: "m".into() }];
        all.extend((1..6).map(|number| Record::Epoch { stage: StageId::of("stage"), epoch: epoch(number) }));
        all
    }

    fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, 0).unwrap();
        records().iter().for_each(|record| journal.append(record).unwrap());
        let bytes = fs::read(&path).unwrap();
        (folder, path, bytes)
    }

    #[test]
    fn a_journal_with_any_byte_flipped_keeps_all_records_but_that_one_and_the_damaged_file_stays() {
        let (folder, path, whole) = written();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            fs::write(&path, &bytes).unwrap();
            let looked = repair(folder.path(), true).unwrap();
            assert!(!looked.is_sound() && fs::read(&path).unwrap() == bytes, "{place}");
            let done = repair(folder.path(), false).unwrap();
            let lost = usize::from(place >= HEADER.len());
            assert_eq!((done.sound, done.damaged.len()), (records().len() - lost, 1), "{place}");
            assert_eq!(fs::read(&done.moved[0].1).unwrap(), bytes);
            fs::remove_file(&done.moved[0].1).unwrap();
            let history = History::read(&path).unwrap();
            assert_eq!(history.runs + history.stages.values().map(|s| s.epochs.len()).sum::<usize>(), done.sound);
            assert!(repair(folder.path(), false).unwrap().is_sound());
        }
    }

    #[test]
    fn trainings_without_their_journal_are_moved_aside_and_nothing_is_deleted() {
        let (folder, path, _) = written();
        let stage = folder.path().join("stages").join(StageId::of("another").to_string());
        fs::create_dir_all(&stage).unwrap();
        fs::write(stage.join("last.safetensors"), "weights").unwrap();
        assert!(repair(folder.path(), true).unwrap().foreign && stage.exists());
        let done = repair(folder.path(), false).unwrap();
        assert!(done.foreign && !stage.exists());
        let aside = done.moved[0].1.join(StageId::of("another").to_string()).join("last.safetensors");
        assert_eq!(fs::read_to_string(aside).unwrap(), "weights");
        // Where there is no journal at all, one that tells of nothing is begun: a run goes on in a folder that has one.
        fs::create_dir_all(&stage).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(repair(folder.path(), true).unwrap().foreign && !path.exists());
        assert!(repair(folder.path(), false).unwrap().foreign && fs::read(&path).unwrap() == HEADER);
        assert!(repair(folder.path(), false).unwrap().is_sound());
    }

    #[test]
    fn what_is_no_journal_is_refused_and_left_alone() {
        let (folder, path, _) = written();
        let stage = folder.path().join("stages").join(StageId::of("another").to_string());
        fs::create_dir_all(&stage).unwrap();
        fs::write(&path, "tombola journal9 of the future").unwrap();
        assert!(repair(folder.path(), false).unwrap_err().message.contains("journal9"));
        assert!(stage.exists() && fs::read_to_string(&path).unwrap().ends_with("of the future"));
        assert!(
            !folder.path().join("stages.unclaimed-1").exists() && !folder.path().join("journal.damaged-1").exists()
        );
    }

    #[test]
    fn all_files_of_a_snapshot_that_are_damaged_are_moved_aside_at_once() {
        let (folder, path, bytes) = written();
        let (stage, store) = (StageId::of("stage"), Store::new(folder.path()));
        let mask = Some(Checksum::of(b"mask"));
        let sums = Some(SnapshotSums { weights: Checksum::of(b"weights"), optimizer: None, mask, own_mask: None });
        let mut journal = Journal::open(&path, bytes.len() as u64).unwrap();
        journal.append(&Record::Kept { stage, moment: Moment::Last, sums }).unwrap();
        assert!(repair(folder.path(), false).unwrap_err().message.contains("another run writes to"));
        drop(journal);
        fs::create_dir_all(store.folder(stage)).unwrap();
        for file in [store.path(stage, "last"), store.mask_file(stage)] {
            fs::write(file, "changed").unwrap();
        }
        let done = repair(folder.path(), false).unwrap();
        assert_eq!((done.spoilt.len(), done.moved.len(), done.snapshots), (2, 2, 0));
        assert_eq!(fs::read_dir(store.folder(stage)).unwrap().count(), 0);
        // It is missing now, which no repair can mend.
        let looked = repair(folder.path(), true).unwrap();
        assert!(!looked.is_sound() && !looked.can_be_mended() && looked.missing.len() == 1);
    }

    #[test]
    fn a_journal_that_was_cut_is_told_until_it_was_repaired() {
        let (folder, path, bytes) = written();
        Seal::write(&path, bytes.len() as u64).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let lost = (bytes.len() as u64) - History::read(&path).unwrap().end;
        assert_eq!(repair(folder.path(), true).unwrap().cut, lost);
        assert_eq!(repair(folder.path(), false).unwrap().cut, lost);
        assert!(repair(folder.path(), true).unwrap().is_sound());
        // What is damaged besides makes it shorter still.
        let mut changed = bytes.clone();
        changed[HEADER.len() + 9] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert_eq!(repair(folder.path(), false).unwrap().damaged.len(), 1);
        assert!(repair(folder.path(), true).unwrap().is_sound());
    }

    #[test]
    fn what_is_no_results_folder_is_refused_with_a_cure() {
        let folder = tempfile::tempdir().unwrap();
        assert!(repair(folder.path(), false).unwrap_err().hint.unwrap().contains("results folder"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
