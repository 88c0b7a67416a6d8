//! Copies of snapshots that a worker holds, because its next stages may start from them.
//!
//! The coordinator says when to let go of one. That is done at once, by the thread that hears it, also while a training
//! runs in another: a training that keeps a snapshot of each epoch would fill the memory otherwise. It may not know who
//! decides what is held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::link::Assignment;
use tombola_core::net::Snapshot;
use tombola_words::value::Moment;

/// Copies by stage and moment.
type Copies = HashMap<(usize, Moment), Arc<Snapshot>>;

/// The copies of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldSnapshots(Arc<Mutex<Copies>>);

impl HeldSnapshots {
    /// Holds a snapshot of a stage.
    pub(crate) fn keep(&self, stage: usize, moment: Moment, snapshot: &Arc<Snapshot>) {
        self.copies().insert((stage, moment), Arc::clone(snapshot));
    }

    /// Lets go of one.
    pub(crate) fn forget(&self, stage: usize, moment: Moment) {
        self.copies().remove(&(stage, moment));
    }

    /// Holds the snapshots that came with an assignment, and puts those that are held already into it. To be done in the
    /// order in which assignments and orders to forget were given.
    pub(crate) fn complete(&self, assignment: &mut Assignment) {
        let mut copies = self.copies();
        for source in &mut assignment.sources {
            let key = (source.stage, source.moment);
            match &source.snapshot {
                Some(snapshot) => drop(copies.insert(key, Arc::clone(snapshot))),
                None => source.snapshot = copies.get(&key).cloned(),
            }
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.copies().len()
    }

    /// No thread panics between two changes that belong together.
    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
