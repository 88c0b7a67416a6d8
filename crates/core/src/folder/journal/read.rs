//! Reads a journal into what is known of each stage.
//!
//! A torn or damaged tail is dropped: everything before it stays valid, and the writer goes on from there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::write::HEADER;
use crate::mask::early_bird;
use crate::plan::{Bird, Stage};
use tombola_words::StageId;
use tombola_words::arithmetic::Arithmetic;
use tombola_words::error::{Error, Result};
use tombola_words::record::{Drawn, EpochRecord, MaskRecord, Outcome, Record};
use tombola_words::value::Moment;

/// What the journal tells of one stage.
#[derive(Debug, Clone, Default)]
pub struct StageHistory {
    /// Its mask and first weights, once drawn.
    pub drawn: Option<Drawn>,
    /// Its epochs so far, by number. An epoch trained again after a kill replaces the first.
    pub epochs: BTreeMap<usize, EpochRecord>,
    /// Masks that were drawn after its epochs: for each kind (`Track::key`) by epoch.
    pub masks: BTreeMap<u64, BTreeMap<usize, MaskRecord>>,
    /// How it ended, once it did.
    pub outcome: Option<Outcome>,
    /// Why it failed, if that is the last that is known of it and its run did not want to try it again.
    pub failure: Option<String>,
    /// Why its last attempt came to nothing, whatever followed; forgotten once it is finished.
    pub setback: Option<String>,
    /// When it failed, in seconds since 1970; 0 where the journal does not tell.
    pub failed_at: f64,
    /// Snapshots on disk.
    pub kept: BTreeSet<Moment>,
    /// The epoch from which it can continue, and the best until then.
    pub progress: Option<(usize, Option<usize>)>,
    /// Images trained a second, once finished.
    pub images_per_second: f64,
    /// Where it was trained.
    pub place: String,
    /// What it was computed with.
    pub computed_with: Vec<Arithmetic>,
    /// How often it was started.
    pub attempts: usize,
    /// Who is at it, if the process that wrote the journal still runs.
    pub running: Option<Running>,
    /// What the last run trained of it.
    pub recent: Recent,
}

/// A stage in the hands of a worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Running {
    /// The worker's number.
    pub worker: usize,
    /// When it began, in seconds since 1970.
    pub since: f64,
    /// Epochs trained before it began.
    pub before: usize,
    /// The number of the last epoch that it trained since.
    pub last: Option<usize>,
}

/// A stage in the hands of a worker of the last run, from when to when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The worker's number.
    pub worker: usize,
    /// The stage.
    pub stage: StageId,
    /// Seconds since 1970.
    pub from: f64,
    /// The same; nothing while it is at it.
    pub to: Option<f64>,
}

/// Epochs that the last run trained of a stage, and how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Recent {
    /// How many; one that was trained twice counts twice.
    pub epochs: usize,
    /// Their time.
    pub seconds: f64,
}

/// What the journal tells of one worker of the last run.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerHistory {
    /// Host and device, in words.
    pub place: String,
    /// What it computes with, where the journal tells.
    pub arithmetic: Option<Arithmetic>,
    /// How it was lost, if it was.
    pub lost: Option<String>,
}

impl StageHistory {
    /// When an early bird was drawn, and the largest distance that its rule looked at.
    pub fn bird(&self, bird: &Bird) -> Option<(usize, f64)> {
        let masks = self.masks.get(&bird.track)?;
        let shares = masks.iter().map(|(epoch, mask)| {
            let share = |differing: &u32| f64::from(*differing) / mask.len.max(1) as f64;
            (*epoch, mask.distances.iter().map(share).collect())
        });
        early_bird::drawn_at(bird.settling, shares)
    }

    /// Whether it ended, and its masks never settled.
    pub fn lacks(&self, bird: &Bird) -> bool {
        let compared =
            self.masks.get(&bird.track).is_some_and(|masks| self.epochs.keys().all(|epoch| masks.contains_key(epoch)));
        self.outcome.is_some() && compared && self.bird(bird).is_none()
    }

