//! Runs a sweep: gives stages to workers, and writes down everything that they report.
//!
//! Only this thread writes to the results folder. A snapshot is on disk before the journal names it, and the journal
//! names it before anything starts from it.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tch::Device;

use super::progress::Progress;
use super::state::{Action, Event, State};
use crate::error::{Error, Kind, Result};
use crate::journal::{History, Journal, Outcome, Record};
use crate::net::{Layout, Snapshot};
use crate::plan::Plan;
use crate::prune::Sources;
use crate::store::{Store, snapshots};
use crate::sweep::value::{Load, Moment, Value};
use crate::tables;
use crate::train::{Report, Resume};
use crate::worker::serve::Handle;
use crate::worker::{Assignment, Message, Workshop, device, spawn};

/// Time between two looks at whether a stop was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Tables are rewritten at most this often while a sweep runs.
const TABLES_EVERY: Duration = Duration::from_secs(20);

/// A sweep under way.
#[derive(Debug)]
pub struct Sweep {
    /// What is to be trained.
    pub plan: Arc<Plan>,
    /// What is known so far.
    pub history: History,
    /// Where everything is written down first.
    pub journal: Journal,
    /// Where snapshots lie.
    pub store: Store,
    /// The results folder.
    pub folder: PathBuf,
    /// Networks and data.
    pub workshop: Arc<Workshop>,
    /// The display.
    pub progress: Progress,
    /// Estimated seconds of an epoch of each stage.
    pub epoch_work: Vec<f64>,
    /// Asks to stop.
    pub stop: Arc<AtomicBool>,
    /// CPU threads of each training, for the record.
    pub threads: usize,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Trainings done in this run.
    pub finished: usize,
    /// Trainings that went wrong in this run.
    pub failed: usize,
    /// Trainings left out because of those.
    pub skipped: usize,
    /// Trainings left for the next run.
    pub open: usize,
}

/// The stages that a run has to train, and the snapshots that it starts with.
pub fn standing(plan: &Plan, history: &History, store: &Store) -> (HashSet<usize>, HashSet<(usize, Moment)>) {
    let (mut finished, mut kept) = (HashSet::new(), HashSet::new());
    for (index, stage) in plan.stages.iter().enumerate() {
        let Some(known) = history.stages.get(&stage.id) else { continue };
        // Someone may have tidied up by hand: only what is really there counts.
        let there = |moment: &&Moment| store.path(stage.id, &moment.show()).exists();
        let own: Vec<Moment> = known.kept.iter().filter(there).copied().collect();
        // What was asked for and is not there makes a training unfinished.
        if known.outcome.is_some() && stage.kept.iter().all(|moment| own.contains(moment)) {
            finished.insert(index);
        }
        kept.extend(own.into_iter().map(|moment| (index, moment)));
    }
    (finished, kept)
}

/// Removes what killed processes left half done: nothing that the journal does not name is of use to anyone.
///
/// # Errors
/// When a file cannot be removed.
pub fn tidy(history: &History, store: &Store) -> Result<()> {
    store.tidy(|id| {
        let Some(known) = history.stages.get(&id) else { return Vec::new() };
        let progress = known
            .progress
            .into_iter()
            .flat_map(|(epoch, best)| [Some(progress_name(epoch)), best.map(best_name)].into_iter().flatten());
        known.kept.iter().map(Value::show).chain(progress).collect()
    })
}

/// One stage in words: "resnetb seed 2 · level 1, 50.0 % · init".
pub fn label(plan: &Plan, index: usize) -> String {
    let stage = &plan.stages[index];
    let settings = &stage.settings;
    let mut text = format!("{} seed {}", settings.network, settings.seed);
    match &stage.pruning {
        None => text.push_str(" · dense"),
        Some(pruning) => {
            let density = (1.0 - pruning.rate).powi(stage.level as i32);
            text.push_str(&format!(" · level {}, {:.1} % · {}", stage.level, 100.0 * density, pruning.rewind.show()));
            if pruning.control != crate::sweep::value::Control::None {
                text.push_str(&format!(" · {} control", pruning.control.show()));
            }
        }
    }
    text
}

