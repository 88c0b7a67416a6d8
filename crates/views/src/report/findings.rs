//! What was asked and found, in sentences made from the tables.

use super::lines::Lines;
use super::sheet::Sheet;

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
    /// Trainings failed or left out because of a failure.
    pub failed: usize,
    /// Epochs of the shared trainings.
    pub epochs: usize,
    /// Epochs if every trial trained its own.
    pub epochs_alone: usize,
}

/// The sentences, the most important first.
///
/// `mixture` says that the trainings were not computed alike, if so.
pub fn sentences(sharing: Sharing, lines: &Lines, tickets: &Sheet, mixture: Option<String>) -> Vec<String> {
    let mut all = vec![asked(sharing)];
    all.extend(best(lines));
    all.extend(birds(tickets));
    all.extend(mixture.map(|words| format!("Careful: {words}.")));
    all
}

fn asked(sharing: Sharing) -> String {
    let Sharing { trials, trainings, done, failed, epochs, epochs_alone } = sharing;
    let state = match (done == trainings, failed) {
        (true, _) => "all done".to_string(),
        (false, 0) => format!("{done} done so far"),
        (false, failed) => format!("{done} done, {failed} failed or left out"),
    };
    let saved = epochs_alone.saturating_sub(epochs);
    let share = 100.0 * saved as f64 / epochs_alone.max(1) as f64;
    format!(
        "{trials} trials took {trainings} trainings ({state}); sharing them saves {saved} of {epochs_alone} epochs ({share:.0} %)."
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
            "The smallest ticket within a point of its dense network ({:.2} %) keeps {} of it and reaches {:.2} % ({}).",
            100.0 * dense,
            percent(point.density),
            100.0 * point.accuracy,
            line.name
        ),
        None => {
            let (line, dense, point) =
                points().max_by(|(_, _, one), (_, _, other)| one.accuracy.total_cmp(&other.accuracy))?;
            format!(
                "No ticket comes within a point of its dense network; the best, of one with {:.2} %, keeps {} and reaches {:.2} % ({}).",
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
    let planned = tickets.rows.iter().filter_map(|row| tickets.number(row, "epochs_planned")).fold(0.0, f64::max);
    let saved: f64 = tickets.rows.iter().filter_map(|row| tickets.number(row, "epochs_saved")).sum();
    let epochs = if first == last { format!("epoch {first}") } else { format!("epochs {first} to {last}") };
    Some(format!(
        "{} of {} early birds were drawn, at {epochs} of {planned}; that saved {saved} dense epochs.",
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
    use crate::report::lines::{Line, Point};

    fn lines(accuracies: &[(f64, f64)]) -> Lines {
        let point =
            |(density, accuracy): &(f64, f64)| Point { density: *density, accuracy: *accuracy, half_width: None, n: 1 };
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
        assert!(text.contains("(90.00 %) keeps 3.6 % of it and reaches 89.10 % (one-shot)"), "{text}");
        let text = best(&lines(&[(0.1, 0.7), (0.01, 0.6)])).unwrap();
        assert!(text.starts_with("No ticket comes within") && text.contains("70.00 %"), "{text}");
        assert_eq!(best(&Lines::default()), None);
    }

    #[test]
    fn early_birds_are_counted() {
        let table = "epoch,epochs_planned,epochs_saved\n6,20,14\n,20,0\n7,20,0\n";
        assert_eq!(
            birds(&Sheet::parse(table)).unwrap(),
            "2 of 3 early birds were drawn, at epochs 6 to 7 of 20; that saved 14 dense epochs."
        );
        assert_eq!(birds(&Sheet::default()), None);
    }

    #[test]
    fn what_sharing_saves_is_told() {
        let sharing = Sharing { trials: 4, trainings: 5, done: 5, failed: 0, epochs: 10, epochs_alone: 16 };
        assert_eq!(asked(sharing), "4 trials took 5 trainings (all done); sharing them saves 6 of 16 epochs (38 %).");
    }

    #[test]
    fn shares_are_percentages_of_two_or_three_digits() {
        assert_eq!([1.0, 0.5, 0.0361, 0.004, 0.123].map(percent), ["100 %", "50 %", "3.6 %", "0.4 %", "12 %"]);
    }
}
