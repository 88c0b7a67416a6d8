//! Whether the trainings of a sweep were computed alike.

use std::collections::BTreeMap;

use super::read::History;
use crate::plan::Plan;
use tombola_words::arithmetic::Arithmetic;

impl History {
    /// What the trainings of a plan were computed with, and how many with each. Journals of before it was kept do not tell.
    pub fn computed_with(&self, plan: &Plan) -> BTreeMap<Arithmetic, usize> {
        let known = plan.stages.iter().filter_map(|stage| self.stages.get(&stage.id));
        let mut found = BTreeMap::new();
        for arithmetic in known.flat_map(|known| &known.computed_with) {
            *found.entry(arithmetic.clone()).or_default() += 1;
        }
        found
    }

    /// The same in words, a line for each: "3 on cpu, 1 thread".
    pub fn computed_lines(&self, plan: &Plan) -> Vec<String> {
        lines(&self.computed_with(plan))
    }

    /// That the trainings of a plan were not computed alike, in words.
    pub fn mixture(&self, plan: &Plan) -> Option<String> {
        let found = self.computed_with(plan);
        (found.len() > 1).then(|| {
            format!(
                "not all trainings were computed alike: {}; that alone changes their numbers (`computed_with` in `timing.csv`)",
                counted(&found)
            )
        })
    }
}

/// "3 on cpu, 1 thread; 2 on cpu, 2 threads".
pub fn counted(found: &BTreeMap<Arithmetic, usize>) -> String {
    lines(found).join("; ")
}

fn lines(found: &BTreeMap<Arithmetic, usize>) -> Vec<String> {
    found.iter().map(|(arithmetic, count)| format!("{count} on {arithmetic}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outside::Outside;
    use crate::sweep::Spec;
    use tombola_words::record::{Outcome, Record};

    fn threads(threads: usize) -> Arithmetic {
        Arithmetic { device: "cpu".into(), instructions: "AVX2".into(), threads, deterministic: false }
    }

    #[test]
    fn a_training_was_computed_with_all_that_its_epochs_were() {
        let spec = Spec::read(Some("pr = 0.5"), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        let stage = plan.stages[0].id;
        let mut history = History::default();
        let joined = |worker, count| Record::Joined {
            worker,
            place: "here".into(),
            arithmetic: Some(threads(count)),
            time: 1.0,
        };
        let began = |worker, epoch| Record::Began { stage, worker, epoch, time: 2.0 };
        [joined(0, 1), joined(1, 2), began(0, 0)].into_iter().for_each(|record| history.add(record));
        assert_eq!((history.computed_with(&plan).len(), history.mixture(&plan)), (1, None));
        // It goes on elsewhere.
        history.add(began(1, 3));
        assert_eq!(history.computed_with(&plan), [(threads(1), 1), (threads(2), 1)].into());
        let words = history.mixture(&plan).unwrap();
        assert!(words.contains("1 on cpu (AVX2), 1 thread; 1 on cpu (AVX2), 2 threads"), "{words}");
        // It begins again.
        history.add(began(1, 0));
        assert_eq!(history.computed_with(&plan), [(threads(2), 1)].into());
        // Another journal told how it came to its end.
        let outcome = Outcome { computed_with: vec![threads(4)], ..Outcome::default() };
        let place = "there".to_string();
        history.add(Record::Finished { stage, outcome, images_per_second: 1.0, place, attempts: 1, time: 3.0 });
        assert_eq!(history.computed_with(&plan), [(threads(4), 1)].into());
    }
}
