//! Successive halving: of trainings that compete, the best go on, rung by rung.
//!
//! Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", figure 1; with the factor
//! η of Li et al. 2017, "Hyperband", algorithm 1. All rungs are decided together, so that nothing depends on which training was the
//! first to come there. Dense trainings compete first; then, where settings of pruning are named, the tickets of those that are left.
//! It may not know of files or workers.

use std::collections::HashMap;
use std::ops::Range;

use super::search::{Demanded, TrainingResults};
use super::stage::Stage;
use crate::sweep::{Decides, Field, SEEDS, Settings};
use tombola_words::value::{Budget, Control, Find};

/// Dense trainings that compete: those of one network on one data set, chosen on the same images.
const COMMON: [&str; 7] = ["network", "dataset", "train-limit", "validation-size", "select", "halving", "halving-over"];
/// What controls are of: they follow their tickets.
const FOLLOWING: [&str; 2] = ["control", "barrier-points"];
/// What tells levels of one chain apart: the longest stands for all.
const LEVELS: [&str; 2] = ["pruning-ratio", "prune-iterations"];

/// Trials of which the best dense trainings go on, and then the best tickets.
#[derive(Debug, Clone)]
pub struct Halving {
    /// The dense trainings.
    pub dense: Race,
    /// The tickets that compete, each time of one of the dense contenders.
    pub tickets: Vec<(usize, Race)>,
}

/// Trainings that compete.
#[derive(Debug, Clone)]
pub struct Race {
    /// One in so many goes on.
    factor: usize,
    /// What competes, in the order of the trials.
    contenders: Vec<Contender>,
}

/// One setting, over all seeds.
#[derive(Debug, Clone, Default)]
pub struct Contender {
    /// The trainings of each seed that count, one after the other.
    pub lanes: Vec<Lane>,
    /// The chains of the plan that begin with these, and those that follow them.
    pub chains: Vec<usize>,
}

/// Trainings of one seed, each with its epochs.
#[derive(Debug, Clone)]
pub struct Lane(Vec<(usize, Range<usize>)>);

/// How a race stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaceState {
    /// Of each contender whether it goes on, and, where that is not known, after how many of its epochs it is decided.
    pub contenders: Vec<(Demanded, Option<usize>)>,
}

impl Halving {
    /// The halvings of some chains, each with its settings and stages.
    pub(super) fn all<'c>(chains: impl Iterator<Item = (&'c Settings, &'c [usize])>, stages: &[Stage]) -> Vec<Self> {
        let mut halvings: Vec<Self> = Vec::new();
        let (mut groups, mut known) = (HashMap::new(), HashMap::new());
        let (mut heats, mut rivals) = (HashMap::new(), HashMap::new());
        for (index, (settings, chain)) in chains.enumerate().filter(|(_, (settings, _))| settings.halving > 1) {
            let group = *groups.entry(common(settings)).or_insert_with(|| {
                halvings.push(Self { dense: Race::of(settings.halving), tickets: Vec::new() });
                halvings.len() - 1
            });
            let Self { dense, tickets } = &mut halvings[group];
            let place = dense.contender(known.entry((group, training(settings))));
            let contender = &mut dense.contenders[place];
            contender.chains.push(index);
            contender.run(Lane::of(stages, &chain[..1]), stages);
            if !has_heats(settings) {
                continue;
            }
            let heat = *heats.entry((group, place, heat(settings))).or_insert_with(|| {
                tickets.push((place, Race::of(settings.halving)));
                tickets.len() - 1
            });
            let race = &mut tickets[heat].1;
            let place = race.contender(rivals.entry((group, heat, rival(settings))));
            let contender = &mut race.contenders[place];
            contender.chains.push(index);
            if settings.control == Control::None {
                contender.run(Lane::of(stages, &chain[1..]), stages);
            }
        }
        // Controls whose tickets nobody asks for have nothing to follow.
        for halving in &mut halvings {
            let follows = |race: &Race| race.contenders.iter().any(|contender| contender.lanes.is_empty());
            halving.tickets.retain(|(_, race)| !follows(race));
        }
        halvings
    }
}

