//! The report of a sweep: one page with what was asked and found, charts, failures and tables, made from the tables of the
//! sweep and nothing else, so that its numbers are theirs.

pub mod chart;
pub mod controls;
pub mod findings;
pub mod lines;
mod page;
pub mod parts;
pub mod pivot;
pub mod sheet;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use crate::tables::{self, TrainingState};
use tombola_core::folder::journal::History;
use tombola_core::folder::{Store, mask_of};
use tombola_core::gpus::UnusedGpus;
use tombola_core::plan::estimate::many;
use tombola_core::plan::{Networks, Plan};
use tombola_core::sweep::Spec;
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::value::Control;

use chart::{Bar, Chart, LayerDensities, MOST_LINES};
use findings::Sharing;
use lines::{Line, Lines};
use parts::ReportParts;
use sheet::Sheet;

pub use page::page;

/// A part of the report that is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its title.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// Everything that a report shows of one sweep.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What was asked and found.
    pub findings: Vec<String>,
    /// Its charts.
    pub charts: Vec<Chart>,
    /// Accuracies against densities of each network, which sweeps are compared by.
    pub lines: Vec<PartLines>,
    /// Tickets against their controls: a row for each control and density; without rows where there is no such pair.
    pub controls: Sheet,
    /// What it cannot show.
    pub missing: Vec<Missing>,
    /// Rows of `results.csv`.
    pub results: Sheet,
    /// Rows of `summary.csv`.
    pub summary: Sheet,
    /// Trainings that failed, each with its reason.
    pub failures: Vec<(String, String)>,
    /// The complete sweep file.
    pub settings: String,
    /// Versions of the program and machines that worked on it.
    pub made_by: Vec<(String, String)>,
    /// What trainings were computed with, and how many with each, in words.
    pub computed_with: Vec<String>,
    /// Name and checksum of each data set.
    pub data: Vec<(String, String)>,
}

/// What was found of one network on one data set.
#[derive(Debug, Clone, Default)]
pub struct PartLines {
    /// What tells it from the others of the sweep; empty where it is the only one.
    pub title: String,
    /// Its accuracies against densities.
    pub lines: Lines,
    /// Sentences about it.
    pub findings: Vec<String>,
}

/// Kinds of charts, as they follow each other: title, and why there may be none; without a title where another kind says so.
const KINDS: [(&str, &str); 8] = [
    ("Accuracy against density", "no ticket beside a dense network has come to its end"),
    ("Training curves", "no training has more than one epoch yet"),
    ("How masks settle", "no masks are watched: see `--track-masks`"),
    ("", ""),
    ("Density layer by layer", "no masks of finished tickets are kept: see `--save`"),
    (
        "Overlap of tickets of different seeds",
        "no run that trained tickets of two seeds and kept their masks has come to its end",
    ),
    ("Speed of smaller networks", "no ticket of channels has been trained"),
    ("Who trained what when", "the journal does not tell"),
];
/// The kind that is about the whole sweep.
const WORKERS: usize = 7;

/// The charts of a sweep by their kinds.
#[derive(Debug, Default)]
struct ChartList {
    kinds: [Vec<Chart>; KINDS.len()],
}

impl ChartList {
    /// One after the other, and what there is none of.
    fn sorted_out(self) -> (Vec<Chart>, Vec<Missing>) {
        let lacks = |((what, why), charts): (&(&'static str, &'static str), &Vec<Chart>)| {
            (charts.is_empty() && !what.is_empty()).then_some(Missing { what, why })
        };
        let missing = KINDS.iter().zip(&self.kinds).filter_map(lacks).collect();
        (self.kinds.into_iter().flatten().collect(), missing)
    }
}

/// What a report is made from.
#[derive(Debug)]
pub struct ReportSource<'a> {
    /// Name of the sweep.
    pub name: &'a str,
    /// Its results folder.
    pub folder: &'a Path,
    /// Where its masks are.
    pub stores: &'a [Store],
    /// What was asked.
    pub spec: &'a Spec,
    /// Its trainings.
    pub plan: &'a Plan,
    /// What is known of them.
    pub history: &'a History,
}

