//! The coordinator as a state machine: events in, actions out.
//!
//! It has no I/O, no clock, no threads, no torch and no MPI, so that every situation can be tested: time comes with the
//! events, and workers are numbers. The stage with the longest chain behind it starts first (`queue.rs`), at a worker
//! that holds what it starts from if there is one (`workers.rs`). No event takes longer than what it changes, but for a
//! tick, which looks at each worker.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::demand::Demand;
pub use super::events::{Action, Event, Worker};
use super::queue::Queue;
use super::rules::{MOST_HANGS, Rules};
use super::workers::Workers;
use tombola_words::value::Moment;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StageStatus {
    /// Some snapshot that it starts from is missing.
    Waiting,
    /// Whether it is needed depends on results that are not there yet.
    Held,
    /// In the queue.
    Ready,
    Running,
    /// Left half way for the next run.
    Stopped,
    /// Finished now or in an earlier run, or not needed.
    Done,
    Failed,
    /// An ancestor failed.
    Skipped,
}

/// Where every stage of a run stands, and every worker.
///
/// A run is over when it has no workers: they are dismissed when nothing is left for them, and may all be lost before.
/// Then no action ever follows, so the caller must look at [`State::workers`] after it has told who is gone.
#[derive(Debug)]
pub struct State {
    demand: Demand,
    rules: Rules,
    status: Vec<StageStatus>,
    /// Snapshots that each stage starts from and that are not on disk.
    missing: Vec<u32>,
    /// Whether each snapshot is on disk, by its number in `demand`.
    kept: Vec<bool>,
    /// How many open stages start from each snapshot.
    needed: Vec<u32>,
    queue: Queue,
    workers: Workers,
    /// How often each stage failed that did.
    failures: HashMap<usize, usize>,
    /// How often each stage hung that did.
    hangs: HashMap<usize, usize>,
    /// Stages that failed for good.
    failed: usize,
    open: usize,
    stopping: bool,
    given_up: bool,
}

impl State {
    /// The state at the start of a run, before any worker has joined.
    pub fn new(demand: Demand, rules: Rules) -> Self {
        let count = demand.stages();
        let kept: Vec<bool> = demand.offers().iter().map(|offer| offer.kept).collect();
        let lacking = |stage| demand.sources(stage).iter().filter(|source| !kept[**source as usize]).count() as u32;
        let mut state = Self {
            missing: (0..count).map(lacking).collect(),
            status: (0..count)
                .map(|stage| if demand.is_todo(stage) { StageStatus::Waiting } else { StageStatus::Done })
                .collect(),
            needed: (0..kept.len()).map(|offer| demand.users(offer).len() as u32).collect(),
            queue: Queue::new(&demand),
            workers: Workers::default(),
            failures: HashMap::new(),
            hangs: HashMap::new(),
            failed: 0,
            open: demand.todo().count(),
            stopping: false,
            given_up: false,
            kept,
            demand,
            rules,
        };
        for stage in 0..count {
            if state.demand.is_todo(stage) && state.missing[stage] == 0 {
                state.enqueue(stage);
            }
        }
        state
    }

    /// Holds a stage of this run back until it is told to be needed or not. Before any worker has joined.
    pub fn hold(&mut self, stage: usize) {
        match self.status[stage] {
            StageStatus::Ready => self.queue.remove(stage, &self.demand),
            StageStatus::Waiting => {}
            _ => return,
        }
        self.status[stage] = StageStatus::Held;
    }

