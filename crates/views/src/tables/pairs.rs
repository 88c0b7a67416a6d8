//! Which ticket each control stands beside, and how the two differ over seeds.
//!
//! A ticket and its control differ in the setting `control` alone: of one seed, at one level, pruned at one rate. So a ticket that is
//! a level of a longer chain is one as well. A fork is compared with its ticket in `barrier.csv`; it is no control of the accuracy.

use std::collections::{BTreeSet, HashMap};

use super::paired::PairedDifference;
use super::rows;
use super::standing::Standing;
use tombola_core::plan::Plan;
use tombola_core::sweep::{Decides, Settings};
use tombola_words::record::{Evaluation, Outcome};
use tombola_words::statistics::Quantiles;
use tombola_words::value::Control;

/// Two trainings of one seed, as indices of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TwinPair {
    /// The ticket.
    pub(super) ticket: usize,
    /// Its twin.
    pub(super) control: usize,
}

/// The pairs of a plan, by the numbers of the trials that end with a control.
#[derive(Debug, Default)]
pub(super) struct TwinPairs(HashMap<usize, TwinPair>);

impl TwinPairs {
    /// Those of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let is_control = |settings: &Settings| matches!(settings.control, Control::Reinit | Control::RandomMask);
        if !plan.chains.iter().any(|chain| is_control(&chain.trial.settings)) {
            return Self::default();
        }
        let mut columns = rows::columns(plan);
        columns.retain(|field| field.decides != Decides::Levels && field.key != "control");
        // A character that no setting is written with keeps neighbours apart.
        let key = |settings: &Settings| (rows::shown(&columns, settings).join("\0"), settings.rate().to_bits());
        let mut tickets: HashMap<(String, u64), Vec<Option<usize>>> = HashMap::new();
        for chain in &plan.chains {
            let levels = tickets.entry(key(&chain.trial.settings)).or_default();
            levels.resize(levels.len().max(chain.stages.len()), None);
            for (level, &stage) in levels.iter_mut().zip(&chain.stages) {
                let is_ticket = plan.stages[stage].pruning.as_ref().is_some_and(|one| one.control == Control::None);
                *level = level.or(is_ticket.then_some(stage));
            }
        }
        let pair = |settings: &Settings, stages: &[usize]| {
            let control = *stages.last()?;
            let ticket = (*tickets.get(&key(settings))?.get(stages.len() - 1)?)?;
            // Where nothing is pruned there is no control either.
            plan.stages[control].pruning.is_some().then_some(TwinPair { ticket, control })
        };
        let controls = plan.chains.iter().filter(|chain| is_control(&chain.trial.settings));
        let pairs =
            controls.filter_map(|chain| Some((chain.trial.number, pair(&chain.trial.settings, &chain.stages)?)));
        Self(pairs.collect())
    }

    /// The pair whose control is the training `stage` of a trial.
    pub(super) fn at(&self, trial: usize, stage: usize) -> Option<TwinPair> {
        self.0.get(&trial).copied().filter(|pair| pair.control == stage)
    }
}

