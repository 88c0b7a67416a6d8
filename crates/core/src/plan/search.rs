//! Questions that a sweep asks: which of its trainings are needed follows from the results of others.
//!
//! All that may be trained is in the plan from the beginning. What is certain, what may come and what is spared is a function of
//! results alone: of whatever has an accuracy, wherever and in whichever order it was trained. It may not know of files or workers.

use std::collections::HashMap;

use crate::sweep::{Decides, Field, SEEDS, Settings};
use tombola_words::statistics::{Quantiles, Sample};
use tombola_words::value::{Control, Find, Within};

/// A chain of levels ends where so many in a row are no match: one may be chance.
const FAILS_FOR_GOOD: usize = 2;

/// Settings in which the tickets of one question differ.
pub const VARIED: [&str; 4] = ["pruning-ratio", "prune-iterations", "control", "barrier-points"];

/// Whether a training is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demanded {
    /// No: whatever comes out of the others, it answers nothing.
    Spared,
    /// That depends on results which are not there yet.
    Open,
    /// Yes.
    Certain,
}

/// What is known of trainings, as far as it decides which others are needed.
pub trait TrainingResults {
    /// The accuracy on which the best epoch of a stage is chosen, from 0 to 1, once the stage is trained. Of one that comes to nothing, such
    /// as one that diverged, it is 0.
    fn accuracy(&self, stage: usize) -> Option<f64>;

    /// The accuracy after so many epochs of a stage; 0 likewise.
    fn after(&self, stage: usize, epoch: usize) -> Option<f64>;
}

/// Which is the sparsest ticket that matches the dense network?
#[derive(Debug, Clone)]
pub struct Search {
    /// A chain of the plan that has its settings.
    pub chain: usize,
    /// Tickets of ever fewer weights.
    pub rungs: Vec<Rung>,
    /// The dense training of each seed.
    dense: Vec<usize>,
    within: Within,
    /// Whether each rung comes after the one before in one chain of trainings; else each can be trained by itself.
    walks: bool,
}

/// The tickets of one ratio.
#[derive(Debug, Clone)]
pub struct Rung {
    /// The share that is gone.
    pub ratio: f64,
    /// The ticket of each seed.
    pub tickets: Vec<SearchedTicket>,
    /// The chains of their twins.
    controls: Vec<usize>,
}

/// A ticket of one seed.
#[derive(Debug, Clone)]
pub struct SearchedTicket {
    /// Its chain in the plan.
    pub chain: usize,
    /// The stages of that chain, the dense training first.
    pub stages: Vec<usize>,
}

impl Rung {
    /// The chains of its tickets and of their twins.
    pub fn chains(&self) -> impl Iterator<Item = usize> {
        self.tickets.iter().map(|ticket| ticket.chain).chain(self.controls.iter().copied())
    }
}

/// How a question stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchState {
    /// The sparsest rung that is known to match.
    pub found: Option<usize>,
    /// Whether that is the answer.
    pub is_final: bool,
    /// Whether each rung is needed.
    pub rungs: Vec<Demanded>,
}

