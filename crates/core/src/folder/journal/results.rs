//! What a journal knows that decides which other trainings of a plan are needed. It may not know of files.

use super::{History, StageHistory};
use crate::plan::{Needed, Plan, Stage, TrainingResults};
use crate::prune::goal::BEYOND_REACH;
use tombola_words::record::EpochRecord;

/// How the message of a training begins that came to no numbers.
const DIVERGED: &str = "diverged";

/// The results of a plan, as far as a journal has them.
#[derive(Debug, Clone, Copy)]
pub struct KnownResults<'a> {
    plan: &'a Plan,
    history: &'a History,
    /// The accuracy of a stage that has just ended, which the journal does not have yet; nothing of one that diverged.
    ended: Option<(usize, Option<f64>)>,
}

impl<'a> KnownResults<'a> {
    /// Those in a journal.
    pub fn of(plan: &'a Plan, history: &'a History) -> Self {
        Self { plan, history, ended: None }
    }

    /// And the accuracy of one more stage.
    #[must_use]
    pub fn and(self, ended: usize, accuracy: f64) -> Self {
        Self { ended: Some((ended, Some(accuracy))), ..self }
    }

    /// And one more stage came to nothing.
    #[must_use]
    pub fn and_nothing(self, stage: usize) -> Self {
        Self { ended: Some((stage, None)), ..self }
    }

    /// Whether a stage comes to no numbers: it, or one that it descends from, diverged, or its early bird was never drawn.
    fn comes_to_nothing(&self, stage: usize) -> bool {
        let known = |stage: usize| self.history.stages.get(&self.plan.stages[stage].id);
        let mut next = Some(stage);
        while let Some(stage) = next {
            let failed = |known: &StageHistory| known.came_to_nothing() && known.outcome.is_none();
            if self.ended == Some((stage, None)) || known(stage).is_some_and(|known| failed(known)) {
                return true;
            }
            let Stage { parent, pruning, .. } = &self.plan.stages[stage];
            next = *parent;
            let (Some(parent), Some(pruning)) = (*parent, pruning) else { continue };
            let bird = self.plan.stages[parent].birds.iter().find(|bird| bird.moment() == pruning.draw);
            let has_ended = self.ended.is_some_and(|(ended, _)| ended == parent);
            let lacks = |known: &StageHistory, bird| known.lacks(bird) || has_ended && known.bird(bird).is_none();
            if bird.is_some_and(|bird| known(parent).is_some_and(|known| lacks(known, bird))) {
                return true;
            }
        }
        false
    }
}

/// Whether a training failed as it always would, because its loss is no number or its target is beyond reach: that is a result.
pub fn comes_to_nothing(message: &str) -> bool {
    is_divergence(message) || message.starts_with("`target = ") && message.contains(BEYOND_REACH)
}

fn is_divergence(message: &str) -> bool {
    message.starts_with(DIVERGED)
}

impl StageHistory {
    /// An epoch of which everything is known: after a kill between an epoch and its masks the epoch is trained again, and a decision
    /// made before would leave the masks out.
    pub fn whole_epoch(&self, stage: &Stage, epoch: usize) -> Option<&EpochRecord> {
        self.epochs.get(&epoch).filter(|_| self.has_masks_until(stage, epoch))
    }

    /// Whether it failed as it always would.
    pub fn came_to_nothing(&self) -> bool {
        self.failure.as_deref().is_some_and(comes_to_nothing)
    }

    /// Whether it failed because its loss is no number.
    pub fn has_diverged(&self) -> bool {
        self.failure.as_deref().is_some_and(is_divergence)
    }
}

impl TrainingResults for KnownResults<'_> {
    fn accuracy(&self, stage: usize) -> Option<f64> {
        if let Some((_, accuracy)) = self.ended.filter(|(ended, _)| *ended == stage) {
            return Some(accuracy.unwrap_or(0.0));
        }
        if self.comes_to_nothing(stage) {
            return Some(0.0);
        }
        let own = &self.plan.stages[stage];
        self.history.stages.get(&own.id)?.chosen_accuracy(own)
    }

    fn after(&self, stage: usize, epoch: usize) -> Option<f64> {
        let own = &self.plan.stages[stage];
        let known = self.history.stages.get(&own.id);
        if let Some(epoch) = known.and_then(|known| known.whole_epoch(own, epoch)) {
            return Some(epoch.selecting().accuracy());
        }
        self.comes_to_nothing(stage).then_some(0.0)
    }
}

impl History {
    /// Whether each stage of a plan is needed, and how far.
    pub fn needed(&self, plan: &Plan) -> Vec<Needed> {
        plan.needed(&KnownResults::of(plan, self))
    }

    /// The accuracy on which the best epoch of a stage was chosen, once it is trained.
    pub fn accuracy(&self, plan: &Plan, stage: usize) -> Option<f64> {
        KnownResults::of(plan, self).accuracy(stage)
    }
}