    /// Whether it was trained as far as `stage` asks.
    pub fn is_finished(&self, stage: &Stage) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| {
            let needed = |until| {
                move |stopped: usize| until <= stopped && stage.birds.iter().all(|bird| self.bird(bird).is_some())
            };
            outcome.stopped_at.is_none_or(|stopped| stage.needed_until().is_some_and(|until| needed(until)(stopped)))
        })
    }

    /// The records that tell what is known of a finished stage, to be written into another journal.
    pub fn records(&self, stage: StageId) -> Vec<Record> {
        let drawn = self.drawn.iter().map(|drawn| Record::Drawn { stage, drawn: drawn.clone() });
        let epochs = self.epochs.values().map(|epoch| Record::Epoch { stage, epoch: epoch.clone() });
        let kept = self.kept.iter().map(|moment| Record::Kept { stage, moment: *moment });
        let finished = self.outcome.iter().map(|outcome| Record::Finished {
            stage,
            outcome: outcome.clone(),
            images_per_second: self.images_per_second,
            place: self.place.clone(),
            attempts: self.attempts,
            time: 0.0,
        });
        let masks = self.masks.iter().flat_map(|(track, masks)| masks.iter().map(|mask| (*track, mask)));
        let masks =
            masks.map(|(track, (epoch, mask))| Record::Mask { stage, track, epoch: *epoch, mask: mask.clone() });
        drawn.chain(epochs).chain(masks).chain(kept).chain(finished).collect()
    }
}

/// A whole journal.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What is known of each stage.
    pub stages: HashMap<StageId, StageHistory>,
    /// Checksum of each data set that results are of.
    pub data: BTreeMap<String, String>,
    /// How often a process worked on the sweep.
    pub runs: usize,
    /// When the last of them began, in seconds since 1970.
    pub begun: u64,
    /// How it ended; nothing if it still runs or was killed.
    pub ended: Option<String>,
    /// When it ended, in seconds since 1970.
    pub ended_at: Option<f64>,
    /// The workers of the last run, by number.
    pub workers: BTreeMap<usize, WorkerHistory>,
    /// What they trained when, in the order in which it began.
    pub shifts: Vec<Shift>,
    /// Versions and machines that worked on the sweep, each once.
    pub made_by: Vec<(String, String)>,
    /// Length of the file up to its last whole frame.
    pub end: u64,
    /// Bytes behind that, torn by a kill.
    pub torn: u64,
}

impl History {
    /// Reads a journal; an absent file is an empty history.
    ///
    /// # Errors
    /// When the file cannot be read, is no journal, or is of a version that this program does not know.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::file("read", path, &error)),
        };
        // A kill right after the file was made leaves less than a header.
        if bytes.len() < HEADER.len() && HEADER.starts_with(&bytes) {
            return Ok(Self { torn: bytes.len() as u64, ..Self::default() });
        }
        if !bytes.starts_with(HEADER) {
            let found = String::from_utf8_lossy(&bytes[..bytes.len().min(HEADER.len())]).escape_default().to_string();
            return Err(Error::input(format!(
                "`{}` is no journal that this version reads: it starts with `{found}`, expected `{}`",
                path.display(),
                String::from_utf8_lossy(HEADER)
            ))
            .hint("choose another results folder with `--out`, or use the version of Tombola that wrote it"));
        }
        let mut history = Self::default();
        let mut position = HEADER.len();
        while let Some(record) = frame(&bytes[position..]) {
            let (record, length) = record;
            history.add(record);
            position += length;
        }
        history.end = position as u64;
        history.torn = (bytes.len() - position) as u64;
        Ok(history)
    }

    /// Takes in one record.
    pub fn add(&mut self, record: Record) {
        match record {
            Record::Started { version, machine, time } => {
                self.runs += 1;
                self.shifts.clear();
                let made_by = (version, machine);
                if !self.made_by.contains(&made_by) {
                    self.made_by.push(made_by);
                }
                (self.begun, self.ended, self.ended_at) = (time, None, None);
                self.workers.clear();
                for stage in self.stages.values_mut() {
                    (stage.running, stage.recent) = (None, Recent::default());
                }
            }
            Record::Data { dataset, fingerprint } => {
                self.data.insert(dataset, fingerprint);
            }
            Record::Drawn { stage, drawn } => self.stage(stage).drawn = Some(drawn),
            Record::Mask { stage, track, epoch, mask } => {
                self.stage(stage).masks.entry(track).or_default().insert(epoch, mask);
            }
            Record::Epoch { stage, epoch } => {
                let stage = self.stage(stage);
                stage.recent.epochs += 1;
                stage.recent.seconds += epoch.seconds;
                if let Some(running) = &mut stage.running {
                    running.last = Some(epoch.epoch);
                }
                stage.epochs.insert(epoch.epoch, epoch);
            }
            Record::Kept { stage, moment } => {
                self.stage(stage).kept.insert(moment);
            }
            Record::Freed { stage, moment } => {
                self.stage(stage).kept.remove(&moment);
            }
            Record::Progress { stage, epoch, best } => self.stage(stage).progress = Some((epoch, best)),
            Record::Joined { worker, place, arithmetic, .. } => {
                self.workers.insert(worker, WorkerHistory { place, arithmetic, lost: None });
            }
            Record::Began { stage, worker, epoch, time } => {
                self.shifts.push(Shift { worker, stage, from: time, to: None });
                let arithmetic = self.workers.get(&worker).and_then(|worker| worker.arithmetic.clone());
                let stage = self.stage(stage);
                if epoch == 0 {
                    stage.computed_with.clear();
                }
                stage.computed_with.extend(arithmetic.filter(|found| !stage.computed_with.contains(found)));
                stage.attempts += 1;
                stage.failure = None;
                stage.running = Some(Running { worker, since: time, before: epoch, last: None });
            }
            Record::Stopped { stage, time } => {
                self.end_shift(stage, time);
                self.stage(stage).running = None;
            }
            Record::Lost { worker, stage, reason, time } => {
                stage.into_iter().for_each(|stage| self.end_shift(stage, time));
                if let Some(stage) = stage {
                    let stage = self.stage(stage);
                    (stage.running, stage.setback) = (None, Some(format!("its worker was lost: {reason}")));
                }
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.lost = Some(reason);
                }
            }
            Record::Finished { stage, outcome, images_per_second, place, attempts, time } => {
                self.end_shift(stage, time);
                let stage = self.stage(stage);
                if !outcome.computed_with.is_empty() {
                    stage.computed_with.clone_from(&outcome.computed_with);
                }
                (stage.outcome, stage.progress, stage.failure, stage.running) = (Some(outcome), None, None, None);
                stage.setback = None;
                (stage.images_per_second, stage.place, stage.attempts) = (images_per_second, place, attempts);
            }
            Record::Failed { stage, reason, again, time } => {
                self.end_shift(stage, time);
                let stage = self.stage(stage);
                // Journals of before `Began` count failures alone.
                stage.attempts += usize::from(stage.running.is_none());
                // What is tried again stops nothing that descends from it.
                stage.failure = (!again).then(|| reason.clone());
                (stage.setback, stage.failed_at, stage.running) = (Some(reason), time, None);
            }
            Record::Ended { how, time } => {
                (self.ended, self.ended_at) = (Some(how), Some(time));
                // Whatever a worker was at, nobody is any more.
                self.stages.values_mut().for_each(|stage| stage.running = None);
            }
        }
    }

    /// A worker is through with a stage, which is among the last that began.
    fn end_shift(&mut self, stage: StageId, time: f64) {
        let open = self.shifts.iter_mut().rev().find(|shift| shift.stage == stage && shift.to.is_none());
        // Journals of before it was kept have no time.
        if let Some(shift) = open.filter(|shift| time >= shift.from) {
            shift.to = Some(time);
        }
    }

    /// What is known of a stage; nothing at first.
    pub fn stage(&mut self, id: StageId) -> &mut StageHistory {
        self.stages.entry(id).or_default()
    }
}

