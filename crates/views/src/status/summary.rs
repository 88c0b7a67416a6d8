//! The status of a sweep in numbers: what `tombola status` prints in words and, with `--json`, as it is.
//!
//! The JSON form is this structure. Fields may be added; anything else raises [`VERSION`]. Times are in seconds since
//! 1970, accuracies shares from 0 to 1.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::run::{Activity, Run};
use super::view::View;
use crate::tables::TrainingState;
use tombola_core::gpus::UnusedGpus;
use tombola_core::plan::estimate::many;
use tombola_words::StageId;
use tombola_words::error::Kind;
use tombola_words::value::Value;

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// How far a sweep is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The results folder, as the user calls it.
    pub folder: String,
    /// When this was.
    pub time: f64,
    /// Whether a run is at work, or seems to be.
    pub active: bool,
    /// The last run; one for each shard that is there.
    pub runs: Vec<RunStatus>,
    /// Numbers of the shards of which nothing is there.
    pub missing_shards: Vec<usize>,
    /// Trials.
    pub trials: Share,
    /// Trainings.
    pub trainings: Trainings,
    /// Epochs; those of failed and skipped trainings are among all of them.
    pub epochs: Share,
    /// Seconds until what is left is done; if no run is at work, on as many workers as the last one had. Nothing before
    /// the first epoch of the last run.
    pub seconds_left: Option<f64>,
    /// The workers of the last run, in order.
    pub workers: Vec<WorkerStatus>,
    /// What trainings were computed with, and how many with each, in words.
    pub computed_with: Vec<String>,
    /// What should be seen to, in words: GPUs that stand unused, trainings that were not computed alike.
    pub warnings: Vec<String>,
    /// Failed trainings, the last one first.
    pub failures: Vec<Failure>,
    /// What to do next, in words.
    pub next: Vec<String>,
}

/// Some of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Share {
    /// All.
    pub total: usize,
    /// Those done.
    pub done: usize,
}

/// Trainings by how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Trainings {
    /// All.
    pub total: usize,
    /// With an outcome.
    pub done: usize,
    /// Begun; if no run is at work, left half way.
    pub training: usize,
    /// Not begun.
    pub waiting: usize,
    /// That could not be trained.
    pub failed: usize,
    /// Left out because one before them failed.
    pub skipped: usize,
    /// Not needed, as results of others say; none of the others.
    #[serde(skip_serializing_if = "is_none")]
    pub spared: usize,
}

/// Whether there is nothing to tell of what came later than the form of this.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The last run on the folder, or on that of a shard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunStatus {
    /// Which part of the sweep it trains, such as `1/8`; nothing if all.
    pub shard: Option<String>,
    /// `none`, `running`, `probably-running`, `ended` or `killed`.
    pub state: &'static str,
    /// The process that holds the lock, or may hold it.
    pub process: Option<String>,
    /// When it began.
    pub begun: Option<u64>,
    /// When it ended, if it told.
    pub ended: Option<f64>,
    /// How, in words.
    pub how: Option<String>,
    /// When something was last written.
    pub written: Option<f64>,
    /// The trainings of its part.
    pub trainings: Trainings,
}

/// A worker of the last run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// Its number, from 1.
    pub worker: usize,
    /// The shard that it works on.
    pub shard: Option<String>,
    /// Host and device, in words.
    pub place: String,
    /// `training`, `idle`, `lost`, or `gone` with the run.
    pub state: &'static str,
    /// What it trains.
    pub training: Option<Training>,
    /// How it was lost.
    pub reason: Option<String>,
}

/// A training in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Training {
    /// Its name.
    pub stage: String,
    /// The same in words.
    pub label: String,
    /// Epochs, and those that are trained.
    pub epochs: Share,
    /// Share of the validation images right after the last of them.
    pub validation_accuracy: Option<f64>,
    /// When the worker began.
    pub since: f64,
}

/// A training that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Its name.
    pub stage: String,
    /// The same in words.
    pub label: String,
    /// Why.
    pub reason: String,
    /// When, if the journal tells.
    pub time: Option<f64>,
    /// How often it was tried.
    pub attempts: usize,
}

