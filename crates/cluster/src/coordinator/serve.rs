//! Runs a sweep: gives stages to workers, and has everything that they report written down.
//!
//! It carries out what the state machine decides. It may not know of torch, MPI or threads: workers are numbers at the
//! other end of a link.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ledger::{Ledger, now};
use super::presence::WorkerPresence;
use super::progress::Progress;
use super::state::{Action, Event, State};
use crate::link::{Link, Order, Ready, Word, Worker};
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_core::training::TrainingEvent;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::fault::Fault;
use tombola_words::record::{Outcome, Record};

/// Longest time between two looks at whether a stop was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time between two looks at who has been silent.
const TICK_EVERY: Duration = Duration::from_millis(500);
/// Tables are rewritten at most this often while a sweep runs,
const TABLES_EVERY: Duration = Duration::from_secs(20);
/// and so that they take no more than one in this many seconds.
const TABLES_SHARE: u32 = 50;

/// Writes the tables of a sweep as far as it is, from its plan and history into its folder.
pub type WriteTables = fn(&Path, &Plan, &History) -> Result<()>;

/// A sweep under way.
#[derive(Debug)]
pub struct Sweep {
    /// The results folder.
    pub ledger: Ledger,
    /// The display.
    pub progress: Progress,
    /// Estimated seconds of an epoch of each stage.
    pub epoch_work: Vec<f64>,
    /// Asks to stop.
    pub stop: Arc<AtomicBool>,
    /// When to stop by itself.
    pub deadline: Option<Instant>,
    /// Time without a sign of life after which a worker counts as lost.
    pub lease: Duration,
    /// Whether other processes must hear that this one lives.
    pub remote: bool,
    /// Checksums of this process's data, which all workers must have too.
    pub fingerprints: BTreeMap<String, String>,
    /// What writes the tables meanwhile.
    pub tables: WriteTables,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// Trainings done in this run.
    pub finished: usize,
    /// Trainings that went wrong for good in this run.
    pub failed: usize,
    /// Trainings left out because of those.
    pub skipped: usize,
    /// Trainings left for the next run.
    pub open: usize,
    /// Workers that were lost.
    pub lost: usize,
    /// Why nothing could be trained any more, if no worker was left.
    pub deserted: Option<Error>,
    /// Whether it stopped because of failures.
    pub gave_up: bool,
    /// Time that the coordinator was not waiting.
    pub busy: Duration,
}

/// A run of [`Sweep::run`].
struct SweepRun<'a> {
    sweep: &'a mut Sweep,
    link: &'a mut dyn Link,
    state: State,
    presence: WorkerPresence,
    events: VecDeque<Event>,
    count: Count,
    /// Assignments so far.
    attempts: u64,
    begun: Instant,
    stopping: bool,
    fault: Option<Fault>,
}

impl Sweep {
    /// Trains what `state` leaves to do on the workers at the other end of `link`.
    ///
    /// # Errors
    /// When the results folder cannot be written. A stage that goes wrong is counted, not an error.
    pub fn run(&mut self, link: &mut dyn Link, state: State) -> Result<Count> {
        let begun = Instant::now();
        let presence = WorkerPresence::awaiting(link.expected());
        let (events, count, fault) = (VecDeque::new(), Count::default(), Fault::of(0));
        SweepRun { sweep: self, link, state, presence, events, count, attempts: 0, begun, stopping: false, fault }.go()
    }
}