impl Halving {
    /// All of its races.
    pub fn races(&self) -> impl Iterator<Item = &Race> {
        std::iter::once(&self.dense).chain(self.tickets.iter().map(|(_, race)| race))
    }
}

impl Race {
    /// Whether anything is left behind.
    pub fn decides(&self) -> bool {
        self.rungs() > 0
    }

    fn of(factor: usize) -> Self {
        Self { factor, contenders: Vec::new() }
    }

    /// The place of a contender, a new one where it is not known.
    fn contender<K>(&mut self, known: std::collections::hash_map::Entry<K, usize>) -> usize {
        *known.or_insert_with(|| {
            self.contenders.push(Contender::default());
            self.contenders.len() - 1
        })
    }

    /// What competes.
    pub fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// How often some are left behind: until one is left, or the first rung would come before an epoch is over.
    fn rungs(&self) -> u32 {
        let least = self.contenders.iter().map(Contender::epochs).min().unwrap_or(1);
        self.contenders.len().min(least).max(1).ilog(self.factor)
    }

    /// The epochs of a contender after which a rung is decided: of all the share η^-k, k rungs before the end.
    fn epoch(&self, contender: &Contender, rung: u32) -> usize {
        let parts = self.factor.saturating_pow(self.rungs() - rung);
        contender.epochs().div_ceil(parts)
    }

    /// Epochs that contenders take to each rung and to the end, and how many go there, for one seed.
    pub fn steps(&self) -> Vec<(usize, usize)> {
        let longest = self.contenders.iter().max_by_key(|contender| contender.epochs());
        let Some(longest) = longest else { return Vec::new() };
        let mut count = self.contenders.len();
        let mut steps = Vec::new();
        for rung in 0..self.rungs() {
            steps.push((count, self.epoch(longest, rung)));
            count = (count / self.factor).max(1);
        }
        steps.push((count, longest.epochs()));
        steps
    }

    /// The seeds of its contenders, at most.
    pub fn seeds(&self) -> usize {
        self.contenders.iter().map(|contender| contender.lanes.len()).max().unwrap_or(0)
    }

    /// How it stands.
    pub fn standing(&self, results: &dyn TrainingResults) -> RaceState {
        let mut contenders = vec![(Demanded::Spared, None); self.contenders.len()];
        let mut left: Vec<usize> = (0..self.contenders.len()).collect();
        for rung in 0..self.rungs() {
            let score = |contender: &usize| {
                let contender = &self.contenders[*contender];
                let epoch = self.epoch(contender, rung);
                let scores: Option<Vec<f64>> = contender.lanes.iter().map(|lane| lane.after(epoch, results)).collect();
                scores.map(|scores| scores.iter().sum::<f64>() / scores.len().max(1) as f64)
            };
            let scores: Vec<Option<f64>> = left.iter().map(score).collect();
            let Some(scores) = scores.into_iter().collect::<Option<Vec<f64>>>() else {
                for &contender in &left {
                    contenders[contender] = (Demanded::Open, Some(self.epoch(&self.contenders[contender], rung)));
                }
                return RaceState { contenders };
            };
            let mut ranked: Vec<(f64, usize)> = scores.into_iter().zip(left).collect();
            // Of equals the first.
            ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
            ranked.truncate((ranked.len() / self.factor).max(1));
            left = ranked.into_iter().map(|(_, contender)| contender).collect();
            left.sort_unstable();
        }
        left.into_iter().for_each(|contender| contenders[contender] = (Demanded::Certain, None));
        RaceState { contenders }
    }
}

impl Contender {
    /// Epochs of each of its seeds.
    fn epochs(&self) -> usize {
        self.lanes.iter().map(Lane::epochs).max().unwrap_or(0)
    }

    /// Takes in a lane, one a dense training; of levels of one chain the longest counts.
    fn run(&mut self, lane: Lane, stages: &[Stage]) {
        let dense = |lane: &Lane| lane.0.first().map(|(stage, _)| stages[*stage].root);
        match self.lanes.iter_mut().find(|known| dense(known) == dense(&lane)) {
            Some(known) if known.0.len() < lane.0.len() => *known = lane,
            Some(_) => {}
            None => self.lanes.push(lane),
        }
    }
}

