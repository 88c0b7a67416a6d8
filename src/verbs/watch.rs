//! `tombola watch`: how far a sweep is, on the terminal, again and again.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::folder;
use super::folder::Results;
use tombola_core::plan::Plan;
use tombola_views::status::{Status, View, text};
use tombola_words::error::Result;

const EXAMPLES: &str = "\
Examples:
  tombola watch results/quickstart
  tombola watch results/quickstart --every 30

It ends with the run. Without a terminal it prints once.";

/// Levels of a sparkline, from low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const MOST_BARS: usize = 40;

/// The verb.
pub fn command() -> Command {
    Command::new("watch")
        .about("Watch a sweep on the terminal: who trains what, curves, time left")
        .after_help(EXAMPLES)
        .arg(folder::argument().help("Results folder of a sweep that runs"))
        .arg(
            Arg::new("every")
                .long("every")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64).range(1..=3600))
                .default_value("2")
                .help("Time between two looks"),
        )
}

/// Prints until the run has ended. The exit code is that of `tombola status`.
///
/// # Errors
/// When the folder holds no sweep.
pub fn run(matches: &ArgMatches) -> Result<u8> {
    let every = Duration::from_secs(matches.get_one::<u64>("every").copied().unwrap_or(2));
    let terminal = std::io::stdout().is_terminal();
    loop {
        let results = Results::read(&folder::given(matches))?;
        let work = tombola_core::plan::estimate::epoch_work(&results.plan, &results.spec)?;
        let shown = results.folder.display().to_string();
        let view = View::of(results.facts(&work, &shown));
        let mut words = text::text(&Status::of(&view), view.digits());
        for (place, curve) in curves(&results) {
            words.push_str(&format!("{place}  {curve}\n"));
        }
        // To the upper left corner, and what is left below is cleared: nothing flickers.
        super::print(&if terminal { format!("\x1b[H\x1b[2J{words}") } else { words })?;
        let active = results.runs.iter().any(|run| run.activity(folder::now()).is_active());
        if !terminal || !active {
            return Ok(0);
        }
        std::thread::sleep(every);
    }
}

/// The validation accuracies of each training under way, as a line of bars.
fn curves(results: &Results) -> Vec<(String, String)> {
    let Results { plan, history, .. } = results;
    let running: BTreeMap<usize, &tombola_core::folder::journal::StageHistory> = (0..plan.stages.len())
        .filter_map(|index| Some((index, &**history.stages.get(&plan.stages[index].id)?)))
        .filter(|(_, stage)| stage.running.is_some())
        .collect();
    running.into_iter().map(|(index, stage)| (place(plan, index), line(stage))).collect()
}

fn place(plan: &Plan, index: usize) -> String {
    let stage = &plan.stages[index];
    format!("{}, level {}, seed {}", stage.id, stage.level, stage.settings.seed)
}

fn line(stage: &tombola_core::folder::journal::StageHistory) -> String {
    let accuracy = |record: &tombola_words::record::EpochRecord| record.selecting().accuracy();
    let values: Vec<f64> = stage.epochs.values().map(accuracy).collect();
    let end = values.last().map_or(String::new(), |value| format!(" {:.2} %", 100.0 * value));
    format!("{}{end}", sparkline(&values))
}

/// Values as bars, the last ones where there are many.
fn sparkline(values: &[f64]) -> String {
    let values = &values[values.len().saturating_sub(MOST_BARS)..];
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let bar = |value: &f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        BARS[((share * BARS.len() as f64) as usize).min(BARS.len() - 1)]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bars_between_the_lowest_and_the_highest() {
        assert_eq!(sparkline(&[0.1, 0.5, 0.9]), "▁▅█");
        assert_eq!(sparkline(&[0.5]), "▅");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[0.0; 100]).chars().count(), MOST_BARS);
    }
}
