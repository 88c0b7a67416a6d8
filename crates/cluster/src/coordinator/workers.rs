//! The workers: what each does, when it was last heard of, and which snapshots it holds copies of.
//!
//! It may not know what stages and snapshots are: they are numbers here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::link::Worker;

/// Copies of snapshots that a worker holds at most. A stage starts from at most two and leaves one or two for those that
/// follow it, so four cover the next stage of the same chain.
pub(super) const HELD: usize = 4;

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Not there yet.
    Unknown,
    Idle,
    /// Trains this stage.
    Busy(u32),
    /// Was told that it is no longer needed.
    Dismissed,
    /// Is never heard again.
    Lost,
}

/// A copy of a snapshot in a worker's memory.
#[derive(Debug, Clone, Copy)]
struct HeldCopy {
    snapshot: u32,
    /// It goes with the stage that the worker was just given; only the end of that stage proves that it arrived.
    under_way: bool,
}

#[derive(Debug)]
struct Member {
    duty: Duty,
    heard: Duration,
    /// When the training that it is at last reported something, and how long it may report nothing.
    reported: Duration,
    patience: Duration,
    /// Newest first.
    held: Vec<HeldCopy>,
}

/// All workers of a run, by number.
#[derive(Debug, Default)]
pub(super) struct Workers {
    members: Vec<Member>,
    idle: BTreeSet<u32>,
    busy: usize,
    /// Who holds each snapshot: pairs of snapshot and worker.
    holders: BTreeSet<(u32, u32)>,
    /// Those of them that are idle.
    idle_holders: BTreeSet<(u32, u32)>,
}

impl Workers {
    /// A worker is there; not if it was lost, and nothing new if it is at work.
    pub(super) fn join(&mut self, worker: Worker, now: Duration) {
        let member = self.member(worker);
        member.heard = member.heard.max(now);
        if matches!(member.duty, Duty::Unknown | Duty::Dismissed) {
            member.duty = Duty::Idle;
            self.idle.insert(worker as u32);
        }
    }

    /// Renews a worker's lease.
    pub(super) fn hear(&mut self, worker: Worker, now: Duration) {
        if let Some(member) = self.members.get_mut(worker) {
            member.heard = member.heard.max(now);
        }
    }

    /// The training that a worker is at reports something; `patience` is how long it may report nothing from now on, if that
    /// changes.
    pub(super) fn report(&mut self, worker: Worker, now: Duration, patience: Option<Duration>) {
        if let Some(member) = self.members.get_mut(worker) {
            member.reported = member.reported.max(now);
            member.patience = patience.unwrap_or(member.patience);
        }
    }

    /// The workers whose trainings have reported nothing for too long, and for how long.
    pub(super) fn hanging(&self, now: Duration) -> Vec<(Worker, Duration)> {
        let silence = |member: &Member| now.saturating_sub(member.reported);
        let hangs = |member: &Member| matches!(member.duty, Duty::Busy(_)) && silence(member) > member.patience;
        let members = self.members.iter().enumerate().filter(|(_, member)| hangs(member));
        members.map(|(worker, member)| (worker, silence(member))).collect()
    }

    /// The workers that should say something and have not for longer than `lease`.
    pub(super) fn silent(&self, now: Duration, lease: Duration) -> Vec<Worker> {
        let late = |member: &Member| member.is_alive() && now.saturating_sub(member.heard) > lease;
        self.members.iter().enumerate().filter_map(|(worker, member)| late(member).then_some(worker)).collect()
    }

    /// A worker is gone. Gives the stage that it trained; nothing if it was gone or dismissed before.
    pub(super) fn lose(&mut self, worker: Worker) -> Option<Option<usize>> {
        let member = self.member(worker);
        let duty = std::mem::replace(&mut member.duty, Duty::Lost);
        self.empty(worker);
        self.idle.remove(&(worker as u32));
        match duty {
            Duty::Busy(stage) => {
                self.busy -= 1;
                Some(Some(stage as usize))
            }
            Duty::Unknown | Duty::Idle => Some(None),
            Duty::Dismissed | Duty::Lost => None,
        }
    }