impl Lane {
    fn of(stages: &[Stage], chain: &[usize]) -> Self {
        Self(chain.iter().map(|stage| (*stage, stages[*stage].epochs())).collect())
    }

    fn epochs(&self) -> usize {
        self.0.iter().map(|(_, epochs)| epochs.len()).sum()
    }

    /// All of its trainings.
    pub fn stages(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(stage, _)| *stage)
    }

    /// The trainings that it takes to come to an epoch, each with its own epoch where it ends on the way.
    pub fn until(&self, epoch: usize) -> Vec<(usize, Option<usize>)> {
        let mut left = epoch;
        let mut needed = Vec::new();
        for (stage, epochs) in &self.0 {
            if left == 0 {
                break;
            }
            let own = left.min(epochs.len());
            needed.push((*stage, (own < epochs.len()).then_some(epochs.start + own)));
            left -= own;
        }
        needed
    }

    /// The accuracy after so many of its epochs.
    fn after(&self, epoch: usize, results: &dyn TrainingResults) -> Option<f64> {
        let (stage, until) = self.until(epoch).pop()?;
        let end = || self.0.iter().find(|(own, _)| *own == stage).map(|(_, epochs)| epochs.end);
        results.after(stage, until.or_else(end)?)
    }
}

/// Whether a setting is one of those that compete.
fn competes(settings: &Settings, field: &Field) -> bool {
    if SEEDS.contains(&field.key) || COMMON.contains(&field.key) && settings.halving_over.0.is_empty() {
        return false;
    }
    match settings.halving_over.0.as_slice() {
        [] => field.decides == Decides::Training,
        named => named.iter().any(|key| key == field.key),
    }
}

/// What dense contenders have in common: all that does not compete, where it is said what does.
fn common(settings: &Settings) -> String {
    let all = !settings.halving_over.0.is_empty();
    settings.lines(|field| {
        let own = all && field.decides == Decides::Training && !SEEDS.contains(&field.key);
        (own || COMMON.contains(&field.key)) && !competes(settings, field)
    })
}

/// What tells dense contenders apart.
fn training(settings: &Settings) -> String {
    settings.lines(|field| field.decides == Decides::Training && !SEEDS.contains(&field.key))
}

/// Whether tickets of a trial compete. Those that a question asks for, and those of which nobody knows the epochs, do not.
fn has_heats(settings: &Settings) -> bool {
    let of_tickets = |key: &String| Field::find(key).is_some_and(|field| field.decides != Decides::Training);
    settings.prune_iterations > 0
        && settings.halving_over.0.iter().any(of_tickets)
        && settings.find == Find::None
        && settings.budget != Budget::Remaining
}

/// Whether a setting is one of tickets that tells heats or rivals apart.
fn is_of_tickets(settings: &Settings, field: &Field) -> bool {
    let levels = settings.prune_rate.is_some() && LEVELS.contains(&field.key);
    matches!(field.decides, Decides::Pruning | Decides::Levels)
        && !COMMON.contains(&field.key)
        && !FOLLOWING.contains(&field.key)
        && !levels
}

/// What tickets have in common that compete.
fn heat(settings: &Settings) -> String {
    settings.lines(|field| is_of_tickets(settings, field) && !competes(settings, field))
}

