//! How each stage of a plan stands by the journal: done, under way, failed, or hopeless because one before it failed.
//!
//! It may not know of tables or files.

use std::collections::HashMap;
use std::fmt;

use tombola_core::folder::journal::{History, StageHistory};
use tombola_core::plan::{Demanded, Plan};

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrainingState {
    /// Nothing is known of it yet.
    Waiting,
    /// A worker is at it, its mask is drawn, or some of its epochs are trained.
    Training,
    /// It has an outcome.
    Done,
    /// It could not be trained.
    Failed,
    /// One that it descends from failed.
    Skipped,
    /// Results of others said that it answers nothing that was asked.
    Spared,
}

impl fmt::Display for TrainingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Training => "training",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Spared => "spared",
        })
    }
}

/// What is known of one stage of a plan.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    /// How far it is.
    pub state: TrainingState,
    /// What the journal tells of it.
    pub history: Option<&'a StageHistory>,
    /// Index of the stage whose failure stops it: itself or one that it descends from.
    pub blame: Option<usize>,
    /// Index of the stage that ended without the early bird that it, or one that it descends from, was to be drawn from.
    pub birdless: Option<usize>,
}

impl<'a> Standing<'a> {
    /// How all stages of a plan stand, by their index.
    pub fn of(plan: &Plan, history: &'a History) -> Vec<Self> {
        let needed = history.needed(plan);
        let mut all: Vec<Self> = Vec::with_capacity(plan.stages.len());
        let unmeasured = unmeasured(plan, history);
        for (index, stage) in plan.stages.iter().enumerate() {
            let known = history.stages.get(&stage.id).map(|known| &**known);
            // Parents stand before their children.
            let inherited = stage.parent.and_then(|parent| all[parent].blame);
            let birdless =
                stage.parent.and_then(|parent| all[parent].birdless.or(without_bird(plan, history, index, parent)));
            // An outcome stays valid whatever was tried after it, so the order of records makes no difference.
            let (state, blame) = match known {
                Some(stage) if stage.outcome.is_some() => (TrainingState::Done, None),
                // Whoever trains it has all that it starts from, so a failure before it does not stop it.
                Some(stage) if stage.running.is_some() => (TrainingState::Training, None),
                // One that came to nothing where trainings compete is the last of its rung, which is a result.
                _ if needed[index].demanded == Demanded::Spared => (TrainingState::Spared, None),
                Some(stage) if stage.came_to_nothing() && needed[index].competes => (TrainingState::Waiting, None),
                Some(stage) if stage.failure.is_some() => (TrainingState::Failed, Some(index)),
                Some(stage) if stage.drawn.is_some() || !stage.epochs.is_empty() => {
                    (TrainingState::Training, inherited)
                }
                _ if inherited.is_some() || birdless.is_some() => (TrainingState::Skipped, inherited),
                _ if unmeasured.contains_key(&index) => (TrainingState::Skipped, unmeasured.get(&index).copied()),
                _ => (TrainingState::Waiting, None),
            };
            all.push(Self { state, history: known, blame, birdless });
        }
        all
    }

    /// Why it has no outcome and will have none in this run.
    pub fn error(&self, plan: &Plan, all: &[Self]) -> Option<String> {
        if let (TrainingState::Skipped, None, Some(stage)) = (self.state, self.blame, self.birdless) {
            let stage = &plan.stages[stage];
            return Some(format!(
                "skipped: no early bird in the {} epochs of level {}: its masks did not settle",
                stage.epochs().len(),
                stage.level
            ));
        }
        if self.state == TrainingState::Spared {
            return self.history?.failure.clone();
        }
        let blamed = self.blame.filter(|_| matches!(self.state, TrainingState::Failed | TrainingState::Skipped))?;
        let reason = all[blamed].history?.failure.as_deref()?;
        match self.state {
            TrainingState::Failed => Some(reason.to_string()),
            _ => Some(format!("skipped: level {} failed: {reason}", plan.stages[blamed].level)),
        }
    }
}

/// Of each ticket that waits for a time, the one that failed when it was to be measured.
fn unmeasured(plan: &Plan, history: &History) -> HashMap<usize, usize> {
    let known = |stage: &usize| history.stages.get(&plan.stages[*stage].id);
    let mut found = HashMap::new();
    for alike in plan.timed_tickets() {
        let is_measured = alike.iter().filter_map(known).any(|known| known.drawn.is_some());
        let failed = alike.iter().find(|stage| known(stage).is_some_and(|known| known.failure.is_some()));
        if let (false, Some(failed)) = (is_measured, failed) {
            found.extend(alike.iter().filter(|stage| *stage != failed).map(|stage| (*stage, *failed)));
        }
    }
    found
}

/// The parent of a stage, if it ended without the early bird that the stage is drawn from.
fn without_bird(plan: &Plan, history: &History, index: usize, parent: usize) -> Option<usize> {
    let draw = plan.stages[index].pruning.as_ref()?.draw;
    let bird = plan.stages[parent].birds.iter().find(|bird| bird.moment() == draw)?;
    history.stages.get(&plan.stages[parent].id)?.lacks(bird).then_some(parent)
}
