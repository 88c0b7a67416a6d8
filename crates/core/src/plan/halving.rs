//! Successive halving: of trainings that compete, the best go on, rung by rung.
//!
//! Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", figure 1; with the factor
//! η of Li et al. 2017, "Hyperband", algorithm 1. All rungs are decided together, so that nothing depends on which training was the
//! first to come there. It may not know of files or workers.

use std::collections::HashMap;

use super::search::{Demanded, TrainingResults};
use crate::sweep::{Decides, SEEDS, Settings};

/// Dense trainings that compete: those of one network on one data set, chosen on the same images.
const COMMON: [&str; 6] = ["network", "dataset", "train-limit", "validation-size", "select", "halving"];

/// Trials of which the best dense trainings go on.
#[derive(Debug, Clone)]
pub struct Halving {
    /// One in so many goes on.
    factor: usize,
    /// What competes, in the order of the trials.
    contenders: Vec<Contender>,
}

/// One setting of the dense training, over all seeds.
#[derive(Debug, Clone)]
pub struct Contender {
    /// The dense training of each seed.
    pub dense: Vec<usize>,
    /// The chains of the plan that begin with these.
    pub chains: Vec<usize>,
    /// Epochs of each.
    epochs: usize,
}

/// How a halving stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalvingState {
    /// Of each contender whether it goes on, and, where that is not known, the epoch that decides it.
    pub contenders: Vec<(Demanded, Option<usize>)>,
}

impl Halving {
    /// The halvings of some chains, each with its settings and stages.
    pub(super) fn all<'c>(chains: impl Iterator<Item = (&'c Settings, &'c [usize])>) -> Vec<Self> {
        let mut halvings: Vec<Self> = Vec::new();
        let (mut groups, mut known) = (HashMap::new(), HashMap::new());
        for (index, (settings, stages)) in chains.enumerate().filter(|(_, (settings, _))| settings.halving > 1) {
            let group = *groups.entry(common(settings)).or_insert_with(|| {
                halvings.push(Self { factor: settings.halving, contenders: Vec::new() });
                halvings.len() - 1
            });
            let contenders = &mut halvings[group].contenders;
            let place = *known.entry((group, training(settings))).or_insert_with(|| {
                contenders.push(Contender { dense: Vec::new(), chains: Vec::new(), epochs: settings.epochs });
                contenders.len() - 1
            });
            let contender = &mut contenders[place];
            contender.chains.push(index);
            if !contender.dense.contains(&stages[0]) {
                contender.dense.push(stages[0]);
            }
        }
        halvings
    }

    /// What competes.
    pub fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// How often some are left behind: until one is left, or the first rung would come before an epoch is over.
    fn rungs(&self) -> u32 {
        let least = self.contenders.iter().map(|contender| contender.epochs).min().unwrap_or(1);
        self.contenders.len().min(least).max(1).ilog(self.factor)
    }

    /// The epoch of a contender at which a rung is decided: of the epochs the share η^-k, k rungs before the end.
    fn epoch(&self, contender: &Contender, rung: u32) -> usize {
        let parts = self.factor.saturating_pow(self.rungs() - rung);
        contender.epochs.div_ceil(parts)
    }

    /// Epochs that dense trainings take at each rung and to the end, and how many go there, for one seed.
    pub fn steps(&self) -> Vec<(usize, usize)> {
        let longest = self.contenders.iter().max_by_key(|contender| contender.epochs);
        let Some(longest) = longest else { return Vec::new() };
        let mut count = self.contenders.len();
        let mut steps = Vec::new();
        for rung in 0..self.rungs() {
            steps.push((count, self.epoch(longest, rung)));
            count = (count / self.factor).max(1);
        }
        steps.push((count, longest.epochs));
        steps
    }

    /// How it stands.
    pub fn standing(&self, results: &dyn TrainingResults) -> HalvingState {
        let mut contenders = vec![(Demanded::Spared, None); self.contenders.len()];
        let mut left: Vec<usize> = (0..self.contenders.len()).collect();
        for rung in 0..self.rungs() {
            let score = |contender: &usize| {
                let contender = &self.contenders[*contender];
                let epoch = self.epoch(contender, rung);
                let scores: Option<Vec<f64>> =
                    contender.dense.iter().map(|stage| results.after(*stage, epoch)).collect();
                scores.map(|scores| scores.iter().sum::<f64>() / scores.len().max(1) as f64)
            };
            let scores: Vec<Option<f64>> = left.iter().map(score).collect();
            let Some(scores) = scores.into_iter().collect::<Option<Vec<f64>>>() else {
                for &contender in &left {
                    contenders[contender] = (Demanded::Open, Some(self.epoch(&self.contenders[contender], rung)));
                }
                return HalvingState { contenders };
            };
            let mut ranked: Vec<(f64, usize)> = scores.into_iter().zip(left).collect();
            // Of equals the first.
            ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
            ranked.truncate((ranked.len() / self.factor).max(1));
            left = ranked.into_iter().map(|(_, contender)| contender).collect();
            left.sort_unstable();
        }
        left.into_iter().for_each(|contender| contenders[contender] = (Demanded::Certain, None));
        HalvingState { contenders }
    }
}

/// What contenders have in common.
fn common(settings: &Settings) -> String {
    settings.lines(|field| COMMON.contains(&field.key))
}

/// What tells contenders apart: all that decides the dense training but its seeds.
fn training(settings: &Settings) -> String {
    settings.lines(|field| field.decides == Decides::Training && !SEEDS.contains(&field.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::plan::outside::Outside;
    use crate::sweep::Spec;
    use std::cell::RefCell;

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
        assert_eq!(plan.halvings()[0].steps(), [(27, 1), (9, 3), (3, 9), (1, 27)]);
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
        assert_eq!(plan.halvings()[0].steps(), [(3, 3), (1, 9)]);
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
    fn networks_do_not_compete_and_too_few_epochs_have_fewer_rungs() {
        let two = plan("epochs = 2\nnetwork = [\"lenet-5\", \"conv-2\"]\ndataset = \"mnist\"\nlr = [0.1, 0.2, 0.3]");
        assert_eq!(two.halvings().len(), 2);
        assert_eq!(two.halvings()[0].steps(), [(3, 2)], "two epochs are too few for a rung");
    }
}
