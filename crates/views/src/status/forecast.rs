//! How long what is left will take, from the epochs that the last run trained.
//!
//! An epoch of a network that this run has trained takes as long as its epochs did on average. For one that it has not,
//! the guess made before any training is scaled by how far guess and truth were apart so far. What is left is shared by
//! the workers, but cannot be done before the longest chain of trainings that wait for each other is.

use std::collections::HashMap;

use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::value::Moment;

/// Measured seconds of an epoch.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Seconds and epochs of the networks trained, by their guessed seconds.
    known: HashMap<u64, (f64, usize)>,
    /// Truth over guess.
    ratio: Option<f64>,
}

impl Pace {
    /// From what the last run trained; `work` is the guess for an epoch of each stage.
    pub(super) fn of(plan: &Plan, history: &History, work: &[f64]) -> Self {
        let mut pace = Self::default();
        let (mut truth, mut guess) = (0.0, 0.0);
        for (stage, work) in plan.stages.iter().zip(work) {
            let Some(recent) = history.stages.get(&stage.id).map(|known| known.recent) else { continue };
            if recent.epochs > 0 {
                let known = pace.known.entry(work.to_bits()).or_default();
                known.0 += recent.seconds;
                known.1 += recent.epochs;
                truth += recent.seconds;
                guess += work * recent.epochs as f64;
            }
        }
        pace.ratio = (guess > 0.0).then(|| truth / guess);
        pace
    }

    /// Seconds of an epoch that was guessed to take `work`; nothing before the first epoch of the run.
    pub(super) fn seconds(&self, work: f64) -> Option<f64> {
        match self.known.get(&work.to_bits()) {
            Some((seconds, epochs)) => Some(seconds / *epochs as f64),
            None => Some(work * self.ratio?),
        }
    }
}

/// Seconds from now, if there were a worker for each stage.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Course {
    /// Until all snapshots that it starts from are there.
    pub(super) ready: f64,
    /// Until it is done.
    pub(super) done: f64,
    /// Time of training in between.
    pub(super) work: f64,
}

/// The course of each stage of a plan. `left` gives the epochs that it still has to train and the seconds of one, or
/// nothing if it will not be trained; `kept` whether a snapshot is there.
pub(super) fn courses(
    plan: &Plan,
    left: impl Fn(usize) -> Option<(usize, f64)>,
    kept: impl Fn(usize, Moment) -> bool,
) -> Vec<Course> {
    let mut all: Vec<Course> = Vec::with_capacity(plan.stages.len());
    let mut pending: Vec<Option<(usize, f64)>> = Vec::with_capacity(plan.stages.len());
    for index in 0..plan.stages.len() {
        let own = left(index);
        let mut course = Course::default();
        if let Some((epochs, seconds)) = own {
            for (source, moment) in plan.sources(index) {
                if !kept(source, moment) {
                    course.ready = course.ready.max(reached(plan, source, moment, &all[source], pending[source]));
                }
            }
            course.work = epochs as f64 * seconds;
            course.done = course.ready + course.work;
        }
        all.push(course);
        pending.push(own);
    }
    all
}

/// Seconds until a training passes a moment.
fn reached(plan: &Plan, stage: usize, moment: Moment, course: &Course, left: Option<(usize, f64)>) -> f64 {
    let own = &plan.stages[stage];
    let (Some((epochs, seconds)), Some(epoch)) = (left, own.known_after(moment)) else { return course.done };
    let behind = own.epochs().end.saturating_sub(epoch).min(epochs);
    course.ready + (epochs - behind) as f64 * seconds
}

/// Seconds until all of these are done on so many workers: neither less than the work takes when all are busy to the
/// end, nor than the longest chain.
pub(super) fn time_left<'a>(courses: impl Iterator<Item = &'a Course>, workers: usize) -> f64 {
    let (work, longest) = courses.fold((0.0, 0.0f64), |(work, longest), course| {
        (work + course.work, if course.work > 0.0 { longest.max(course.done) } else { longest })
    });
    longest.max(work / workers.max(1) as f64)
}
