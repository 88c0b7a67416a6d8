//! What was asked and found, in sentences made from the tables.

use super::PartLines;
use super::lines::Lines;
use super::sheet::Sheet;
use tombola_core::plan::estimate::many;

/// Accuracy that a ticket may lose against the dense network and still count as good: a point.
const CLOSE: f64 = 0.01;

/// A figure of a report: what the sentences need beside the tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sharing {
    /// Trials that differ.
    pub trials: usize,
    /// Trainings that they share.
    pub trainings: usize,
    /// Trainings finished.
    pub done: usize,
    /// Trainings failed.
    pub failed: usize,
    /// Trainings left out: one before them failed, or no early bird was drawn for them.
    pub skipped: usize,
    /// Epochs of the shared trainings.
    pub epochs: usize,
    /// Epochs if every trial trained its own.
    pub epochs_alone: usize,
}

/// The sentences, the most important first; those about one network of several begin with its name.
///
/// `mixture` says that the trainings were not computed alike, if so.
pub fn sentences(sharing: Sharing, warnings: &[String], parts: &[PartLines], mixture: Option<String>) -> Vec<String> {
    let mut all = vec![asked(sharing)];
    all.extend(warnings.iter().cloned());
    for part in parts {
        let named = |sentence: &String| match part.title.as_str() {
            "" => sentence.clone(),
            title => format!("{title}: {sentence}"),
        };
        all.extend(part.findings.iter().map(named));
    }
    all.extend(mixture.map(|words| format!("Careful: {words}.")));
    all
}

/// What was found of one network.
pub fn of_part(lines: &Lines, tickets: &Sheet) -> Vec<String> {
    best(lines).into_iter().chain(birds(tickets)).collect()
}

fn asked(sharing: Sharing) -> String {
    let Sharing { trials, trainings, done, failed, skipped, epochs, epochs_alone } = sharing;
    let mut state = match (done == trainings, done + failed + skipped == trainings) {
        (true, _) => "all done".to_string(),
        (false, true) => format!("{done} done"),
        (false, false) => format!("{done} done so far"),
    };
    for (count, word) in [(failed, "failed"), (skipped, "left out")] {
        if count > 0 {
            state.push_str(&format!(", {count} {word}"));
        }
    }
    let saved = epochs_alone.saturating_sub(epochs);
    let share = 100.0 * saved as f64 / epochs_alone.max(1) as f64;
    format!(
        "{} took {} ({state}); sharing them saves {saved} of {} ({share:.0} %).",
        many(trials, "trial"),
        many(trainings, "training"),
        many(epochs_alone, "epoch")
    )
}

/// The sparsest ticket that is close to the dense network.
fn best(lines: &Lines) -> Option<String> {
    let points = || {
        let lines = lines.tickets.iter().filter_map(|line| Some((line, line.dense?)));
        lines.flat_map(|(line, dense)| line.points.iter().map(move |point| (line, dense, point)))
    };
    let close = points().filter(|(_, dense, point)| point.accuracy >= dense - CLOSE);
    Some(match close.min_by(|(_, _, one), (_, _, other)| one.density.total_cmp(&other.density)) {
        Some((line, dense, point)) => format!(
            "The smallest ticket within a point of its dense network ({:.2} %) keeps {} of its prunable weights and reaches {:.2} % ({}).",
            100.0 * dense,
            percent(point.density),
            100.0 * point.accuracy,
            line.name
        ),
        None => {
            let (line, dense, point) =
                points().max_by(|(_, _, one), (_, _, other)| one.accuracy.total_cmp(&other.accuracy))?;
            format!(
                "No ticket comes within a point of its dense network; the best, of one with {:.2} %, keeps {} of its prunable weights and reaches {:.2} % ({}).",
                100.0 * dense,
                percent(point.density),
                100.0 * point.accuracy,
                line.name
            )
        }
    })
}

