//! What the records of a journal tell, put together: what is known of each stage, of the runs and of their workers.
//!
//! It may not know of files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::folder::snapshots::Expected;
use crate::mask::early_bird;
use crate::plan::{Bird, Stage};
use tombola_words::arithmetic::Arithmetic;
use tombola_words::record::{Drawn, EpochRecord, MaskRecord, Outcome, Record, SnapshotSums};
use tombola_words::value::Moment;
use tombola_words::{Checksum, StageId};

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
    /// What their files must hold, as far as the journal tells.
    pub sums: BTreeMap<Moment, SnapshotSums>,
    /// Snapshots that were on disk, until nothing needed them any more.
    pub freed: BTreeSet<Moment>,
    /// The epoch from which it can continue, and the best until then.
    pub progress: Option<(usize, Option<usize>)>,
    /// What the files of both must hold, as far as the journal tells.
    pub progress_sums: (Option<SnapshotSums>, Option<SnapshotSums>),
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

    /// What the files of a snapshot must be.
    pub fn expected(&self, stage: &Stage, moment: Moment) -> Expected {
        Expected { sums: self.sums.get(&moment).copied(), mask: stage.level > 0, optimizer: false }
    }

    /// What the files of the state to go on from must be, and those of the best until then.
    pub fn expected_progress(&self, stage: &Stage) -> (Expected, Expected) {
        let (state, best) = self.progress_sums;
        let mask = stage.level > 0;
        (Expected { sums: state, mask, optimizer: true }, Expected { sums: best, mask, optimizer: false })
    }

    /// What the file of its mask must hold, as far as the journal tells.
    pub fn mask_sum(&self) -> Option<Checksum> {
        self.sums.values().find_map(|sums| sums.mask)
    }

    /// A stage has one file of its mask: snapshots of an attempt that had another mask are of no use any more.
    fn replace_mask(&mut self, sums: Option<SnapshotSums>) {
        let Some(mask) = sums.and_then(|sums| sums.mask) else { return };
        let past = |sums: &SnapshotSums| sums.mask.is_some_and(|own| own != mask);
        let past: Vec<Moment> = self.sums.iter().filter(|(_, sums)| past(sums)).map(|(moment, _)| *moment).collect();
        for moment in past {
            self.kept.remove(&moment);
            self.sums.remove(&moment);
        }
    }

    /// Whether the journal tells of all that it tells of a training that ended. Of one that was repaired it may not.
    fn is_whole(&self, stage: &Stage, outcome: &Outcome) -> bool {
        let span = stage.span(self.drawn.as_ref().and_then(|drawn| drawn.span));
        let (first, last) = (span.start + 1, outcome.stopped_at.unwrap_or(span.end));
        let has_epochs = first > last || self.epochs.range(first..=last).count() == last + 1 - first;
        self.drawn.is_some() && has_epochs && self.has_masks_until(stage, last)
    }

    /// Whether the journal tells of the masks of every epoch up to one, for each way to draw them that it tells of at all: of the
    /// others the training knew nothing.
    pub fn has_masks_until(&self, stage: &Stage, last: usize) -> bool {
        let first = stage.span(self.drawn.as_ref().and_then(|drawn| drawn.span)).start + 1;
        let whole =
            |masks: &BTreeMap<usize, MaskRecord>| masks.range(first..=last).count() == (last + 1).saturating_sub(first);
        first > last || stage.tracks.iter().filter_map(|track| self.masks.get(&track.key)).all(whole)
    }

    /// Whether it was trained as far as `stage` asks.
    pub fn is_finished(&self, stage: &Stage) -> bool {
        self.outcome.as_ref().filter(|outcome| self.is_whole(stage, outcome)).is_some_and(|outcome| {
            let needed = |until| {
                move |stopped: usize| until <= stopped && stage.birds.iter().all(|bird| self.bird(bird).is_some())
            };
            outcome.stopped_at.is_none_or(|stopped| stage.needed_until().is_some_and(|until| needed(until)(stopped)))
        })
    }

    /// The accuracy by which its best epoch was chosen, from 0 to 1, once it was trained as far as `stage` asks.
    pub fn chosen_accuracy(&self, stage: &Stage) -> Option<f64> {
        let outcome = self.outcome.as_ref().filter(|_| self.is_finished(stage))?;
        Some(outcome.best.chosen_by(stage.settings.select).accuracy())
    }

    /// The records that tell what is known of a finished stage, to be written into another journal.
    pub fn records(&self, stage: StageId) -> Vec<Record> {
        let drawn = self.drawn.iter().map(|drawn| Record::Drawn { stage, drawn: drawn.clone() });
        let epochs = self.epochs.values().map(|epoch| Record::Epoch { stage, epoch: epoch.clone() });
        let kept = self.kept.iter().map(|moment| Record::Kept {
            stage,
            moment: *moment,
            sums: self.sums.get(moment).copied(),
        });
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

/// A whole journal. A copy of it costs little, however many epochs it tells of: both share what is known of each stage
/// until one of them learns more.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What is known of each stage.
    pub stages: HashMap<StageId, Arc<StageHistory>>,
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
                for stage in self.stages.values_mut().map(Arc::make_mut) {
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
            Record::Kept { stage, moment, sums } => {
                let stage = self.stage(stage);
                stage.replace_mask(sums);
                stage.kept.insert(moment);
                stage.freed.remove(&moment);
                match sums {
                    Some(sums) => stage.sums.insert(moment, sums),
                    None => stage.sums.remove(&moment),
                };
            }
            Record::Freed { stage, moment } => {
                let stage = self.stage(stage);
                stage.kept.remove(&moment);
                stage.sums.remove(&moment);
                stage.freed.insert(moment);
            }
            Record::Progress { stage, epoch, best, sums, best_sums } => {
                let stage = self.stage(stage);
                stage.replace_mask(sums);
                (stage.progress, stage.progress_sums) = (Some((epoch, best)), (sums, best_sums));
            }
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
                let running = self.stages.values_mut().filter(|stage| stage.running.is_some());
                running.for_each(|stage| Arc::make_mut(stage).running = None);
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
        Arc::make_mut(self.stages.entry(id).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_of_an_attempt_with_another_mask_are_kept_no_longer() {
        let (stage, mut history) = (StageId::of("ticket"), History::default());
        let sums = |mask: &[u8]| {
            let mask = Some(Checksum::of(mask));
            Some(SnapshotSums { weights: Checksum::of(b"weights"), optimizer: None, mask, own_mask: None })
        };
        let kept = |moment, mask| Record::Kept { stage, moment, sums: sums(mask) };
        history.add(kept(Moment::Best, b"old"));
        history.add(kept(Moment::Last, b"old"));
        assert_eq!(history.stage(stage).kept.len(), 2);
        history.add(kept(Moment::Last, b"new"));
        let known = history.stage(stage);
        assert_eq!((&known.kept, known.mask_sum()), (&BTreeSet::from([Moment::Last]), Some(Checksum::of(b"new"))));
        history.add(Record::Progress { stage, epoch: 1, best: None, sums: sums(b"newer"), best_sums: None });
        assert!(history.stage(stage).kept.is_empty() && history.stage(stage).mask_sum().is_none());
    }
}
