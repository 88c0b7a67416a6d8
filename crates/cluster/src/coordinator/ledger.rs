//! What a run writes down, and what it reads back for the stages that start: journal and snapshots.
//!
//! Only the coordinator has it, so only one process writes to a results folder. A snapshot is on disk before the journal
//! names it, and the journal names it before anything starts from it. It may not know of workers' threads, torch, or
//! how messages travel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::timed::TimedTickets;
use crate::link::{Assignment, SourceSnapshot, Worker};
use tombola_core::folder::journal::Chronicle;
use tombola_core::folder::snapshots::Expected;
use tombola_core::folder::{Store, load_given_mask, load_weights_of};
use tombola_core::mask::Bits;
use tombola_core::net::{Layout, Snapshot};
use tombola_core::plan::{Network, Networks, Part, Plan, Pruning, estimate};
use tombola_core::training::Resume;
use tombola_words::StageId;
use tombola_words::error::{Error, Result};
use tombola_words::record::{Drawn, EpochRecord, MaskRecord, Outcome, Record, SnapshotSums};
use tombola_words::value::{Moment, Rewind, Schedule, Value};

/// How the names of all states to go on from begin.
pub(super) const PROGRESS: &str = "progress-";
/// And those of the best until then.
pub(super) const BEST: &str = "progress-best-";
/// A power failure costs at most what was written within this time; a kill costs nothing.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Bytes a second of progress snapshots that all workers together may send: a tenth of what a disk takes.
const PROGRESS_BYTES: f64 = 50e6;

/// The results folder of a run, as the coordinator writes it.
#[derive(Debug)]
pub struct Ledger {
    /// What is to be trained.
    pub plan: Arc<Plan>,
    /// Where the weights of each stage lie.
    pub networks: Networks,
    /// What is known so far, and where everything is written down first.
    pub chronicle: Chronicle,
    /// Where snapshots lie.
    pub store: Store,
    /// The results folder.
    pub folder: PathBuf,
    /// Seconds between two snapshots of a running training, as asked.
    pub snapshot_seconds: f64,
    /// Tickets that are pruned to a time.
    pub(super) timed: TimedTickets,
    /// When the journal last reached the disk.
    synced: Instant,
    /// Kinds of masks of stages that did not reach the disk yet.
    unsynced: BTreeSet<(StageId, u64)>,
    /// Snapshots that nothing needs any more, to be removed when the journal on the disk tells so.
    past: BTreeSet<(StageId, String)>,
}

