//! Early birds in words, below the readable table: when each was drawn, and what that saved.

use std::collections::BTreeMap;

use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::value::Value;

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
}

/// One sentence for each kind of early bird that was looked for in a training that ended.
pub(super) fn sentences(plan: &Plan, history: &History) -> Vec<String> {
    let mut flocks: BTreeMap<String, Flock> = BTreeMap::new();
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
                "{}, early bird at {} % of {what} ({}, {}; {})",
                stage.settings.network,
                (pruning.rate * 1000.0).round() / 10.0,
                pruning.criterion.show(),
                pruning.scope.show(),
                bird.settling.words()
            );
            if !flocks.contains_key(&name) {
                order.push(name.clone());
            }
            let flock = flocks.entry(name).or_default();
            flock.planned = span.end;
            flock.saved += outcome.stopped_at.map_or(0, |stopped| span.end - stopped);
            match known.bird(bird) {
                Some((epoch, _)) => flock.drawn.push(epoch),
                None => flock.never += 1,
            }
        }
    }
    order.iter().filter_map(|name| flocks.get(name).map(|flock| format!("{name}: {}.", flock.words()))).collect()
}

impl Flock {
    fn words(&self) -> String {
        let mut epochs = self.drawn.clone();
        epochs.sort_unstable();
        let never = match self.never {
            0 => String::new(),
            count => format!("; the masks of {count} {} never settled", trainings(count)),
        };
        let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else {
            return format!("none; the masks of {} {} never settled", self.never, trainings(self.never));
        };
        let listed: Vec<String> = epochs.iter().map(ToString::to_string).collect();
        let when = match epochs.len() {
            _ if first == last => format!("drawn at epoch {first} of {}", self.planned),
            count if count <= MOST_LISTED => format!("drawn at epochs {} of {}", listed.join(", "), self.planned),
            _ => format!("drawn at epochs {first} to {last} of {}", self.planned),
        };
        let needless: usize = epochs.iter().map(|epoch| self.planned - epoch).sum();
        let saved = match self.saved {
            0 if needless == 0 => String::new(),
            0 => format!("; {needless} dense epochs were not needed for it, but trained for other trials"),
            saved => format!("; {saved} dense epochs saved"),
        };
        format!("{when}{saved}{never}")
    }
}

fn trainings(count: usize) -> &'static str {
    if count == 1 { "training" } else { "trainings" }
}