impl SweepRun<'_> {
    fn go(mut self) -> Result<Count> {
        let (mut ticked, mut told, mut waited) = (Instant::now(), Instant::now(), Duration::ZERO);
        let mut tables_due = Instant::now() + TABLES_EVERY;
        loop {
            self.look_at_the_clock()?;
            self.settle()?;
            if self.is_over() {
                break;
            }
            let before = Instant::now();
            let received = self.link.receive(LOOK_EVERY)?;
            waited += before.elapsed();
            if let Some((worker, word)) = received {
                self.hear(worker, word)?;
            }
            if ticked.elapsed() >= TICK_EVERY {
                ticked = Instant::now();
                // A coordinator that was held up, by a slow disk say, must not take unread words for silence.
                while let Some((worker, word)) = self.link.receive(Duration::ZERO)? {
                    self.hear(worker, word)?;
                }
                self.events.push_back(Event::Tick);
                self.give_up_waiting()?;
                self.sweep.ledger.sync_now_and_then()?;
                self.sweep.progress.tick();
            }
            if self.sweep.remote && told.elapsed() >= self.sweep.lease / 8 {
                told = Instant::now();
                for worker in self.link.expected() {
                    self.link.send(worker, Order::Alive)?;
                }
            }
            if Instant::now() >= tables_due {
                let begun = Instant::now();
                let ledger = &self.sweep.ledger;
                (self.sweep.tables)(&ledger.folder, &ledger.plan, ledger.chronicle.history())?;
                tables_due = Instant::now() + TABLES_EVERY.max(begun.elapsed() * TABLES_SHARE);
            }
        }
        self.sweep.ledger.sync()?;
        self.count.open = self.state.open();
        if self.stopping || self.count.open == 0 {
            self.count.deserted = None;
        }
        self.count.busy = self.begun.elapsed().saturating_sub(waited);
        Ok(self.count)
    }

    /// Whether nobody has anything to do any more. Ranks that never came are not waited for once all is done.
    fn is_over(&self) -> bool {
        let done = self.state.open() == 0 || self.stopping;
        self.presence.active.is_empty() && (done || self.presence.awaited.is_empty())
    }

    /// A stop that was asked for, or that the time limit asks for.
    fn look_at_the_clock(&mut self) -> Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault.strike(self.begun.elapsed()))?;
        if self.stopping {
            return Ok(());
        }
        if self.sweep.stop.load(Ordering::Relaxed) {
            self.stop("stopping after the running epochs; a second Ctrl-C stops at once")?;
        } else if self.sweep.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.stop("the time limit is near: stopping after the running epochs")?;
        }
        Ok(())
    }

    fn stop(&mut self, why: &str) -> Result<()> {
        self.stopping = true;
        self.sweep.progress.note(why);
        self.events.push_back(Event::Stop);
        for &worker in self.presence.running.keys() {
            self.link.send(worker, Order::Stop)?;
        }
        Ok(())
    }

    /// Tells the state machine what happened and does what it says, until nothing is left to tell.
    fn settle(&mut self) -> Result<()> {
        while let Some(event) = self.events.pop_front() {
            for action in self.state.on_event(event, self.begun.elapsed()) {
                self.act(action)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Start(stage, worker) => self.start(stage, worker),
            Action::Forget(stage, moment, worker) => self.link.send(worker, Order::Forget(stage, moment)),
            Action::Free(stage, moment) => self.sweep.ledger.free(stage, moment),
            Action::Skip(stage, _) => {
                self.count.skipped += 1;
                let (_, work) = self.sweep.ledger.course(stage, self.sweep.epoch_work[stage]);
                self.sweep.progress.skipped(work);
                Ok(())
            }
            Action::Retry(stage) => {
                let label = self.sweep.ledger.plan.label(stage);
                self.sweep.progress.note(&format!("trying again: {label}"));
                Ok(())
            }
            Action::Lost(worker, stage) => self.lose(worker, stage, "no sign of life"),
            Action::Dismiss(worker) => {
                self.presence.active.remove(&worker);
                Ok(())
            }
            Action::GiveUp => {
                self.count.gave_up = true;
                self.stop("too many trainings failed: stopping after the running epochs")
            }
        }
    }

    fn start(&mut self, stage: usize, worker: Worker) -> Result<()> {
        self.attempts += 1;
        let holds = |source, moment| self.state.holds(worker, source, moment);
        let workers = self.presence.active.len();
        let ledger = &mut self.sweep.ledger;
        self.presence.running.insert(worker, (stage, self.attempts));
        match ledger.assignment(stage, self.attempts, holds, workers) {
            Ok(assignment) => {
                let course = ledger.course(stage, self.sweep.epoch_work[stage]);
                let from = ledger.began(stage, worker, assignment.resume.as_ref())?;
                let label = ledger.plan.label(stage);
                self.sweep.progress.started(worker, &label, from, course);
                self.link.send(worker, Order::Start(Box::new(assignment)))
            }
            Err(error) => self.done(worker, Err(error)),
        }
    }

    fn hear(&mut self, worker: Worker, word: Word) -> Result<()> {
        if self.presence.lost.contains(&worker) {
            return Ok(());
        }
        if let Some(heard) = self.presence.awaited.get_mut(&worker) {
            *heard = Instant::now();
        }
        let attempt = self.presence.running.get(&worker).copied();
        match word {
            Word::Ready(ready) => return self.join(worker, *ready),
            Word::Report { attempt: number, report } => {
                if let Some((stage, _)) = attempt.filter(|(_, running)| *running == number) {
                    self.report(worker, stage, report)?;
                }
            }
            Word::Done { attempt: number, outcome } => {
                if attempt.is_some_and(|(_, running)| running == number) {
                    return self.done(worker, outcome);
                }
            }
            // One rank's signal is the job's: a node that is taken away, or an impatient scheduler.
            Word::Signal if !self.stopping => {
                self.stop(&format!("rank {worker} was asked to stop: stopping after the running epochs"))?;
            }
            Word::Unable(error) => {
                self.count.deserted = Some(error.clone());
                let stage = attempt.map(|(stage, _)| stage);
                self.events.push_back(Event::Left(worker));
                return self.lose(worker, stage, &error.message);
            }
            Word::Hello(_) | Word::Alive | Word::Signal | Word::Bye => {}
        }
        if self.presence.active.contains(&worker) {
            self.events.push_back(Event::Heard(worker));
        }
        Ok(())
    }

    /// Takes a worker on, if it has the data that the sweep is about.
    fn join(&mut self, worker: Worker, ready: Ready) -> Result<()> {
        for (dataset, theirs) in &ready.fingerprints {
            let ours = self.sweep.fingerprints.get(dataset);
            if let Some(ours) = ours.filter(|ours| *ours != theirs) {
                let reason = format!(
                    "its files of `{dataset}` are not those of rank 0: checksum {}, expected {}",
                    &theirs[..theirs.len().min(12)],
                    &ours[..ours.len().min(12)]
                );
                self.count.deserted = Some(Error::environment(reason.clone()));
                return self.lose(worker, None, &reason);
            }
        }
        self.presence.awaited.remove(&worker);
        self.presence.active.insert(worker);
        self.presence.places.insert(worker, ready.place.clone());
        self.sweep.progress.log(&format!("worker {worker} is ready: {}", ready.place));
        self.sweep.ledger.write(Record::Joined { worker, place: ready.place, time: now() })?;
        self.events.push_back(Event::Joined(worker));
        if self.sweep.remote && self.presence.awaited.is_empty() {
            self.sweep.progress.say(&self.presence.map());
        }
        Ok(())
    }

    /// A worker is gone for good.
    fn lose(&mut self, worker: Worker, stage: Option<usize>, reason: &str) -> Result<()> {
        if !self.presence.lost.insert(worker) {
            return Ok(());
        }
        self.count.lost += 1;
        self.presence.awaited.remove(&worker);
        self.presence.active.remove(&worker);
        self.presence.running.remove(&worker);
        let place = self.presence.places.get(&worker).map_or_else(String::new, |place| format!(" ({place})"));
        let label = stage.map(|stage| self.sweep.ledger.plan.label(stage));
        let work = label.map_or_else(String::new, |label| format!("; {label} goes on elsewhere"));
        self.sweep.progress.note(&format!("lost worker {worker}{place}: {reason}{work}"));
        self.sweep.progress.interrupted(worker);
        let stage = stage.map(|stage| self.sweep.ledger.id(stage));
        self.sweep.ledger.write(Record::Lost { worker, stage, reason: reason.to_string(), time: now() })?;
        self.count.deserted.get_or_insert_with(|| Error::environment(reason.to_string()));
        // Should it only be slow, it learns that nobody waits for it.
        self.link.send(worker, Order::End { clean: false })
    }

    /// Ranks that do not get ready are not waited for for ever.
    fn give_up_waiting(&mut self) -> Result<()> {
        let patience = 2 * self.sweep.lease;
        let late = self.presence.awaited.iter().filter(|(_, heard)| heard.elapsed() >= patience);
        let late: Vec<Worker> = late.map(|(worker, _)| *worker).collect();
        late.into_iter().try_for_each(|worker| self.lose(worker, None, "it did not get ready"))
    }

    fn report(&mut self, worker: Worker, stage: usize, report: TrainingEvent) -> Result<()> {
        let Sweep { ledger, progress, epoch_work, .. } = self.sweep;
        let id = ledger.id(stage);
        match report {
            TrainingEvent::Drawn(drawn) => {
                ledger.write(Record::Drawn { stage: id, drawn: *drawn })?;
                progress.lasts(worker, ledger.course(stage, epoch_work[stage]));
            }
            TrainingEvent::Images { seen, of } => progress.images(worker, seen, of),
            TrainingEvent::Epoch(epoch) => {
                let line = format!(
                    "epoch {}: loss {:.4}, validation {:.2} %, {:.1} s",
                    epoch.epoch,
                    epoch.train.loss,
                    100.0 * epoch.validation.accuracy(),
                    epoch.seconds
                );
                ledger.write(Record::Epoch { stage: id, epoch })?;
                progress.epoch(worker, &line);
            }
            TrainingEvent::Mask { track, epoch, mask } => ledger.keep_mask(stage, track, epoch, &mask)?,
            TrainingEvent::Snapshot(moment, snapshot) => {
                ledger.keep(stage, moment, &snapshot)?;
                self.events.push_back(Event::Kept(stage, moment, worker));
            }
            TrainingEvent::Progress(state, best) => ledger.keep_progress(stage, &state, best.as_deref())?,
        }
        Ok(())
    }

    /// The running stage of a worker is over, well or not.
    fn done(&mut self, worker: Worker, outcome: Result<Outcome>) -> Result<()> {
        let Some((stage, _)) = self.presence.running.remove(&worker) else { return Ok(()) };
        let Sweep { ledger, progress, .. } = &mut *self.sweep;
        match outcome {
            Ok(outcome) => {
                let line = format!("done, test {:.2} %", 100.0 * outcome.best.test.accuracy());
                let place = self.presence.places.get(&worker).cloned().unwrap_or_default();
                ledger.finished(stage, outcome, format!("{place}, worker {worker}"))?;
                progress.ended(worker, &line);
                self.count.finished += 1;
                self.events.push_back(Event::Finished(stage, worker));
                Ok(())
            }
            Err(error) if error.kind == Kind::Interrupted => {
                ledger.write(Record::Stopped { stage: ledger.id(stage), time: now() })?;
                progress.interrupted(worker);
                self.events.push_back(Event::Stopped(stage, worker));
                Ok(())
            }
            Err(error) => self.fail(worker, stage, &error),
        }
    }

    fn fail(&mut self, worker: Worker, stage: usize, error: &Error) -> Result<()> {
        // What came before has to be settled first: the answer to this failure says whether it is tried again.
        self.settle()?;
        let actions = self.state.on_event(Event::Failed(stage, worker), self.begun.elapsed());
        let again = actions.contains(&Action::Retry(stage));
        let mut reason = error.message.clone();
        if let Some(cure) = &error.hint {
            reason.push_str(&format!(" ({cure})"));
        }
        let Sweep { ledger, progress, .. } = &mut *self.sweep;
        ledger.write(Record::Failed { stage: ledger.id(stage), reason: reason.clone(), again, time: now() })?;
        progress.note(&format!("failed: {} · {reason}", ledger.plan.label(stage)));
        match again {
            true => progress.interrupted(worker),
            false => {
                progress.ended(worker, &format!("failed: {reason}"));
                self.count.failed += 1;
            }
        }
        actions.into_iter().try_for_each(|action| self.act(action))
    }
}
