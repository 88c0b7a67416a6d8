//! Runs a sweep: gives stages to workers, and has everything that they report written down.
//!
//! It carries out what the state machine decides. It may not know of torch, MPI or threads: workers are numbers at the
//! other end of a link.

mod trainings;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::alike;
use super::events::{Action, Event};
use super::ledger::{Ledger, now};
use super::presence::WorkerPresence;
use super::progress::Progress;
use super::state::State;
use super::tables::TablesWriter;
pub use super::tables::WriteTables;
use crate::clock::AttentiveClock;
use crate::link::{Link, Order, Ready, Word, Worker};
use tombola_core::gpus::{UnusedGpus, eager_reason};
use tombola_core::plan::Needed;
use tombola_core::training::TrainingEvent;
use tombola_words::error::{Error, Result};
use tombola_words::fault::Fault;
use tombola_words::record::Record;
use tombola_words::seconds;

/// Longest time between two looks at whether a stop was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time between two looks at who has been silent.
const TICK_EVERY: Duration = Duration::from_millis(500);
/// Longest time for which unread words are read before anything else is looked after.
const DRAIN_FOR: Duration = Duration::from_millis(200);

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
    /// Longest time that a worker may take to get ready.
    pub until_ready: Duration,
    /// Whether workers are in other processes.
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
    /// Whether each stage is needed, and how far, as results say.
    needed: Vec<Needed>,
    presence: WorkerPresence,
    events: VecDeque<Event>,
    count: Count,
    /// Assignments so far.
    attempts: u64,
    begun: Instant,
    clock: AttentiveClock,
    tables: TablesWriter,
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
        let needed = self.ledger.chronicle.history().needed(&self.ledger.plan);
        let mut run = SweepRun {
            tables: TablesWriter::new(self.tables, &self.ledger.folder, &self.ledger.plan),
            sweep: self,
            link,
            state,
            needed,
            presence,
            events: VecDeque::new(),
            count: Count::default(),
            attempts: 0,
            begun,
            clock: AttentiveClock::new(),
            stopping: false,
            fault: Fault::of(0),
        };
        if run.sweep.ledger.plan.grows() || !run.sweep.ledger.timed.is_empty() {
            for stage in 0..run.needed.len() {
                if run.waits(stage) {
                    run.state.hold(stage);
                }
            }
        }
        run.go()
    }
}

