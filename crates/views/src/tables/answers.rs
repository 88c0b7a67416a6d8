//! `sparsest.csv`: the sparsest ticket that matches the dense network, for each question that a sweep asks.
//!
//! Accuracies and densities are shares from 0 to 1. It may not know how a question is answered.

use std::collections::BTreeSet;
use std::io::{Result, Write};

use super::rows;
use super::sheet::CsvSheet;
use super::standing::{Standing, TrainingState};
use tombola_core::folder::journal::{History, KnownResults};
use tombola_core::plan::search::VARIED;
use tombola_core::plan::{Plan, Search, SearchState};
use tombola_core::sweep::{Field, Settings};
use tombola_words::record::Drawn;
use tombola_words::statistics::{Quantiles, Sample};
use tombola_words::value::{Value, Within};

/// The columns after those of the settings.
const MEASURED: [&str; 18] = [
    "answer",
    "ratio",
    "level",
    "density",
    "n",
    "dense_accuracy_mean",
    "accuracy_mean",
    "accuracy_std",
    "accuracy_ci95",
    "difference_mean",
    "difference_ci95",
    "dense_test_accuracy_mean",
    "test_accuracy_mean",
    "test_accuracy_ci95",
    "selected_on",
    "trainings",
    "trained",
    "spared",
];

/// A question and what is known of its answer.
pub(crate) struct Answered<'a> {
    question: &'a Search,
    answer: SearchState,
    /// The accuracies of the ticket on the part that epochs are chosen on, and on the test set; of the dense networks likewise.
    chosen: [Vec<f64>; 2],
    test: [Vec<f64>; 2],
    /// The share that is left of the weights or channels, over all seeds.
    density: Option<f64>,
    /// The same of channels where those are pruned.
    left: Option<f64>,
    /// What tells it from the other questions; nothing if there are none.
    name: String,
    /// Trainings that might have answered it, those that are there, and those that are not needed.
    counts: [usize; 3],
    /// Whether its dense trainings were left behind by others, so that it is not asked any more.
    is_spared: bool,
}

/// Every question of a plan.
pub(crate) fn all<'a>(plan: &'a Plan, history: &History) -> Vec<Answered<'a>> {
    if plan.questions().is_empty() {
        return Vec::new();
    }
    let standings = Standing::of(plan, history);
    let mut all: Vec<Answered> =
        plan.questions().iter().map(|question| Answered::of(question, plan, history, &standings)).collect();
    name(&mut all, plan);
    all
}

/// Names questions by the settings in which they differ.
fn name(all: &mut [Answered], plan: &Plan) {
    let columns = rows::columns(plan);
    let telling = |field: &&Field| !rows::is_seed(field) && !["pruning-ratio", "control"].contains(&field.key);
    let settings: Vec<&Settings> =
        all.iter().map(|answered| &plan.chains[answered.question.chain].trial.settings).collect();
    let mut names = vec![Vec::new(); all.len()];
    for field in columns.into_iter().filter(telling) {
        let shown: Vec<String> = settings.iter().map(|settings| (field.show)(settings)).collect();
        if shown.iter().any(|value| *value != shown[0]) {
            names.iter_mut().zip(shown).for_each(|(name, value)| name.push(format!("{} {value}", field.key)));
        }
    }
    all.iter_mut().zip(names).for_each(|(answered, name)| answered.name = name.join(", "));
}

impl<'a> Answered<'a> {
    fn of(question: &'a Search, plan: &'a Plan, history: &History, standings: &[Standing]) -> Self {
        let answer = question.answer(&KnownResults::of(plan, history));
        let stages: BTreeSet<usize> = question.chains().flat_map(|chain| plan.chains[chain].stages.clone()).collect();
        let count = |state| stages.iter().filter(|stage| standings[**stage].state == state).count();
        let counts = [stages.len(), count(TrainingState::Done), count(TrainingState::Spared)];
        let mut dense = question.chains().filter_map(|chain| plan.chains[chain].stages.first());
        let is_spared = dense.all(|stage| standings[*stage].state == TrainingState::Spared);
        let tickets = answer.found.map_or(&[][..], |rung| &question.rungs[rung].tickets);
        let ends = |dense: bool| {
            tickets.iter().filter_map(move |ticket| if dense { ticket.stages.first() } else { ticket.stages.last() })
        };
        let chosen = |dense| ends(dense).filter_map(|stage| history.accuracy(plan, *stage)).collect();
        let known = |stage: &usize| history.stages.get(&plan.stages[*stage].id);
        let test = |dense| {
            ends(dense).filter_map(|stage| Some(known(stage)?.outcome.as_ref()?.best.test.accuracy())).collect()
        };
        let drawn = || ends(false).filter_map(|stage| known(stage)?.drawn.as_ref());
        let densities: Vec<f64> = drawn().map(|drawn| drawn.density()).collect();
        // As the table says it: of channels where those are pruned.
        let share = |drawn: &Drawn| {
            let channels = drawn.channels.map(|channels| channels.alive as f64 / channels.prunable.max(1) as f64);
            channels.unwrap_or_else(|| drawn.density())
        };
        let left: Vec<f64> = drawn().map(share).collect();
        Self {
            question,
            answer,
            chosen: [chosen(false), chosen(true)],
            test: [test(false), test(true)],
            density: Sample::of(&densities).map(|sample| sample.mean),
            left: Sample::of(&left).map(|sample| sample.mean),
            name: String::new(),
            counts,
            is_spared,
        }
    }

