//! Early birds in words, below the readable table: when each was drawn, and what that saved.

use std::collections::BTreeMap;

use super::tracked;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_core::plan::estimate::many;

/// More epochs than this are given as a range.
const MOST_LISTED: usize = 5;

/// The early birds of all dense trainings that are alike but for the network and the seed.
#[derive(Default)]
struct Flock {
    /// Epochs at which they were drawn.
    drawn: Vec<usize>,
    /// Trainings that ended without one.
    never: usize,
    planned: usize,
    /// Dense epochs that were not trained.
    saved: usize,
    /// Whether trainings have other early birds, too: they save epochs together.
    shared: bool,
}

/// One sentence for each kind of early bird that was looked for in a training that ended.
pub(super) fn sentences(plan: &Plan, history: &History) -> Vec<String> {
    let mut flocks: BTreeMap<(String, usize), Flock> = BTreeMap::new();
    let mut order = Vec::new();
    for stage in &plan.stages {
        let Some(known) = history.stages.get(&stage.id) else { continue };
        let Some(outcome) = &known.outcome else { continue };
        let span = stage.span(known.drawn.as_ref().and_then(|drawn| drawn.span));
        for bird in &stage.birds {
            let Some(track) = stage.tracks.iter().find(|track| track.key == bird.track) else { continue };
            let pruning = &track.pruning;
            let what = if pruning.channels { "channels" } else { "weights" };
            let name = format!(
                "{}, early bird at {} % of {what} ({}; {})",
                stage.settings.network,
                (pruning.rate * 1000.0).round() / 10.0,
                tracked::words(pruning),
                bird.settling.words()
            );
            // Trainings of other lengths are told apart.
            let name = (name, span.end);
            if !flocks.contains_key(&name) {
                order.push(name.clone());
            }
            let flock = flocks.entry(name).or_default();
            flock.planned = span.end;
            flock.shared |= stage.birds.len() > 1;
            flock.saved += outcome.stopped_at.map_or(0, |stopped| span.end - stopped);
            match known.bird(bird) {
                Some((epoch, _)) => flock.drawn.push(epoch),
                None => flock.never += 1,
            }
        }
    }
    order.iter().filter_map(|name| flocks.get(name).map(|flock| format!("{}: {}.", name.0, flock.words()))).collect()
}

impl Flock {
    fn words(&self) -> String {
        let mut epochs = self.drawn.clone();
        epochs.sort_unstable();
        let never = match self.never {
            0 => String::new(),
            count => format!("; the masks of {} never settled", many(count, "training")),
        };
        let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else {
            return format!("none; the masks of {} never settled", many(self.never, "training"));
        };
        let listed: Vec<String> = epochs.iter().map(ToString::to_string).collect();
        // Of several trainings the epochs after the draws are a sum.
        let (in_each, of_several, in_all) = match epochs.len() {
            1 => (String::new(), String::new(), ""),
            count => (format!(" in each of {count} trainings"), format!(" in {count} trainings"), " in all"),
        };
        let when = match epochs.len() {
            _ if first == last => format!("drawn at epoch {first} of {}{in_each}", self.planned),
            count if count <= MOST_LISTED => {
                format!("drawn at epochs {} of {}{of_several}", listed.join(", "), self.planned)
            }
            _ => format!("drawn at epochs {first} to {last} of {}{of_several}", self.planned),
        };
        let needless: usize = epochs.iter().map(|epoch| self.planned - epoch).sum();
        let dense = format!("{}{in_all}", many(needless, "dense epoch"));
        let once = if self.shared { " (together with the other early birds)" } else { "" };
        let (were, them) = if needless == 1 { ("was", "it") } else { ("were", "them") };
        let saved = match self.saved {
            _ if needless == 0 => String::new(),
            0 => format!("; {dense} {were} not needed for it, but trained for other trials"),
            saved if saved == needless => format!("; {dense} saved{once}"),
            saved => format!(
                "; {dense} {were} not needed for it: {saved} of {them} saved{once}, the others trained for other trials"
            ),
        };
        format!("{when}{saved}{never}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_that_were_not_needed_are_told_as_a_sum_where_they_are_one() {
        let words = |drawn: &[usize], never: usize, saved: usize| {
            Flock { drawn: drawn.to_vec(), never, planned: 8, saved, shared: false }.words()
        };
        assert_eq!(
            words(&[4], 0, 0),
            "drawn at epoch 4 of 8; 4 dense epochs were not needed for it, but trained for other trials"
        );
        assert_eq!(
            words(&[4, 4], 0, 0),
            "drawn at epoch 4 of 8 in each of 2 trainings; 8 dense epochs in all were not needed for it, but trained for other trials"
        );
        assert_eq!(words(&[5, 4], 0, 7), "drawn at epochs 4, 5 of 8 in 2 trainings; 7 dense epochs in all saved");
        assert_eq!(
            words(&[4], 1, 2),
            "drawn at epoch 4 of 8; 4 dense epochs were not needed for it: 2 of them saved, the others trained for other trials; \
             the masks of 1 training never settled"
        );
        assert_eq!(words(&[7], 0, 1), "drawn at epoch 7 of 8; 1 dense epoch saved");
        let shared = Flock { drawn: vec![7], planned: 8, saved: 1, shared: true, ..Flock::default() };
        assert_eq!(shared.words(), "drawn at epoch 7 of 8; 1 dense epoch saved (together with the other early birds)");
        assert_eq!(words(&[8], 0, 0), "drawn at epoch 8 of 8");
        assert_eq!(words(&[], 2, 0), "none; the masks of 2 trainings never settled");
    }
}