impl Trainings {
    fn count(view: &View, stages: impl Iterator<Item = usize>) -> Self {
        let mut count = Self::default();
        for stage in stages {
            count.total += 1;
            match view.standings[stage].state {
                TrainingState::Done => count.done += 1,
                TrainingState::Training => count.training += 1,
                TrainingState::Waiting => count.waiting += 1,
                TrainingState::Failed => count.failed += 1,
                TrainingState::Skipped => count.skipped += 1,
                // It is no training of the sweep any more.
                TrainingState::Spared => {
                    count.total -= 1;
                    count.spared += 1;
                }
            }
        }
        count
    }

    /// Those that a next run would go on with, failed ones apart.
    pub fn open(&self) -> usize {
        self.training + self.waiting
    }
}

impl Status {
    /// What `tombola run` would have ended with: 0 all done, 1 some trainings failed or were left out and nothing else is left, 75
    /// something is left to train.
    pub fn exit_code(&self) -> u8 {
        match (self.trainings.open(), self.trainings.failed + self.trainings.skipped) {
            (0, 0) => 0,
            (0, _) => Kind::Training.exit_code(),
            _ => Kind::Interrupted.exit_code(),
        }
    }

    /// The status of what is seen.
    pub fn of(view: &View) -> Self {
        let trainings = Trainings::count(view, view.stages());
        let epochs = view
            .stages()
            .map(|stage| view.epochs(stage))
            .fold(Share::default(), |sum, (done, total)| Share { total: sum.total + total, done: sum.done + done });
        let runs: Vec<RunStatus> =
            view.facts.runs.iter().enumerate().map(|(number, run)| run_status(view, number, run)).collect();
        let mut status = Self {
            version: VERSION,
            folder: view.facts.folder.to_string(),
            time: view.facts.now,
            active: view.is_active(),
            runs,
            missing_shards: view.missing().into_iter().map(|shard| shard.index).collect(),
            trials: trials(view),
            trainings,
            epochs,
            seconds_left: view.time_left().filter(|_| trainings.open() > 0),
            workers: workers(view),
            computed_with: view.facts.history.computed_lines(view.facts.plan),
            warnings: warnings(view),
            failures: failures(view),
            next: Vec::new(),
        };
        status.next = next(view, &status);
        status
    }
}

fn trials(view: &View) -> Share {
    let mut share = Share::default();
    let mut own = vec![false; view.standings.len()];
    view.stages().for_each(|stage| own[stage] = true);
    for stage in view.facts.plan.chains.iter().filter_map(|chain| chain.stages.last()).filter(|stage| own[**stage]) {
        let state = view.standings[*stage].state;
        share.total += usize::from(state != TrainingState::Spared);
        share.done += usize::from(state == TrainingState::Done);
    }
    share
}

fn run_status(view: &View, number: usize, run: &Run) -> RunStatus {
    RunStatus {
        shard: run.shard.map(|shard| shard.show()),
        state: view.activity(number).word(),
        process: run.process().map(str::to_string),
        begun: (run.begun > 0).then_some(run.begun),
        ended: run.ended_at.filter(|_| view.activity(number) == Activity::Ended),
        how: run.ended.clone().filter(|_| view.activity(number) == Activity::Ended),
        written: run.written,
        trainings: Trainings::count(view, view.stages_of(number)),
    }
}

fn workers(view: &View) -> Vec<WorkerStatus> {
    let at: HashMap<usize, usize> =
        view.stages().filter_map(|stage| Some((view.running(stage)?.worker, stage))).collect();
    let mut all = Vec::new();
    for (place, run) in view.facts.runs.iter().enumerate() {
        for (number, worker) in view.facts.history.workers.range(run.workers.clone()) {
            let training = at.get(number).filter(|_| worker.lost.is_none()).map(|stage| training(view, *stage));
            let state = match (&worker.lost, &training) {
                (Some(_), _) => "lost",
                (None, Some(_)) => "training",
                (None, None) if view.activity(place).is_active() => "idle",
                (None, None) => "gone",
            };
            all.push(WorkerStatus {
                worker: number - run.workers.start + 1,
                shard: run.shard.map(|shard| shard.show()),
                place: worker.place.clone(),
                state,
                training,
                reason: worker.lost.clone(),
            });
        }
    }
    all
}

