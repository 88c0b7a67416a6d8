//! Grows the forest of stages that the trials of a sweep share.
//!
//! A trial is a chain: a dense training, then one training after each pruning. Trials that agree up to some level
//! share the stages up to it. It may not know of files, workers or torch.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::halving::{Halving, Lane};
use super::loaded::LoadedFiles;
use super::outside::{Outside, OwnText};
use super::pruning::Pruning;
use super::search::Search;
use super::stage::Stage;
use super::track::Track;
use super::twins::Twins;
use crate::sweep::settings::Settings;
use crate::sweep::{Spec, Trial};
use tombola_words::StageId;
use tombola_words::error::{Error, Result};
use tombola_words::value::{Control, Find, Keep, Load, Moment, Rewind, TrackMasks, Value, Within};

/// What a stage takes a snapshot of another for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Part {
    /// Its mask is drawn from it.
    Draw,
    /// Its weights go back to it.
    Rewind,
    /// The ticket that it is a fork of.
    Sibling,
    /// The dense network that it learns from.
    Teacher,
}

/// A trial and its stages.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The trial.
    pub trial: Trial,
    /// Index of its stage at each level.
    pub stages: Vec<usize>,
}

/// Everything that is to be trained, and for whom.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Each training once; parents stand before their children.
    pub stages: Vec<Stage>,
    /// The trials that differ, in order.
    pub chains: Vec<Chain>,
    /// Trials left out because they mean the same as one that stands before them.
    pub repeated: usize,
    /// The files that dense networks and masks are loaded from.
    pub loaded: LoadedFiles,
    /// Decimals with which percentages of different densities differ.
    pub(super) decimals: usize,
    /// The steps of an epoch by which points within epochs were found, of the dense trainings where there are any.
    pub counted_steps: BTreeMap<usize, usize>,
    /// What its trials ask.
    pub(super) questions: Vec<Search>,
    /// Those that compete.
    pub(super) halvings: Vec<Halving>,
    /// Names under which earlier programs trained what is one training now.
    pub(super) aliases: BTreeMap<StageId, usize>,
    by_id: HashMap<StageId, usize>,
}

impl Plan {
    /// The plan of a sweep and its `trials`, which load these files.
    ///
    /// # Errors
    /// As [`Plan::grow`].
    pub fn of(spec: &Spec, trials: Vec<Trial>, loaded: LoadedFiles) -> Result<Self> {
        let networks = spec.networks.iter().map(|(name, layers)| (name.clone(), OwnText::of(layers))).collect();
        Self::grow(trials, &spec.run, &Outside { networks, loaded })
    }

    /// A checksum over the names of all stages: equal exactly when two processes mean the same trainings.
    pub fn checksum(&self) -> String {
        let mut hash = blake3::Hasher::new();
        self.stages.iter().for_each(|stage| {
            hash.update(stage.id.to_string().as_bytes());
        });
        hash.finalize().to_hex()[..16].to_string()
    }

    /// Lays trials over each other.
    ///
    /// # Errors
    /// When a trial draws from or goes back to a moment that its trainings do not have.
    pub fn grow(trials: Vec<Trial>, run: &Settings, outside: &Outside) -> Result<Self> {
        let mut plan = Self { loaded: outside.loaded.clone(), ..Self::default() };
        let mut leaves: HashMap<_, (Find, Within, usize)> = HashMap::new();
        let twins = Twins::of(&trials, outside);
        for trial in trials {
            let place = |error: Error| error.at(format!("trial {}", trial.number));
            let stages = plan.chain(&trial, outside, &twins).map_err(place)?;
            // Tickets that rewind differently share a twin, and each is shown beside it.
            let beside = stages.len().checked_sub(2).map(|parent| plan.stages[stages[parent]].id);
            let beside = beside.filter(|_| trial.settings.control == Control::Reinit);
            let beside = beside.map(|parent| outside.pruned_id(parent, trial.settings.rate(), &trial.settings));
            let Settings { find, within, halving, .. } = trial.settings;
            match leaves.insert((stages[stages.len() - 1], beside), (find, within, halving)) {
                None => {}
                Some(asked) if asked == (find, within, halving) => {
                    plan.repeated += 1;
                    continue;
                }
                Some(_) => return Err(place(asked_twice())),
            }
            plan.counted_steps.extend(trial.settings.counted_steps.map(|steps| (stages[0], steps)));
            plan.want(&stages, &trial.settings, run);
            plan.chains.push(Chain { trial, stages });
        }
        plan.decimals = super::digits::decimals(&plan.stages);
        let chains = || plan.chains.iter().map(|chain| (&chain.trial.settings, chain.stages.as_slice()));
        (plan.questions, plan.halvings) = (Search::all(chains()), Halving::all(chains(), &plan.stages));
        // Accuracies at rungs decide, so nothing that competes ends when its early birds are drawn.
        for race in plan.halvings.iter().flat_map(Halving::races).filter(|race| race.decides()) {
            for stage in race.contenders().iter().flat_map(|contender| &contender.lanes).flat_map(Lane::stages) {
                plan.stages[stage].to_the_end = true;
            }
        }
        Ok(plan)
    }