impl Search {
    /// The questions of some chains, each with its settings and stages.
    pub(super) fn all<'c>(chains: impl Iterator<Item = (&'c Settings, &'c [usize])>) -> Vec<Self> {
        let asking: Vec<(usize, String, &Settings, &[usize])> = chains
            .enumerate()
            .filter(|(_, (settings, _))| settings.find == Find::Sparsest && settings.prune_iterations > 0)
            .map(|(index, (settings, stages))| (index, key(settings), settings, stages))
            .collect();
        // Levels that all take the same of what is alive are one chain; else each number of prunings is another method.
        let mut rates: HashMap<String, Option<f64>> = HashMap::new();
        for (_, key, settings, _) in &asking {
            let rate = settings.rate();
            let known = rates.entry(key.clone()).or_insert(Some(rate));
            *known = known.filter(|known| *known == rate);
        }
        let mut questions: Vec<Self> = Vec::new();
        let mut known: HashMap<(String, usize), usize> = HashMap::new();
        for (index, key, settings, stages) in asking {
            let is_chain = rates.get(&key).is_some_and(Option::is_some);
            let prunings = if is_chain { 0 } else { settings.prune_iterations };
            let place = *known.entry((key, prunings)).or_insert_with(|| {
                let (rungs, dense) = (Vec::new(), Vec::new());
                questions.push(Self { chain: index, rungs, dense, within: settings.within, walks: false });
                questions.len() - 1
            });
            questions[place].add(index, settings, stages);
        }
        for question in &mut questions {
            question.rungs.sort_by(|one, other| one.ratio.total_cmp(&other.ratio));
            question.walks = question.rungs.windows(2).all(|pair| follows(&pair[0], &pair[1]));
        }
        questions
    }

    fn add(&mut self, chain: usize, settings: &Settings, stages: &[usize]) {
        if !self.dense.contains(&stages[0]) {
            self.dense.push(stages[0]);
        }
        let place = self.rungs.iter().position(|rung| rung.ratio == settings.pruning_ratio).unwrap_or_else(|| {
            self.rungs.push(Rung { ratio: settings.pruning_ratio, tickets: Vec::new(), controls: Vec::new() });
            self.rungs.len() - 1
        });
        let rung = &mut self.rungs[place];
        match settings.control {
            Control::None => rung.tickets.push(SearchedTicket { chain, stages: stages.to_vec() }),
            _ => rung.controls.push(chain),
        }
    }

    /// Whether each ratio has a ticket, not only its twins.
    pub fn has_tickets(&self) -> bool {
        self.rungs.iter().all(|rung| !rung.tickets.is_empty())
    }

    /// How many seeds its means are over.
    pub fn seeds(&self) -> usize {
        self.dense.len()
    }

    /// The chains that might answer it, with their twins.
    pub fn chains(&self) -> impl Iterator<Item = usize> {
        self.rungs.iter().flat_map(Rung::chains)
    }

    /// How it stands.
    pub fn answer(&self, results: &dyn TrainingResults) -> SearchState {
        let matches = |rung: usize| self.matches(&self.rungs[rung], results);
        match self.walks {
            true => self.walk(matches),
            false => self.bisect(matches),
        }
    }

    /// From the first rung on, until several in a row are no match.
    fn walk(&self, matches: impl Fn(usize) -> Option<bool>) -> SearchState {
        let mut answer = SearchState { found: None, is_final: false, rungs: vec![Demanded::Open; self.rungs.len()] };
        let mut fails = 0;
        for rung in 0..self.rungs.len() {
            answer.rungs[rung] = Demanded::Certain;
            match matches(rung) {
                None => return answer,
                Some(true) => (answer.found, fails) = (Some(rung), 0),
                Some(false) => fails += 1,
            }
            if fails == FAILS_FOR_GOOD {
                answer.rungs[rung + 1..].fill(Demanded::Spared);
                break;
            }
        }
        answer.is_final = true;
        answer
    }

    /// The middle of what is left, again and again: what is denser than a match would match, what is sparser than none would not.
    fn bisect(&self, matches: impl Fn(usize) -> Option<bool>) -> SearchState {
        let mut answer = SearchState { found: None, is_final: false, rungs: vec![Demanded::Spared; self.rungs.len()] };
        let (mut from, mut to) = (0, self.rungs.len());
        while from < to {
            let middle = from.midpoint(to);
            answer.rungs[middle] = Demanded::Certain;
            match matches(middle) {
                Some(true) => (answer.found, from) = (Some(middle), middle + 1),
                Some(false) => to = middle,
                None => {
                    let open = (from..to).filter(|rung| *rung != middle);
                    open.for_each(|rung| answer.rungs[rung] = Demanded::Open);
                    return answer;
                }
            }
        }
        answer.is_final = true;
        answer
    }

    /// Whether the tickets of a rung match the dense networks; nothing until all of both are trained.
    fn matches(&self, rung: &Rung, results: &dyn TrainingResults) -> Option<bool> {
        let of = |stage: usize| results.accuracy(stage);
        let dense: Vec<f64> = self.dense.iter().map(|stage| of(*stage)).collect::<Option<_>>()?;
        let ends = || rung.tickets.iter().map(|ticket| &ticket.stages);
        let tickets: Vec<f64> = ends().map(|stages| of(stages[stages.len() - 1])).collect::<Option<_>>()?;
        match self.within {
            Within::Points(points) => {
                let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
                // Shares of whole images: what is less than a millionth is rounding.
                Some(mean(&tickets) >= mean(&dense) - points / 100.0 - 1e-9)
            }
            Within::Interval => {
                let parents = ends().map(|stages| of(stages[0])).collect::<Option<Vec<f64>>>()?;
                let differences: Vec<f64> = tickets.iter().zip(parents).map(|(ticket, dense)| ticket - dense).collect();
                let sample = Sample::of(&differences)?;
                let half = Quantiles::default().half_width(&sample).unwrap_or(0.0);
                Some(sample.mean + half >= -1e-9)
            }
        }
    }
}

/// What tickets of one question have in common, as text.
fn key(settings: &Settings) -> String {
    let same =
        |field: &Field| field.decides != Decides::Run && !SEEDS.contains(&field.key) && !VARIED.contains(&field.key);
    settings.lines(same)
}