    /// An idle worker is given a stage, and copies of what it starts from. Gives the copies that it holds no longer.
    pub(super) fn start(&mut self, worker: Worker, stage: usize, sources: &[u32]) -> Vec<u32> {
        self.idle.remove(&(worker as u32));
        self.busy += 1;
        self.members[worker].duty = Duty::Busy(stage as u32);
        for copy in &self.members[worker].held {
            self.idle_holders.remove(&(copy.snapshot, worker as u32));
        }
        // All first, so that no source pushes out another.
        sources.iter().for_each(|source| self.add(worker, *source, true));
        std::iter::from_fn(|| self.evict(worker)).collect()
    }

    /// A busy worker has taken a snapshot and keeps a copy. Gives the copy that it holds no longer.
    pub(super) fn hold(&mut self, worker: Worker, snapshot: u32) -> Option<u32> {
        self.add(worker, snapshot, false);
        self.evict(worker)
    }

    /// A busy worker has nothing to do any more. If its stage came to a good end, it has the copies that went with it;
    /// else they may never have arrived and count no longer: they are given back.
    pub(super) fn end(&mut self, worker: Worker, well: bool) -> Vec<u32> {
        let member = &mut self.members[worker];
        member.duty = Duty::Idle;
        self.busy -= 1;
        self.idle.insert(worker as u32);
        let held = std::mem::take(&mut member.held).into_iter();
        let (gone, held): (Vec<HeldCopy>, Vec<HeldCopy>) = held.partition(|copy| copy.under_way && !well);
        member.held = held;
        for copy in &mut member.held {
            copy.under_way = false;
            self.idle_holders.insert((copy.snapshot, worker as u32));
        }
        for copy in &gone {
            self.holders.remove(&(copy.snapshot, worker as u32));
        }
        gone.into_iter().map(|copy| copy.snapshot).collect()
    }

    /// Nobody needs a snapshot any more. Gives those who held it.
    pub(super) fn drop_copies(&mut self, snapshot: u32) -> Vec<Worker> {
        let holders = self.holders.range((snapshot, 0)..=(snapshot, u32::MAX)).map(|(_, worker)| *worker);
        let holders: Vec<u32> = holders.collect();
        for &worker in &holders {
            self.holders.remove(&(snapshot, worker));
            self.idle_holders.remove(&(snapshot, worker));
            self.members[worker as usize].held.retain(|copy| copy.snapshot != snapshot);
        }
        holders.into_iter().map(|worker| worker as usize).collect()
    }

    /// All idle workers, which are dismissed by this.
    pub(super) fn dismiss(&mut self) -> Vec<Worker> {
        let idle: Vec<Worker> = std::mem::take(&mut self.idle).into_iter().map(|worker| worker as usize).collect();
        for &worker in &idle {
            self.empty(worker);
            self.members[worker].duty = Duty::Dismissed;
        }
        idle
    }

    /// The idle worker with the lowest number.
    pub(super) fn first_idle(&self) -> Option<Worker> {
        self.idle.first().map(|worker| *worker as usize)
    }

    /// The idle worker to start from these snapshots, if any holds one: the first of each is looked at, of which the
    /// one that holds most.
    pub(super) fn idle_holder(&self, sources: &[u32]) -> Option<Worker> {
        let first = |source: &u32| self.idle_holders.range((*source, 0)..=(*source, u32::MAX)).next();
        let workers = sources.iter().filter_map(first).map(|(_, worker)| *worker as usize);
        workers.min_by_key(|worker| (sources.len() - self.holds_of(*worker, sources), *worker))
    }

    /// How many of these snapshots a worker holds.
    pub(super) fn holds_of(&self, worker: Worker, sources: &[u32]) -> usize {
        self.held(worker).filter(|snapshot| sources.contains(snapshot)).count()
    }

    /// The snapshots that a worker holds, newest first.
    pub(super) fn held(&self, worker: Worker) -> impl Iterator<Item = u32> {
        self.members.get(worker).into_iter().flat_map(|member| &member.held).map(|copy| copy.snapshot)
    }

    /// Whether a worker holds a copy that was not sent with the stage that it trains.
    pub(super) fn has(&self, worker: Worker, snapshot: u32) -> bool {
        let held = self.members.get(worker).into_iter().flat_map(|member| &member.held);
        held.into_iter().any(|copy| copy.snapshot == snapshot && !copy.under_way)
    }

