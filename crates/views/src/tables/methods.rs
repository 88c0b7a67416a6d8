//! Sorts the trainings of a plan into methods and densities, for the table at the end of a run.
//!
//! A method is everything about a trial but its seeds (and files that stand for them, `repeats.rs`) and how far it prunes: its settings, and whether it prunes once
//! or level by level at some rate. It may not know how well anything did or how tables look.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::pairs::{TwinPair, TwinPairs};
use super::repeats::SeedFiles;
use super::rows;
use tombola_core::plan::{Chain, Plan};
use tombola_core::sweep::{Decides, Field, Settings};
use tombola_words::value::Control;
use tombola_words::value::Value;

/// A share of the weights, equal to another if it is written in the same way: three digits of a percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PrintedShare(u64);

impl PrintedShare {
    pub(super) fn of(share: f64) -> Self {
        // Twice: 12.25 less a rounding error must not become another percentage than 12.25.
        let rounded = |value: f64, digits: usize| format!("{value:.digits$e}").parse().unwrap_or(value);
        // Bits of floats that are not negative have their order.
        Self(rounded(rounded(share.max(0.0) * 100.0, 6), 2).to_bits())
    }

    /// From 0 to 1.
    pub(super) fn value(self) -> f64 {
        f64::from_bits(self.0) / 100.0
    }
}

impl std::fmt::Display for PrintedShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", f64::from_bits(self.0))
    }
}

/// How a method reaches its densities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PruningCourse {
    /// Nothing is pruned.
    Dense,
    /// One pruning.
    OneShot,
    /// Changes of the mask while it trains, by the rule of this name.
    WhileTraining(&'static str),
    /// A pruning a level, at this rate; bits of a float, which rates of 1e-9 steps make comparable.
    Iterative(u64),
}

impl std::fmt::Display for PruningCourse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dense => f.write_str("dense"),
            Self::OneShot => f.write_str("one-shot"),
            Self::WhileTraining(rule) => f.write_str(rule),
            Self::Iterative(rate) => write!(f, "iterative, {} a level", PrintedShare::of(f64::from_bits(*rate))),
        }
    }
}

/// A row of the table.
pub(super) struct Method {
    /// How it reaches its densities.
    pub(super) course: PruningCourse,
    /// What stands in the columns of [`Methods::fields`]; empty where a setting makes no difference.
    pub(super) settings: Vec<String>,
    /// Which of [`Methods::dense`] it starts from.
    pub(super) dense: usize,
    /// Indices of its trainings at each density, one a seed.
    pub(super) cells: BTreeMap<PrintedShare, BTreeSet<usize>>,
    /// Of a control: those at each density beside their tickets.
    pub(super) pairs: BTreeMap<PrintedShare, BTreeSet<TwinPair>>,
}

impl Method {
    /// Takes in a training at a density.
    fn put(&mut self, share: PrintedShare, stage: usize, pair: Option<TwinPair>) {
        self.cells.entry(share).or_default().insert(stage);
        if let Some(pair) = pair {
            self.pairs.entry(share).or_default().insert(pair);
        }
    }
}

/// The methods of one network and data set.
pub(super) struct Section {
    /// Settings of the first trial.
    pub(super) first: Settings,
    /// In the order of their first trial.
    pub(super) methods: Vec<Method>,
}

/// All methods of a plan.
pub(super) struct Methods {
    /// The settings that make a method.
    pub(super) fields: Vec<&'static Field>,
    /// One for each network and data set, in the order of their first trial.
    pub(super) sections: Vec<Section>,
    /// Indices of the dense trainings that differ in nothing but their seeds.
    pub(super) dense: Vec<BTreeSet<usize>>,
}

/// What a method is told by: its settings but the control, the control, and the course.
type MethodKey = (usize, Control, PruningCourse);

/// A pruning to some density in one go, which may also be the first level of an iterative method.
struct Shot {
    base: usize,
    control: Control,
    rate: u64,
    share: PrintedShare,
    stage: usize,
    pair: Option<TwinPair>,
}

