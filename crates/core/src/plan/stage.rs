//! A stage: one training, named by the hash of everything that decides its outcome.
//!
//! It may not know of files, workers or torch.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::extent::Extent;
use super::pruning::Pruning;
use super::revision::revisions;
use super::track::{Bird, Track};
use crate::mask::MaskPlace;
use crate::sweep::settings::{Decides, Settings};
use tombola_words::StageId;
use tombola_words::value::{Budget, Moment, Point, Rewind, TrackMasks};

/// Part of every identity; raised when the meaning of everything changes. Where only some results do, `revision.rs` says which.
const MEANING: &str = "tombola stage 1";

/// The identity of a dense training.
///
/// `network` is the canonical text of a user's own network, `loaded` the checksum of the file it starts from.
pub fn dense_id(settings: &Settings, network: Option<&str>, loaded: Option<&str>) -> StageId {
    dense_id_with(settings, &[("layers", network), ("loaded", loaded)])
}

/// As [`dense_id`], with any contents of files.
pub(super) fn dense_id_with(settings: &Settings, contents: &[(&str, Option<&str>)]) -> StageId {
    let decides = Decides::Training;
    let text = format!("{MEANING}\n{}{}", settings.identity(decides), revisions(settings, decides));
    StageId::of(&(text + &lines(contents)))
}

/// The identity of the training that follows `parent` when it is pruned at `rate` by these settings, and by contents of files.
pub(super) fn pruned_id_with(
    parent: StageId,
    rate: f64,
    settings: &Settings,
    contents: &[(&str, Option<&str>)],
) -> StageId {
    let decides = Decides::Pruning;
    let (identity, revisions) = (settings.identity(decides), revisions(settings, decides));
    let mut text = format!("{MEANING}\nparent={parent}\nrate={rate:?}\n{identity}{revisions}");
    settings.layer_rates().iter().for_each(|(layer, rate)| text.push_str(&format!("rate {}={rate:?}\n", layer.text())));
    StageId::of(&(text + &lines(contents)))
}

/// The contents that there are, one a line.
fn lines(contents: &[(&str, Option<&str>)]) -> String {
    contents.iter().filter_map(|(key, value)| Some(format!("{key}={}\n", (*value)?))).collect()
}

/// One training.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub id: StageId,
    /// How many prunings came before it: 0 is dense.
    pub level: usize,
    /// Index of the stage it starts from.
    pub parent: Option<usize>,
    /// Index of the dense stage it descends from; itself at level 0.
    pub root: usize,
    /// Index of the ticket that a fork is measured against.
    pub sibling: Option<usize>,
    /// The settings of the first trial that wants it. Those that decide the training are the same in all.
    pub settings: Arc<Settings>,
    /// How it comes from its parent; none at level 0.
    pub pruning: Option<Pruning>,
    /// Snapshots that are taken: those that others start from and those that are kept.
    pub wanted: BTreeSet<Moment>,
    /// Snapshots that stay when nothing needs them any more.
    pub kept: BTreeSet<Moment>,
    /// Masks that are drawn after every epoch.
    pub tracks: Vec<Track>,
    /// Early birds that are drawn from it.
    pub birds: Vec<Bird>,
    /// Whether its end is needed: it stops when all its early birds are drawn if nothing else asks for the rest.
    pub to_the_end: bool,
    /// Whether test images are counted by class at its end.
    pub counts_classes: bool,
}

impl Stage {
    /// The epochs that it trains: the first is `range.start + 1` when counted from 1. A rewound training counts on from
    /// the epoch that it goes back to; a fine-tuning counts its own. One that goes back to a point within an epoch trains the
    /// rest of that epoch first.
    pub fn epochs(&self) -> std::ops::Range<usize> {
        if let (0, tombola_words::value::Load::Path(_)) = (self.level, &self.settings.load) {
            return 0..0;
        }
        match self.pruning.as_ref().map(|pruning| (pruning.effective_rewind(), pruning.fine_tune_epochs)) {
            Some((Rewind::None, epochs)) => 0..epochs,
            Some((Rewind::Epoch(epoch), _)) if epoch > 0 => epoch..self.settings.epochs,
            Some((Rewind::At(point), _)) => self.steps_before(point) / self.steps()..self.settings.epochs,
            Some(_) => self.first_of_budget()..self.settings.epochs,
            None => 0..self.settings.epochs,
        }
    }

