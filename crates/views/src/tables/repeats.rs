//! Which trials repeat each other: those that differ in their seeds alone, and those that load one checkpoint a seed.
//!
//! A file that dense networks are loaded from is a setting like others: two checkpoints are two methods. But where each seed has
//! its own file and each file its own seed, as `zip = ["load", "seed"]` makes it, the file stands for the seed, and
//! the mean is over them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::rows;
use tombola_core::plan::Plan;
use tombola_core::sweep::{Decides, Field, Settings};
use tombola_words::value::{Load, Value};

/// What stands in the column `load` of trials that have one file a seed.
const EACH: &str = "one a seed";

/// Groups of trials, each told by how its dense networks came about but seeds and files, that load one file a seed.
#[derive(Default)]
pub(super) struct SeedFiles {
    fields: Vec<&'static Field>,
    groups: HashSet<String>,
}

impl SeedFiles {
    /// Those of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let settings = || plan.chains.iter().map(|chain| &chain.trial.settings);
        if !settings().any(|settings| matches!(settings.load, Load::Path(_))) {
            return Self::default();
        }
        let mut fields = rows::columns(plan);
        fields.retain(|field| field.decides == Decides::Training && !rows::is_seed(field) && field.key != "load");
        let own = Self { fields, groups: HashSet::new() };
        let mut pairs: HashMap<String, BTreeSet<([String; 4], String)>> = HashMap::new();
        for settings in settings() {
            pairs.entry(own.key(settings)).or_default().insert((rows::seeds(settings), settings.load.show()));
        }
        let groups = pairs.into_iter().filter(|(_, pairs)| are_paired(pairs)).map(|(key, _)| key).collect();
        Self { groups, ..own }
    }

    /// What stands in the column `load` where trials are told apart by all but their seeds.
    pub(super) fn shown(&self, settings: &Settings) -> String {
        match &settings.load {
            Load::Path(_) if !self.groups.is_empty() && self.groups.contains(&self.key(settings)) => EACH.to_string(),
            load => load.show(),
        }
    }

    fn key(&self, settings: &Settings) -> String {
        // A character that no setting is written with keeps neighbours apart.
        rows::shown(&self.fields, settings).join("\0")
    }
}

/// Whether several files stand for as many values of one kind of seed, each for one.
pub(crate) fn are_paired<'a, const KINDS: usize>(
    pairs: impl IntoIterator<Item = &'a ([String; KINDS], String)>,
) -> bool {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let files: BTreeSet<&String> = pairs.iter().map(|(_, file)| file).collect();
    (0..KINDS).any(|kind| {
        let seeds: BTreeSet<&String> = pairs.iter().map(|(seeds, _)| &seeds[kind]).collect();
        let both: BTreeSet<(&String, &String)> = pairs.iter().map(|(seeds, file)| (&seeds[kind], file)).collect();
        files.len() > 1 && seeds.len() == files.len() && both.len() == files.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_for_seeds_where_each_has_one_of_the_other() {
        let paired = |pairs: &[(&str, &str)]| {
            let pairs: Vec<([String; 1], String)> =
                pairs.iter().map(|(seed, file)| ([seed.to_string()], file.to_string())).collect();
            are_paired(&pairs)
        };
        assert!(paired(&[("1", "a"), ("2", "b"), ("1", "a")]));
        assert!(!paired(&[("1", "a")]) && !paired(&[("1", "a"), ("2", "a")]) && !paired(&[("1", "a"), ("1", "b")]));
        assert!(!paired(&[("1", "a"), ("2", "b"), ("2", "a"), ("1", "b")]));
    }
}