/// Methods in the making.
struct Gatherer {
    fields: Vec<&'static Field>,
    files: SeedFiles,
    pairs: TwinPairs,
    /// Settings of each base, with its dense trainings.
    bases: Vec<(Vec<String>, usize)>,
    by_text: HashMap<String, usize>,
    dense: Vec<BTreeSet<usize>>,
    dense_by_text: HashMap<String, usize>,
    methods: Vec<(MethodKey, Method)>,
    by_key: BTreeMap<MethodKey, usize>,
    shots: Vec<Shot>,
}

impl Methods {
    /// Sorts a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut fields = rows::columns(plan);
        fields.retain(|field| field.decides != Decides::Levels && !rows::is_seed(field));
        let mut gatherer = Gatherer {
            fields,
            files: SeedFiles::of(plan),
            pairs: TwinPairs::of(plan),
            bases: Vec::new(),
            by_text: HashMap::new(),
            dense: Vec::new(),
            dense_by_text: HashMap::new(),
            methods: Vec::new(),
            by_key: BTreeMap::new(),
            shots: Vec::new(),
        };
        let mut sections: Vec<Section> = Vec::new();
        let mut section_of_dense: Vec<usize> = Vec::new();
        for chain in &plan.chains {
            let settings = &chain.trial.settings;
            let base = gatherer.base(settings);
            let dense = gatherer.bases[base].1;
            gatherer.dense[dense].insert(chain.stages[0]);
            if dense == section_of_dense.len() {
                let same = |s: &Section| s.first.network == settings.network && s.first.dataset == settings.dataset;
                section_of_dense.push(sections.iter().position(same).unwrap_or_else(|| {
                    sections.push(Section { first: settings.clone(), methods: Vec::new() });
                    sections.len() - 1
                }));
            }
            gatherer.trial(plan, chain, base);
        }
        gatherer.dense_alone();
        gatherer.first_levels();
        for (_, method) in gatherer.methods {
            sections[section_of_dense[method.dense]].methods.push(method);
        }
        Self { fields: gatherer.fields, sections, dense: gatherer.dense }
    }
}

impl Gatherer {
    /// The number of these settings, control and seeds left aside.
    fn base(&mut self, settings: &Settings) -> usize {
        let mut shown = rows::shown(&self.fields, settings);
        for (_, cell) in
            self.fields.iter().zip(&mut shown).filter(|(field, cell)| field.key == "load" && !cell.is_empty())
        {
            *cell = self.files.shown(settings);
        }
        let text = |training: bool| {
            let part = |(field, _): &(&&Field, &String)| {
                field.key != "control" && (!training || field.decides == Decides::Training)
            };
            let cells = self.fields.iter().zip(&shown).filter(part);
            // A character that no setting is written with keeps neighbours apart.
            cells.map(|(_, cell)| cell.as_str()).collect::<Vec<_>>().join("\0")
        };
        let (all, training) = (text(false), text(true));
        if let Some(&base) = self.by_text.get(&all) {
            return base;
        }
        let dense = *self.dense_by_text.entry(training).or_insert(self.dense.len());
        if dense == self.dense.len() {
            self.dense.push(BTreeSet::new());
        }
        self.bases.push((shown, dense));
        self.by_text.insert(all, self.bases.len() - 1);
        self.bases.len() - 1
    }