    /// Steps of an epoch. Settings with points within one were refused where nobody knows (`Settings::resolve`).
    fn steps(&self) -> usize {
        self.settings.epoch_steps().unwrap_or(1).max(1)
    }

    /// Steps before a point, on its own count of epochs.
    fn steps_before(&self, point: Point) -> usize {
        point.steps(self.steps())
    }

    /// As [`Stage::epochs`], in steps.
    pub(super) fn steps_trained(&self) -> std::ops::Range<usize> {
        let (epochs, steps) = (self.epochs(), self.steps());
        let first = match self.pruning.as_ref().map(Pruning::effective_rewind) {
            Some(Rewind::At(point)) => self.steps_before(point),
            _ => epochs.start.saturating_mul(steps),
        };
        first..epochs.end.saturating_mul(steps)
    }

    /// The number of its epochs after which a moment is known, where that is fixed.
    pub fn known_after(&self, moment: Moment) -> Option<usize> {
        moment.known_after(|| self.steps())
    }

    /// The share that the prunings up to it leave, by their rate.
    pub fn planned_density(&self) -> f64 {
        self.pruning.as_ref().map_or(1.0, |pruning| (1.0 - pruning.rate).powi(self.level as i32))
    }

    /// How many epochs it trains, as far as that is known before it does.
    pub fn extent(&self) -> Extent {
        let planned = self.epochs().len();
        let budget = self.pruning.as_ref().map_or(Budget::Epochs, |pruning| pruning.budget);
        match (budget, &self.pruning) {
            (Budget::Flops, Some(pruning)) => {
                let density = self.planned_density();
                // A convolution loses inputs and outputs.
                let macs = if pruning.channels { density * density } else { density };
                Extent { least: planned, most: None, likely: (planned as f64 / macs.max(1e-9)).round() as usize }
            }
            (Budget::Remaining, Some(pruning)) if self.known_after(pruning.draw).is_none() => {
                Extent { least: 0, most: Some(planned), likely: planned }
            }
            _ => match self.needed_until() {
                Some(epoch) => Extent { least: epoch.clamp(1, planned.max(1)), most: Some(planned), likely: planned },
                None => Extent { least: planned, most: Some(planned), likely: planned },
            },
        }
    }

    /// Where the rest of a budget begins, as far as the plan knows it.
    fn first_of_budget(&self) -> usize {
        let remaining = self.pruning.as_ref().filter(|pruning| pruning.budget == Budget::Remaining);
        remaining.and_then(|pruning| self.known_after(pruning.draw)).unwrap_or(0)
    }

    /// The epochs that it trains: the plan's, unless its journal (`Drawn::span`) says otherwise.
    pub fn span(&self, known: Option<(usize, usize)>) -> std::ops::Range<usize> {
        known.map_or_else(|| self.epochs(), |(start, end)| start..end)
    }

    /// How many epochs it trains: as [`Stage::span`], and a guess where neither the plan nor the journal knows.
    pub fn likely_epochs(&self, known: Option<(usize, usize)>) -> usize {
        known.map_or_else(|| self.extent().likely, |(start, end)| end.saturating_sub(start))
    }

    /// Where its masks of `len` bits lie on disk, the first of them that after its first epoch. Before training there is
    /// nothing to compare: all scales of batch norms are equal, and a mask would only show the order of channels.
    pub fn mask_place(&self, len: usize, known: Option<(usize, usize)>) -> MaskPlace {
        let span = self.span(known);
        MaskPlace { first: span.start + 1, rows: span.len(), len }
    }

    /// Whether a snapshot at this moment can be taken of this training.
    pub fn passes(&self, moment: Moment) -> bool {
        let epochs = self.epochs();
        match moment {
            // A dense training can be kept before its first epoch; later levels start from what others kept.
            Moment::Epoch(epoch) => {
                epochs.contains(&epoch) && self.level == 0 || epoch > epochs.start && epoch <= epochs.end
            }
            Moment::BestUntil(epoch) => epoch > epochs.start && epoch <= epochs.end,
            Moment::At(point) => {
                let (step, trained) = (self.steps_before(point), self.steps_trained());
                step > trained.start && step <= trained.end
            }
            Moment::Best | Moment::Last => true,
            Moment::EarlyBird(_) => !epochs.is_empty(),
        }
    }