    /// How it stands, in a word.
    fn word(&self) -> &'static str {
        match (self.answer.is_final, self.answer.found) {
            (true, Some(_)) => "found",
            (true, None) => "none",
            (false, _) if self.is_spared => "spared",
            (false, _) => "open",
        }
    }

    /// The differences of ticket and dense network of each seed.
    fn differences(&self) -> Vec<f64> {
        self.chosen[0].iter().zip(&self.chosen[1]).map(|(ticket, dense)| ticket - dense).collect()
    }

    /// The answer in a sentence.
    pub(crate) fn words(&self, plan: &Plan) -> String {
        let settings = &plan.chains[self.question.chain].trial.settings;
        let name = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        let bar = match settings.within {
            Within::Points(points) => {
                let unit = if points == 1.0 { "point" } else { "points" };
                format!("within {points} {unit} of the dense mean")
            }
            Within::Interval => "not below dense by the 95 % interval".to_string(),
        };
        let part = settings.select.show();
        let [all, trained, spared] = self.counts;
        let rest = match spared {
            0 => format!("{trained} of {all} trainings done"),
            _ => format!("{trained} of {all} trainings done, {spared} not needed"),
        };
        let mean = |values: &[f64]| 100.0 * Sample::of(values).map_or(f64::NAN, |sample| sample.mean);
        let of = if settings.prunes_channels() { " of channels" } else { "" };
        match (self.word(), self.left) {
            ("found", Some(density)) => format!(
                "{name}Sparsest match ({bar}, {part}): {:.2} %{of} left, {:.2} % against {:.2} %; on the test set {:.2} % against {:.2} %; {rest}.",
                100.0 * density,
                mean(&self.chosen[0]),
                mean(&self.chosen[1]),
                mean(&self.test[0]),
                mean(&self.test[1])
            ),
            ("none", _) => format!("{name}Sparsest match ({bar}, {part}): none of the ratios; {rest}."),
            ("spared", _) => format!(
                "{name}Sparsest match ({bar}, {part}): not asked, since other settings of the dense network did better; {rest}."
            ),
            _ => format!("{name}Sparsest match ({bar}, {part}): not known yet; {rest}."),
        }
    }
}

/// Writes the table.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &mut dyn Write, plan: &Plan, history: &History) -> Result<()> {
    let mut columns = rows::columns(plan);
    columns.retain(|field| !rows::is_seed(field) && !VARIED.contains(&field.key));
    let answers = all(plan, history);
    let shown: Vec<Vec<String>> = answers
        .iter()
        .map(|answered| rows::shown(&columns, &plan.chains[answered.question.chain].trial.settings))
        .collect();
    let used: Vec<usize> =
        (0..columns.len()).filter(|column| shown.iter().any(|row| !row[*column].is_empty())).collect();
    let header = used.iter().map(|column| columns[*column].key);
    let mut sheet = CsvSheet::new(file, header.chain(MEASURED))?;
    let mut quantiles = Quantiles::default();
    for (answered, shown) in answers.iter().zip(&shown) {
        for &column in &used {
            sheet.put(&shown[column])?;
        }
        let rung = answered.answer.found.map(|rung| &answered.question.rungs[rung]);
        let level = rung.and_then(|rung| rung.tickets.first()).map(|ticket| ticket.stages.len() - 1);
        sheet.put(answered.word())?;
        sheet.float(rung.map(|rung| rung.ratio))?;
        sheet.maybe(level)?;
        sheet.float(answered.density)?;
        sheet.maybe(rung.map(|rung| rung.tickets.len()))?;
        let mut mean = |values: &[f64]| Sample::of(values).map(|sample| (sample, quantiles.half_width(&sample)));
        let [ticket, dense] = [mean(&answered.chosen[0]), mean(&answered.chosen[1])];
        let difference = mean(&answered.differences());
        let [test, dense_test] = [mean(&answered.test[0]), mean(&answered.test[1])];
        sheet.float(dense.map(|(sample, _)| sample.mean))?;
        sheet.float(ticket.map(|(sample, _)| sample.mean))?;
        sheet.float(ticket.and_then(|(sample, _)| sample.deviation))?;
        sheet.float(ticket.and_then(|(_, half)| half))?;
        sheet.float(difference.map(|(sample, _)| sample.mean))?;
        sheet.float(difference.and_then(|(_, half)| half))?;
        sheet.float(dense_test.map(|(sample, _)| sample.mean))?;
        sheet.float(test.map(|(sample, _)| sample.mean))?;
        sheet.float(test.and_then(|(_, half)| half))?;
        sheet.put(plan.chains[answered.question.chain].trial.settings.select.show())?;
        answered.counts.iter().try_for_each(|count| sheet.put(count))?;
        sheet.end_row()?;
    }
    sheet.finish()
}
