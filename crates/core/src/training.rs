//! What a training tells while it runs, and what it needs to go on after an interruption.
//!
//! Vocabulary between trainings and whoever listens, in the same process or another. It may not know of torch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::mask::Bits;
use crate::net::Snapshot;
use tombola_words::record::{Drawn, EpochRecord};
use tombola_words::value::Moment;

/// Masks with the epochs after which they were drawn, oldest first.
pub type Masks = Vec<(usize, Arc<Bits>)>;

/// An interrupted training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Its full state after some epoch.
    pub state: Arc<Snapshot>,
    /// The best weights until then, with their epoch.
    pub best: Option<Arc<Snapshot>>,
    /// Its epochs until then.
    pub epochs: Vec<EpochRecord>,
    /// The last masks of each kind, oldest first, with their epochs: what early birds are judged by.
    pub masks: Vec<(u64, Masks)>,
    /// Early birds that were drawn before: their keys.
    pub drawn: Vec<u64>,
}

/// What a training tells while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TrainingEvent {
    /// The mask and what it does before training. Not told again by a resumed training.
    Drawn(Box<Drawn>),
    /// The mask that it ends with, where it changed while it ran: counts and sizes, which replace those told before.
    Settled(Box<Drawn>),
    /// Images of the running epoch.
    Images {
        /// Trained on so far.
        seen: usize,
        /// In the whole epoch.
        of: usize,
    },
    /// It goes on with something long that has no images to count: without this it would seem to hang.
    Busy,
    /// Why its steps on a GPU are not replayed as graphs, though they were to be: it goes on, more slowly.
    Eager(String),
    /// An epoch is done.
    Epoch(EpochRecord),
    /// The mask of one kind (`Track::key`) after an epoch.
    Mask {
        /// Its kind.
        track: u64,
        /// Epochs trained before it.
        epoch: usize,
        /// The mask: over the weight vector, or over channels.
        mask: Arc<Bits>,
    },
    /// A snapshot that was wanted.
    Snapshot(Moment, Arc<Snapshot>),
    /// The state to resume from, and the best weights so far if they changed since the last such report.
    Progress(Arc<Snapshot>, Option<Arc<Snapshot>>),
}

/// What the listener wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Report progress after this epoch and stop.
    Stop,
}

impl Flow {
    /// A stop if either asks for one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Stop { self } else { other }
    }
}