    /// The index of a stage.
    pub fn find(&self, id: StageId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The stages that start from stage `index`, or go back to a snapshot of it.
    pub fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.stages.len()];
        for (index, stage) in self.stages.iter().enumerate() {
            for (source, _) in self.sources(index) {
                if !children[source].contains(&index) {
                    children[source].push(index);
                }
            }
            debug_assert!(stage.parent.is_none_or(|parent| parent < index));
        }
        children
    }

    /// The snapshots that a stage needs before it can start: its parent's at the draw, the dense one that it goes back to,
    /// for a fork the ticket's at its end, and the dense one that it learns from.
    pub fn sources(&self, index: usize) -> Vec<(usize, Moment)> {
        self.parts(index).into_iter().map(|(_, source, moment)| (source, moment)).collect()
    }

    /// As [`Plan::sources`], with what each is for.
    pub fn parts(&self, index: usize) -> Vec<(Part, usize, Moment)> {
        let stage = &self.stages[index];
        let (Some(parent), Some(pruning)) = (stage.parent, &stage.pruning) else { return Vec::new() };
        let mut parts = vec![(Part::Draw, parent, pruning.draw)];
        parts.extend(stage.goes_back_to().map(|moment| (Part::Rewind, stage.root, moment)));
        parts.extend(stage.sibling.map(|sibling| (Part::Sibling, sibling, Moment::Last)));
        parts.extend(pruning.teaching.map(|teaching| (Part::Teacher, stage.root, teaching.moment)));
        parts
    }

    /// What decides the mask of a stage whose target is a time: those that have it in common share what was measured. `None` where
    /// nothing has to be measured.
    pub fn timed_draw(&self, index: usize) -> Option<u64> {
        let stage = &self.stages[index];
        let pruning = stage.pruning.as_ref().filter(|pruning| pruning.is_timed())?;
        let parent = self.stages[stage.parent?].id;
        let (draw, track) = (pruning.draw.show(), Track::of(pruning).key);
        Some(super::track::hash(&format!("timed draw 1\n{parent}\n{draw}\n{track:016x}\n{}\n", pruning.score_images)))
    }

    /// Tickets that share what is measured, those drawn alike together, in the order of the plan.
    pub fn timed_tickets(&self) -> Vec<Vec<usize>> {
        let (mut groups, mut known) = (Vec::<Vec<usize>>::new(), HashMap::new());
        for index in 0..self.stages.len() {
            let Some(draw) = self.timed_draw(index) else { continue };
            let group = *known.entry(draw).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(index);
        }
        groups
    }

    /// The moment of its dense training that the chain of a stage goes on from: the one that its weights go back to, or the draw
    /// of the first level.
    pub fn leaves_dense_at(&self, index: usize) -> Moment {
        if let Some(moment) = self.stages[index].goes_back_to() {
            return moment;
        }
        let up = std::iter::successors(Some(index), |stage| self.stages[*stage].parent);
        let first = up.filter_map(|stage| self.stages[stage].pruning.as_ref()).last();
        first.map_or(Moment::Last, |pruning| pruning.draw)
    }

    /// Epochs to train when each stage is trained once.
    pub fn shared_epochs(&self) -> usize {
        self.stages.iter().map(|stage| stage.epochs().len()).sum()
    }

    /// Epochs and trainings if every trial trained its own.
    pub fn unshared(&self) -> (usize, usize) {
        let stages = || self.chains.iter().flat_map(|chain| &chain.stages);
        (stages().map(|&index| self.stages[index].epochs().len()).sum(), stages().count())
    }

    /// The stages of one trial, made where they are new.
    fn chain(&mut self, trial: &Trial, outside: &Outside, twins: &Twins) -> Result<Vec<usize>> {
        let settings = &trial.settings;
        let mut chain = vec![self.stage(outside.dense_id(settings), settings, None, None)];
        let rate = settings.rate();
        for level in 1..=settings.prune_iterations {
            let last = level == settings.prune_iterations;
            // Only the last level has a twin: the levels before it are those of the ticket itself.
            let control = if last { settings.control } else { Control::None };
            let own = Settings { control, ..settings.clone() };
            let parent = chain[level - 1];
            self.check(parent, &own, level)?;
            let alone = outside.pruned_id(self.stages[parent].id, rate, &own);
            let id = twins.shared(outside, self.stages[parent].id, rate, &own).unwrap_or(alone);
            let mut pruning = Pruning::of(&own, rate);
            if pruning.draw.is_early_bird() {
                pruning.draw = self.stages[parent].bird(&pruning);
            }
            // A fork is measured against the ticket itself, which is there whether a trial asks for it or not.
            let sibling = (control == Control::Fork).then(|| {
                let ticket = Settings { control: Control::None, ..own.clone() };
                let id = outside.pruned_id(self.stages[parent].id, rate, &ticket);
                let pruning = Pruning { control: Control::None, ..pruning.clone() };
                let sibling = self.stage(id, settings, Some(parent), Some(pruning));
                self.stages[sibling].wanted.insert(Moment::Last);
                self.stages[sibling].to_the_end = true;
                sibling
            });
            let index = self.stage(id, settings, Some(parent), Some(pruning));
            self.stages[index].sibling = sibling;
            if alone != id {
                self.aliases.insert(alone, index);
            }
            chain.push(index);
        }
        Ok(chain)
    }

    fn stage(&mut self, id: StageId, settings: &Settings, parent: Option<usize>, pruning: Option<Pruning>) -> usize {
        if let Some(&index) = self.by_id.get(&id) {
            return index;
        }
        let index = self.stages.len();
        let level = parent.map_or(0, |parent| self.stages[parent].level + 1);
        let root = parent.map_or(index, |parent| self.stages[parent].root);
        // Levels of one dense training share its settings: one copy for a forest of any size.
        let settings = match parent {
            Some(_) => Arc::clone(&self.stages[root].settings),
            None => Arc::new(settings.clone()),
        };
        self.stages.push(Stage {
            id,
            level,
            parent,
            root,
            settings,
            pruning,
            sibling: None,
            wanted: Default::default(),
            kept: Default::default(),
            tracks: Vec::new(),
            birds: Vec::new(),
            to_the_end: false,
            counts_classes: false,
        });
        self.by_id.insert(id, index);
        index
    }

    /// Refuses draws and rewinds that the trainings before cannot serve.
    fn check(&self, parent: usize, settings: &Settings, level: usize) -> Result<()> {
        let (parent, root) = (&self.stages[parent], &self.stages[self.stages[parent].root]);
        let loaded = matches!(root.settings.load, Load::Path(_));
        if loaded && matches!(settings.rewind, Rewind::Init | Rewind::Epoch(_) | Rewind::At(_)) {
            return Err(Error::input(format!(
                "`reinit`: the weights before the end are not known of a network that is loaded from `{}`",
                root.settings.load.show()
            ))
            .hint("use `--reinit lr`, `none` or `random`, or `--load auto` with a training of Tombola's own"));
        }
        if !parent.passes(settings.draw) {
            let (unit, trains) = match settings.draw {
                Moment::At(_) => ("steps", parent.steps_trained()),
                _ => ("epochs", parent.epochs()),
            };
            return Err(Error::input(format!(
                "`draw`: the training at level {} has no snapshot `{}`; it trains {unit} {} to {}",
                level - 1,
                settings.draw,
                trains.start + 1,
                trains.end
            ))
            .hint("draw where every level trains, or at `last`"));
        }
        Ok(())
    }

    /// Notes which snapshots a trial needs of its stages, and which the user asked to keep.
    fn want(&mut self, chain: &[usize], settings: &Settings, run: &Settings) {
        let tickets = run.keep == Keep::Tickets;
        for (level, &index) in chain.iter().enumerate() {
            let next = chain.get(level + 1).and_then(|next| self.stages[*next].pruning.clone());
            let stage = &mut self.stages[index];
            stage.counts_classes |= run.class_accuracy;
            let mut kept = Vec::new();
            if tickets {
                // Where nothing is drawn any more, no early bird is.
                let end = if settings.draw.is_early_bird() { Moment::Last } else { settings.draw };
                kept.push(next.as_ref().map_or(end, |pruning| pruning.draw));
            }
            if let Some(own) = stage.pruning.clone().filter(|pruning| pruning.changing.is_some()) {
                if tickets {
                    // Its mask is known at its end.
                    kept.push(Moment::Last);
                }
                if run.track_masks != TrackMasks::None {
                    stage.add(Track::of(&own));
                }
            }
            if run.save {
                kept.extend([Moment::Best, Moment::Last]);
            }
            for &point in &settings.epochs_save {
                kept.push(Moment::of(point));
                // The best is known where epochs end.
                kept.extend(point.whole_epochs().map(Moment::BestUntil));
            }
            kept.retain(|moment| stage.passes(*moment));
            stage.wanted.extend(&kept);
            stage.kept.extend(kept);
            match &next {
                Some(pruning) => {
                    stage.wanted.insert(pruning.draw);
                    stage.to_the_end |= matches!(pruning.draw, Moment::Best | Moment::Last);
                    if level == 0 && track_also(pruning) {
                        stage.track(run, pruning);
                    }
                }
                None => stage.to_the_end = true,
            }
            if let (0, None, TrackMasks::Ratios(_)) = (level, &next, &run.track_masks) {
                stage.track(run, &Pruning::of(settings, settings.rate()));
            }
            if let Some(teaching) = stage.pruning.as_ref().and_then(|pruning| pruning.teaching) {
                let root = stage.root;
                let root = &mut self.stages[root];
                root.wanted.insert(teaching.moment);
                root.to_the_end = true;
                if tickets {
                    root.kept.insert(teaching.moment);
                }
            }
            let stage = &self.stages[index];
            if let Some(moment) = stage.goes_back_to() {
                let root = stage.root;
                let root = &mut self.stages[root];
                root.wanted.insert(moment);
                if tickets {
                    root.kept.insert(moment);
                }
            }
        }
    }
}

