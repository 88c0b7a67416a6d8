//! What the coordinator's state machine is told, and what it says is to be done. It may not know how either is decided.

use std::time::Duration;

use tombola_words::value::Moment;

/// A worker's number. They are counted from 0, with few gaps.
pub use crate::link::Worker;

/// What happened. What does not fit, such as the end of a stage that the worker does not train, changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker is there and has nothing to do.
    Joined(Worker),
    /// A sign of life.
    Heard(Worker),
    /// The stage that a worker was given is on its way there; an epoch of it is estimated to take so long.
    Sent(Worker, Duration),
    /// The training that a worker is at tells something; if that is the end of an epoch, how long that took.
    Reported(Worker, Option<Duration>),
    /// A snapshot of the stage that the worker trains is on disk; the worker holds a copy in memory.
    Kept(usize, Moment, Worker),
    /// A stage is done, all its snapshots kept; its worker is idle. Those that wait for a snapshot that it did not keep wait
    /// in vain.
    Finished(usize, Worker),
    /// A stage went wrong; its worker is idle.
    Failed(usize, Worker),
    /// A stage was stopped half way and can be continued by the next run; its worker is idle.
    Stopped(usize, Worker),
    /// A stage that was held is needed: results of others said so. It starts at the next event of another kind, when all that those
    /// results say is known.
    Wanted(usize),
    /// A stage that was held is not needed, whatever comes.
    Spared(usize),
    /// A stage came to where results decide whether it goes on; its worker is idle, and gets something to do at the next event.
    Paused(usize, Worker),
    /// A worker is gone for good: it died, or could not begin.
    Left(Worker),
    /// No new stages: finish what runs at the next epoch.
    Stop,
    /// Nothing happened but time. Whatever workers have sent must be told before, or they seem silent.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A worker trains a stage. [`super::State::holds`] says which of its sources need not be sent.
    Start(usize, Worker),
    /// A worker need no longer hold its copy of this snapshot.
    Forget(usize, Moment, Worker),
    /// Nothing needs this snapshot any more: it can go from the disk.
    Free(usize, Moment),
    /// A stage cannot be trained because this one failed, or ended without the snapshot that it starts from.
    Skip(usize, usize),
    /// A stage is not needed: results of others said so.
    Spare(usize),
    /// A stage that failed will be tried again in this run.
    Retry(usize),
    /// A worker is gone: its lease is over, or it left. The stage that it trained will be trained by another.
    Lost(Worker, Option<usize>),
    /// A training has reported nothing for too long, and counts as hung. Its worker is gone, whatever it says later.
    Hung {
        /// The worker.
        worker: Worker,
        /// The stage that it was at.
        stage: usize,
        /// How long nothing was reported.
        silence: Duration,
        /// Whether another worker will train the stage; it failed for good otherwise, because it hung before.
        again: bool,
    },
    /// A worker is no longer needed.
    Dismiss(Worker),
    /// Too much has failed: running stages stop at their next epoch. Comes once.
    GiveUp,
}