/// The first frame of `bytes` and its length, if it is whole and sound.
fn frame(bytes: &[u8]) -> Option<(Record, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (length, checksum) = (word(0)? as usize, word(4)?);
    let payload = bytes.get(8..8usize.checked_add(length)?)?;
    if crc32fast::hash(payload) != checksum {
        return None;
    }
    Some((rmp_serde::from_slice(payload).ok()?, 8 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::journal::Journal;
    use crate::plan::dense_id;
    use crate::sweep::Settings;
    use tombola_words::record::Evaluation;

    fn records() -> Vec<Record> {
        let stage = dense_id(&Settings::default(), None, None);
        let epoch = |epoch| EpochRecord {
            epoch,
            learning_rate: 0.1,
            train: Evaluation { loss: 1.0 / 3.0, correct: 5, images: 9 },
            validation: Evaluation::default(),
            test: None,
            seconds: 1.5,
        };
        vec![
            Record::Started { version: "0".into(), time: 1, machine: "m".into() },
            Record::Epoch { stage, epoch: epoch(1) },
            Record::Kept { stage, moment: Moment::Epoch(1) },
            Record::Epoch { stage, epoch: epoch(2) },
            Record::Progress { stage, epoch: 2, best: Some(1) },
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
        let (_folder, path) = written();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let history = History::read(&path).unwrap_or_else(|e| panic!("{length}: {e}"));
            assert_eq!(history.end + history.torn, length as u64);
            let mut journal = Journal::open(&path, history.end).unwrap();
            records().iter().for_each(|record| journal.append(record).unwrap());
            let again = History::read(&path).unwrap();
            assert_eq!((again.torn, again.stages.values().next().unwrap().epochs.len()), (0, 2), "{length}");
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_journal_there() {
        let (_folder, path) = written();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let history = History::read(&path).unwrap();
        assert_eq!(history.stages.values().next().unwrap().progress, None);
        assert!(history.torn > 0);
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "tombola journal9 of the future").unwrap();
        assert!(History::read(&path).unwrap_err().message.contains("journal9"));
    }
}