/// Now, in seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Ledger {
    /// The results folder `folder`, whose journal is open.
    pub fn new(
        plan: Arc<Plan>,
        networks: Networks,
        chronicle: Chronicle,
        folder: &Path,
        snapshot_seconds: f64,
    ) -> Self {
        Self {
            timed: TimedTickets::of(&plan),
            plan,
            networks,
            chronicle,
            store: Store::new(folder),
            folder: folder.to_path_buf(),
            snapshot_seconds,
            synced: Instant::now(),
            unsynced: BTreeSet::new(),
            past: BTreeSet::new(),
        }
    }

    /// The name of a stage.
    pub fn id(&self, stage: usize) -> StageId {
        self.plan.stages[stage].id
    }

    /// Appends a record. It survives a kill at once, a power failure after the next [`Ledger::sync`].
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn write(&mut self, record: Record) -> Result<()> {
        self.chronicle.write(record)
    }

    /// Brings the journal to the disk if that was not done for a while. One file, appended to: what a power failure
    /// takes is always the end, so nothing that stays refers to something that is gone.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync_now_and_then(&mut self) -> Result<()> {
        if self.synced.elapsed() >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Brings the journal to the disk, and before it the masks that it tells of; after it what it no longer names is removed.
    ///
    /// # Errors
    /// When the disk refuses, or a file cannot be removed.
    pub fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        for (stage, track) in std::mem::take(&mut self.unsynced) {
            self.store.sync_masks(stage, track)?;
        }
        self.chronicle.sync()?;
        for (stage, name) in std::mem::take(&mut self.past) {
            self.store.remove(stage, &name)?;
        }
        Ok(())
    }

    /// The epochs of a stage, where its draw decided them.
    fn known_span(&self, stage: usize) -> Option<(usize, usize)> {
        self.chronicle.history().stages.get(&self.id(stage))?.drawn.as_ref()?.span
    }

    /// How many epochs a stage trains, as far as that is known now, and the estimated seconds of all of them.
    pub fn course(&self, stage: usize, epoch_work: f64) -> (usize, f64) {
        let own = &self.plan.stages[stage];
        let epochs = own.likely_epochs(self.known_span(stage));
        (epochs, estimate::work_of(own, epoch_work, epochs))
    }

    fn network(&self, stage: usize) -> Result<&Network> {
        let network = self.networks.get(&self.plan, stage);
        network.ok_or_else(|| Error::environment("the stage's network was not built"))
    }

    fn layout(&self, stage: usize) -> Result<Arc<Layout>> {
        Ok(Arc::clone(&self.network(stage)?.layout))
    }

    /// What a worker needs to train a stage; `holds` says of which snapshots it has copies, `wants` which of the stage's own are
    /// of use still.
    ///
    /// # Errors
    /// When a snapshot cannot be read.
    pub fn assignment(
        &self,
        index: usize,
        attempt: u64,
        holds: impl Fn(usize, Moment) -> bool,
        wants: impl Fn(Moment) -> bool,
        workers: usize,
    ) -> Result<Assignment> {
        let stage = &self.plan.stages[index];
        let layout = self.layout(index)?;
        let mut sources = Vec::new();
        for (part, source, moment) in self.plan.parts(index) {
            let snapshot = match holds(source, moment) {
                true => None,
                false => Some(Arc::new(self.source(source, moment, part, &layout)?)),
            };
            sources.push(SourceSnapshot { stage: source, moment, part, snapshot });
        }
        let loaded = load_weights_of(&self.plan, index, self.network(index)?)?;
        let mask = load_given_mask(&self.plan, index, self.network(index)?)?;
        Ok(Assignment {
            attempt,
            stage: index,
            id: stage.id,
            sources,
            loaded: loaded.map(|taken| Arc::new(taken.snapshot)),
            mask: mask.map(|taken| Arc::new(taken.mask)),
            dense_losses: self.dense_losses(index)?,
            measured: self.timed.measured(index, &self.plan, self.chronicle.history()),
            resume: self.resume(index, &layout, wants)?,
            snapshot_seconds: self.snapshot_seconds.max(fair_seconds(&layout, workers)),
            until: None,
        })
    }

    /// Losses of the dense training by which a schedule goes on in a stage: those up to the moment that its chain left that
    /// training. What came after is known or not as the workers happen to be, so it may decide nothing.
    ///
    /// # Errors
    /// When the journal does not tell that moment.
    fn dense_losses(&self, index: usize) -> Result<Vec<f64>> {
        let stage = &self.plan.stages[index];
        let (root, known) = (&self.plan.stages[stage.root], self.chronicle.history().stages.get(&self.id(stage.root)));
        let rewind = stage.pruning.as_ref().map(Pruning::effective_rewind);
        let goes_on = matches!(rewind, Some(Rewind::None | Rewind::Epoch(_) | Rewind::At(_)));
        let (Some(known), true) = (known, goes_on && stage.settings.schedule == Schedule::Plateau) else {
            return Ok(Vec::new());
        };
        let until = match self.plan.leaves_dense_at(index) {
            Moment::Epoch(epoch) | Moment::BestUntil(epoch) => epoch,
            // The epoch that it is in had not ended.
            within @ Moment::At(_) => root.known_after(within).unwrap_or(0).saturating_sub(1),
            Moment::EarlyBird(key) => {
                let bird = root.birds.iter().find(|bird| bird.key == key).and_then(|bird| known.bird(bird));
                let untold = || Error::environment("the journal does not tell when the early bird was drawn");
                bird.map(|(epoch, _)| epoch).ok_or_else(untold)?
            }
            // Snapshots of these moments are there only once all epochs are.
            Moment::Best | Moment::Last => usize::MAX,
        };
        Ok(known.epochs.range(..=until).map(|(_, epoch)| epoch.steering().loss).collect())
    }

    /// A snapshot that a stage starts from.
    fn source(&self, source: usize, moment: Moment, part: Part, layout: &Layout) -> Result<Snapshot> {
        let stage = &self.plan.stages[source];
        let known = self.chronicle.history().stages.get(&stage.id);
        let expected = known.map_or_else(Expected::default, |known| known.expected(stage, moment));
        self.store.load(stage.id, &moment.show(), layout, goes_on(expected, part, moment))
    }

    /// Where a stage was interrupted; nothing if its files cannot be read: then it begins again.
    fn resume(&self, index: usize, layout: &Layout, wants: impl Fn(Moment) -> bool) -> Result<Option<Resume>> {
        let Some(mut resume) = self.state_of(index, layout, wants) else { return Ok(None) };
        let stage = &self.plan.stages[index];
        let Some(known) = self.chronicle.history().stages.get(&stage.id) else { return Ok(None) };
        // An early bird drawn from some masks of several might be another.
        if !known.has_masks_until(stage, resume.state.epoch) {
            return Ok(None);
        }
        for track in &stage.tracks {
            let Some(masks) = known.masks.get(&track.key) else { continue };
            let Some(len) = masks.values().map(|mask| mask.len).next() else { continue };
            let place = stage.mask_place(len, self.known_span(index));
            // Distances of later masks are counted from the rows of all before.
            let rows = masks.range(..=resume.state.epoch).map(|(epoch, record)| (*epoch, record));
            if !self.store.has_masks(stage.id, track.key, place, rows) {
                return Ok(None);
            }
            // As far back as any early bird of these masks looks.
            let birds = stage.birds.iter().filter(|bird| bird.track == track.key);
            let Some(window) = birds.map(|bird| bird.settling.window).max() else { continue };
            let first = stage.span(self.known_span(index)).start + 1;
            let from = (resume.state.epoch + 1).saturating_sub(window + 1).max(first);
            let range = from..resume.state.epoch + 1;
            if !range.clone().all(|epoch| masks.contains_key(&epoch)) {
                return Ok(None);
            }
            let read = self.store.read_masks(stage.id, track.key, place, range.clone())?;
            resume.masks.push((track.key, range.zip(read.into_iter().map(Arc::new)).collect()));
        }
        let drawn =
            stage.birds.iter().filter(|bird| known.bird(bird).is_some_and(|(epoch, _)| epoch <= resume.state.epoch));
        resume.drawn = drawn.map(|bird| bird.key).collect();
        let lost = |key: &u64| !known.kept.contains(&Moment::EarlyBird(*key));
        Ok(if resume.drawn.iter().any(lost) { None } else { Some(resume) })
    }

    /// The state that a stage was interrupted in, without its masks.
    fn state_of(&self, index: usize, layout: &Layout, wants: impl Fn(Moment) -> bool) -> Option<Resume> {
        let stage = &self.plan.stages[index];
        let known = self.chronicle.history().stages.get(&stage.id)?;
        let (epoch, best) = known.progress?;
        let start = stage.span(known.drawn.as_ref()?.span).start;
        let (expected, expected_best) = known.expected_progress(stage);
        let state = self.store.load(stage.id, &progress_name(epoch), layout, expected).ok()?;
        let best = match best {
            Some(best) => Some(Arc::new(self.store.load(stage.id, &best_name(best), layout, expected_best).ok()?)),
            None => None,
        };
        let epochs: Vec<EpochRecord> = known.epochs.range(..=epoch).map(|(_, record)| record.clone()).collect();
        // A snapshot of this moment may be wanted now that was not when the stage passed it.
        let passed = |moment: &&Moment| {
            stage.known_after(**moment).is_some_and(|at| at <= epoch) && !known.kept.contains(moment)
        };
        if epochs.len() != epoch.saturating_sub(start)
            || stage.wanted.iter().filter(passed).any(|moment| wants(*moment))
        {
            return None;
        }
        Some(Resume { state: Arc::new(state), best, epochs, masks: Vec::new(), drawn: Vec::new() })
    }

    /// Keeps a snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&mut self, stage: usize, moment: Moment, snapshot: &Snapshot) -> Result<()> {
        let id = self.id(stage);
        let sums = Some(self.save(stage, &moment.show(), snapshot)?);
        self.write(Record::Kept { stage: id, moment, sums })
    }

    /// Puts a snapshot on the disk.
    fn save(&mut self, stage: usize, name: &str, snapshot: &Snapshot) -> Result<SnapshotSums> {
        let id = self.id(stage);
        self.begin_folder(id)?;
        self.past.remove(&(id, name.to_string()));
        let layout = self.layout(stage)?;
        let changes = self.plan.stages[stage].pruning.as_ref().is_some_and(|pruning| pruning.changing.is_some());
        // The mask of the stage is the one that it ends with.
        match changes && name != Moment::Last.show() {
            true => self.store.save_with_own_mask(id, name, snapshot, &layout),
            false => self.store.save(id, name, snapshot, &layout),
        }
    }

    /// Before a stage has files, the journal on the disk knows of the stage: files that no journal tells of are a sign that the
    /// journal is not theirs.
    fn begin_folder(&mut self, id: StageId) -> Result<()> {
        if self.store.folder(id).is_dir() { Ok(()) } else { self.sync() }
    }

    /// Writes down what became of a mask that changed while its stage trained.
    ///
    /// A kill before it costs nothing: the stage goes on from its last state, and tells it again when it ends.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn settled(&mut self, stage: usize, end: Drawn) -> Result<()> {
        let id = self.id(stage);
        let known = self.chronicle.history().stages.get(&id).and_then(|known| known.drawn.clone());
        let drawn = known.map_or_else(|| end.clone(), |known| known.settled(end.clone()));
        self.write(Record::Drawn { stage: id, drawn })
    }

    /// Keeps the mask of an epoch, and how far it is from those before.
    ///
    /// # Errors
    /// When it cannot be written, or those before cannot be read.
    pub fn keep_mask(&mut self, index: usize, track: u64, epoch: usize, mask: &Bits) -> Result<()> {
        let (id, place) = (self.id(index), self.plan.stages[index].mask_place(mask.len(), self.known_span(index)));
        self.begin_folder(id)?;
        let distances = self.store.distances(id, track, place, epoch, mask)?;
        let sum = Some(self.store.write_mask(id, track, place, epoch, mask)?);
        self.unsynced.insert((id, track));
        let mask = MaskRecord { len: mask.len(), alive: mask.count(), first: place.first, distances, sum };
        self.write(Record::Mask { stage: id, track, epoch, mask })
    }

    /// Lets go of a snapshot. Its files go when the journal on the disk tells so.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn free(&mut self, stage: usize, moment: Moment) -> Result<()> {
        let id = self.id(stage);
        self.write(Record::Freed { stage: id, moment })?;
        self.past.insert((id, moment.show()));
        Ok(())
    }

    /// Writes the state to resume from, and lets go of the one before.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep_progress(&mut self, stage: usize, state: &Snapshot, best: Option<&Snapshot>) -> Result<()> {
        let id = self.id(stage);
        let known = self.chronicle.history().stages.get(&id);
        let before = known.and_then(|known| known.progress);
        let old_best_sums = known.and_then(|known| known.progress_sums.1);
        let old_best = before.and_then(|(_, best)| best);
        let best_sums = match best {
            Some(best) => Some(self.save(stage, &best_name(best.epoch), best)?),
            None => old_best_sums,
        };
        let sums = Some(self.save(stage, &progress_name(state.epoch), state)?);
        let best = best.map(|best| best.epoch).or(old_best);
        self.write(Record::Progress { stage: id, epoch: state.epoch, best, sums, best_sums })?;
        if let Some((epoch, _)) = before.filter(|(epoch, _)| *epoch != state.epoch) {
            self.past.insert((id, progress_name(epoch)));
        }
        if let Some(old) = old_best.filter(|old| Some(*old) != best) {
            self.past.insert((id, best_name(old)));
        }
        Ok(())
    }

    /// A worker began a stage. Returns the epochs that were trained before.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn began(&mut self, stage: usize, worker: Worker, resume: Option<&Resume>) -> Result<usize> {
        let start = self.plan.stages[stage].span(self.known_span(stage)).start;
        let epoch = resume.map_or(0, |resume| resume.state.epoch.saturating_sub(start));
        self.write(Record::Began { stage: self.id(stage), worker, epoch, time: now() })?;
        Ok(epoch)
    }

    /// A stage is done, trained at `place`, and nothing needs the snapshots `free` any more.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn finished(
        &mut self,
        stage: usize,
        mut outcome: Outcome,
        place: String,
        free: &[(usize, Moment)],
    ) -> Result<()> {
        let id = self.id(stage);
        let known = self.chronicle.history().stages.get(&id);
        let (images, seconds) = known.map_or((0, 0.0), |known| {
            let add = |(images, seconds): (u64, f64), epoch: &EpochRecord| {
                (images + epoch.train.images, seconds + epoch.seconds)
            };
            known.epochs.values().fold((0, 0.0), add)
        });
        let attempts = known.map_or(1, |known| known.attempts.max(1));
        let images_per_second = images as f64 / seconds.max(1e-9);
        outcome.computed_with = known.map_or_else(Vec::new, |known| known.computed_with.clone());
        let finished = Record::Finished { stage: id, outcome, images_per_second, place, attempts, time: now() };
        // Together: after a kill between them nobody would know that nothing needs those snapshots any more.
        let freed = free.iter().map(|(stage, moment)| Record::Freed { stage: self.id(*stage), moment: *moment });
        self.chronicle.write_all([finished].into_iter().chain(freed).collect())?;
        self.past.extend(free.iter().map(|(stage, moment)| (self.plan.stages[*stage].id, moment.show())));
        // Those too that a killed process wrote and did not come to tell of.
        let names = self.store.names(id)?.into_iter().filter(|name| name.starts_with(PROGRESS));
        self.past.extend(names.map(|name| (id, name)));
        Ok(())
    }
}

