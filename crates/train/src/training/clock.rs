//! Where a training stands: its place in the schedule and the data order, the steps that are behind it, the seeds of its order.
//!
//! It may not know of tensors.

use std::collections::BTreeMap;

use super::task::Task;
use tombola_core::net::Snapshot;
use tombola_core::plan::Pruning;
use tombola_core::sweep::Settings;
use tombola_core::sweep::schedule::fine_tuning_rate;
use tombola_words::error::{Error, Result};
use tombola_words::record::EpochRecord;
use tombola_words::value::{Control, Moment, Rewind};

/// Where an epoch stands.
pub(super) struct EpochClock {
    /// Its place in the data order and the schedule.
    pub(super) data_epoch: usize,
    /// A learning rate that follows no schedule.
    pub(super) fixed_rate: Option<f64>,
    /// Losses on held-out images before it, for schedules that look at them.
    pub(super) losses: Vec<f64>,
}

impl EpochClock {
    /// Of an epoch of a training that has `steps` an epoch, began at `start` and has trained `epochs`.
    pub(super) fn of(
        task: &Task,
        settings: &Settings,
        epochs: &[EpochRecord],
        start: usize,
        steps: usize,
        epoch: usize,
    ) -> Self {
        let own: Vec<f64> = epochs.iter().map(|epoch| epoch.steering().loss).collect();
        let dense = |count: usize| task.dense_losses[..count.min(task.dense_losses.len())].to_vec();
        match task.stage.pruning.as_ref().map(|pruning| (pruning.effective_rewind(), pruning)) {
            // Goes on where the dense training ended: its last learning rate, the next data orders.
            Some((Rewind::None, pruning)) => {
                let last = || fine_tuning_rate(settings, steps, &task.dense_losses);
                let rate = pruning.fine_tune_lr.unwrap_or_else(last);
                EpochClock { data_epoch: settings.epochs + epoch, fixed_rate: Some(rate), losses: own }
            }
            Some((Rewind::Epoch(_) | Rewind::At(_), _)) => {
                EpochClock { data_epoch: epoch, fixed_rate: None, losses: [dense(start), own].concat() }
            }
            _ => EpochClock { data_epoch: epoch, fixed_rate: None, losses: own },
        }
    }
}

/// The snapshots that are wanted within an epoch, by the steps taken in it.
pub(super) fn due_within(task: &Task, epoch: usize, steps: usize) -> BTreeMap<usize, Moment> {
    let due = task.stage.wanted.iter().filter_map(|moment| match moment {
        Moment::At(point) => Some((point.steps(steps), *moment)),
        _ => None,
    });
    due.filter(|(step, _)| step / steps == epoch).map(|(step, moment)| (step % steps, moment)).collect()
}

/// Steps of its first epoch that are behind `start`: where weights go back to a point within an epoch, what is left of that epoch
/// is trained.
pub(super) fn steps_behind(task: &Task, steps: usize, start: &Snapshot) -> Result<usize> {
    let Some(Rewind::At(point)) = task.stage.pruning.as_ref().map(Pruning::effective_rewind) else { return Ok(0) };
    let (found, expected) = (start.epoch * steps + start.step, point.steps(steps));
    match found == expected {
        true => Ok(start.step),
        // It would train on with other images than the dense training did.
        false => Err(Error::environment(format!(
            "the snapshot to go back to is of step {found} of the training, expected step {expected} ({steps} in an epoch)"
        ))
        .hint("the folder is of other data: train into a new one, with `--out`")),
    }
}

/// Added to the seeds of data order and augmentation of a fork: all that tells it from its ticket.
const FORK: u64 = 0x9e37_79b9_7f4a_7c15;

/// The seed of the order of its images.
pub(super) fn order_seed(task: &Task) -> u64 {
    let settings = &task.stage.settings;
    forked(task, settings.order_seed.unwrap_or(settings.seed))
}

/// The seed of how its images are varied.
pub(super) fn augment_seed(task: &Task) -> u64 {
    let settings = &task.stage.settings;
    forked(task, settings.augment_seed.unwrap_or(settings.seed))
}

fn forked(task: &Task, seed: u64) -> u64 {
    match &task.stage.pruning {
        Some(pruning) if pruning.control == Control::Fork => seed.wrapping_add(FORK),
        _ => seed,
    }
}
