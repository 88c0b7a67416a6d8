//! Masks that are drawn after every epoch, and the early birds that are seen in them.
//!
//! The rules of `mask/early_bird.rs` are applied here too, not only where masks are gathered: the training then takes its
//! snapshot, and may end, at the very epoch at which the masks have settled. What is drawn is a function of the masks
//! alone, wherever and however often the training was interrupted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::task::Task;
use tombola_core::mask::early_bird::Detector;
use tombola_core::mask::{Bits, hamming};
use tombola_core::net::Snapshot;
use tombola_core::plan::{Bird, Track};
use tombola_core::prune::criterion::Key;
use tombola_core::prune::{Scorer, Ticket};
use tombola_core::training::Resume;
use tombola_words::error::Result;
use tombola_words::value::Moment;

/// The masks of one training.
#[derive(Debug)]
pub(super) struct TrainingMasks {
    tracked: Vec<Tracked>,
    /// Early birds that were drawn.
    drawn: Vec<u64>,
}

/// The masks of one kind.
#[derive(Debug)]
struct Tracked {
    track: Track,
    /// As many as any early bird looks back at, oldest first.
    recent: VecDeque<(usize, Arc<Bits>)>,
    window: usize,
    birds: Vec<(Bird, Detector)>,
}

/// What one epoch brought.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The mask of each kind.
    pub(super) masks: Vec<(u64, Arc<Bits>)>,
    /// Early birds that were drawn at this epoch.
    pub(super) birds: Vec<Moment>,
}

impl TrainingMasks {
    /// The masks that a stage wants, as they were when it was interrupted.
    pub(super) fn of(task: &Task, resume: Option<&Resume>) -> Self {
        let stage = task.stage;
        let tracked = stage.tracks.iter().map(|track| {
            let birds = stage.birds.iter().filter(|bird| bird.track == track.key);
            let birds: Vec<(Bird, Detector)> = birds.map(|bird| (*bird, Detector::new(bird.settling))).collect();
            let window = birds.iter().map(|(bird, _)| bird.settling.window).max().unwrap_or(0);
            let mut tracked = Tracked { track: track.clone(), recent: VecDeque::new(), window, birds };
            let before = resume.iter().flat_map(|resume| &resume.masks).filter(|(key, _)| *key == track.key);
            for (epoch, mask) in before.flat_map(|(_, masks)| masks) {
                // What they show now they showed then: it is in `drawn`.
                tracked.see(*epoch, Arc::clone(mask));
            }
            tracked
        });
        let tracked = tracked.collect();
        Self { tracked, drawn: resume.map_or_else(Vec::new, |resume| resume.drawn.clone()) }
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Draws the masks after an epoch.
    pub(super) fn after(&mut self, task: &Task, state: &Snapshot, scorer: &mut dyn Scorer) -> Result<Seen> {
        let settings = &task.stage.settings;
        let seed = settings.init_seed.unwrap_or(settings.seed);
        // As the next level would draw it.
        let key = Key { seed, level: task.stage.level as u64 + 1 };
        let mut seen = Seen::default();
        for tracked in &mut self.tracked {
            let pruning = &tracked.track.pruning;
            let ticket = match (&pruning.changing, &state.mask) {
                // It has the mask itself, which changes while it trains.
                (Some(_), Some(mask)) => Ticket { mask: (**mask).clone(), channels: None, share: None },
                _ => task.pruner.draw(state, pruning, key, scorer)?,
            };
            let mask = Arc::new(task.pruner.compared(ticket, pruning));
            for bird in tracked.see(state.epoch, Arc::clone(&mask)) {
                if !self.drawn.contains(&bird.key) {
                    self.drawn.push(bird.key);
                    seen.birds.push(bird.moment());
                }
            }
            seen.masks.push((tracked.track.key, mask));
        }
        Ok(seen)
    }

    /// Whether the stage has nothing more to give after `epoch` epochs: its early birds are drawn and nothing else asks
    /// for the rest.
    pub(super) fn is_enough(&self, task: &Task, epoch: usize) -> bool {
        let all = task.stage.birds.iter().all(|bird| self.drawn.contains(&bird.key));
        all && task.stage.needed_until().is_some_and(|until| epoch >= until)
    }
}

impl Tracked {
    /// Takes in a mask; says which early birds it shows.
    fn see(&mut self, epoch: usize, mask: Arc<Bits>) -> Vec<Bird> {
        let share = |differing: usize| differing as f64 / mask.len().max(1) as f64;
        let distances: Vec<f64> =
            self.recent.iter().map(|(_, before)| share(hamming::distance(before, &mask))).collect();
        self.recent.push_back((epoch, mask));
        while self.recent.len() > self.window + 1 {
            self.recent.pop_front();
        }
        let shown = self.birds.iter_mut().filter_map(|(bird, detector)| detector.push(&distances).then_some(*bird));
        shown.collect()
    }
}