    /// The stage that a worker trains.
    pub(super) fn stage(&self, worker: Worker) -> Option<usize> {
        match self.members.get(worker)?.duty {
            Duty::Busy(stage) => Some(stage as usize),
            _ => None,
        }
    }

    /// How many train.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// How many train or wait for a stage.
    pub(super) fn alive(&self) -> usize {
        self.busy + self.idle.len()
    }

    fn member(&mut self, worker: Worker) -> &mut Member {
        if self.members.len() <= worker {
            let new = || Member {
                duty: Duty::Unknown,
                heard: Duration::ZERO,
                reported: Duration::ZERO,
                patience: Duration::MAX,
                held: Vec::new(),
            };
            self.members.resize_with(worker + 1, new);
        }
        &mut self.members[worker]
    }

    /// Puts a copy in front of those that a worker holds.
    fn add(&mut self, worker: Worker, snapshot: u32, sent: bool) {
        let held = &mut self.members[worker].held;
        let before = held.iter().position(|copy| copy.snapshot == snapshot).map(|place| held.remove(place));
        let under_way = sent && before.is_none_or(|copy| copy.under_way);
        held.insert(0, HeldCopy { snapshot, under_way });
        self.holders.insert((snapshot, worker as u32));
    }

    /// Takes the oldest copy away from a worker that holds too many.
    fn evict(&mut self, worker: Worker) -> Option<u32> {
        let held = &mut self.members[worker].held;
        let oldest = if held.len() > HELD { held.pop()?.snapshot } else { return None };
        self.holders.remove(&(oldest, worker as u32));
        Some(oldest)
    }

    /// Forgets what a worker holds: it is sent nothing more.
    fn empty(&mut self, worker: Worker) {
        for copy in std::mem::take(&mut self.members[worker].held) {
            self.holders.remove(&(copy.snapshot, worker as u32));
            self.idle_holders.remove(&(copy.snapshot, worker as u32));
        }
    }
}

impl Member {
    fn is_alive(&self) -> bool {
        matches!(self.duty, Duty::Idle | Duty::Busy(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    /// A busy worker that took these snapshots, then finished.
    fn holding(worker: Worker, snapshots: &[u32]) -> Workers {
        let mut workers = Workers::default();
        workers.join(worker, NOW);
        workers.start(worker, 0, &[]);
        snapshots.iter().for_each(|snapshot| assert_eq!(workers.hold(worker, *snapshot), None));
        assert!(workers.end(worker, true).is_empty());
        workers
    }

    #[test]
    fn what_a_stage_starts_from_pushes_out_old_copies_but_not_each_other() {
        let mut workers = holding(0, &[7, 1, 2, 3]);
        // 7 is the oldest and about to be used.
        assert_eq!(workers.start(0, 1, &[5, 7]), [1]);
        assert_eq!(workers.held(0).collect::<Vec<_>>(), [7, 5, 3, 2]);
        assert_eq!([5, 7].map(|snapshot| workers.has(0, snapshot)), [false, true]);
        workers.end(0, true);
        assert!(workers.has(0, 5));
    }

    #[test]
    fn who_holds_what_is_forgotten_with_the_worker_and_with_the_snapshot() {
        let mut workers = holding(2, &[4, 5]);
        assert_eq!((workers.idle_holder(&[4, 5]), workers.idle_holder(&[6])), (Some(2), None));
        assert_eq!(workers.drop_copies(4), [2]);
        assert_eq!((workers.idle_holder(&[4]), workers.drop_copies(4)), (None, Vec::new()));
        assert_eq!(workers.lose(2), Some(None));
        assert_eq!((workers.idle_holder(&[5]), workers.drop_copies(5), workers.alive()), (None, Vec::new(), 0));
        assert_eq!(workers.lose(2), None);
        assert!(workers.holders.is_empty() && workers.idle_holders.is_empty());
    }

    #[test]
    fn the_idle_worker_that_holds_most_of_what_is_needed_is_found() {
        let mut workers = holding(1, &[8]);
        workers.join(4, NOW);
        workers.start(4, 0, &[8, 9]);
        assert_eq!(workers.idle_holder(&[8, 9]), Some(1));
        workers.end(4, true);
        assert_eq!(workers.idle_holder(&[8, 9]), Some(4));
        assert_eq!(workers.first_idle(), Some(1));
    }
}
