//! Which trainings are one although their settings differ: twins with new weights, whatever their tickets go back to.
//!
//! A twin of `control = "reinit"` has the mask of its ticket and new weights, so `reinit` does not matter to it. Its name must be
//! one that results folders of earlier programs know, which trained it once for each `reinit`. So it has the name under one of
//! the values that the sweep has: the first in the order of `rank`. The old folder of the same sweep has that training, and
//! so has one of that value alone. A value that is added to a sweep and comes before all others gives the twin another name:
//! then it is trained once more, and nothing is lost. Other names for one training inside of a folder would have to be followed
//! by all that reads one.

use std::collections::HashMap;

use super::outside::Outside;
use crate::sweep::Trial;
use crate::sweep::settings::Settings;
use tombola_words::StageId;
use tombola_words::value::{Control, Rewind};

/// The name of each twin, by the name that it would have with the rewind that it really has.
#[derive(Debug, Default)]
pub(super) struct Twins(HashMap<StageId, ((usize, usize), StageId)>);

impl Twins {
    /// Of all trials of a sweep.
    pub(super) fn of(trials: &[Trial], outside: &Outside) -> Self {
        let mut twins = Self::default();
        for Trial { settings, .. } in trials {
            if settings.control != Control::Reinit || settings.prune_iterations == 0 {
                continue;
            }
            let rate = settings.rate();
            let ticket = Settings { control: Control::None, ..settings.clone() };
            let levels = 1..settings.prune_iterations;
            let parent = levels.fold(outside.dense_id(settings), |parent, _| outside.pruned_id(parent, rate, &ticket));
            let name = (rank(settings.rewind), outside.pruned_id(parent, rate, settings));
            let known = twins.0.entry(effective_id(outside, parent, rate, settings)).or_insert(name);
            *known = name.min(*known);
        }
        twins
    }

    /// The name that a twin with new weights shares with others; none for other trainings.
    pub(super) fn shared(&self, outside: &Outside, parent: StageId, rate: f64, settings: &Settings) -> Option<StageId> {
        let twin = settings.control == Control::Reinit;
        twin.then(|| self.0.get(&effective_id(outside, parent, rate, settings)).map(|(_, id)| *id)).flatten()
    }
}

/// Rewinds that lottery tickets are about come first: a sweep that has one of them keeps the name when others are added.
fn rank(rewind: Rewind) -> (usize, usize) {
    match rewind {
        Rewind::Init => (0, 0),
        Rewind::LearningRate => (1, 0),
        Rewind::Epoch(epoch) => (2, epoch),
        Rewind::At(point) => (3, point.steps(0)),
        Rewind::Random => (4, 0),
        Rewind::None => (5, 0),
    }
}

fn effective_id(outside: &Outside, parent: StageId, rate: f64, settings: &Settings) -> StageId {
    outside.pruned_id(parent, rate, &Settings { rewind: Rewind::Random, ..settings.clone() })
}