/// What is said where one training is asked two questions.
fn asked_twice() -> Error {
    Error::input("`find`, `within` or `halving` differ from those of a trial before it, and nothing else does").hint(
        "ask one question in a sweep, and another in a second one: with the same `--out` they share their trainings",
    )
}

/// Whether masks of this kind are worth drawing after every epoch: random ones do not settle, and those that take gradients
/// are meant for networks before training.
fn track_also(pruning: &Pruning) -> bool {
    use tombola_words::value::Criterion;
    let Pruning { control, criterion, .. } = pruning;
    *control == Control::None
        && pruning.mask.is_none()
        && pruning.changing.is_none()
        && !criterion.needs_images()
        && !matches!(criterion, Criterion::Random | Criterion::SynFlow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan> {
        let spec = Spec::read(Some(text), &[])?;
        Plan::grow(spec.trials()?, &spec.run, &Outside::default())
    }

    #[test]
    fn a_twin_watches_the_masks_of_its_ticket_whichever_comes_first() {
        let text = |controls| {
            format!("pr = 0.5\ndraw = \"early-bird\"\nreinit = \"init\"\nbudget = \"remaining\"\ncontrol = {controls}")
        };
        for controls in ["\"none\"", "\"random-mask\"", "[\"random-mask\", \"none\"]"] {
            let plan = plan(&text(controls)).unwrap();
            let watched: Vec<Control> = plan.stages[0].tracks.iter().map(|track| track.pruning.control).collect();
            assert_eq!((watched, plan.stages[0].birds.len()), (vec![Control::None], 1), "{controls}");
        }
    }

    #[test]
    fn the_dense_training_is_shared_by_every_ratio_rewind_and_draw() {
        let plan = plan("pr = [0.5, 0.7, 0.9]\nreinit = [\"init\", \"lr\"]\ndraw = [\"last\", \"epoch:10\"]").unwrap();
        assert_eq!(plan.chains.len(), 12);
        assert_eq!(plan.stages.iter().filter(|stage| stage.level == 0).count(), 1);
        assert_eq!(plan.stages.len(), 13);
        assert_eq!((plan.shared_epochs(), plan.unshared()), (13 * 160, (24 * 160, 24)));
        assert!(plan.stages[0].wanted.contains(&Moment::Epoch(10)));
    }

    #[test]
    fn chains_of_the_same_rate_share_their_first_levels() {
        let plan = plan("pr = [0.5, 0.75, 0.875]\npriter = [1, 2, 3]\nzip = [\"pr\", \"priter\"]").unwrap();
        assert_eq!(plan.stages.len(), 4);
        assert_eq!(plan.chains[2].stages, [0, 1, 2, 3]);
    }

    #[test]
    fn the_twin_of_a_ticket_shares_all_levels_but_the_last() {
        let plan = plan("pr = 0.875\npriter = 3\nreinit = \"init\"\ncontrol = [\"none\", \"reinit\", \"random-mask\"]")
            .unwrap();
        assert_eq!(plan.stages.len(), 6);
        assert!(plan.chains.iter().all(|chain| chain.stages[..3] == [0, 1, 2]));
    }

    #[test]
    fn twins_with_new_weights_are_one_training_however_their_tickets_rewind() {
        let rewinds =
            |words: &str| plan(&format!("pr = 0.5\nreinit = [{words}]\ncontrol = [\"none\", \"reinit\"]")).unwrap();
        let all = rewinds("\"init\", \"lr\", \"none\"");
        // The dense network, three tickets, one twin; and each ticket still stands beside a twin.
        assert_eq!((all.stages.len(), all.chains.len(), all.repeated), (5, 6, 0));
        let twin = |plan: &Plan| {
            let twins = plan.chains.iter().filter(|chain| chain.trial.settings.control == Control::Reinit);
            let mut ids: Vec<StageId> = twins.map(|chain| plan.stages[chain.stages[1]].id).collect();
            ids.dedup();
            assert_eq!(ids.len(), 1);
            ids[0]
        };
        // Its name is the one that it has beside one of them alone, so that what was trained under that name counts.
        assert_eq!(twin(&all), twin(&rewinds("\"init\"")));
        assert_eq!(twin(&all), twin(&rewinds("\"lr\", \"init\"")));
        // The name that it had beside another one still finds it.
        let other = twin(&rewinds("\"lr\"")).to_string();
        assert_eq!(all.beginning_with(&other), [all.find(twin(&all)).unwrap()]);
        assert_eq!(all.stages.iter().filter(|stage| stage.epochs().len() == 160).count(), 5);
    }

    #[test]
    fn twins_of_tickets_with_different_parents_stay_apart() {
        let plan = plan("pr = 0.75\npriter = 2\nreinit = [\"init\", \"lr\"]\ncontrol = \"reinit\"").unwrap();
        assert_eq!((plan.stages.len(), plan.repeated), (5, 0));
    }

    #[test]
    fn pitfall_13_levels_differ_from_their_dense_training_in_nothing_but_the_pruning() {
        let plan = plan("pr = 0.875\npriter = 3\nreinit = [\"init\", \"lr\"]").unwrap();
        for stage in &plan.stages {
            assert!(Arc::ptr_eq(&stage.settings, &plan.stages[stage.root].settings));
            assert_eq!(stage.epochs().len(), plan.stages[stage.root].epochs().len());
        }
    }

    #[test]
    fn the_seeds_of_a_dense_training_separate_it() {
        assert_eq!(plan("seed = [1, 2]\npriter = 0").unwrap().stages.len(), 2);
        // The pruning ratio means nothing without a pruning.
        let plan = plan("pr = [0.1, 0.2]\npriter = 0").unwrap();
        assert_eq!((plan.stages.len(), plan.chains.len(), plan.repeated), (1, 1, 1));
    }

    #[test]
    fn a_rewound_training_needs_the_dense_snapshot_and_counts_on_from_there() {
        let plan = plan("pr = 0.5\nreinit = \"epoch:12\"").unwrap();
        assert_eq!(plan.sources(1), [(0, Moment::Last), (0, Moment::Epoch(12))]);
        assert_eq!(plan.stages[1].epochs(), 12..160);
    }

    #[test]
    fn a_ticket_that_goes_back_within_an_epoch_trains_the_rest_of_it() {
        // 704 steps an epoch: 45,000 images, 64 a step.
        let plan = plan(
            "pr = 0.5\nreinit = [\"500it\", \"1ep50it\", \"704it\", \"epoch:1\"]\nepochs-save = [\"600it\", \"1.5ep\"]",
        )
        .unwrap();
        let at = |step| Moment::At(tombola_words::value::Point::iteration(step));
        let back: Vec<Moment> = plan.stages[1..].iter().filter_map(Stage::goes_back_to).collect();
        assert_eq!((back, plan.repeated), (vec![at(500), at(754), Moment::Epoch(1)], 1));
        let epochs: Vec<_> = plan.stages[1..].iter().map(Stage::epochs).collect();
        assert_eq!(epochs, [0..160, 1..160, 1..160]);
        assert_eq!(plan.sources(1), [(0, Moment::Last), (0, at(500))]);
        let kept = |stage: usize, step| plan.stages[stage].kept.contains(&at(step));
        assert_eq!(
            [0, 1, 2].map(|stage| (kept(stage, 600), kept(stage, 1056))),
            [(true, true), (true, true), (false, true)]
        );
        assert_eq!(plan.stages[0].known_after(at(704 * 3 + 1)), Some(4));
        assert_eq!(plan.counted_steps, BTreeMap::from([(0, 704)]));
    }

    #[test]
    fn a_taught_ticket_needs_the_dense_network_of_its_draw_whatever_its_level() {
        let taught = plan("pr = 0.75\npriter = 2\ndistill = 0.9\ndraw = \"early-bird\"\nreinit = \"init\"").unwrap();
        assert!(taught.sources(2).contains(&(0, Moment::Last)) && taught.sources(1).contains(&(0, Moment::Last)));
        assert!(taught.stages[0].to_the_end && taught.stages[0].wanted.contains(&Moment::Last));
        let best = plan("pr = 0.75\npriter = 2\ndistill = 0.9\ndraw = \"best\"").unwrap();
        assert_eq!(best.sources(2), [(1, Moment::Best), (0, Moment::Best)]);
        // The dense training is the same, its tickets are others.
        let plain = plan("pr = 0.75\npriter = 2\ndraw = \"best\"").unwrap();
        assert_eq!(best.stages[0].id, plain.stages[0].id);
        assert_ne!(best.stages[1].id, plain.stages[1].id);
        assert!(plan("priter = 0\ndistill = 0.9").unwrap_err().message.contains("`distill`"));
    }

    #[test]
    fn draws_that_a_level_does_not_reach_are_refused() {
        let error = plan("pr = 0.5\npriter = 2\nreinit = \"epoch:12\"\ndraw = \"epoch:10\"").unwrap_err();
        assert!(error.message.contains("level 1") && error.message.contains("epochs 13 to 160"), "{error}");
    }

    #[test]
    fn a_mask_that_changes_is_watched_itself_and_kept_at_its_end() {
        let text = |more: &str| format!("pr = 0.5\ndraw = \"epoch:0\"\nreinit = \"init\"\n{more}");
        let plain = plan(&text("")).unwrap();
        let both = plan(&text("while-training = [\"none\", \"gradual\", \"rigl\"]")).unwrap();
        let ids = |plan: &Plan| plan.stages.iter().map(|stage| stage.id).collect::<Vec<_>>();
        assert_eq!((ids(&both)[..2].to_vec(), both.stages.len()), (ids(&plain), 4));
        let watched: Vec<usize> = both.stages.iter().map(|stage| stage.tracks.len()).collect();
        assert_eq!(watched, [1, 0, 1, 1], "the dense training is watched for the ticket alone");
        assert_ne!(both.stages[2].tracks[0].key, both.stages[3].tracks[0].key);
        assert!(both.stages[2..].iter().all(|stage| stage.kept.contains(&Moment::Last)));
        // Nobody waits for the dense training.
        assert_eq!(both.sources(2), [(0, Moment::Epoch(0))]);
        let unwatched = plan(&text("while-training = \"rigl\"\ntrack-masks = \"none\"")).unwrap();
        assert!(unwatched.stages.iter().all(|stage| stage.tracks.is_empty()));
        assert!(plan(&text("while-training = \"rigl\"\ncontrols = true")).unwrap_err().message.contains("`control`"));
    }

    #[test]
    fn snapshots_asked_for_are_taken_where_the_training_passes_them() {
        let plan = plan("epochs-save = [10, 30]\nreinit = \"epoch:12\"\nkeep = \"nothing\"").unwrap();
        assert!(plan.stages[0].wanted.contains(&Moment::BestUntil(10)));
        assert!(!plan.stages[1].wanted.contains(&Moment::Epoch(10)));
        assert!(plan.stages[1].wanted.contains(&Moment::Epoch(30)));
    }
}
