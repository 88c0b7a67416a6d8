//! Tickets that are pruned to a time: the first of those that are drawn alike is measured, and the others take what was found, so
//! that twins have as many channels.
//!
//! It may not know of workers.

use std::collections::HashMap;

use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::record::MeasuredTime;

/// The tickets of a plan that are pruned to a time.
#[derive(Debug, Default)]
pub(super) struct TimedTickets {
    /// Stages that are drawn alike, in the order of the plan.
    groups: Vec<Vec<usize>>,
    /// The group of each.
    group_of: HashMap<usize, usize>,
}

impl TimedTickets {
    pub(super) fn of(plan: &Plan) -> Self {
        let groups = plan.timed_tickets();
        let members =
            groups.iter().enumerate().flat_map(|(group, stages)| stages.iter().map(move |stage| (*stage, group)));
        Self { group_of: members.collect(), groups }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All of them.
    pub(super) fn stages(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().flatten().copied()
    }

    /// The stages that are drawn as `stage` is, itself among them.
    pub(super) fn alike(&self, stage: usize) -> &[usize] {
        self.group_of.get(&stage).map_or(&[], |group| &self.groups[*group])
    }

    /// What was measured for any that is drawn as `stage` is: in this sweep, or in the folder before the sweep was another.
    pub(super) fn measured(&self, stage: usize, plan: &Plan, history: &History) -> Option<MeasuredTime> {
        let draw = plan.timed_draw(stage)?;
        let known = |other: &usize| history.stages.get(&plan.stages[*other].id)?.drawn.as_ref()?.measured;
        self.alike(stage).iter().find_map(known).or_else(|| {
            let all = history.stages.values().filter_map(|known| known.drawn.as_ref()?.measured);
            all.into_iter().find(|measured| measured.draw == draw)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_core::plan::outside::Outside;
    use tombola_core::sweep::Spec;
    use tombola_words::value::{Control, Rewind};

    #[test]
    fn twins_and_rewinds_are_alike_and_seeds_moments_and_targets_are_not() {
        let text = "network = \"resnet\"\ndepth = 8\nepochs = 3\nprunety = \"s\"\ncriterion = \"l1\"\nseed = [1, 2]\n\
                    target = [\"time:0.5\", \"time:0.7\", \"macs:0.5\"]\ndraw = [\"last\", \"epoch:1\"]\n\
                    reinit = [\"lr\", \"random\"]\ncontrol = [\"none\", \"random-mask\"]";
        let spec = Spec::read(Some(text), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        let timed = TimedTickets::of(&plan);
        assert_eq!(timed.groups.len(), 2 * 2 * 2);
        for group in &timed.groups {
            let kinds: Vec<(Rewind, Control)> = group
                .iter()
                .map(|stage| plan.stages[*stage].pruning.as_ref().unwrap())
                .map(|pruning| (pruning.rewind, pruning.control))
                .collect();
            assert_eq!(kinds.len(), 4, "{kinds:?}");
            assert!((1..4).all(|place| !kinds[..place].contains(&kinds[place])), "{kinds:?}");
        }
        assert_eq!(timed.stages().count(), 8 * 4);
        let other = (0..plan.stages.len()).find(|stage| !timed.group_of.contains_key(stage)).unwrap();
        assert!(timed.alike(other).is_empty());
    }
}
