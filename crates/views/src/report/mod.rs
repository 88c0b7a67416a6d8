//! The report of a sweep: one page with what was asked and found, charts, failures and tables, made from the tables of the
//! sweep and nothing else, so that its numbers are theirs.

pub mod chart;
pub mod findings;
pub mod lines;
mod page;
pub mod pivot;
pub mod sheet;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use crate::tables::{self, TrainingState};
use tombola_core::folder::Store;
use tombola_core::folder::journal::{History, StageHistory};
use tombola_core::plan::{Networks, Plan};
use tombola_core::sweep::Spec;
use tombola_words::error::Result;
use tombola_words::regular;
use tombola_words::value::Control;

use chart::{Bar, Chart, LayerDensities, MOST_LINES};
use findings::Sharing;
use lines::{Line, Lines};
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
    /// Accuracies against densities, which sweeps are compared by.
    pub lines: Lines,
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
    /// Name and checksum of each data set.
    pub data: Vec<(String, String)>,
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
        let sheet = |file: &str| tables::text(file, plan, history).map(|text| Sheet::parse(&text));
        let (results, summary, epochs) = (sheet("results.csv")?, sheet("summary.csv")?, sheet("epochs.csv")?);
        let (hamming, tickets) = (sheet("hamming.csv")?, sheet("tickets.csv")?);
        let timing = sheet("timing.csv")?;
        // It takes the masks of all tickets, and is made at the end of a run.
        let overlap = regular::read_to_string(&folder.join(tables::OVERLAP)).unwrap_or_default();
        let lines = Lines::of(&summary);
        let mut charts = Vec::new();
        let mut missing = Vec::new();
        let mut either = |chart: Option<Chart>, what: &'static str, why: &'static str| match chart {
            Some(chart) => charts.push(chart),
            None => missing.push(Missing { what, why }),
        };
        either(
            chart::density(&lines),
            "Accuracy against density",
            "no ticket beside a dense network has come to its end",
        );
        either(chart::curves(&epochs), "Training curves", "no training has more than one epoch yet");
        either(chart::distance(&hamming, &tickets), "How masks settle", "no masks are watched: see `--track-masks`");
        charts.extend(chart::heat(&hamming, &tickets));
        let mut either = |chart: Option<Chart>, what: &'static str, why: &'static str| match chart {
            Some(chart) => charts.push(chart),
            None => missing.push(Missing { what, why }),
        };
        let kept = "no masks of finished tickets are kept: see `--save`";
        either(chart::layers(&layers(source)?), "Density layer by layer", kept);
        let pairs = "no run that trained tickets of two seeds and kept their masks has come to its end";
        either(chart::overlap(&Sheet::parse(&overlap)), "Overlap of tickets of different seeds", pairs);
        either(chart::cost(&results, &timing), "Speed of smaller networks", "no ticket of channels has been trained");
        either(chart::gantt(&bars(plan, history)), "Who trained what when", "the journal does not tell");
        Ok(Self {
            name: name.to_string(),
            findings: findings::sentences(sharing(plan, history), &lines, &tickets),
            lines,
            failures: failures(&results),
            charts,
            missing,
            results,
            summary,
            settings: source.spec.to_toml(),
            made_by: history.made_by.clone(),
            data: history.data.iter().map(|(name, sum)| (name.clone(), sum.clone())).collect(),
        })
    }
}

/// Accuracies against densities of several sweeps in one chart; nothing for one sweep alone.
pub fn compared(reports: &[Report]) -> Option<Chart> {
    let mut all = Lines::default();
    for report in reports.iter().filter(|_| reports.len() > 1) {
        let named = |line: &Line| Line { name: format!("{}: {}", report.name, line.name), ..line.clone() };
        all.dense.extend(report.lines.dense.iter().map(named));
        all.tickets.extend(report.lines.tickets.iter().map(named));
    }
    let chart = chart::density(&all)?;
    Some(Chart { name: "compared".into(), title: "All sweeps: accuracy against density".into(), ..chart })
}

fn sharing(plan: &Plan, history: &History) -> Sharing {
    let standings = tables::Standing::of(plan, history);
    let count = |states: &[TrainingState]| standings.iter().filter(|one| states.contains(&one.state)).count();
    Sharing {
        trials: plan.chains.len(),
        trainings: plan.stages.len(),
        done: count(&[TrainingState::Done]),
        failed: count(&[TrainingState::Failed, TrainingState::Skipped]),
        epochs: plan.shared_epochs(),
        epochs_alone: plan.unshared().0,
    }
}

/// What the tickets of the first trials keep of each layer: those that end a trial, of one seed, without their twins.
fn layers(source: &ReportSource) -> Result<Vec<LayerDensities>> {
    let ReportSource { stores, spec, plan, history, .. } = *source;
    let mut found = Vec::new();
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
        let networks = Networks::of(plan, &[stage.root], &spec.networks)?;
        let Some(network) = networks.get(plan, index) else { continue };
        let sum = history.stages.get(&stage.id).and_then(StageHistory::mask_sum);
        let mut masks = stores.iter().filter_map(|store| store.mask(stage.id, &network.layout, sum).transpose());
        let Some(mask) = masks.next().transpose()? else { continue };
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
        found.push(LayerDensities { name: format!("trial {}: {}", chain.trial.number, plan.label(index)), layers });
        if found.len() == MOST_LINES {
            break;
        }
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