    /// Takes in the pruned levels of a trial.
    fn trial(&mut self, plan: &Plan, chain: &Chain, base: usize) {
        let Chain { trial, stages } = chain;
        let settings = &trial.settings;
        let rate = settings.rate().to_bits();
        let course = match (settings.changing(), stages.len()) {
            (Some(changing), _) => PruningCourse::WhileTraining(changing.name()),
            (None, 2) => PruningCourse::OneShot,
            (None, _) => PruningCourse::Iterative(rate),
        };
        for (level, &stage) in stages.iter().enumerate().skip(1) {
            // Below its last level a control is the ticket itself, and belongs to the ticket's method.
            let control = plan.stages[stage].pruning.as_ref().map_or(Control::None, |pruning| pruning.control);
            let level = i32::try_from(level).unwrap_or(i32::MAX);
            let share = PrintedShare::of((1.0 - settings.rate()).powi(level));
            let method = self.method((base, control, course));
            let pair = self.pairs.at(trial.number, stage);
            self.methods[method].1.put(share, stage, pair);
            if course == PruningCourse::OneShot {
                self.shots.push(Shot { base, control, rate, share, stage, pair });
            }
        }
    }

    fn method(&mut self, key: MethodKey) -> usize {
        if let Some(&index) = self.by_key.get(&key) {
            return index;
        }
        let (base, control, course) = key;
        let (settings, dense) = &self.bases[base];
        let own = self.fields.iter().zip(settings).map(|(field, cell)| match (field.key, field.decides, course) {
            (_, Decides::Pruning, PruningCourse::Dense) => String::new(),
            ("control", ..) => control.show(),
            // The course says it.
            ("while-training", ..) => String::new(),
            _ => cell.clone(),
        });
        let method =
            Method { course, settings: own.collect(), dense: *dense, cells: BTreeMap::new(), pairs: BTreeMap::new() };
        self.methods.push((key, method));
        self.by_key.insert(key, self.methods.len() - 1);
        self.methods.len() - 1
    }

    /// Pruning once at the rate of an iterative method is its first level. A one-shot row that says nothing else goes.
    fn first_levels(&mut self) {
        for shot in &self.shots {
            if let Some(&iterative) = self.by_key.get(&(shot.base, shot.control, PruningCourse::Iterative(shot.rate))) {
                self.methods[iterative].1.put(shot.share, shot.stage, shot.pair);
            }
        }
        let mut needed: BTreeSet<MethodKey> = BTreeSet::new();
        for shot in &self.shots {
            if !self.by_key.contains_key(&(shot.base, shot.control, PruningCourse::Iterative(shot.rate))) {
                needed.insert((shot.base, shot.control, PruningCourse::OneShot));
            }
        }
        self.methods.retain(|(key, _)| key.2 != PruningCourse::OneShot || needed.contains(key));
    }

    /// Dense networks that nobody prunes get a row of their own.
    fn dense_alone(&mut self) {
        let mut done: BTreeSet<usize> = self.methods.iter().map(|(_, method)| method.dense).collect();
        for base in 0..self.bases.len() {
            if done.insert(self.bases[base].1) {
                self.method((base, Control::None, PruningCourse::Dense));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_share_reached_in_several_ways_is_one_column() {
        let kept = |ratio: f64, levels: usize| {
            let settings = Settings { pruning_ratio: ratio, prune_iterations: levels, ..Settings::default() };
            PrintedShare::of((1.0 - settings.rate()).powi(levels as i32))
        };
        for (ratio, levels) in [(0.875, 3), (0.9, 4), (0.95, 13), (0.99, 7), (0.8775, 2)] {
            assert_eq!(kept(ratio, 1), kept(ratio, levels), "{ratio}");
        }
        assert_eq!(PrintedShare::of(0.35 * 0.35), PrintedShare::of(0.1225 - 1e-12));
        assert_ne!(PrintedShare::of(0.125), PrintedShare::of(0.126));
    }

    #[test]
    fn shares_are_written_short_and_ordered_by_size() {
        let shown: Vec<String> = [1.0, 0.5, 0.125, 0.0105, 0.0].map(|share| PrintedShare::of(share).to_string()).into();
        assert_eq!(shown, ["100 %", "50 %", "12.5 %", "1.05 %", "0 %"]);
        assert!(PrintedShare::of(0.5) > PrintedShare::of(0.125) && PrintedShare::of(0.125) > PrintedShare::of(0.0));
        assert_eq!(PrintedShare::of(0.125).value(), 0.125);
    }
}
