//! Finds and names the stages of a plan: in words, by the beginning of their name, by shard.
//!
//! It may not know of files, workers or torch.

use std::collections::BTreeSet;

use super::digits::percentage;
use super::forest::Plan;
use super::loaded::{LoadedFile, LoadedPart};
use tombola_words::StageId;

use tombola_words::value::{Control, MaybeTarget, Shard, Value};

/// Names are never shortened to fewer digits than this.
const FEWEST_DIGITS: usize = 8;

impl Plan {
    /// One stage in words: "resnetb seed 2 · level 1, 50.0 % · init".
    pub fn label(&self, index: usize) -> String {
        let stage = &self.stages[index];
        let mut text = format!("{} seed {}", stage.settings.network, stage.settings.seed);
        match &stage.pruning {
            None => text.push_str(" · dense"),
            Some(pruning) => {
                let left = match &pruning.mask {
                    Some((file, _)) => format!("mask of {file}"),
                    None => self.left(index),
                };
                text.push_str(&format!(" · level {}, {left}", stage.level));
                text.extend(pruning.changing.map(|changing| format!(", {}", changing.name())));
                // A twin with new weights stands beside tickets of any rewind.
                if pruning.control != Control::Reinit {
                    text.push_str(&format!(" · {}", pruning.rewind.show()));
                }
                if pruning.control != Control::None {
                    text.push_str(&format!(" · {} control", pruning.control.show()));
                }
            }
        }
        text
    }

    /// The file that the dense network of a stage is loaded from, if it is.
    pub fn loaded_file(&self, index: usize) -> Option<&LoadedFile> {
        self.loaded.get(&self.stages[self.stages[index].root].settings.load.show())
    }

    /// What the weights of a dense stage are taken from: those of the whole network, or those that it trains from.
    pub fn loaded_weights(&self, index: usize) -> Option<LoadedPart<'_>> {
        let settings = &self.stages[index].settings;
        let init = || self.loaded.get(&settings.load_init.show());
        let file = self.loaded_file(index).or_else(init).filter(|_| self.stages[index].level == 0)?;
        let names = self.loaded.get(&settings.load_names.show());
        Some(LoadedPart { file, names })
    }

    /// What the mask of a stage is taken from, if it is not drawn.
    pub fn loaded_mask(&self, index: usize) -> Option<LoadedPart<'_>> {
        let (mask, names) = self.stages[index].pruning.as_ref()?.mask.as_ref()?;
        Some(LoadedPart {
            file: self.loaded.get(mask)?,
            names: names.as_ref().and_then(|names| self.loaded.get(names)),
        })
    }

    /// The share that the prunings up to a stage leave, as a percentage: as many digits as tell it from the others.
    pub fn left(&self, index: usize) -> String {
        if let Some(target) = self.stages[index].pruning.as_ref().and_then(|pruning| pruning.target) {
            return MaybeTarget(Some(target)).show();
        }
        format!("{:.*} %", self.decimals, percentage(&self.stages[index]))
    }

    /// The stages whose names begin with these digits, in the order of the plan. If there are none, those that had such a name.
    pub fn beginning_with(&self, digits: &str) -> Vec<usize> {
        let digits = digits.to_lowercase();
        let fits = |id: StageId| id.to_string().starts_with(&digits);
        let named: Vec<usize> = (0..self.stages.len()).filter(|index| fits(self.stages[*index].id)).collect();
        if !named.is_empty() {
            return named;
        }
        let once: BTreeSet<usize> = self.aliases.iter().filter(|(id, _)| fits(**id)).map(|(_, index)| *index).collect();
        once.into_iter().collect()
    }

    /// How many digits of a name it takes to tell all stages apart.
    pub fn digits(&self) -> usize {
        let mut ids: Vec<StageId> = self.stages.iter().map(|stage| stage.id).collect();
        ids.sort_unstable();
        ids.windows(2).map(|pair| pair[0].common(pair[1]) + 1).max().unwrap_or(0).max(FEWEST_DIGITS)
    }

    /// Whether each stage belongs to a part of the sweep: dense trainings are dealt out in their order, each with all
    /// that descends from it.
    pub fn in_shard(&self, shard: Shard) -> Vec<bool> {
        let mut roots = 0;
        let mut has = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let own = match stage.level {
                0 => {
                    roots += 1;
                    shard.has(roots - 1)
                }
                // Roots stand before what descends from them.
                _ => has[stage.root],
            };
            has.push(own);
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outside::Outside;
    use crate::sweep::Spec;

    fn plan() -> Plan {
        let spec = Spec::read(Some("seed = [1, 2, 3]\npr = 0.75\npriter = 2\nreinit = \"init\""), &[]).unwrap();
        Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap()
    }

    #[test]
    fn every_stage_is_in_one_shard_together_with_its_dense_training() {
        let plan = plan();
        let parts: Vec<Vec<bool>> = (1..=2).map(|index| plan.in_shard(Shard { index, count: 2 })).collect();
        for (index, stage) in plan.stages.iter().enumerate() {
            assert_ne!(parts[0][index], parts[1][index]);
            assert_eq!(parts[0][index], parts[0][stage.root]);
        }
        assert_eq!(parts[0].iter().filter(|has| **has).count(), 6);
    }

    #[test]
    fn as_many_digits_as_it_takes_name_one_stage() {
        let plan = plan();
        let digits = plan.digits();
        assert!(digits >= FEWEST_DIGITS);
        for (index, stage) in plan.stages.iter().enumerate() {
            let name = stage.id.to_string();
            assert_eq!(plan.beginning_with(&name[..digits].to_uppercase()), [index]);
        }
        assert_eq!(plan.beginning_with("").len(), 9);
        assert!(plan.beginning_with("x").is_empty());
        assert_eq!(plan.label(1), "resnetb seed 1 · level 1, 50.0 % · init");
    }
    #[test]
    fn percentages_have_the_digits_that_tell_trainings_apart() {
        let label = |ratios: &str| {
            let text = format!("pr = [{ratios}]\npriter = 5\nround-rates = false");
            let spec = Spec::read(Some(&text), &[]).unwrap();
            let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
            [1, 6].map(|stage| plan.label(stage))
        };
        assert_eq!(
            label("0.67232, 0.6723"),
            ["resnetb seed 1 · level 1, 80.000 % · lr", "resnetb seed 1 · level 1, 80.001 % · lr"].map(String::from)
        );
        assert!(label("0.67232, 0.8")[0].contains("80.0 %"), "no more digits than it takes");
    }
}
