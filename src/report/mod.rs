//! The report of a sweep: one page with what was asked and found, charts, failures and tables, made from the tables of the
//! sweep and nothing else, so that its numbers are theirs.

pub mod chart;
pub mod findings;
pub mod lines;
mod page;
pub mod pivot;
pub mod sheet;

use std::collections::BTreeSet;

use crate::error::Result;
use crate::journal::History;
use crate::plan::Plan;
use crate::tables::{self, State};

use chart::Chart;
use findings::Sharing;
use lines::Lines;
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
    /// Name and checksum of each data set.
    pub data: Vec<(String, String)>,
}

impl Report {
    /// The report of a sweep as far as it is. `settings` is its complete sweep file.
    ///
    /// # Errors
    /// When a table cannot be made.
    pub fn of(name: &str, plan: &Plan, history: &History, settings: String) -> Result<Self> {
        let sheet = |file: &str| tables::text(file, plan, history).map(|text| Sheet::parse(&text));
        let (results, summary, epochs) = (sheet("results.csv")?, sheet("summary.csv")?, sheet("epochs.csv")?);
        let (hamming, tickets) = (sheet("hamming.csv")?, sheet("tickets.csv")?);
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
        Ok(Self {
            name: name.to_string(),
            findings: findings::sentences(sharing(plan, history), &lines, &tickets),
            failures: failures(&results),
            charts,
            missing,
            results,
            summary,
            settings,
            data: history.data.iter().map(|(name, sum)| (name.clone(), sum.clone())).collect(),
        })
    }
}

fn sharing(plan: &Plan, history: &History) -> Sharing {
    let standings = tables::Standing::of(plan, history);
    let count = |states: &[State]| standings.iter().filter(|one| states.contains(&one.state)).count();
    Sharing {
        trials: plan.chains.len(),
        trainings: plan.stages.len(),
        done: count(&[State::Done]),
        failed: count(&[State::Failed, State::Skipped]),
        epochs: plan.shared_epochs(),
        epochs_alone: plan.unshared().0,
    }
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
