//! What becomes of the trainings that were given to workers: what they report, how they end, and those that are given up with
//! their workers.

use std::time::Duration;

use super::{Sweep, SweepRun};
use crate::coordinator::events::{Action, Event};
use crate::coordinator::ledger::now;
use crate::link::{Order, Worker};
use tombola_core::folder::journal::{KnownResults, comes_to_nothing};
use tombola_core::plan::{Demanded, Needed};
use tombola_core::training::TrainingEvent;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::record::{Outcome, Record};

impl SweepRun<'_> {
    /// A worker is gone for good.
    pub(super) fn lose(&mut self, worker: Worker, stage: Option<usize>, reason: &str) -> Result<()> {
        if !self.presence.lost.insert(worker) {
            return Ok(());
        }
        self.count.lost += 1;
        let reason = &self.presence.why(reason);
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

    /// A training hangs. A thread cannot be ended, and a rank that is told to end may hang as well: nobody listens to either
    /// any more.
    pub(super) fn give_up(&mut self, worker: Worker, stage: usize, silence: Duration, again: bool) -> Result<()> {
        let reason = format!("its training reported nothing for {} s", silence.as_secs());
        if self.count.deserted.is_none() {
            let hint = "run the same command again: it continues where this stopped; `--give-up-after` says how long is too long";
            self.count.deserted = Some(Error::interrupted(reason.clone()).hint(hint));
        }
        if again {
            return self.lose(worker, Some(stage), &reason);
        }
        let failure = format!("it hung at a second worker: {reason} (see `--give-up-after`)");
        self.tell_failure(worker, stage, failure, again)?;
        self.lose(worker, None, &reason)
    }

    pub(super) fn report(&mut self, worker: Worker, stage: usize, report: TrainingEvent) -> Result<()> {
        let Sweep { ledger, progress, epoch_work, .. } = self.sweep;
        let id = ledger.id(stage);
        match report {
            TrainingEvent::Drawn(mut drawn) => {
                if let (Some(measured), Some(draw)) = (&mut drawn.measured, ledger.plan.timed_draw(stage)) {
                    measured.draw = draw;
                }
                ledger.write(Record::Drawn { stage: id, drawn: *drawn })?;
                progress.lasts(worker, ledger.course(stage, epoch_work[stage]));
                let released = self.released(self.sweep.ledger.timed.alike(stage).iter().copied());
                self.events.extend(released);
            }
            TrainingEvent::Settled(end) => ledger.settled(stage, *end)?,
            TrainingEvent::Images { seen, of } => progress.images(worker, seen, of),
            TrainingEvent::Busy => {}
            TrainingEvent::Eager(reason) => {
                let place = self.presence.places.get(&worker).cloned().unwrap_or_default();
                let label = ledger.plan.label(stage);
                progress.log(&format!(
                    "worker {worker} ({place}): steps of {label} are not replayed as CUDA graphs: {reason}"
                ));
                let said = self.presence.eager(worker, &place, &reason);
                said.into_iter().for_each(|line| progress.say(&line));
            }
            TrainingEvent::Epoch(epoch) => {
                let accuracy =
                    epoch.held_out().map(|(part, found)| format!("{part} {:.2} %, ", 100.0 * found.accuracy()));
                let line = format!(
                    "epoch {}: loss {:.4}, {}{:.1} s",
                    epoch.epoch,
                    epoch.train.loss,
                    accuracy.unwrap_or_default(),
                    epoch.seconds
                );
                ledger.write(Record::Epoch { stage: id, epoch })?;
                progress.epoch(worker, &line);
            }
            TrainingEvent::Mask { track, epoch, mask } => ledger.keep_mask(stage, track, epoch, &mask)?,
            // One that a training takes on its way again, though those that needed it are done.
            TrainingEvent::Snapshot(moment, _) if !self.state.wants(stage, moment) => {
                self.link.send(worker, Order::Forget(stage, moment))?;
            }
            TrainingEvent::Snapshot(moment, snapshot) => {
                ledger.keep(stage, moment, &snapshot)?;
                self.events.push_back(Event::Kept(stage, moment, worker));
            }
            TrainingEvent::Progress(state, best) => ledger.keep_progress(stage, &state, best.as_deref())?,
        }
        Ok(())
    }

    /// The running stage of a worker is over, well or not.
    pub(super) fn done(&mut self, worker: Worker, outcome: Result<Outcome>) -> Result<()> {
        let Some((stage, _)) = self.presence.running.remove(&worker) else { return Ok(()) };
        let Sweep { ledger, progress, .. } = &mut *self.sweep;
        match outcome {
            Ok(outcome) => self.finish(worker, stage, outcome),
            Err(error) if error.kind == Kind::Interrupted => {
                ledger.write(Record::Stopped { stage: ledger.id(stage), time: now() })?;
                // Without a stop it ended where it was told to.
                if !self.stopping {
                    self.pause(worker, stage);
                    return Ok(());
                }
                progress.interrupted(worker);
                self.events.push_back(Event::Stopped(stage, worker));
                Ok(())
            }
            Err(error) => self.fail(worker, stage, &error),
        }
    }

    fn finish(&mut self, worker: Worker, stage: usize, outcome: Outcome) -> Result<()> {
        // What came before has to be settled first: the answer to this end says what nothing needs any more.
        self.settle()?;
        // Before its worker is free: what follows from its result may be all that is left to do.
        let mut actions = Vec::new();
        let accuracy = outcome.best.chosen_by(self.sweep.ledger.plan.stages[stage].settings.select).accuracy();
        for event in self.answers(|results| results.and(stage, accuracy)) {
            actions.extend(self.state.on_event(event, self.clock.now()));
        }
        actions.extend(self.state.on_event(Event::Finished(stage, worker), self.clock.now()));
        let (mut free, mut others) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Free(stage, moment) => free.push((stage, moment)),
                other => others.push(other),
            }
        }
        let line = format!("done, test {:.2} %", 100.0 * outcome.best.test.accuracy());
        let place = self.presence.places.get(&worker).cloned().unwrap_or_default();
        let Sweep { ledger, progress, .. } = &mut *self.sweep;
        ledger.finished(stage, outcome, format!("{place}, worker {worker}"), &free)?;
        progress.ended(worker, &line);
        self.count.finished += 1;
        others.into_iter().try_for_each(|action| self.act(action))
    }

    /// What results decide by now, where the sweep asks a question or its trials compete; `more` adds what the journal does not have
    /// yet.
    fn answers(&mut self, more: impl for<'a> Fn(KnownResults<'a>) -> KnownResults<'a>) -> Vec<Event> {
        let Sweep { ledger, .. } = &*self.sweep;
        if !ledger.plan.grows() {
            return Vec::new();
        }
        let results = more(KnownResults::of(&ledger.plan, ledger.chronicle.history()));
        let now = ledger.plan.needed(&results);
        let before = std::mem::replace(&mut self.needed, now);
        let changed = before.into_iter().zip(&self.needed).enumerate().filter(|(_, (before, now))| before != *now);
        let events = changed.filter_map(|(stage, (_, now))| match now.demanded {
            Demanded::Certain if self.waits_for_time(stage) => None,
            Demanded::Certain => Some(Event::Wanted(stage)),
            Demanded::Spared => Some(Event::Spared(stage)),
            Demanded::Open => None,
        });
        let events: Vec<Event> = events.collect();
        // Another may be the first of those drawn alike now.
        events.into_iter().chain(self.released(self.sweep.ledger.timed.stages())).collect()
    }

    /// Those of some tickets are wanted that nothing holds back any more.
    fn released(&self, tickets: impl Iterator<Item = usize>) -> Vec<Event> {
        tickets.filter(|stage| !self.waits(*stage)).map(Event::Wanted).collect()
    }

    /// Whether the time of a ticket is to be measured for another one first.
    fn waits_for_time(&self, stage: usize) -> bool {
        let ledger = &self.sweep.ledger;
        let alike = ledger.timed.alike(stage);
        let runs = |other: &&usize| self.presence.running.values().any(|(running, _)| running == *other);
        let first = |other: &&usize| self.state.is_todo(**other) && self.needed[**other].demanded == Demanded::Certain;
        let measures = alike.iter().find(runs).or_else(|| alike.iter().find(first)).is_none_or(|first| *first == stage);
        !measures && ledger.timed.measured(stage, &ledger.plan, ledger.chronicle.history()).is_none()
    }

    /// Whether a stage is where results of others decide what becomes of it.
    pub(super) fn waits(&self, stage: usize) -> bool {
        let ledger = &self.sweep.ledger;
        let (own, known) = (&ledger.plan.stages[stage], ledger.chronicle.history().stages.get(&ledger.id(stage)));
        let is_there = |until| known.is_some_and(|known| known.whole_epoch(own, until).is_some());
        let Needed { demanded, until, competes } = self.needed[stage];
        let is_last = competes && known.is_some_and(|known| known.came_to_nothing());
        demanded != Demanded::Certain || until.is_some_and(is_there) || is_last || self.waits_for_time(stage)
    }

    /// A stage came to where results decide whether it goes on: to a rung of a halving.
    fn pause(&mut self, worker: Worker, stage: usize) {
        self.sweep.progress.interrupted(worker);
        self.events.push_back(Event::Paused(stage, worker));
        let events = self.answers(|results| results);
        self.events.extend(events);
        if !self.waits(stage) {
            self.events.push_back(Event::Wanted(stage));
        }
        // The state machine gives the worker something to do when it hears of it.
        self.events.push_back(Event::Heard(worker));
    }

    fn fail(&mut self, worker: Worker, stage: usize, error: &Error) -> Result<()> {
        // What came before has to be settled first: the answer to this failure says whether it is tried again.
        self.settle()?;
        let mut reason = error.message.clone();
        if let Some(cure) = &error.hint {
            reason.push_str(&format!(" ({cure})"));
        }
        let mut actions = Vec::new();
        if comes_to_nothing(&error.message) {
            // Where trainings compete that is a result: the last of its rung, whether or not the sweep stops at failures.
            if self.needed[stage].competes {
                let ledger = &mut self.sweep.ledger;
                ledger.write(Record::Failed {
                    stage: ledger.id(stage),
                    reason: reason.clone(),
                    again: false,
                    time: now(),
                })?;
                self.sweep.progress.note(&format!("last of its rung: {} · {reason}", ledger.plan.label(stage)));
                self.pause(worker, stage);
                return Ok(());
            }
            // It would again: it is the worst of all.
            for event in self.answers(|results| results.and_nothing(stage)) {
                actions.extend(self.state.on_event(event, self.clock.now()));
            }
        }
        actions.extend(self.state.on_event(Event::Failed(stage, worker), self.clock.now()));
        let again = actions.contains(&Action::Retry(stage));
        self.tell_failure(worker, stage, reason, again)?;
        actions.into_iter().try_for_each(|action| self.act(action))
    }

    /// Writes down that a stage failed: for good, unless it is tried again.
    fn tell_failure(&mut self, worker: Worker, stage: usize, reason: String, again: bool) -> Result<()> {
        let Sweep { ledger, progress, .. } = &mut *self.sweep;
        ledger.write(Record::Failed { stage: ledger.id(stage), reason: reason.clone(), again, time: now() })?;
        progress.note(&format!("failed: {} · {reason}", ledger.plan.label(stage)));
        match again {
            true => progress.interrupted(worker),
            false => {
                progress.failed(worker, &format!("failed: {reason}"));
                self.count.failed += 1;
            }
        }
        Ok(())
    }
}
