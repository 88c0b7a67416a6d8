//! The table at the end of a run: accuracy against density, mean and standard deviation over seeds.
//!
//! Rows are methods, columns densities; where there are too many densities for the width, a row is a method at one
//! density. Nothing in it is coloured. It may not know where it is printed.

mod differences;
mod style;

use std::collections::BTreeSet;

use comfy_table::Table;

use super::answers;
use super::birds;
use super::methods::{Method, Methods, PrintedShare, PruningCourse, Section};
use super::standing::{Standing, TrainingState};
use tombola_core::folder::journal::{History, StageHistory};
use tombola_core::plan::Plan;
use tombola_core::sweep::{Decides, Field, Settings};
use tombola_words::statistics::Sample;
use tombola_words::value::Select;

use style::{GAP, align, length, line, wrapped};

pub use style::Style;

/// More densities than this are listed below each other.
const MOST_COLUMNS: usize = 7;
/// Narrower than this, names of methods cannot be read.
const NARROWEST_NAME: usize = 24;
/// From this width on, a list has p-values beside differences, not below.
const WIDE: usize = 72;
/// Settings that are named even at their defaults, where a section has one value of them.
const ALWAYS: [&str; 6] = ["network", "dataset", "depth", "epochs", "optimizer", "reinit"];

/// The table of a sweep, with a line of what its rows share above each part and what the numbers are below. It ends
/// with a line break.
pub fn render(plan: &Plan, history: &History, style: &Style) -> String {
    let (mut methods, standings) = (Methods::of(plan), Standing::of(plan, history));
    leave_out(&mut methods, &standings);
    let view = CellSource { methods: &methods, standings, style };
    let mut text = String::new();
    for section in &methods.sections {
        let names = view.names(section);
        for line in wrapped(&view.shared(section, &names), style.width, style.dot(), "") {
            text.push_str(&line);
            text.push('\n');
        }
        text.push('\n');
        let table = view.columns(section, &names).unwrap_or_else(|| view.list(section, &names));
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    let answered = answers::all(plan, history);
    let found = answered.iter().map(|answered| answered.words(plan)).chain(birds::sentences(plan, history));
    for note in found.chain(view.notes(plan)).chain(history.mixture(plan)) {
        for line in wrapped(&[note], style.width, " ", "") {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Leaves out the methods of which no ticket is needed, as where trials compete, unless none would stay in their part.
fn leave_out(methods: &mut Methods, standings: &[Standing]) {
    let spared = |stage: &usize| standings[*stage].state == TrainingState::Spared;
    let is_spared = |method: &Method| {
        let mut stages = method.cells.values().flatten().peekable();
        stages.peek().is_some() && stages.all(spared)
    };
    for section in &mut methods.sections {
        if !section.methods.iter().all(is_spared) {
            section.methods.retain(|method| !is_spared(method));
        }
    }
}

/// What is needed to fill cells.
struct CellSource<'a> {
    methods: &'a Methods,
    standings: Vec<Standing<'a>>,
    style: &'a Style,
}

impl CellSource<'_> {
    /// Positions of the settings that tell the methods of a section from each other.
    fn names(&self, section: &Section) -> Vec<usize> {
        let varies = |&column: &usize| {
            let values: BTreeSet<&str> = section.methods.iter().map(|m| m.settings[column].as_str()).collect();
            // Where a setting makes no difference, another one says so already; a loaded network says it only here.
            let empty = values.contains("") && self.methods.fields[column].key != "load";
            values.len() - usize::from(empty) > 1
        };
        (0..self.methods.fields.len()).filter(varies).collect()
    }

    /// What all methods of a section have in common and a reader wants to know: what it is, and what is no default.
    fn shared(&self, section: &Section, names: &[usize]) -> Vec<String> {
        let first = &section.first;
        let plain = Settings {
            network: first.network.clone(),
            dataset: first.dataset.clone(),
            own_network: first.own_network,
            own_set: first.own_set.clone(),
            epochs: first.epochs,
            ..Settings::default()
        };
        let plain = plain.resolve().unwrap_or_default();
        let mut parts: Vec<(usize, String)> = Vec::new();
        for (column, field) in self.methods.fields.iter().enumerate().filter(|(column, _)| !names.contains(column)) {
            let Some(value) = section.methods.iter().map(|m| &m.settings[column]).find(|value| !value.is_empty())
            else {
                continue;
            };
            let rank = ALWAYS.iter().position(|key| *key == field.key);
            if rank.is_some() || *value != (field.show)(&plain) {
                parts.push((rank.unwrap_or(ALWAYS.len()), in_words(field, value)));
            }
        }
        // Stable: settings that are no defaults follow in the order of the help.
        parts.sort_by_key(|(rank, _)| *rank);
        parts.into_iter().map(|(_, words)| words).collect()
    }

    /// A method in words.
    fn name(&self, method: &Method, names: &[usize]) -> Vec<String> {
        let mut parts = vec![method.course.to_string()];
        for &column in names {
            let (field, value) = (self.methods.fields[column], &method.settings[column]);
            // A ticket without a twin's name is the ticket itself.
            match (field.key, value.as_str()) {
                (_, "") | ("control", "none") => {}
                _ => parts.push(in_words(field, value)),
            }
        }
        parts
    }

    /// Methods against densities, or none if that does not fit.
    fn columns(&self, section: &Section, names: &[usize]) -> Option<Table> {
        let shares: BTreeSet<PrintedShare> = section.methods.iter().flat_map(|m| m.cells.keys().copied()).collect();
        if shares.len() + 1 > MOST_COLUMNS {
            return None;
        }
        let names: Vec<Vec<String>> = section
            .methods
            .iter()
            .flat_map(|method| {
                let compared = self.is_compared(method).then(|| vec![self.difference_name()]);
                std::iter::once(self.name(method, names)).chain(compared)
            })
            .collect();
        let longest = names.iter().map(|parts| length(&parts.join(self.style.dot()))).max().unwrap_or(0);
        let mut header = vec!["dense".to_string()];
        header.extend(shares.iter().rev().map(PrintedShare::to_string));
        [2, 1].into_iter().find_map(|digits| {
            let row = |method: &Method| {
                let mut cells = vec![self.cell(Some(&self.methods.dense[method.dense]), digits)];
                cells.extend(shares.iter().rev().map(|share| self.cell_at(*share, method.cells.get(share), digits)));
                let compared = self.is_compared(method).then(|| {
                    let cell = |share: &PrintedShare| self.difference_cell(method, *share, digits, "\n");
                    std::iter::once(String::new()).chain(shares.iter().rev().map(cell)).collect()
                });
                std::iter::once(cells).chain(compared)
            };
            let rows: Vec<Vec<String>> = section.methods.iter().flat_map(row).collect();
            let width = |column: usize| {
                rows.iter().chain([&header]).map(|row| length(&row[column])).max().unwrap_or(0) + usize::from(GAP)
            };
            let left = self.style.width.checked_sub((0..header.len()).map(width).sum())?;
            if left < longest.min(NARROWEST_NAME) {
                return None;
            }
            let mut table = self.style.table();
            table.set_header(line("method", &header));
            for (parts, cells) in names.iter().zip(&rows) {
                table.add_row(line(&wrapped(parts, left, self.style.dot(), "  ").join("\n"), cells));
            }
            align(&mut table);
            Some(table)
        })
    }

    /// A row for each method and density.
    fn list(&self, section: &Section, names: &[usize]) -> Table {
        let mut rows: Vec<(Vec<String>, Vec<[String; 2]>)> = Vec::new();
        let mut listed = BTreeSet::new();
        for method in &section.methods {
            // The dense network stands before the first method that starts from it.
            if listed.insert(method.dense) && method.course != PruningCourse::Dense {
                let training = |&column: &usize| self.methods.fields[column].decides == Decides::Training;
                let names: Vec<usize> = names.iter().copied().filter(training).collect();
                let mut parts = self.name(method, &names);
                parts[0] = PruningCourse::Dense.to_string();
                rows.push((parts, vec![self.dense_line(method)]));
            }
            let lines = match method.course {
                PruningCourse::Dense => vec![self.dense_line(method)],
                _ => {
                    let line =
                        |(share, stages)| [PrintedShare::to_string(share), self.cell_at(*share, Some(stages), 2)];
                    method.cells.iter().rev().map(line).collect()
                }
            };
            rows.push((self.name(method, names), lines));
            if self.is_compared(method) {
                let between = if self.style.width < WIDE { "\n" } else { ", " };
                let cell = |share: &PrintedShare| self.difference_cell(method, *share, 2, between);
                let lines = method.pairs.keys().rev().map(|share| [share.to_string(), cell(share)]).collect();
                rows.push((vec![self.difference_name()], lines));
            }
        }
        let header = ["density".to_string(), "accuracy".to_string()];
        let width = |column: usize| {
            let cells = rows.iter().flat_map(|(_, lines)| lines).chain([&header]);
            cells.map(|cells| length(&cells[column])).max().unwrap_or(0) + usize::from(GAP)
        };
        let left = self.style.width.saturating_sub(width(0) + width(1)).max(NARROWEST_NAME / 2);
        let mut table = self.style.table();
        table.set_header(line("method", &header));
        for (parts, lines) in &rows {
            // A name that takes several lines runs down beside its densities.
            let mut name = wrapped(parts, left, self.style.dot(), "  ").into_iter();
            for (number, cells) in lines.iter().enumerate() {
                let text = match number + 1 == lines.len() {
                    true => name.by_ref().collect::<Vec<_>>().join("\n"),
                    false => name.next().unwrap_or_default(),
                };
                table.add_row(line(&text, cells));
            }
        }
        align(&mut table);
        table
    }

    fn dense_line(&self, method: &Method) -> [String; 2] {
        [PrintedShare::of(1.0).to_string(), self.cell(Some(&self.methods.dense[method.dense]), 2)]
    }

    /// Test accuracies of the finished ones among `stages`, by their mean.
    fn sample(&self, stages: &BTreeSet<usize>) -> Option<Sample> {
        let accuracy = |&stage: &usize| Some(self.standings[stage].history?.outcome.as_ref()?.best.test.accuracy());
        Sample::of(&stages.iter().filter_map(accuracy).collect::<Vec<_>>())
    }

    /// As [`Self::cell`], with what masks keep where that is not the share asked for.
    fn cell_at(&self, share: PrintedShare, stages: Option<&BTreeSet<usize>>, digits: usize) -> String {
        let mut text = self.cell(stages, digits);
        if let Some(kept) = stages.and_then(|stages| self.other_share(share, stages)) {
            text.push_str(&format!(" [{kept}]"));
        }
        text
    }

    fn cell(&self, stages: Option<&BTreeSet<usize>>, digits: usize) -> String {
        let Some(stages) = stages else { return self.style.dash().to_string() };
        let any = |state| stages.iter().any(|&stage| self.standings[stage].state == state);
        let Some(sample) = self.sample(stages) else {
            let word = if any(TrainingState::Failed) {
                "failed"
            } else if any(TrainingState::Skipped) {
                "skipped"
            } else if stages.iter().any(|&stage| self.standings[stage].history.is_some_and(StageHistory::has_diverged))
            {
                "diverged"
            } else {
                self.style.dash()
            };
            return word.to_string();
        };
        let mut text = format!("{:.digits$}", sample.mean * 100.0);
        if let Some(deviation) = sample.deviation {
            text.push_str(&format!(" {} {:.digits$}", self.style.plus_minus(), deviation * 100.0));
        }
        if sample.n < stages.len() {
            text.push('*');
        }
        text
    }

    /// What the numbers are and what is missing.
    fn notes(&self, plan: &Plan) -> Vec<String> {
        let sections = &self.methods.sections;
        let cells = || {
            sections
                .iter()
                .flat_map(|section| &section.methods)
                .flat_map(|method| method.cells.values().chain(std::iter::once(&self.methods.dense[method.dense])))
        };
        let channels = |wanted: bool| {
            let mut prunings = plan.stages.iter().filter_map(|stage| stage.pruning.as_ref());
            prunings.any(|pruning| pruning.channels == wanted)
        };
        let what = match (channels(true), channels(false)) {
            (true, true) => "weights or channels",
            (true, false) => "channels",
            _ => "weights",
        };
        let selects = |select| plan.chains.iter().any(|chain| chain.trial.settings.select == select);
        let chosen = match (selects(Select::Test), selects(Select::Validation)) {
            (true, true) => "chosen on the part of the data that `select` names",
            (true, false) => "chosen on the test set",
            _ => "chosen on the validation set",
        };
        let others = self.shares(sections).any(|(share, stages)| self.other_share(share, stages).is_some());
        let so = if others { "asked for" } else { "alive" };
        let planned = |count: fn(usize, usize) -> usize| cells().map(BTreeSet::len).reduce(count).unwrap_or(0);
        let over = match (planned(usize::min), planned(usize::max)) {
            (_, 0 | 1) => "one seed".to_string(),
            (least, most) => {
                let seeds = if least == most { most.to_string() } else { format!("{least} to {most}") };
                format!("mean {} standard deviation over {seeds} seeds", self.style.plus_minus())
            }
        };
        let mut notes =
            vec![format!("Test accuracy in % at the epoch {chosen}, by share of prunable {what} {so}; {over}.")];
        if cells().any(|stages| self.sample(stages).is_some_and(|sample| sample.n < stages.len())) {
            notes.push("* Not all seeds are finished.".to_string());
        }
        if sections.iter().flat_map(|section| &section.methods).any(|method| self.is_compared(method)) {
            notes.push(self.difference_note());
        }
        if others {
            notes.push(format!(
                "In brackets the share of {what} that masks keep, where that is not the one asked for (mean over seeds)."
            ));
        }
        let count = |states: &[TrainingState]| self.standings.iter().filter(|s| states.contains(&s.state)).count();
        let (failed, skipped) = (count(&[TrainingState::Failed]), count(&[TrainingState::Skipped]));
        let (open, total) = (count(&[TrainingState::Waiting, TrainingState::Training]), plan.stages.len());
        if failed > 0 {
            let skipped = if skipped > 0 { format!("; skipped because of that: {skipped}") } else { String::new() };
            notes.push(format!("Failed trainings: {failed} of {total}{skipped} (`error` in results.csv)."));
        }
        let spared = count(&[TrainingState::Spared]);
        if spared > 0 {
            let is_left = |standing: &&Standing| {
                standing.state == TrainingState::Spared && standing.history.is_some_and(StageHistory::has_diverged)
            };
            let diverged = match self.standings.iter().filter(is_left).count() {
                0 => String::new(),
                diverged => format!("; of them {diverged} diverged"),
            };
            notes.push(format!(
                "Not needed, as results of others say: {spared} of {total} (`spared` in results.csv){diverged}."
            ));
        }
        if open > 0 {
            notes.push(format!("Trainings not finished: {open} of {total}."));
        }
        notes
    }

    /// The shares that are asked for, with the trainings of each.
    fn shares<'s>(&self, sections: &'s [Section]) -> impl Iterator<Item = (PrintedShare, &'s BTreeSet<usize>)> {
        let methods = sections.iter().flat_map(|section| &section.methods);
        methods.flat_map(|method| method.cells.iter().map(|(share, stages)| (*share, stages)))
    }

    /// The share of weights or channels that the masks of some trainings keep, where it is seen to be another than was asked
    /// for: a criterion may have no score for some channels, the output layer a rate of its own.
    fn other_share(&self, share: PrintedShare, stages: &BTreeSet<usize>) -> Option<PrintedShare> {
        let kept = |&stage: &usize| {
            let drawn = self.standings[stage].history?.drawn.as_ref()?;
            let channels = drawn.channels.map(|count| count.alive as f64 / count.prunable.max(1) as f64);
            Some(channels.unwrap_or_else(|| drawn.density()))
        };
        let kept = Sample::of(&stages.iter().filter_map(kept).collect::<Vec<_>>())?.mean;
        // Half a unit of the third digit that columns are named with is up to half of this.
        let other = (kept - share.value()).abs() > 0.01 * share.value().max(f64::MIN_POSITIVE);
        other.then(|| PrintedShare::of(kept))
    }
}

/// A setting in words; values that are known by themselves stand alone.
fn in_words(field: &Field, value: &str) -> String {
    match (field.key, value) {
        ("network" | "dataset" | "optimizer", _) => value.to_string(),
        ("epochs", "1") => "1 epoch".to_string(),
        ("epochs", _) => format!("{value} epochs"),
        (key, _) => format!("{key} {value}"),
    }
}

#[cfg(test)]
mod tests;