/// Whether each ticket of a rung is one of the next rung, pruned further.
fn follows(one: &Rung, next: &Rung) -> bool {
    let extends = |(one, next): (&SearchedTicket, &SearchedTicket)| next.stages.starts_with(&one.stages);
    one.tickets.len() == next.tickets.len() && one.tickets.iter().zip(&next.tickets).all(extends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::plan::demanded::NoResults;
    use crate::plan::outside::Outside;
    use crate::sweep::Spec;

    fn plan(text: &str) -> Plan {
        let spec = Spec::read(Some(&format!("find = \"sparsest\"\n{text}")), &[]).unwrap();
        Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap()
    }

    /// Accuracies of whole stages.
    #[derive(Default)]
    struct Known(HashMap<usize, f64>);

    impl TrainingResults for Known {
        fn accuracy(&self, stage: usize) -> Option<f64> {
            self.0.get(&stage).copied()
        }

        fn after(&self, stage: usize, _: usize) -> Option<f64> {
            self.accuracy(stage)
        }
    }

    /// Trains what is certain until nothing is, with these accuracies of each level or ratio; gives the rung that is found and the
    /// number of trainings.
    fn ask(plan: &Plan, accuracy: impl Fn(f64) -> f64) -> (Option<usize>, usize) {
        let mut known = Known::default();
        let ratio = |stage: usize| {
            let chain = plan.chains.iter().find(|chain| chain.stages.last() == Some(&stage));
            chain.map_or(0.0, |chain| chain.trial.settings.pruning_ratio)
        };
        loop {
            let needed = plan.needed(&known);
            let is_next = |stage: &usize| needed[*stage].demanded == Demanded::Certain && !known.0.contains_key(stage);
            let Some(next) = (0..plan.stages.len()).find(is_next) else {
                assert!(needed.iter().all(|needed| needed.demanded != Demanded::Open), "an answer leaves nothing open");
                break;
            };
            known.0.insert(next, accuracy(ratio(next)));
        }
        let answer = plan.questions()[0].answer(&known);
        assert!(answer.is_final);
        (answer.found, known.0.len())
    }

    #[test]
    fn a_chain_of_levels_ends_at_the_second_failure_in_a_row() {
        let plan = plan("prune-rate = 0.2\nlevels = 15\nseed = [1, 2]");
        assert_eq!(plan.questions().len(), 1);
        // Dense and to 48.8 % pruned as good, then worse: the third level is the last match, two more are trained.
        let (found, trained) = ask(&plan, |ratio| if ratio < 0.5 { 0.9 } else { 0.5 });
        assert_eq!((found, trained), (Some(2), 2 * (1 + 3 + 2)));
        // One level that fails by chance is passed.
        let dip = |ratio: f64| if (0.5..0.6).contains(&ratio) || ratio > 0.8 { 0.5 } else { 0.9 };
        assert_eq!(ask(&plan, dip).0, Some(6));
        assert_eq!(ask(&plan, |_| 0.9), (Some(14), 2 * 16));
        assert_eq!(ask(&plan, |ratio| 0.9 - ratio), (None, 2 * 3));
    }

    #[test]
    fn ratios_that_are_pruned_at_once_are_bisected() {
        let ratios: Vec<String> = (1..16).map(|sixteenth| format!("{}", f64::from(sixteenth) / 16.0)).collect();
        let plan = plan(&format!("pr = [{}]\nseed = [1, 2, 3]\ncontrol = [\"none\", \"reinit\"]", ratios.join(", ")));
        for edge in 0..=15_usize {
            let (found, trained) = ask(&plan, |ratio| if ratio * 16.0 < edge as f64 + 0.5 { 0.9 } else { 0.5 });
            assert_eq!(found, edge.checked_sub(1), "{edge}");
            // Four ratios of fifteen, each with its twins.
            assert!(trained <= 3 * (1 + 4 * 2), "{trained}");
        }
    }

    #[test]
    fn numbers_of_prunings_are_methods_of_their_own_unless_they_are_one_chain() {
        let two = plan("pr = [0.5, 0.9, 0.99]\npriter = [1, 3]\nseed = [1, 2]");
        let shape = |plan: &Plan| -> Vec<(usize, usize)> {
            plan.questions().iter().map(|question| (question.rungs.len(), question.rungs[0].tickets.len())).collect()
        };
        assert_eq!(shape(&two), [(3, 2), (3, 2)]);
        let chain = plan("pr = [0.2, 0.36, 0.488]\npriter = [1, 2, 3]\nzip = [\"pr\", \"priter\"]\nseed = [1, 2]");
        assert_eq!(shape(&chain), [(3, 2)]);
        assert!(!plan("pr = [0.5, 0.9]\ncontrol = \"reinit\"").questions()[0].has_tickets());
    }

    #[test]
    fn questions_are_asked_apart_and_points_and_intervals_decide() {
        let two = plan("pr = [0.5, 0.9]\nreinit = [\"init\", \"lr\"]");
        assert_eq!(two.questions().len(), 2);
        let points =
            |within: &str| ask(&plan(&format!("pr = [0.5, 0.9]\nwithin = {within}")), |ratio| 0.9 - 0.02 * ratio).0;
        assert_eq!((points("1.0"), points("2.0"), points("0.5")), (Some(0), Some(1), None));
        let plain = Spec::read(Some("pr = [0.5, 0.9]"), &[]).unwrap();
        let plain = Plan::grow(plain.trials().unwrap(), &plain.run, &Outside::default()).unwrap();
        assert!(plain.questions().is_empty());
        assert!(plain.needed(&NoResults).iter().all(|needed| needed.demanded == Demanded::Certain));
    }
}