/// What tells tickets apart that compete.
fn rival(settings: &Settings) -> String {
    settings.lines(|field| is_of_tickets(settings, field) && competes(settings, field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outside::Outside;
    use crate::plan::{Needed, NoResults, Plan};
    use crate::sweep::Spec;
    use std::cell::RefCell;
    use tombola_words::value::{Rewind, Scope};

    fn plan(text: &str) -> Plan {
        let spec = Spec::read(Some(&format!("halving = 3\n{text}")), &[]).unwrap();
        Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap()
    }

    /// Epochs of each stage that are trained, each with an accuracy that grows towards that of its stage.
    struct Trained<'a> {
        epochs: RefCell<Vec<usize>>,
        worth: &'a dyn Fn(usize) -> f64,
        plan: &'a Plan,
    }

    impl TrainingResults for Trained<'_> {
        fn accuracy(&self, stage: usize) -> Option<f64> {
            let whole = self.epochs.borrow()[stage] == self.plan.stages[stage].epochs().len();
            whole.then(|| (self.worth)(stage))
        }

        fn after(&self, stage: usize, epoch: usize) -> Option<f64> {
            (self.epochs.borrow()[stage] >= epoch).then(|| (self.worth)(stage) * (1.0 - 0.5 / epoch as f64))
        }
    }

    /// Trains one epoch after the other of what is needed; gives the epochs of each stage.
    fn train(plan: &Plan, worth: &dyn Fn(usize) -> f64) -> Vec<usize> {
        let trained = Trained { epochs: RefCell::new(vec![0; plan.stages.len()]), worth, plan };
        loop {
            let needed = plan.needed(&trained);
            let next = (0..plan.stages.len()).find(|stage| {
                let until = needed[*stage].until.unwrap_or(plan.stages[*stage].epochs().len());
                needed[*stage].demanded == Demanded::Certain && trained.epochs.borrow()[*stage] < until
            });
            let Some(next) = next else {
                assert!(needed.iter().all(|needed| needed.demanded != Demanded::Open));
                return trained.epochs.into_inner();
            };
            trained.epochs.borrow_mut()[next] += 1;
        }
    }

    #[test]
    fn a_third_goes_on_at_each_rung_and_the_best_to_the_end() {
        let plan = plan(
            "epochs = 27\npriter = 0\nschedule = \"none\"\nlearning-rate = { log = [1e-3, 1], n = 9 }\nweight-decay = [0.0, 1e-4, 1e-3]",
        );
        assert_eq!(plan.halvings()[0].dense.steps(), [(27, 1), (9, 3), (3, 9), (1, 27)]);
        let epochs = train(&plan, &|stage| if stage == 13 { 0.9 } else { 0.5 + 0.01 * (stage % 7) as f64 });
        assert_eq!(epochs[13], 27);
        let count = |number: usize| epochs.iter().filter(|epochs| **epochs == number).count();
        assert_eq!([count(1), count(3), count(9), count(27)], [18, 6, 2, 1]);
        assert_eq!(epochs.iter().sum::<usize>(), 81, "of 729");
    }

    #[test]
    fn seeds_count_together_and_tickets_follow_those_that_are_left() {
        let plan = plan("epochs = 9\nseed = [1, 2]\npr = [0.5, 0.9]\nlearning-rate = [0.1, 0.2, 0.3]");
        // Three settings of two seeds: one rung, after three epochs.
        assert_eq!(plan.halvings()[0].dense.steps(), [(3, 3), (1, 9)]);
        let rate = |stage: usize| plan.stages[plan.stages[stage].root].settings.learning_rate;
        let epochs = train(&plan, &|stage| if rate(stage) == 0.2 { 0.9 } else { 0.5 });
        for (stage, epochs) in epochs.iter().enumerate() {
            let expected = match (rate(stage) == 0.2, plan.stages[stage].level) {
                (true, _) => 9,
                (false, 0) => 3,
                (false, _) => 0,
            };
            assert_eq!(*epochs, expected, "{stage}");
        }
    }

    #[test]
    fn tickets_of_what_is_left_compete_by_settings_that_are_named_each_ratio_by_itself() {
        let plan = plan(
            "epochs = 9\nseed = [1, 2]\npr = [0.5, 0.9]\nlearning-rate = [0.1, 0.2, 0.3]\nreinit = [\"lr\", \"init\", \"random\"]\n\
             control = [\"none\", \"random-mask\"]\nscope = [\"global\", \"layer\"]\nhalving-over = [\"learning-rate\", \"reinit\"]",
        );
        let halving = &plan.halvings()[0];
        assert_eq!(halving.dense.steps(), [(3, 3), (1, 9)]);
        // Of each learning rate two ratios and two scopes.
        assert_eq!(halving.tickets.len(), 3 * 2 * 2);
        let settings = |stage: usize| {
            let stage = &plan.stages[stage];
            (stage.settings.learning_rate, stage.pruning.as_ref().map(|pruning| (pruning.rewind, pruning.control)))
        };
        let good = |stage: usize| match settings(stage) {
            (0.2, None) => 0.9,
            (0.2, Some((Rewind::Init, _))) => 0.8,
            _ => 0.5,
        };
        let epochs = train(&plan, &good);
        for (stage, epochs) in epochs.iter().enumerate() {
            let expected = match settings(stage) {
                (0.2, None | Some((Rewind::Init, _))) => 9,
                (_, None) | (0.2, Some((_, Control::None))) => 3,
                _ => 0,
            };
            assert_eq!(*epochs, expected, "{stage} {:?}", settings(stage));
        }
    }

    #[test]
    fn levels_of_one_chain_are_one_contender_and_rungs_may_fall_behind_a_level() {
        let plan = plan(
            "epochs = 4\nprune-rate = 0.2\nlevels = 5\nscope = [\"global\", \"layer\", \"erk\"]\nhalving-over = [\"scope\"]",
        );
        let [(0, race)] = plan.halvings()[0].tickets.as_slice() else { panic!("one heat") };
        assert_eq!(race.contenders().len(), 3);
        assert_eq!(race.steps(), [(3, 7), (1, 20)]);
        // Seven epochs: the first level, and three of the second.
        let lane = &race.contenders()[0].lanes[0];
        assert_eq!(lane.until(7).iter().map(|(_, until)| *until).collect::<Vec<_>>(), [None, Some(3)]);
        assert_eq!(lane.until(8).iter().map(|(_, until)| *until).collect::<Vec<_>>(), [None, None]);
        let scope = |stage: usize| plan.stages[stage].pruning.as_ref().map(|pruning| pruning.scope);
        let epochs = train(&plan, &|stage| if scope(stage) == Some(Scope::Layer) { 0.8 } else { 0.5 });
        let of = |wanted: Scope| -> usize {
            (0..epochs.len()).filter(|stage| scope(*stage) == Some(wanted)).map(|stage| epochs[stage]).sum()
        };
        assert_eq!([of(Scope::Global), of(Scope::Layer), of(Scope::Erk)], [7, 20, 7]);
    }

    #[test]
    fn what_does_not_compete_by_name_stands_beside_it() {
        let named = plan(
            "epochs = 9\nweight-decay = [0.0, 1e-4]\nlearning-rate = [0.1, 0.2, 0.3]\nhalving-over = [\"learning_rate\"]",
        );
        assert_eq!(named.halvings().len(), 2, "each weight decay has its own");
        let tickets = plan(
            "epochs = 9\nlearning-rate = [0.1, 0.2]\ncriterion = [\"random\", \"lamp\", \"synflow\"]\nhalving-over = [\"criterion\"]",
        );
        assert!(tickets.needed(&NoResults).iter().zip(&tickets.stages).all(|(needed, stage)| {
            let (until, competes) = if stage.level == 0 { (None, false) } else { (Some(3), true) };
            *needed == Needed { demanded: Demanded::Certain, until, competes }
        }));
        for (key, said) in [
            ("learning", "not a setting"),
            ("seed", "count together"),
            ("workers", "is run"),
            ("control", "cannot compete"),
        ] {
            let error = Spec::read(Some(&format!("halving = 2\nhalving-over = [\"{key}\"]")), &[])
                .unwrap()
                .trials()
                .unwrap_err();
            assert!(error.message.contains(said) && error.hint.is_some(), "{key}: {error}");
        }
    }

    #[test]
    fn networks_do_not_compete_and_too_few_epochs_have_fewer_rungs() {
        let two = plan("epochs = 2\nnetwork = [\"lenet-5\", \"conv-2\"]\ndataset = \"mnist\"\nlr = [0.1, 0.2, 0.3]");
        assert_eq!(two.halvings().len(), 2);
        assert_eq!(two.halvings()[0].dense.steps(), [(3, 2)], "two epochs are too few for a rung");
    }
}
