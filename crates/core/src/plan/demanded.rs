//! Which stages of a plan are needed, where its trials ask a question. It may not know of files or workers.

use super::forest::Plan;
use super::search::{Demanded, Search};

impl Plan {
    /// The questions that its trials ask.
    pub fn questions(&self) -> &[Search] {
        &self.questions
    }

    /// Whether each stage is needed, by the accuracies on which epochs are chosen, from 0 to 1.
    pub fn demanded(&self, accuracy: &dyn Fn(usize) -> Option<f64>) -> Vec<Demanded> {
        let mut chains = vec![Demanded::Certain; self.chains.len()];
        for question in &self.questions {
            let answer = question.answer(accuracy);
            for (rung, demanded) in question.rungs.iter().zip(answer.rungs) {
                rung.chains().for_each(|chain| chains[chain] = demanded);
            }
        }
        let mut stages = vec![Demanded::Spared; self.stages.len()];
        for (chain, demanded) in self.chains.iter().zip(&chains) {
            chain.stages.iter().for_each(|stage| stages[*stage] = stages[*stage].max(*demanded));
        }
        // Tickets that only their forks ask for stand in no chain.
        for (index, stage) in self.stages.iter().enumerate() {
            if let Some(sibling) = stage.sibling {
                stages[sibling] = stages[sibling].max(stages[index]);
            }
        }
        stages
    }
}