fn birds(tickets: &Sheet) -> Option<String> {
    let drawn: Vec<f64> = tickets.rows.iter().filter_map(|row| tickets.number(row, "epoch")).collect();
    if tickets.is_empty() {
        return None;
    }
    if drawn.is_empty() {
        return Some("No early bird was drawn: the masks never settled.".to_string());
    }
    let (first, last) =
        (drawn.iter().copied().fold(f64::INFINITY, f64::min), drawn.iter().copied().fold(0.0, f64::max));
    let planned: Vec<f64> = tickets.rows.iter().filter_map(|row| tickets.number(row, "epochs_planned")).collect();
    let planned = (planned.iter().copied().fold(f64::INFINITY, f64::min), planned.iter().copied().fold(0.0, f64::max));
    let planned =
        if planned.0 == planned.1 { planned.1.to_string() } else { format!("{} to {}", planned.0, planned.1) };
    // Several birds of one training save its epochs together, once.
    let saved = tickets
        .by("stage")
        .into_iter()
        .map(|(_, rows)| rows.iter().filter_map(|row| tickets.number(row, "epochs_saved")).fold(0.0, f64::max));
    let saved: f64 = saved.sum();
    let epochs = if first == last { format!("epoch {first}") } else { format!("epochs {first} to {last}") };
    let trainings = tickets.by("stage").len();
    let trainings = if trainings == 1 { String::new() } else { format!(" in {trainings} trainings") };
    Some(format!(
        "{} of {} early birds were drawn, at {epochs} of {planned}; that saved {saved} dense epochs{trainings}.",
        drawn.len(),
        tickets.rows.len()
    ))
}

/// A share as a percentage with three digits that matter.
pub fn percent(share: f64) -> String {
    let value = 100.0 * share;
    let decimals = if value >= 99.95 { 0 } else { (1 - value.max(1e-6).log10().floor() as i32).clamp(0, 4) as usize };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::lines::{Line, Mean};

    fn lines(accuracies: &[(f64, f64)]) -> Lines {
        let point = |(density, accuracy): &(f64, f64)| Mean {
            density: *density,
            accuracy: *accuracy,
            half_width: None,
            n: 1,
            difference: None,
        };
        let line = |name: &str, points: &[(f64, f64)]| Line {
            name: name.into(),
            points: points.iter().map(point).collect(),
            dense: Some(0.9),
        };
        Lines { dense: vec![line("dense", &[(1.0, 0.9)])], tickets: vec![line("one-shot", accuracies)] }
    }

    #[test]
    fn the_sparsest_ticket_that_is_close_is_named() {
        let text = best(&lines(&[(0.5, 0.91), (0.036, 0.891), (0.01, 0.8)])).unwrap();
        assert!(
            text.contains("(90.00 %) keeps 3.6 % of its prunable weights and reaches 89.10 % (one-shot)"),
            "{text}"
        );
        let text = best(&lines(&[(0.1, 0.7), (0.01, 0.6)])).unwrap();
        assert!(text.starts_with("No ticket comes within") && text.contains("70.00 %"), "{text}");
        assert_eq!(best(&Lines::default()), None);
    }

    #[test]
    fn each_network_has_its_own_finding() {
        let part = |title: &str, accuracy: f64| PartLines {
            title: title.into(),
            findings: of_part(&lines(&[(0.5, accuracy)]), &Sheet::default()),
            lines: Lines::default(),
        };
        let told = sentences(
            Sharing::default(),
            &["2 trainings.".into()],
            &[part("lenet-5", 0.91), part("resnet", 0.5)],
            None,
        );
        assert_eq!((told.len(), told[1].as_str()), (4, "2 trainings."));
        assert!(told[2].starts_with("lenet-5: The smallest ticket within a point"), "{told:?}");
        assert!(told[3].starts_with("resnet: No ticket comes within a point"), "{told:?}");
        assert!(!sentences(Sharing::default(), &[], &[part("", 0.91)], None)[1].contains(": The smallest"));
    }

    #[test]
    fn early_birds_are_counted() {
        let table = "stage,epoch,epochs_planned,epochs_saved\na,6,20,13\na,7,20,13\nb,,20,0\n";
        assert_eq!(
            birds(&Sheet::parse(table).unwrap()).unwrap(),
            "2 of 3 early birds were drawn, at epochs 6 to 7 of 20; that saved 13 dense epochs in 2 trainings."
        );
        assert_eq!(birds(&Sheet::default()), None);
    }

    #[test]
    fn what_sharing_saves_is_told() {
        let sharing = Sharing { trials: 4, trainings: 5, done: 5, epochs: 10, epochs_alone: 16, ..Sharing::default() };
        assert_eq!(asked(sharing), "4 trials took 5 trainings (all done); sharing them saves 6 of 16 epochs (38 %).");
        let failed = Sharing { done: 2, failed: 1, skipped: 2, ..sharing };
        assert!(asked(failed).contains("5 trainings (2 done, 1 failed, 2 left out);"), "{}", asked(failed));
        assert!(asked(Sharing { done: 2, ..sharing }).contains("5 trainings (2 done so far);"));
    }

    #[test]
    fn shares_are_percentages_of_two_or_three_digits() {
        assert_eq!([1.0, 0.5, 0.0361, 0.004, 0.123].map(percent), ["100 %", "50 %", "3.6 %", "0.4 %", "12 %"]);
    }
}
