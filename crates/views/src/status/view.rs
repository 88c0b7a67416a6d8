//! Everything that is known of a sweep at one moment, and the questions that status and explanations ask of it.

use super::forecast;
use super::forecast::{Course, Pace};
use super::run::{Activity, Run};
use crate::tables::{Standing, TrainingState};
use tombola_core::folder::journal::{History, Running, StageHistory};
use tombola_core::plan::Plan;
use tombola_words::record::EpochRecord;
use tombola_words::value::{Moment, Shard};

/// What was found in a results folder.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The whole sweep.
    pub plan: &'a Plan,
    /// What the journal tells, or the journals of all shards that are there.
    pub history: &'a History,
    /// The last run, or that of each shard.
    pub runs: &'a [Run],
    /// Whether this is about all of the sweep, though some shards may be missing; otherwise it is about the shards of
    /// `runs` alone.
    pub whole: bool,
    /// Guessed seconds of an epoch of each stage.
    pub work: &'a [f64],
    /// The results folder, as the user calls it.
    pub folder: &'a str,
    /// Seconds since 1970.
    pub now: f64,
}

/// A sweep at one moment.
#[derive(Debug)]
pub struct View<'a> {
    /// What was found.
    pub facts: Basis<'a>,
    /// How each stage stands.
    pub standings: Vec<Standing<'a>>,
    /// The run whose part each stage is.
    parts: Vec<Option<usize>>,
    activities: Vec<Activity>,
    pace: Pace,
    digits: usize,
}

impl<'a> View<'a> {
    /// Looks at what was found.
    pub fn of(facts: Basis<'a>) -> Self {
        let count = facts.plan.stages.len();
        let mut parts = vec![None; count];
        for (run, shard) in facts.runs.iter().map(|run| run.shard).enumerate() {
            let has = shard.map_or_else(|| vec![true; count], |shard| facts.plan.in_shard(shard));
            parts.iter_mut().zip(has).filter(|(_, has)| *has).for_each(|(part, _)| *part = Some(run));
        }
        Self {
            standings: Standing::of(facts.plan, facts.history),
            parts,
            activities: facts.runs.iter().map(|run| run.activity(facts.now)).collect(),
            pace: Pace::of(facts.plan, facts.history, facts.work),
            digits: facts.plan.digits(),
            facts,
        }
    }