    /// Takes in what happened, `now` after the start of the run, and says what is to be done, in order.
    pub fn on_event(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Joined(worker) => self.workers.join(worker, now),
            Event::Heard(worker) => self.workers.hear(worker, now),
            Event::Sent(worker, epoch) => self.workers.report(worker, now, Some(self.rules.first_patience(epoch))),
            Event::Reported(worker, epoch) => {
                self.workers.hear(worker, now);
                self.workers.report(worker, now, epoch.map(|epoch| self.rules.patience(epoch)));
            }
            Event::Kept(stage, moment, worker) => {
                if self.trains(worker, stage, now) {
                    self.keep(stage, moment, worker, &mut actions);
                }
            }
            Event::Finished(stage, worker) => {
                if self.trains(worker, stage, now) {
                    self.release(worker, true, &mut actions);
                    self.close(stage, StageStatus::Done, &mut actions);
                    // A snapshot that it did not come to, such as an early bird of masks that never settled, never comes.
                    self.skip_descendants(stage, &mut actions);
                }
            }
            Event::Failed(stage, worker) => {
                if self.trains(worker, stage, now) {
                    self.release(worker, false, &mut actions);
                    self.fail(stage, &mut actions);
                }
            }
            // What can be continued counts as open: the sweep is not done.
            Event::Stopped(stage, worker) => {
                if self.trains(worker, stage, now) {
                    self.release(worker, false, &mut actions);
                    self.status[stage] = StageStatus::Stopped;
                }
            }
            Event::Paused(stage, worker) => {
                if self.trains(worker, stage, now) {
                    self.release(worker, false, &mut actions);
                    self.status[stage] = StageStatus::Held;
                }
                // What is told next may be all that is left to do.
                return actions;
            }
            Event::Wanted(stage) => {
                if self.status[stage] == StageStatus::Held {
                    self.status[stage] = StageStatus::Waiting;
                    if self.missing[stage] == 0 {
                        self.enqueue(stage);
                    }
                }
                return actions;
            }
            Event::Spared(stage) => {
                if self.status[stage] == StageStatus::Held {
                    self.close(stage, StageStatus::Done, &mut actions);
                    actions.push(Action::Spare(stage));
                }
                return actions;
            }
            Event::Left(worker) => self.lose(worker, &mut actions),
            Event::Stop => self.stopping = true,
            Event::Tick => {
                for worker in self.workers.silent(now, self.rules.lease) {
                    self.lose(worker, &mut actions);
                }
                for (worker, silence) in self.workers.hanging(now) {
                    self.give_up(worker, silence, &mut actions);
                }
            }
        }
        self.assign(now, &mut actions);
        actions
    }

    /// Stages that are neither done nor given up.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Whether a stage is to be trained in this run, or was.
    pub fn is_todo(&self, stage: usize) -> bool {
        self.demand.is_todo(stage)
    }

    /// The stage that a worker trains.
    pub fn running(&self, worker: Worker) -> Option<usize> {
        self.workers.stage(worker)
    }

    /// Whether a worker holds a copy of a snapshot. What it was to be sent with the stage that it trains counts only once
    /// that stage has come to a good end, so on [`Action::Start`] the answer is whether a source must be sent.
    pub fn holds(&self, worker: Worker, stage: usize, moment: Moment) -> bool {
        self.demand.find(stage, moment).is_some_and(|snapshot| self.workers.has(worker, snapshot as u32))
    }

    /// Whether a snapshot that a stage takes on its way is wanted still, by the user or by a stage of this run or a later one.
    pub fn wants(&self, stage: usize, moment: Moment) -> bool {
        let of_this_run = |snapshot: usize| self.needed[snapshot] > 0 || self.demand.offers()[snapshot].stays;
        self.demand.find(stage, moment).is_none_or(of_this_run)
    }

    /// Workers that train or wait for a stage: those that joined and were neither lost nor dismissed.
    pub fn workers(&self) -> usize {
        self.workers.alive()
    }

    /// Whether no new stages start, because a stop was asked for or too much failed.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether a worker trains a stage; notes in passing that it was heard.
    fn trains(&mut self, worker: Worker, stage: usize, now: Duration) -> bool {
        self.workers.hear(worker, now);
        self.workers.report(worker, now, None);
        self.workers.stage(worker) == Some(stage)
    }

    fn enqueue(&mut self, stage: usize) {
        self.status[stage] = StageStatus::Ready;
        self.queue.push(stage, &self.demand);
    }

    fn keep(&mut self, stage: usize, moment: Moment, worker: Worker, actions: &mut Vec<Action>) {
        let Some(snapshot) = self.demand.find(stage, moment) else {
            // Taken for the user, or for a stage of another run.
            actions.push(Action::Forget(stage, moment, worker));
            return;
        };
        if self.needed[snapshot] == 0 {
            // Those that needed it were skipped, or are done with an earlier copy: its worker was lost and another
            // takes it again, in this run or a later one.
            actions.push(Action::Forget(stage, moment, worker));
            if !self.demand.offers()[snapshot].stays {
                actions.push(Action::Free(stage, moment));
            }
            return;
        }
        let evicted = self.workers.hold(worker, snapshot as u32);
        actions.extend(evicted.map(|copy| self.forget(copy, worker)));
        if std::mem::replace(&mut self.kept[snapshot], true) {
            return;
        }
        for &user in self.demand.users(snapshot) {
            let user = user as usize;
            self.missing[user] -= 1;
            if self.missing[user] == 0 && self.status[user] == StageStatus::Waiting {
                self.status[user] = StageStatus::Ready;
                self.queue.push(user, &self.demand);
            }
        }
    }

    /// A worker is done with its stage, well or not.
    fn release(&mut self, worker: Worker, well: bool, actions: &mut Vec<Action>) {
        let gone = self.workers.end(worker, well);
        actions.extend(gone.into_iter().map(|copy| self.forget(copy, worker)));
    }

    fn forget(&self, snapshot: u32, worker: Worker) -> Action {
        let offer = &self.demand.offers()[snapshot as usize];
        Action::Forget(offer.stage as usize, offer.moment, worker)
    }

    fn fail(&mut self, stage: usize, actions: &mut Vec<Action>) {
        let failures = self.failures.entry(stage).or_insert(0);
        *failures += 1;
        // After a stop there is no other try in this run, and the caller must know that this was the last.
        if *failures <= self.rules.retries && !self.stopping {
            self.enqueue(stage);
            actions.push(Action::Retry(stage));
            return;
        }
        self.fail_for_good(stage, actions);
    }

    fn fail_for_good(&mut self, stage: usize, actions: &mut Vec<Action>) {
        self.close(stage, StageStatus::Failed, actions);
        self.skip_descendants(stage, actions);
        self.failed += 1;
        if self.rules.is_enough(self.failed) && !self.given_up {
            self.given_up = true;
            self.stopping = true;
            actions.push(Action::GiveUp);
        }
    }

    fn lose(&mut self, worker: Worker, actions: &mut Vec<Action>) {
        if let Some(stage) = self.workers.lose(worker) {
            stage.into_iter().for_each(|stage| self.enqueue(stage));
            actions.push(Action::Lost(worker, stage));
        }
    }

    /// The training of a worker hangs. So may the worker, so it is given nothing any more; a stage that hung before is not
    /// left to take worker after worker.
    fn give_up(&mut self, worker: Worker, silence: Duration, actions: &mut Vec<Action>) {
        let Some(Some(stage)) = self.workers.lose(worker) else { return };
        let hangs = self.hangs.entry(stage).or_insert(0);
        *hangs += 1;
        let again = *hangs < MOST_HANGS;
        actions.push(Action::Hung { worker, stage, silence, again });
        match again {
            true => self.enqueue(stage),
            false => self.fail_for_good(stage, actions),
        }
    }

    fn assign(&mut self, now: Duration, actions: &mut Vec<Action>) {
        while !self.stopping
            && let Some((stage, worker)) = self.pair()
        {
            self.queue.remove(stage, &self.demand);
            self.status[stage] = StageStatus::Running;
            let evicted = self.workers.start(worker, stage, self.demand.sources(stage));
            self.workers.report(worker, now, Some(self.rules.first_patience(Duration::ZERO)));
            actions.push(Action::Start(stage, worker));
            actions.extend(evicted.into_iter().map(|copy| self.forget(copy, worker)));
        }
        let idle = self.queue.is_empty() && self.workers.busy() == 0;
        if idle && !self.stopping && self.open > 0 {
            self.skip_held(actions);
        }
        // Workers wait as long as something that runs may make a stage ready.
        if self.stopping || idle {
            actions.extend(self.workers.dismiss().into_iter().map(Action::Dismiss));
        }
    }

    /// Where nothing runs and nothing can start, what is held waits for trainings that failed.
    fn skip_held(&mut self, actions: &mut Vec<Action>) {
        for stage in 0..self.status.len() {
            if self.status[stage] == StageStatus::Held {
                self.close(stage, StageStatus::Skipped, actions);
                actions.push(Action::Skip(stage, stage));
            }
        }
    }

    /// The stage to start next, and where: the most urgent one, at a worker that holds what it starts from. If none does,
    /// the first idle worker takes one that is as urgent and that it holds the start of, if there is one.
    fn pair(&self) -> Option<(usize, Worker)> {
        let first = self.workers.first_idle()?;
        let stage = self.queue.first()?;
        if let Some(worker) = self.workers.idle_holder(self.demand.sources(stage)) {
            return Some((stage, worker));
        }
        let remaining = self.demand.remaining(stage);
        let near = self.workers.held(first).filter_map(|snapshot| self.queue.first_from(snapshot));
        let tied = near.filter(|near| self.demand.remaining(*near) == remaining);
        let held = |stage: &usize| self.workers.holds_of(first, self.demand.sources(*stage));
        let nearest = tied.min_by_key(|stage| (Reverse(held(stage)), self.queue.rank(*stage)));
        Some((nearest.unwrap_or(stage), first))
    }

    /// Ends a stage and lets go of the snapshots that it was the last to need.
    fn close(&mut self, stage: usize, status: StageStatus, actions: &mut Vec<Action>) {
        self.status[stage] = status;
        self.open -= 1;
        for &source in self.demand.sources(stage) {
            let needed = &mut self.needed[source as usize];
            *needed -= 1;
            if *needed > 0 {
                continue;
            }
            let offer = self.demand.offers()[source as usize];
            let holders = self.workers.drop_copies(source).into_iter();
            actions.extend(holders.map(|worker| Action::Forget(offer.stage as usize, offer.moment, worker)));
            if !offer.stays && std::mem::replace(&mut self.kept[source as usize], false) {
                actions.push(Action::Free(offer.stage as usize, offer.moment));
            }
        }
    }

    fn skip_descendants(&mut self, failed: usize, actions: &mut Vec<Action>) {
        let mut gone = vec![failed];
        while let Some(stage) = gone.pop() {
            // Whoever has its snapshot already does not need the rest of the stage.
            for snapshot in self.demand.offers_of(stage) {
                if self.kept[snapshot] {
                    continue;
                }
                for place in 0..self.demand.users(snapshot).len() {
                    let user = self.demand.users(snapshot)[place] as usize;
                    if matches!(self.status[user], StageStatus::Waiting | StageStatus::Held) {
                        actions.push(Action::Skip(user, failed));
                        self.close(user, StageStatus::Skipped, actions);
                        gone.push(user);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