    /// Draws an early bird of the masks that `pruning` would draw. Returns the moment.
    pub fn bird(&mut self, pruning: &Pruning) -> Moment {
        let track = Track::of(pruning);
        let bird = Bird::of(&track, pruning.settling);
        self.add(track);
        if !self.birds.iter().any(|known| known.key == bird.key) {
            self.birds.push(bird);
        }
        Moment::EarlyBird(bird.key)
    }

    /// Draws masks as `pruning` would after every epoch, at the ratios that the run asks for.
    pub fn track(&mut self, run: &Settings, pruning: &Pruning) {
        match &run.track_masks {
            TrackMasks::None => {}
            // A size is met once, when it is asked for.
            TrackMasks::Auto if pruning.target.is_some() => {}
            TrackMasks::Auto => self.add(Track::of(pruning)),
            TrackMasks::Ratios(ratios) => {
                ratios.iter().for_each(|ratio| self.add(Track::of(&pruning.at_share(*ratio))));
            }
        }
    }

    /// Watches masks of one kind.
    pub(super) fn add(&mut self, track: Track) {
        // Nothing pruned is nothing to compare.
        if track.pruning.rate > 0.0 && !self.tracks.iter().any(|known| known.key == track.key) {
            self.tracks.push(track);
        }
    }

    /// The epoch after which nothing more of it is needed once its early birds are drawn; nothing if its end is needed.
    pub fn needed_until(&self) -> Option<usize> {
        let moments = self.wanted.iter().filter_map(|moment| self.known_after(*moment));
        (!self.to_the_end && !self.birds.is_empty()).then(|| moments.max().unwrap_or(0))
    }

    /// The moment of the dense training that it goes back to, if any.
    pub fn goes_back_to(&self) -> Option<Moment> {
        self.pruning.as_ref()?.effective_rewind().moment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nonsense_is_not() {
        let id = dense_id(&Settings::default(), None, None);
        assert_eq!(StageId::parse(&id.to_string()), Some(id));
        assert_eq!(StageId::parse("xyz"), None);
        assert_eq!(StageId::parse(&"g".repeat(20)), None);
        assert_eq!(StageId::parse("éééééééééé"), None);
    }

    #[test]
    fn a_users_network_and_a_loaded_file_are_part_of_the_identity() {
        let settings = Settings::default();
        let ids = [(None, None), (Some("a"), None), (Some("b"), None), (None, Some("a"))]
            .map(|(n, l)| dense_id(&settings, n, l));
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[..i].contains(id));
        }
    }
    #[test]
    fn what_only_the_draw_tells_is_a_bound_and_not_a_number() {
        use crate::plan::outside::Outside;
        use crate::sweep::Spec;
        let extents = |text: &str| {
            let spec = Spec::read(Some(&format!("epochs = 20\n{text}")), &[]).unwrap();
            let plan = super::super::Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
            plan.stages.iter().map(|stage| stage.extent().words()).collect::<Vec<_>>()
        };
        assert_eq!(extents("pr = 0.9"), ["20 epochs", "20 epochs"]);
        let longer = ["20 epochs", "at least 20 epochs (about 200, known when it is drawn)"];
        assert_eq!(extents("pr = 0.9\nbudget = \"flops\""), longer);
        let squared = ["20 epochs", "at least 20 epochs (about 80, known when it is drawn)"];
        assert_eq!(extents("pr = 0.5\nprunety = \"s\"\nbudget = \"flops\""), squared);
        let bird = "prunety = \"s\"\ndraw = \"early-bird\"";
        assert_eq!(extents(bird), ["at most 20 epochs", "20 epochs"]);
        assert_eq!(extents(&format!("{bird}\nbudget = \"remaining\"")), ["at most 20 epochs"; 2]);
        assert_eq!(extents("budget = \"remaining\"\ndraw = \"epoch:5\""), ["20 epochs", "15 epochs"]);
    }
}
