//! Joins what several journals tell of one sweep, such as those of its shards.
//!
//! It may not know of files, nor of which part of the sweep each journal is.

use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use super::read::{History, Shift, StageHistory};
use tombola_words::error::{Error, Result};

impl History {
    /// Takes in what another journal of the same sweep tells, and says which numbers its workers have from then on: they
    /// follow those that are known already. Of a stage that both tell of, the one that tells more counts.
    ///
    /// # Errors
    /// When the two are of different data. Then nothing was taken in.
    pub fn merge(&mut self, other: Self) -> Result<Range<usize>> {
        for (dataset, found) in &other.data {
            if let Some(expected) = self.data.get(dataset).filter(|expected| *expected != found) {
                return Err(Error::input(format!(
                    "results of different data cannot be joined: the checksum of `{dataset}` is {}, expected {}",
                    short(found),
                    short(expected)
                ))
                .hint("train every part on the same files: `tombola data check` verifies them"));
            }
        }
        let first = self.workers.last_key_value().map_or(0, |(number, _)| number + 1);
        let count = other.workers.last_key_value().map_or(0, |(number, _)| number + 1);
        self.workers.extend(other.workers.into_iter().map(|(number, worker)| (first + number, worker)));
        for (id, mut stage) in other.stages {
            if stage.running.is_some()
                && let Some(running) = &mut Arc::make_mut(&mut stage).running
            {
                running.worker += first;
            }
            match self.stages.entry(id) {
                Entry::Vacant(entry) => {
                    entry.insert(stage);
                }
                Entry::Occupied(mut entry) => {
                    if tells(&stage) > tells(entry.get()) {
                        entry.insert(stage);
                    }
                }
            }
        }
        self.shifts.extend(other.shifts.into_iter().map(|shift| Shift { worker: first + shift.worker, ..shift }));
        let new = other.made_by.into_iter().filter(|made_by| !self.made_by.contains(made_by)).collect::<Vec<_>>();
        self.made_by.extend(new);
        self.data.extend(other.data);
        self.runs += other.runs;
        // One of them may still run: the whole has ended when all have, the way the last one did.
        if self.begun == 0 || (other.begun > 0 && self.ended.is_some() && later(&other.ended_at, &self.ended_at)) {
            (self.ended, self.ended_at) = (other.ended, other.ended_at);
        }
        self.begun = self.begun.max(other.begun);
        self.end += other.end;
        self.torn += other.torn;
        Ok(first..first + count)
    }
}

/// How much is known of a stage, to be compared.
fn tells(stage: &StageHistory) -> (bool, bool, usize, bool) {
    (stage.outcome.is_some(), stage.running.is_some(), stage.epochs.len(), stage.drawn.is_some())
}

/// Whether one end is after another; one that has not come is after all.
fn later(one: &Option<f64>, other: &Option<f64>) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => one > other,
    }
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::dense_id;
    use crate::sweep::Settings;
    use tombola_words::StageId;
    use tombola_words::record::{Drawn, Record, Scores};

    fn stage(seed: u64) -> StageId {
        dense_id(&Settings { init_seed: Some(seed), ..Settings::default() }, None, None)
    }

    fn history(records: &[Record]) -> History {
        let mut history = History::default();
        records.iter().cloned().for_each(|record| history.add(record));
        history
    }

    fn begun(seed: u64, worker: usize) -> Vec<Record> {
        vec![
            Record::Started { version: "0".into(), time: 1, machine: "m".into() },
            Record::Data { dataset: "mnist".into(), fingerprint: "one".into() },
            Record::Joined { worker, place: format!("host {seed}"), arithmetic: None, time: 2.0 },
            Record::Began { stage: stage(seed), worker, epoch: 0, time: 3.0 },
        ]
    }

    #[test]
    fn workers_of_the_second_follow_those_of_the_first() {
        let mut all = history(&begun(1, 2));
        assert_eq!(all.merge(history(&begun(2, 1))).unwrap(), 3..5);
        assert_eq!(all.workers[&4].place, "host 2");
        assert_eq!(all.stages[&stage(2)].running.unwrap().worker, 4);
        assert_eq!(all.stages[&stage(1)].running.unwrap().worker, 2);
        assert_eq!(all.runs, 2);
    }

    #[test]
    fn of_a_stage_that_both_know_the_one_that_tells_more_stays() {
        let scores = Scores::default();
        let drawn = Drawn {
            prunable: 1,
            alive: 1,
            effective: 1,
            parameters: 1,
            dead_layers: vec![],
            pruned: scores,
            start: scores,
            ..Drawn::default()
        };
        let more = [Record::Drawn { stage: stage(1), drawn }];
        let less = [Record::Failed { stage: stage(1), reason: "none".into(), again: false, time: 1.0 }];
        for (first, second) in [(&more, &less), (&less, &more)] {
            let mut all = history(first);
            all.merge(history(second)).unwrap();
            assert!(all.stages[&stage(1)].drawn.is_some());
        }
    }

    #[test]
    fn different_data_are_refused_and_named() {
        let mut all = history(&begun(1, 0));
        let other = [Record::Data { dataset: "mnist".into(), fingerprint: "two".into() }];
        let error = all.merge(history(&other)).unwrap_err();
        assert!(error.message.contains("`mnist` is two, expected one"), "{error}");
        assert_eq!((all.runs, all.stages.len()), (1, 1));
    }

    #[test]
    fn the_whole_has_ended_when_all_parts_have() {
        let ended = |seed, time| {
            let mut records = begun(seed, 0);
            records.push(Record::Ended { how: format!("end of {seed}"), time });
            history(&records)
        };
        let mut all = ended(1, 9.0);
        all.merge(ended(2, 8.0)).unwrap();
        assert_eq!(all.ended.as_deref(), Some("end of 1"));
        all.merge(history(&begun(3, 0))).unwrap();
        all.merge(ended(4, 20.0)).unwrap();
        assert_eq!(all.ended, None);
    }
}