/// Seconds between two progress snapshots of one worker of `workers` at which rank 0 and its disk keep up with all of
/// them: weights, best weights and up to two vectors of the optimiser.
fn fair_seconds(layout: &Layout, workers: usize) -> f64 {
    workers as f64 * 16.0 * layout.len as f64 / PROGRESS_BYTES
}

/// What a snapshot must be where a training goes back to it: then the optimiser goes on too.
pub(super) fn goes_on(expected: Expected, part: Part, moment: Moment) -> Expected {
    let rewound = matches!(part, Part::Rewind) && moment != Moment::Epoch(0);
    Expected { optimizer: expected.optimizer || rewound, ..expected }
}

/// The name of the state to go on from.
pub(super) fn progress_name(epoch: usize) -> String {
    format!("{PROGRESS}{epoch}")
}

/// The name of the best state until then.
pub(super) fn best_name(epoch: usize) -> String {
    format!("{BEST}{epoch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_core::net::zoo;
    use tombola_core::sweep::Settings;
    use tombola_words::Shape;

    #[test]
    fn many_workers_with_large_networks_send_their_progress_less_often() {
        let choice = Settings::default().choice();
        let layout = Layout::of(&zoo::build(&choice, Shape::Image(3, 32, 32), 10).unwrap());
        assert!(fair_seconds(&layout, 1) < 0.1);
        let many = fair_seconds(&layout, 1000);
        assert!(many > 60.0 && 1000.0 * 16.0 * layout.len as f64 / many <= PROGRESS_BYTES * 1.001);
    }
}