impl Report {
    /// The report of a sweep as far as it is.
    ///
    /// # Errors
    /// When a table cannot be made, or a mask is damaged.
    pub fn of(source: &ReportSource) -> Result<Self> {
        let ReportSource { name, folder, plan, history, .. } = *source;
        let sheet = |file: &str| tables::text(file, plan, history).and_then(|text| Sheet::parse(&text));
        let (results, summary, epochs) = (sheet("results.csv")?, sheet("summary.csv")?, sheet("epochs.csv")?);
        let (hamming, tickets) = (sheet("hamming.csv")?, sheet("tickets.csv")?);
        let timing = sheet("timing.csv")?;
        // It takes the masks of all tickets, and is made at the end of a run.
        let overlap = match regular::read_to_string(&folder.join(tables::OVERLAP)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            found => found.map_err(|error| Error::file("read", &folder.join(tables::OVERLAP), &error)),
        };
        let overlap = overlap.and_then(|text| Sheet::parse(&text));
        let overlap = overlap.map_err(|error| error.hint("`tombola tables` makes the tables anew"))?;
        let parts = ReportParts::of(&results);
        let layers = layers(source, &parts)?;
        let mut charts = ChartList::default();
        let mut lines = Vec::new();
        for (number, part) in parts.all.iter().enumerate() {
            let own = |sheet: &Sheet| parts.by_stage(sheet, number);
            let own_lines = Lines::of(&parts.by_settings(&summary, number));
            let (hamming, tickets) = (own(&hamming), own(&tickets));
            let layers: Vec<LayerDensities> =
                layers.iter().filter(|one| parts.holds(&one.stage, number)).cloned().collect();
            for (kind, found) in [
                chart::density(&own_lines),
                Vec::from_iter(chart::curves(&own(&epochs))),
                Vec::from_iter(chart::distance(&hamming, &tickets)),
                chart::heat(&hamming, &tickets),
                Vec::from_iter(chart::layers(&layers)),
                Vec::from_iter(chart::overlap(&own(&overlap))),
                Vec::from_iter(chart::cost(&own(&results), &timing)),
            ]
            .into_iter()
            .enumerate()
            {
                charts.kinds[kind].extend(found.into_iter().map(|chart| chart.of_part(&part.name, &part.title)));
            }
            let found = findings::of_part(&own_lines, &tickets);
            let findings = found.into_iter().chain(controls::sentence(&own_lines)).collect();
            lines.push(PartLines { title: part.title.clone(), lines: own_lines, findings });
        }
        let present: Vec<usize> = history.workers.keys().copied().collect();
        charts.kinds[WORKERS].extend(chart::gantt(&bars(plan, history), &present));
        let (charts, missing) = charts.sorted_out();
        let answers = tables::answers::all(plan, history);
        let mut first: Vec<String> = answers.iter().map(|answered| answered.words(plan)).collect();
        first.extend(unused_gpus(history));
        Ok(Self {
            name: name.to_string(),
            findings: findings::sentences(sharing(plan, history), &first, &lines, history.mixture(plan)),
            controls: controls::table(&lines),
            lines,
            failures: failures(&results),
            charts,
            missing,
            results,
            summary,
            settings: source.spec.to_toml(),
            made_by: history.made_by.clone(),
            computed_with: history.computed_lines(plan),
            data: history.data.iter().map(|(name, sum)| (name.clone(), sum.clone())).collect(),
        })
    }
}

/// Accuracies against densities of several sweeps in one chart, or more where there are many methods; nothing for one sweep alone.
pub fn compared(reports: &[Report]) -> Vec<Chart> {
    let mut all = Lines::default();
    for report in reports.iter().filter(|_| reports.len() > 1) {
        for part in &report.lines {
            let gap = if part.title.is_empty() { "" } else { ", " };
            let named = |line: &Line| Line {
                name: format!("{}{gap}{}: {}", report.name, part.title, line.name),
                ..line.clone()
            };
            all.dense.extend(part.lines.dense.iter().map(named));
            all.tickets.extend(part.lines.tickets.iter().map(named));
        }
    }
    let charts = chart::density(&all).into_iter().map(|chart| Chart {
        name: chart.name.replace(chart::DENSITY, "compared"),
        title: chart.title.replace("Accuracy against density", "All sweeps: accuracy against density"),
        ..chart
    });
    charts.collect()
}

/// Trainings that are done and left GPUs unused: how many, and why.
fn unused_gpus(history: &History) -> Vec<String> {
    let mut found: BTreeMap<UnusedGpus, usize> = BTreeMap::new();
    let done = history.stages.values().filter(|known| known.outcome.is_some());
    done.filter_map(|known| UnusedGpus::in_place(&known.place)).for_each(|one| *found.entry(one).or_default() += 1);
    let words = |(unused, count): (UnusedGpus, usize)| {
        let verb = if count == 1 { "was" } else { "were" };
        format!("{}.", unused.words(&format!("{} {verb} trained", many(count, "training"))))
    };
    found.into_iter().map(words).collect()
}