/// Workers of the last run that leave GPUs unused.
fn warnings(view: &View) -> Vec<String> {
    let mut found: BTreeMap<UnusedGpus, usize> = BTreeMap::new();
    for run in view.facts.runs {
        let workers = view.facts.history.workers.range(run.workers.clone());
        for unused in workers.filter_map(|(_, worker)| UnusedGpus::in_place(&worker.place)) {
            *found.entry(unused).or_default() += 1;
        }
    }
    let line = |(unused, count): (UnusedGpus, usize)| {
        let verb = if count == 1 { "is" } else { "are" };
        format!("{} ({})", unused.words(&format!("{} {verb}", many(count, "worker"))), unused.cure())
    };
    found.into_iter().map(line).chain(view.facts.history.mixture(view.facts.plan)).collect()
}

fn training(view: &View, stage: usize) -> Training {
    let (done, total) = view.epochs(stage);
    Training {
        stage: view.facts.plan.stages[stage].id.to_string(),
        label: view.facts.plan.label(stage),
        epochs: Share { total, done },
        validation_accuracy: view.last_epoch(stage).and_then(|epoch| Some(epoch.validation.measured()?.accuracy())),
        since: view.running(stage).map_or(view.facts.now, |running| running.since),
    }
}

fn failures(view: &View) -> Vec<Failure> {
    let failed = |stage: &usize| view.standings[*stage].state == TrainingState::Failed;
    let mut all: Vec<Failure> = view
        .stages()
        .filter(failed)
        .filter_map(|stage| {
            let known = view.known(stage)?;
            Some(Failure {
                stage: view.facts.plan.stages[stage].id.to_string(),
                label: view.facts.plan.label(stage),
                reason: known.failure.clone()?,
                time: (known.failed_at > 0.0).then_some(known.failed_at),
                attempts: known.attempts,
            })
        })
        .collect();
    // Those of one time, such as none, stay in the order of the plan.
    all.sort_by(|one, other| other.time.unwrap_or(0.0).total_cmp(&one.time.unwrap_or(0.0)));
    all
}

fn next(view: &View, status: &Status) -> Vec<String> {
    let folder = view.facts.folder;
    let mut next = Vec::new();
    for (run, told) in view.facts.runs.iter().zip(&status.runs) {
        if told.trainings.open() > 0 && !matches!(told.state, "running" | "probably-running") {
            next.push(format!("run the same command again to go on: `{}`", again(view, run)));
        }
    }
    if let (Some(first), Some(run)) = (status.missing_shards.first(), view.facts.runs.first()) {
        let count = run.shard.map_or(0, |shard| shard.count);
        next.push(format!(
            "start what is not there yet with the same command: `{} --shard {first}/{count}`",
            again(view, run)
        ));
    }
    if let Some(failure) = status.failures.first() {
        let index = StageId::parse(&failure.stage).and_then(|id| view.facts.plan.find(id));
        let name = index.map_or_else(|| failure.stage.clone(), |stage| view.short(stage));
        if !status.active && view.facts.runs.len() == 1 {
            next.push(format!("try what failed again: `tombola retry {folder}`"));
        }
        next.push(format!("more about a failure: `tombola explain {folder} {name}`"));
    }
    if status.trainings.done == status.trainings.total {
        next.push(format!("print the table: `tombola tables {folder}`"));
    } else if status.active && status.failures.is_empty() && status.trainings.waiting > 0 {
        next.push(format!("why a training waits: `tombola explain {folder} TRIAL`"));
    }
    next
}

/// The command that goes on with a run, wherever the user stands by now.
fn again(view: &View, run: &Run) -> String {
    let folder = std::path::Path::new(view.facts.folder);
    match run.shard {
        Some(shard) if view.facts.whole => {
            format!(
                "tombola run {} --out {}",
                folder.join(shard.folder()).join("sweep.toml").display(),
                folder.display()
            )
        }
        // The folder of a shard lies in the one that was asked for.
        Some(_) => {
            let out = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            let out = out.unwrap_or(std::path::Path::new("."));
            format!("tombola run {} --out {}", folder.join("sweep.toml").display(), out.display())
        }
        None => format!("tombola run {} --out {}", folder.join("sweep.toml").display(), folder.display()),
    }
}