/// Accuracies of tickets less those of their controls, as shares from 0 to 1, over the pairs of which both are finished; none
/// where there is no such pair. `test` is the test accuracy that is compared.
pub(super) fn difference(
    pairs: &BTreeSet<TwinPair>,
    standings: &[Standing],
    test: fn(&Outcome) -> Evaluation,
    quantiles: &mut Quantiles,
) -> Option<PairedDifference> {
    let counted = |stage: usize| {
        let Evaluation { correct, images, .. } = test(standings[stage].history?.outcome.as_ref()?);
        Some((i64::from(u32::try_from(correct).ok()?), images))
    };
    let both = |pair: &TwinPair| Some((counted(pair.ticket)?, counted(pair.control)?));
    let mut found = pairs.iter().filter_map(both).peekable();
    let ((_, images), _) = *found.peek()?;
    // All are of one data set, and so of the same test images.
    let alike = found.filter(|((_, one), (_, other))| *one == images && *other == images);
    let differences: Vec<i64> = alike.map(|((ticket, _), (control, _))| ticket - control).collect();
    PairedDifference::of(&differences, images.max(1) as f64, quantiles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::summary;
    use crate::tables::tests::{SMALL, column, failed, history, plan, records_of, text};
    use std::collections::BTreeMap;
    use tombola_words::record::{Record, Scores};

    const HEAD: &str = "network = \"lenet-300-100\"\ndataset = \"fashion-mnist\"\nepochs = 2\nschedule = \"none\"\n";

    /// The pairs of a plan as levels and rates of their tickets, in the order of the trials.
    fn pairs(text: &str) -> Vec<(usize, usize, TwinPair)> {
        let plan = plan(&format!("{HEAD}{text}"));
        let pairs = TwinPairs::of(&plan);
        let found = plan.chains.iter().filter_map(|chain| {
            let pair = pairs.at(chain.trial.number, *chain.stages.last()?)?;
            let [ticket, control] = [pair.ticket, pair.control].map(|stage| &plan.stages[stage]);
            assert_eq!((ticket.level, ticket.parent), (control.level, control.parent));
            assert_eq!(ticket.pruning.as_ref().unwrap().control, Control::None);
            assert_eq!(ticket.settings.seed, control.settings.seed);
            Some((chain.trial.number, ticket.level, pair))
        });
        found.collect()
    }

    #[test]
    fn a_control_stands_beside_the_ticket_of_its_seed_and_level() {
        let found = pairs("seed = [1, 2]\npr = 0.75\npriter = 2\ncontrol = [\"none\", \"reinit\", \"random-mask\"]");
        assert_eq!(found.iter().map(|(_, level, _)| *level).collect::<Vec<_>>(), [2; 4]);
        let tickets: BTreeSet<usize> = found.iter().map(|(.., pair)| pair.ticket).collect();
        assert_eq!(tickets.len(), 2, "one of each seed");
    }

    #[test]
    fn a_ticket_may_be_a_level_of_a_longer_chain() {
        let text = "[[grid]]\npr = 0.875\npriter = 3\n[[grid]]\npr = 0.75\npriter = 2\ncontrol = \"reinit\"";
        assert_eq!(pairs(text).iter().map(|(_, level, _)| *level).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_twin_that_tickets_share_stands_beside_each() {
        let found = pairs("pr = 0.5\nreinit = [\"init\", \"lr\"]\ncontrol = [\"none\", \"reinit\"]");
        let [(.., one), (.., other)] = found[..] else { panic!("{found:?}") };
        assert!(one.control == other.control && one.ticket != other.ticket);
    }

    #[test]
    fn forks_and_controls_without_a_ticket_are_in_no_pair() {
        assert_eq!(pairs("pr = 0.5\ncontrol = [\"none\", \"fork\"]"), []);
        assert_eq!(pairs("pr = 0.5\ncontrol = \"reinit\""), []);
        assert_eq!(pairs("[[grid]]\npr = 0.5\n[[grid]]\npr = 0.5\nlr = 0.01\ncontrol = \"reinit\""), []);
        assert_eq!(pairs("[[grid]]\npr = 0.5\nseed = 1\n[[grid]]\npr = 0.5\nseed = 2\ncontrol = \"reinit\""), []);
    }

    /// A training with so many of 1000 test images right at its best and its last epoch.
    fn right(plan: &Plan, stage: usize, (best, last): (u64, u64)) -> Vec<Record> {
        let mut records = records_of(plan, stage);
        if let Some(Record::Finished { outcome, .. }) = records.last_mut() {
            let set = |scores: &mut Scores, correct| scores.test.correct = correct;
            set(&mut outcome.best, best);
            set(&mut outcome.last, last);
        }
        records
    }

    #[test]
    fn the_summary_has_the_difference_over_the_pairs_of_which_both_are_finished() {
        let plan = plan(&format!("{HEAD}pr = 0.5\nseed = [1, 2, 3, 4, 5]\ncontrol = [\"none\", \"random-mask\"]"));
        let ends: Vec<(Control, usize)> =
            plan.chains.iter().map(|chain| (chain.trial.settings.control, *chain.stages.last().unwrap())).collect();
        let of = |control| ends.iter().filter(move |(own, _)| *own == control).map(|(_, stage)| *stage);
        // 12, 9, 15, then a failed ticket, then a control that has not come to its end.
        let tickets = [(912, 900), (909, 900), (915, 900), (0, 0), (999, 999)];
        let controls = [(900, 900), (900, 900), (900, 900), (999, 999), (0, 0)];
        let mut except = BTreeMap::new();
        for (ends, counts) in [(Control::None, tickets), (Control::RandomMask, controls)] {
            except.extend(of(ends).zip(counts).map(|(stage, counts)| (stage, right(&plan, stage, counts))));
        }
        let fourth = of(Control::None).nth(3).unwrap();
        except.insert(fourth, failed(&plan, fourth));
        except.insert(of(Control::RandomMask).nth(4).unwrap(), vec![]);
        let table = text(summary::write, &plan, &history(&plan, &except));
        let shown = |name: &str| column(&table, name);
        assert_eq!(shown("control"), ["", "none", "random-mask"]);
        assert_eq!(shown("n"), ["5", "4", "4"]);
        assert_eq!(shown("paired_n"), ["", "", "3"]);
        let number = |name: &str| {
            let cells = shown(&format!("ticket_minus_control_{name}"));
            assert_eq!(cells[..2], ["", ""], "{name}");
            cells[2].parse::<f64>().ok()
        };
        // SciPy 1.17.1 of 0.012, 0.009 and 0.015.
        let close = |name: &str, expected: f64| {
            let found = number(name).unwrap();
            assert!((found - expected).abs() < 1e-9, "{name}: {found}, expected {expected}");
        };
        close("best_test_accuracy_mean", 0.012);
        close("best_test_accuracy_ci95", 0.007452413135250991);
        close("best_test_accuracy_t_p", 0.02020410288672877);
        close("best_test_accuracy_permutation_p", 0.25);
        close("last_test_accuracy_mean", 0.0);
        close("last_test_accuracy_ci95", 0.0);
        assert_eq!(number("last_test_accuracy_t_p"), None);
        close("last_test_accuracy_permutation_p", 1.0);
    }

    #[test]
    fn a_sweep_without_pairs_has_the_columns_that_it_had() {
        let header = |text_of_file: &str| {
            let plan = plan(&format!("{HEAD}pr = 0.5\nseed = [1, 2]\n{text_of_file}"));
            text(summary::write, &plan, &history(&plan, &BTreeMap::new())).lines().next().unwrap().to_string()
        };
        for text_of_file in ["", "control = \"reinit\"", "control = [\"none\", \"fork\"]"] {
            let header = header(text_of_file);
            assert!(header.ends_with(",last_test_accuracy_std,last_test_accuracy_ci95"), "{text_of_file}: {header}");
        }
        let without = header("");
        let with = header("control = [\"none\", \"reinit\"]");
        let added = with.strip_prefix(&without).unwrap();
        assert_eq!(added.split(',').count(), 1 + 9);
    }

    #[test]
    fn before_a_training_is_finished_its_pair_has_no_numbers() {
        let plan = plan(SMALL);
        let table = text(summary::write, &plan, &tombola_core::folder::journal::History::default());
        assert_eq!(column(&table, "paired_n"), ["", "", "0", "", "", "0"]);
        assert_eq!(column(&table, "ticket_minus_control_best_test_accuracy_mean"), [""; 6]);
    }
}
