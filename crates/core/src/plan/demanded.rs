//! Which stages of a plan are needed, and how far, where its trials ask a question or compete. It may not know of files or workers.

use std::collections::HashMap;

use super::forest::Plan;
use super::halving::{Halving, Lane, Race};
use super::search::{Demanded, Search, TrainingResults};

/// Whether a stage is needed, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// Whether it is.
    pub demanded: Demanded,
    /// The epoch up to which, where results there decide whether it goes on.
    pub until: Option<usize>,
    /// Whether it is in a race that is not decided: should it diverge, it is the last there.
    pub competes: bool,
}

impl Needed {
    /// Whether it is trained to its end, whatever comes out of others.
    pub fn is_certain(&self) -> bool {
        self.demanded == Demanded::Certain && self.until.is_none()
    }
}

/// No results: what is certain from the beginning.
#[derive(Debug, Clone, Copy)]
pub struct NoResults;

impl TrainingResults for NoResults {
    fn accuracy(&self, _: usize) -> Option<f64> {
        None
    }

    fn after(&self, _: usize, _: usize) -> Option<f64> {
        None
    }
}

impl Plan {
    /// The questions that its trials ask.
    pub fn questions(&self) -> &[Search] {
        &self.questions
    }

    /// Trials of which the best go on.
    pub fn halvings(&self) -> &[Halving] {
        &self.halvings
    }

    /// Whether results decide what is trained.
    pub fn grows(&self) -> bool {
        !self.questions.is_empty() || !self.halvings.is_empty()
    }

    /// Whether each stage is needed, and how far, by what is known.
    pub fn needed(&self, results: &dyn TrainingResults) -> Vec<Needed> {
        if !self.grows() {
            return vec![Needed { demanded: Demanded::Certain, until: None, competes: false }; self.stages.len()];
        }
        let mut chains = vec![Demanded::Certain; self.chains.len()];
        for question in &self.questions {
            let answer = question.answer(results);
            for (rung, demanded) in question.rungs.iter().zip(answer.rungs) {
                rung.chains().for_each(|chain| chains[chain] = demanded);
            }
        }
        // Dense trainings whose tickets compete.
        let mut whole: Vec<usize> = Vec::new();
        // Those that are at work on a rung, and how far; nothing if to their end.
        let mut begun: HashMap<usize, Option<usize>> = HashMap::new();
        let mut race = |race: &Race| {
            let state = race.standing(results);
            for (contender, (demanded, epoch)) in race.contenders().iter().zip(&state.contenders) {
                contender.chains.iter().for_each(|chain| chains[*chain] = chains[*chain].min(*demanded));
                let Some(epoch) = epoch else { continue };
                for (stage, until) in contender.lanes.iter().flat_map(|lane| lane.until(*epoch)) {
                    let known = begun.entry(stage).or_insert(until);
                    *known = known.zip(until).map(|(known, until)| known.max(until));
                }
            }
            state
        };
        for halving in &self.halvings {
            let dense = race(&halving.dense);
            for (place, heat) in &halving.tickets {
                if dense.contenders[*place].0 == Demanded::Certain {
                    race(heat);
                    let lanes = &halving.dense.contenders()[*place].lanes;
                    whole.extend(lanes.iter().flat_map(Lane::stages));
                }
            }
        }
        let mut stages = vec![Demanded::Spared; self.stages.len()];
        for (chain, demanded) in self.chains.iter().zip(&chains) {
            chain.stages.iter().for_each(|stage| stages[*stage] = stages[*stage].max(*demanded));
        }
        whole.into_iter().for_each(|stage| stages[stage] = Demanded::Certain);
        // Who is at work on a rung is certain as far as that.
        let mut until: Vec<Option<usize>> = vec![None; self.stages.len()];
        let mut competes = vec![false; self.stages.len()];
        for (stage, epoch) in begun {
            // A trial that does not compete needs it to the end.
            if stages[stage] != Demanded::Certain {
                (stages[stage], until[stage], competes[stage]) = (Demanded::Certain, epoch, true);
            }
        }
        // Tickets that only their forks ask for stand in no chain.
        for (index, stage) in self.stages.iter().enumerate() {
            if let Some(sibling) = stage.sibling {
                stages[sibling] = stages[sibling].max(stages[index]);
            }
        }
        let both = stages.into_iter().zip(until).zip(competes);
        both.map(|((demanded, until), competes)| Needed { demanded, until, competes }).collect()
    }
}