impl Sweep {
    /// Trains what `state` leaves to do, one stage on each of `devices` at a time.
    ///
    /// # Errors
    /// When the results folder cannot be written. A stage that goes wrong is counted, not an error.
    pub fn run(&mut self, devices: &[Device], mut state: State) -> Result<Count> {
        let (sender, messages) = channel();
        let mut workers: BTreeMap<usize, Handle> = BTreeMap::new();
        // Asked while the data were loaded: then nothing is begun.
        let mut stopping = self.stop.load(Ordering::Relaxed);
        let mut events: Vec<Event> = stopping.then_some(Event::Stop).into_iter().collect();
        for (number, &device) in devices.iter().enumerate() {
            let stop = Arc::clone(&self.stop);
            workers.insert(number, spawn(number, Arc::clone(&self.workshop), device, stop, sender.clone())?);
            events.push(Event::Idle(number));
        }
        drop(sender);
        let mut count = Count::default();
        let mut tables_written = Instant::now();
        loop {
            for event in std::mem::take(&mut events) {
                let actions = state.on_event(event);
                self.act(actions, &mut workers, devices, &mut events, &mut count)?;
            }
            if !events.is_empty() {
                continue;
            }
            if workers.is_empty() {
                break;
            }
            if !stopping && self.stop.load(Ordering::Relaxed) {
                stopping = true;
                self.progress.note("stopping after the running epochs; a second Ctrl-C stops at once");
                events.push(Event::Stop);
                continue;
            }
            match messages.recv_timeout(LOOK_EVERY) {
                Ok((worker, stage, Message::Report(report))) => self.report(worker, stage, report, &mut events)?,
                Ok((worker, stage, Message::Done(outcome))) => {
                    events.push(self.done(worker, stage, outcome, devices, &mut count)?);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if tables_written.elapsed() > TABLES_EVERY {
                tables::write_all(&self.folder, &self.plan, &self.history)?;
                tables_written = Instant::now();
            }
        }
        count.open = state.open();
        self.journal.sync()?;
        Ok(count)
    }

    fn act(
        &mut self,
        actions: Vec<Action>,
        workers: &mut BTreeMap<usize, Handle>,
        devices: &[Device],
        events: &mut Vec<Event>,
        count: &mut Count,
    ) -> Result<()> {
        for action in actions {
            match action {
                Action::Start(stage, worker) => match self.assignment(stage) {
                    Ok(assignment) => {
                        self.show_start(stage, worker, &assignment);
                        let sent = workers.get(&worker).is_some_and(|w| w.assignments.send(assignment).is_ok());
                        if !sent {
                            return Err(Error::environment(format!("worker {} is gone", worker + 1)));
                        }
                    }
                    Err(error) => events.push(self.done(worker, stage, Err(error), devices, count)?),
                },
                Action::Free(stage, moment) => {
                    let id = self.plan.stages[stage].id;
                    self.write(Record::Freed { stage: id, moment })?;
                    self.store.remove(id, &moment.show())?;
                }
                Action::Skip(stage, _) => {
                    count.skipped += 1;
                    self.progress.skipped(self.epoch_work[stage] * self.plan.stages[stage].epochs().len() as f64);
                }
                Action::Dismiss(worker) => {
                    if let Some(handle) = workers.remove(&worker) {
                        drop(handle.assignments);
                        // A worker that panicked outside a training has already been reported as gone.
                        let _ = handle.thread.join();
                    }
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, record: Record) -> Result<()> {
        self.journal.append(&record)?;
        self.history.add(record);
        Ok(())
    }

    fn layout(&self, stage: usize) -> Result<Arc<Layout>> {
        let network = self.workshop.network(stage);
        let network = network.ok_or_else(|| Error::environment("the stage's network was not built"))?;
        Ok(Arc::clone(&network.layout))
    }

    /// Reads what a stage starts from.
    fn assignment(&self, index: usize) -> Result<Assignment> {
        let stage = &self.plan.stages[index];
        let layout = self.layout(index)?;
        let load = |(source, moment): (usize, Moment)| {
            self.store.load(self.plan.stages[source].id, &moment.show(), &layout).map(Arc::new)
        };
        let mut sources = Sources::default();
        let mut needed = self.plan.sources(index).into_iter();
        if let Some(drawn) = needed.next() {
            sources.drawn = Some(load(drawn)?);
        }
        if let Some(rewound) = needed.next() {
            sources.rewound = Some(load(rewound)?);
        }
        if let (0, Load::Path(path)) = (stage.level, &stage.settings.load) {
            sources.drawn = Some(Arc::new(snapshots::load_weights(path, &layout)?));
        }
        let root = self.history.stages.get(&self.plan.stages[stage.root].id);
        let dense_losses = match stage.level {
            0 => Vec::new(),
            _ => root.map_or_else(Vec::new, |root| root.epochs.values().map(|epoch| epoch.validation.loss).collect()),
        };
        Ok(Assignment { stage: index, sources, dense_losses, resume: self.resume(index, &layout) })
    }

    /// Where a stage was interrupted; nothing if its files cannot be read: then it begins again.
    fn resume(&self, index: usize, layout: &Layout) -> Option<Resume> {
        let stage = &self.plan.stages[index];
        let known = self.history.stages.get(&stage.id)?;
        let (epoch, best) = known.progress?;
        known.drawn.as_ref()?;
        let state = self.store.load(stage.id, &progress_name(epoch), layout).ok()?;
        let best = match best {
            Some(best) => Some(Arc::new(self.store.load(stage.id, &best_name(best), layout).ok()?)),
            None => None,
        };
        let epochs: Vec<_> = known.epochs.range(..=epoch).map(|(_, record)| record.clone()).collect();
        // A snapshot of this moment may be wanted now that was not when the stage passed it.
        let passed = |moment: &Moment| moment.epoch().is_some_and(|at| at <= epoch) && !known.kept.contains(moment);
        if epochs.len() != epoch - stage.epochs().start || stage.wanted.iter().any(passed) {
            return None;
        }
        Some(Resume { state: Arc::new(state), best, epochs })
    }

    fn show_start(&mut self, stage: usize, worker: usize, assignment: &Assignment) {
        let epochs = self.plan.stages[stage].epochs();
        let from = assignment.resume.as_ref().map_or(0, |resume| resume.state.epoch - epochs.start);
        let images = self.workshop.train_images(stage);
        self.progress.started(worker, &label(&self.plan, stage), from, epochs.len(), images, self.epoch_work[stage]);
    }

    fn report(&mut self, worker: usize, stage: usize, report: Report, events: &mut Vec<Event>) -> Result<()> {
        let id = self.plan.stages[stage].id;
        match report {
            Report::Drawn(drawn) => self.write(Record::Drawn { stage: id, drawn: *drawn })?,
            Report::Images(images) => self.progress.images(worker, images),
            Report::Epoch(epoch) => {
                let line = format!(
                    "epoch {}: loss {:.4}, validation {:.2} %, {:.1} s",
                    epoch.epoch,
                    epoch.train.loss,
                    100.0 * epoch.validation.accuracy(),
                    epoch.seconds
                );
                self.write(Record::Epoch { stage: id, epoch })?;
                self.progress.epoch(worker, &line);
            }
            Report::Snapshot(moment, snapshot) => {
                self.save(stage, &moment.show(), &snapshot)?;
                self.write(Record::Kept { stage: id, moment })?;
                self.journal.sync()?;
                events.push(Event::Kept(stage, moment));
            }
            Report::Progress(state, best) => self.save_progress(stage, &state, best.as_deref())?,
        }
        Ok(())
    }

    fn save(&self, stage: usize, name: &str, snapshot: &Snapshot) -> Result<()> {
        self.store.save(self.plan.stages[stage].id, name, snapshot, &*self.layout(stage)?)
    }

    /// Writes the state to resume from, then lets go of the one before.
    fn save_progress(&mut self, stage: usize, state: &Snapshot, best: Option<&Snapshot>) -> Result<()> {
        let id = self.plan.stages[stage].id;
        let before = self.history.stages.get(&id).and_then(|known| known.progress);
        let old_best = before.and_then(|(_, best)| best);
        if let Some(best) = best {
            self.save(stage, &best_name(best.epoch), best)?;
        }
        self.save(stage, &progress_name(state.epoch), state)?;
        let best = best.map(|best| best.epoch).or(old_best);
        self.write(Record::Progress { stage: id, epoch: state.epoch, best })?;
        self.journal.sync()?;
        if let Some((epoch, _)) = before.filter(|(epoch, _)| *epoch != state.epoch) {
            self.store.remove(id, &progress_name(epoch))?;
        }
        if let Some(old) = old_best.filter(|old| Some(*old) != best) {
            self.store.remove(id, &best_name(old))?;
        }
        Ok(())
    }

    fn done(
        &mut self,
        worker: usize,
        stage: usize,
        outcome: Result<Outcome>,
        devices: &[Device],
        count: &mut Count,
    ) -> Result<Event> {
        let id = self.plan.stages[stage].id;
        match outcome {
            Ok(outcome) => {
                let known = self.history.stages.get(&id);
                let (images, seconds) = known.map_or((0, 0.0), |known| {
                    let add = |(images, seconds): (u64, f64), epoch: &crate::journal::EpochRecord| {
                        (images + epoch.train.images, seconds + epoch.seconds)
                    };
                    known.epochs.values().fold((0, 0.0), add)
                });
                let progress = known.and_then(|known| known.progress);
                let attempts = known.map_or(0, |known| known.attempts) + 1;
                let line = format!("done, test {:.2} %", 100.0 * outcome.best.test.accuracy());
                let place = format!("{}, worker {}", device::describe(devices[worker], self.threads), worker + 1);
                let images_per_second = images as f64 / seconds.max(1e-9);
                self.write(Record::Finished { stage: id, outcome, images_per_second, place, attempts, time: 0.0 })?;
                self.journal.sync()?;
                if let Some((epoch, best)) = progress {
                    self.store.remove(id, &progress_name(epoch))?;
                    if let Some(best) = best {
                        self.store.remove(id, &best_name(best))?;
                    }
                }
                self.progress.ended(worker, &line);
                count.finished += 1;
                Ok(Event::Finished(stage, worker))
            }
            Err(error) if error.kind == Kind::Interrupted => Ok(Event::Stopped(stage, worker)),
            Err(error) => {
                let mut reason = error.message.clone();
                if let Some(cure) = &error.hint {
                    reason.push_str(&format!(" ({cure})"));
                }
                self.write(Record::Failed { stage: id, reason: reason.clone(), again: false, time: 0.0 })?;
                self.journal.sync()?;
                let line = format!("failed: {} · {reason}", label(&self.plan, stage));
                self.progress.note(&line);
                self.progress.ended(worker, &format!("failed: {reason}"));
                count.failed += 1;
                Ok(Event::Failed(stage, worker))
            }
        }
    }
}

fn progress_name(epoch: usize) -> String {
    format!("progress-{epoch}")
}

fn best_name(epoch: usize) -> String {
    format!("progress-best-{epoch}")
}