    /// The stages that this is about.
    pub fn stages(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.parts.len()).filter(|stage| self.facts.whole || self.parts[*stage].is_some())
    }

    /// The stages that are one run's to train.
    pub fn stages_of(&self, run: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.parts.len()).filter(move |stage| self.parts[*stage] == Some(run))
    }

    /// The run whose part a stage is; none for one of another or a missing shard.
    pub fn run_of(&self, stage: usize) -> Option<&'a Run> {
        self.parts[stage].map(|run| &self.facts.runs[run])
    }

    /// Whether a run is at work.
    pub fn activity(&self, run: usize) -> Activity {
        self.activities[run]
    }

    /// Whether any is.
    pub fn is_active(&self) -> bool {
        self.activities.iter().any(|activity| activity.is_active())
    }

    /// Whether the run whose part a stage is is at work.
    pub fn is_tended(&self, stage: usize) -> bool {
        self.parts[stage].is_some_and(|run| self.activities[run].is_active())
    }

    /// The shards of which nothing is there, if all of the sweep was asked for.
    pub fn missing(&self) -> Vec<Shard> {
        let Some(count) = self.facts.runs.iter().find_map(|run| run.shard).map(|shard| shard.count) else {
            return Vec::new();
        };
        let there = |shard: &Shard| self.facts.runs.iter().any(|run| run.shard == Some(*shard));
        let all = (1..=count).map(|index| Shard { index, count });
        if self.facts.whole { all.filter(|shard| !there(shard)).collect() } else { Vec::new() }
    }

    /// A stage's name, as short as tells it from all others.
    pub fn short(&self, stage: usize) -> String {
        let mut name = self.facts.plan.stages[stage].id.to_string();
        name.truncate(self.digits);
        name
    }

    /// How many digits of a stage's name tell it from all others.
    pub fn digits(&self) -> usize {
        self.digits
    }

    /// What the journal tells of a stage.
    pub fn known(&self, stage: usize) -> Option<&'a StageHistory> {
        self.standings[stage].history
    }

    /// Who trains a stage. What a killed run left behind is nobody's.
    pub fn running(&self, stage: usize) -> Option<Running> {
        self.known(stage)?.running.filter(|_| self.is_tended(stage))
    }

    /// The epochs of a stage: the plan's, unless its mask said otherwise or all that was needed of it came earlier.
    fn range(&self, stage: usize) -> std::ops::Range<usize> {
        let known = self.known(stage);
        let range = self.facts.plan.stages[stage].span(known.and_then(|known| known.drawn.as_ref()?.span));
        let stopped = known.and_then(|known| known.outcome.as_ref()?.stopped_at);
        range.start..stopped.unwrap_or(range.end)
    }

    /// Epochs of a stage that are trained, and how many it has.
    pub fn epochs(&self, stage: usize) -> (usize, usize) {
        let drawn = self.known(stage).and_then(|known| known.drawn.as_ref());
        let all = match drawn {
            Some(_) => self.range(stage).len(),
            None => self.facts.plan.stages[stage].extent().likely,
        };
        let range = self.range(stage);
        let trained = match (self.standings[stage].state, self.known(stage)) {
            (TrainingState::Done, _) => all,
            (_, None) => 0,
            (_, Some(known)) => match self.running(stage) {
                Some(running) => running.last.map_or(running.before, |epoch| epoch.saturating_sub(range.start)),
                None => known.epochs.len(),
            },
        };
        // Of what is not needed no more is asked than there is.
        let all = if self.standings[stage].state == TrainingState::Spared { trained.min(all) } else { all };
        (trained.min(all), all)
    }

    /// The last epoch of a stage that counts: what was trained behind the snapshot that a worker went on from does not.
    pub fn last_epoch(&self, stage: usize) -> Option<&'a EpochRecord> {
        let start = self.range(stage).start;
        let (trained, _) = self.epochs(stage);
        self.known(stage)?.epochs.get(&(start + trained))
    }

    /// Whether a snapshot is on disk.
    pub fn is_kept(&self, stage: usize, moment: Moment) -> bool {
        self.known(stage).is_some_and(|known| known.kept.contains(&moment))
    }

    /// The snapshots that a stage starts from and that are not there.
    pub fn lacks(&self, stage: usize) -> Vec<(usize, Moment)> {
        let mut sources = self.facts.plan.sources(stage);
        sources.retain(|(source, moment)| !self.is_kept(*source, *moment));
        sources
    }

    /// The workers of a run that can train, by their number.
    pub fn present(&self, run: &Run) -> usize {
        self.facts.history.workers.range(run.workers.clone()).filter(|(_, worker)| worker.lost.is_none()).count()
    }

    /// The course of each stage from here; nothing before the first epoch of the last run.
    pub(super) fn courses(&self) -> Option<Vec<Course>> {
        let plan = self.facts.plan;
        self.pace.seconds(*self.facts.work.first()?)?;
        let left = |stage: usize| {
            if !matches!(self.standings[stage].state, TrainingState::Waiting | TrainingState::Training) {
                return None;
            }
            let (mut trained, epochs) = self.epochs(stage);
            if self.running(stage).is_none() {
                // It goes on from its last snapshot, and trains what it had trained behind that once more.
                let progress = self.known(stage).and_then(|known| known.progress);
                trained = progress.map_or(0, |(epoch, _)| epoch.saturating_sub(self.range(stage).start));
            }
            Some((epochs.saturating_sub(trained), self.pace.seconds(self.facts.work[stage])?))
        };
        Some(forecast::courses(plan, left, |stage, moment| self.is_kept(stage, moment)))
    }

    /// Seconds until all that is left is done, on the workers that there are or, where no run is at work, that the last
    /// one had. What a missing shard has to train is not counted.
    pub fn time_left(&self) -> Option<f64> {
        let courses = self.courses()?;
        let of = |run: usize| {
            forecast::time_left(self.stages_of(run).map(|stage| &courses[stage]), self.present(&self.facts.runs[run]))
        };
        Some((0..self.facts.runs.len()).map(of).fold(0.0, f64::max))
    }
}