impl SweepRun<'_> {
    fn go(mut self) -> Result<Count> {
        let (mut ticked, mut waited) = (Instant::now(), Duration::ZERO);
        loop {
            self.clock.turn();
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
                // A coordinator that was held up, by a slow disk say, must not take unread words for silence.
                if self.drain()? {
                    ticked = Instant::now();
                    self.events.push_back(Event::Tick);
                    self.give_up_waiting()?;
                }
                self.sweep.ledger.sync_now_and_then()?;
                self.sweep.progress.tick();
                self.tables.look(self.sweep.ledger.chronicle.history())?;
            }
        }
        self.tables.wait()?;
        self.sweep.ledger.sync()?;
        self.count.open = self.state.open();
        if self.stopping || self.count.open == 0 {
            self.count.deserted = None;
        }
        self.count.busy = self.begun.elapsed().saturating_sub(waited);
        Ok(self.count)
    }

    /// Reads what waits, for a while. Returns whether all is read.
    fn drain(&mut self) -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < DRAIN_FOR {
            let Some((worker, word)) = self.link.receive(Duration::ZERO)? else { return Ok(true) };
            self.hear(worker, word)?;
        }
        Ok(false)
    }

    /// Whether nobody has anything to do any more. Ranks that never came are not waited for once all is done.
    fn is_over(&self) -> bool {
        let done = self.state.open() == 0 || self.stopping;
        self.presence.active.is_empty() && (done || self.presence.awaited.is_empty())
    }

    /// A stop that was asked for, or that the time limit asks for.
    fn look_at_the_clock(&mut self) -> Result<()> {
        self.fault.as_mut().map_or(Ok(()), |fault| fault.strike(self.begun.elapsed()))?;
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
        // Before what was heard and not told yet, which may make room for a training that nobody would stop.
        self.events.push_front(Event::Stop);
        for &worker in self.presence.running.keys() {
            self.link.send(worker, Order::Stop)?;
        }
        Ok(())
    }

    /// Tells the state machine what happened and does what it says, until nothing is left to tell.
    fn settle(&mut self) -> Result<()> {
        while let Some(event) = self.events.pop_front() {
            for action in self.state.on_event(event, self.clock.now()) {
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
            Action::Spare(stage) => {
                let (_, work) = self.sweep.ledger.course(stage, self.sweep.epoch_work[stage]);
                self.sweep.progress.spared(work);
                Ok(())
            }
            Action::Retry(stage) => {
                let label = self.sweep.ledger.plan.label(stage);
                self.sweep.progress.note(&format!("trying again: {label}"));
                Ok(())
            }
            Action::Lost(worker, stage) => self.lose(worker, stage, "no sign of life"),
            Action::Hung { worker, stage, silence, again } => self.give_up(worker, stage, silence, again),
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
        let wants = |moment| self.state.wants(stage, moment);
        let workers = self.presence.active.len();
        let ledger = &mut self.sweep.ledger;
        self.presence.running.insert(worker, (stage, self.attempts));
        match ledger.assignment(stage, self.attempts, holds, wants, workers) {
            Ok(mut assignment) => {
                assignment.until = self.needed[stage].until;
                let course = ledger.course(stage, self.sweep.epoch_work[stage]);
                let from = ledger.began(stage, worker, assignment.resume.as_ref())?;
                let label = ledger.plan.label(stage);
                self.sweep.progress.started(worker, &label, from, course);
                let epoch = seconds(self.sweep.epoch_work[stage]);
                self.events.push_back(Event::Sent(worker, epoch));
                self.link.send(worker, Order::Start(Box::new(assignment)))?;
                // A stop came while what led to this start was carried out.
                if self.stopping { self.link.send(worker, Order::Stop) } else { Ok(()) }
            }
            Err(error) => self.done(worker, Err(error)),
        }
    }

    fn hear(&mut self, worker: Worker, word: Word) -> Result<()> {
        if self.presence.lost.contains(&worker) {
            return Ok(());
        }
        if let Some(heard) = self.presence.awaited.get_mut(&worker) {
            *heard = self.clock.now();
        }
        let attempt = self.presence.running.get(&worker).copied();
        match word {
            Word::Ready(ready) => return self.join(worker, *ready),
            Word::Report { attempt: number, report } => {
                if let Some((stage, _)) = attempt.filter(|(_, running)| *running == number) {
                    let took = match &report {
                        TrainingEvent::Epoch(epoch) => Duration::try_from_secs_f64(epoch.seconds).ok(),
                        _ => None,
                    };
                    self.events.push_back(Event::Reported(worker, took));
                    return self.report(worker, stage, report);
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
        if let Some(unused) = UnusedGpus::in_place(&ready.place)
            && self.presence.unused_gpus.insert(unused.clone())
        {
            self.sweep.progress.say(&unused.words("warning: trainings run"));
            self.sweep.progress.say(&format!("hint: {}", unused.cure()));
        }
        let eager = eager_reason(&ready.place).and_then(|reason| self.presence.eager(worker, &ready.place, reason));
        eager.into_iter().for_each(|line| self.sweep.progress.say(&line));
        self.sweep.progress.log(&format!("worker {worker} is ready: {}", ready.place));
        if let Some(own) = ready.arithmetic.as_ref().filter(|own| !self.presence.arithmetics.contains(own)) {
            let done = self.sweep.ledger.chronicle.history().computed_with(&self.sweep.ledger.plan);
            let said = alike::warning(own, done, &self.presence.arithmetics);
            said.into_iter().for_each(|line| self.sweep.progress.note(&line));
            self.presence.arithmetics.insert(own.clone());
        }
        let Ready { place, arithmetic, .. } = ready;
        self.sweep.ledger.write(Record::Joined { worker, place, arithmetic, time: now() })?;
        self.events.push_back(Event::Joined(worker));
        if self.presence.awaited.is_empty() {
            let whose = if self.sweep.remote { "rank" } else { "worker" };
            self.sweep.progress.say(&self.presence.map(whose));
        }
        Ok(())
    }

    /// Ranks that do not get ready are not waited for for ever, whether or not they give signs of life.
    fn give_up_waiting(&mut self) -> Result<()> {
        let patience = 2 * self.sweep.lease;
        let now = self.clock.now();
        let too_late = now >= self.sweep.until_ready;
        let late =
            self.presence.awaited.iter().filter(|(_, heard)| too_late || now.saturating_sub(**heard) >= patience);
        let late: Vec<Worker> = late.map(|(worker, _)| *worker).collect();
        late.into_iter().try_for_each(|worker| self.lose(worker, None, "it did not get ready"))
    }
}