fn sharing(plan: &Plan, history: &History) -> Sharing {
    let standings = tables::Standing::of(plan, history);
    let count = |states: &[TrainingState]| standings.iter().filter(|one| states.contains(&one.state)).count();
    let is_needed = |stage: &usize| standings[*stage].state != TrainingState::Spared;
    let epochs = |stages: &mut dyn Iterator<Item = usize>| -> usize {
        stages.filter(is_needed).map(|stage| plan.stages[stage].epochs().len()).sum()
    };
    Sharing {
        trials: plan.chains.len(),
        trainings: plan.stages.len() - count(&[TrainingState::Spared]),
        done: count(&[TrainingState::Done]),
        failed: count(&[TrainingState::Failed]),
        skipped: count(&[TrainingState::Skipped]),
        epochs: epochs(&mut (0..plan.stages.len())),
        epochs_alone: epochs(&mut plan.chains.iter().flat_map(|chain| chain.stages.iter().copied())),
    }
}

/// What the tickets of the first trials keep of each layer: those that end a trial, of one seed, without their twins.
fn layers(source: &ReportSource, parts: &ReportParts) -> Result<Vec<LayerDensities>> {
    let ReportSource { stores, spec, plan, history, .. } = *source;
    let mut found = Vec::new();
    let mut counts = vec![0; parts.all.len()];
    let mut seen = HashSet::new();
    let seed = plan.chains.first().map(|chain| chain.trial.settings.seed);
    for chain in plan.chains.iter().filter(|chain| Some(chain.trial.settings.seed) == seed) {
        let Some(&index) = chain.stages.last() else { continue };
        let stage = &plan.stages[index];
        let ticket = stage.pruning.as_ref().is_some_and(|pruning| pruning.control == Control::None);
        let done = history.stages.get(&stage.id).is_some_and(|known| known.outcome.is_some());
        if !ticket || !done || !seen.insert(index) {
            continue;
        }
        let id = stage.id.to_string();
        let part = (0..parts.all.len()).find(|part| parts.holds(&id, *part));
        if part.is_none_or(|part| counts[part] == MOST_LINES) {
            continue;
        }
        let networks = Networks::of(plan, &[stage.root], &spec.networks)?;
        let Some(network) = networks.get(plan, index) else { continue };
        let Some(mask) = mask_of(stores, history, stage.id, &network.layout)? else { continue };
        let connections = network.layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
        let layers = connections.map(|parameter| {
            let name = parameter.name.trim_end_matches(".weight").to_string();
            (name, mask.count_in(parameter.range()) as f64 / parameter.len.max(1) as f64)
        });
        let layers: Vec<(String, f64)> = layers.collect();
        // Trials that differ in where weights go back to have the same masks.
        if found.iter().any(|known: &LayerDensities| known.layers == layers) {
            continue;
        }
        let name = format!("trial {}: {}", chain.trial.number, plan.label(index));
        found.push(LayerDensities { name, stage: id, layers });
        part.into_iter().for_each(|part| counts[part] += 1);
    }
    Ok(found)
}

/// Who trained what when in the last run. What was not ended lasted until the last that is known.
fn bars(plan: &Plan, history: &History) -> Vec<Bar> {
    let shifts = &history.shifts;
    let Some(begin) = shifts.first().map(|shift| shift.from) else { return Vec::new() };
    let last = shifts.iter().map(|shift| shift.to.unwrap_or(shift.from)).fold(begin, f64::max);
    let last = history.ended_at.unwrap_or(last);
    let bar = |shift: &tombola_core::folder::journal::Shift| {
        let stage = &plan.stages[plan.find(shift.stage)?];
        let place = history.workers.get(&shift.worker).map(|worker| worker.place.clone()).unwrap_or_default();
        let (from, to) = (shift.from - begin, shift.to.unwrap_or(last.max(shift.from)) - begin);
        Some(Bar { worker: shift.worker, place, stage: stage.id.to_string(), level: stage.level, from, to })
    };
    shifts.iter().filter_map(bar).collect()
}

/// Each failed training once, with its reason.
fn failures(results: &Sheet) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let failed = results.rows.iter().filter(|row| !results.text(row, "error").is_empty());
    failed
        .filter(|row| seen.insert(results.text(row, "stage").to_string()))
        .map(|row| {
            let place = format!("trial {}, level {}", results.text(row, "trial"), results.text(row, "level"));
            (place, results.text(row, "error").to_string())
        })
        .collect()
}
