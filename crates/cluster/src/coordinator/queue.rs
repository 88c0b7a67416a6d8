//! The stages that can start, in the order in which they should: the one with the longest chain behind it first.
//!
//! With more workers than dense trainings, the time of a sweep is that of its longest chain, so nothing is started before
//! it (the critical-path rule of list scheduling, Graham 1969). It may not know of workers.

use std::collections::BTreeSet;

use super::demand::Demand;

/// The stages that can start.
#[derive(Debug)]
pub(super) struct Queue {
    /// All stages, most urgent first, and the place of each in that order: one small number to compare for each stage.
    order: Vec<u32>,
    rank: Vec<u32>,
    /// Ranks of the stages in the queue.
    ready: BTreeSet<u32>,
    /// The same by each snapshot that they start from.
    by_source: BTreeSet<(u32, u32)>,
}

impl Queue {
    /// An empty queue for these stages.
    pub(super) fn new(demand: &Demand) -> Self {
        let mut order: Vec<u32> = (0..demand.stages() as u32).collect();
        order.sort_unstable_by_key(|stage| demand.priority(*stage as usize));
        let mut rank = vec![0; order.len()];
        for (place, &stage) in order.iter().enumerate() {
            rank[stage as usize] = place as u32;
        }
        Self { order, rank, ready: BTreeSet::new(), by_source: BTreeSet::new() }
    }

    /// Adds a stage that can start.
    pub(super) fn push(&mut self, stage: usize, demand: &Demand) {
        let rank = self.rank[stage];
        self.ready.insert(rank);
        self.by_source.extend(demand.sources(stage).iter().map(|source| (*source, rank)));
    }

    /// Takes a stage out.
    pub(super) fn remove(&mut self, stage: usize, demand: &Demand) {
        let rank = self.rank[stage];
        self.ready.remove(&rank);
        for &source in demand.sources(stage) {
            self.by_source.remove(&(source, rank));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The most urgent stage.
    pub(super) fn first(&self) -> Option<usize> {
        self.ready.first().map(|rank| self.order[*rank as usize] as usize)
    }

    /// The most urgent of the stages that start from this snapshot.
    pub(super) fn first_from(&self, source: u32) -> Option<usize> {
        let (_, rank) = self.by_source.range((source, 0)..=(source, u32::MAX)).next()?;
        Some(self.order[*rank as usize] as usize)
    }

    /// A stage's place in the order of all.
    pub(super) fn rank(&self, stage: usize) -> u32 {
        self.rank[stage]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::demand::Need;
    use tombola_words::value::Moment;

    #[test]
    fn the_longest_chain_comes_first_then_the_lower_root_then_the_lower_stage() {
        let need = |root, work, sources: &[usize]| Need {
            root,
            work,
            sources: sources.iter().map(|source| (*source, Moment::Last)).collect(),
        };
        // Stage 4 ties with 1 and 3, but stands after them; 5 is of a later root than 3 and 4.
        let needs = [
            need(0, 1.0, &[]),
            need(1, 5.0, &[]),
            need(2, 9.0, &[]),
            need(0, 5.0, &[0]),
            need(0, 5.0, &[0]),
            need(1, 4.0, &[1]),
        ];
        let demand = Demand::new(needs.into_iter());
        let mut queue = Queue::new(&demand);
        (0..6).rev().for_each(|stage| queue.push(stage, &demand));
        let mut order = Vec::new();
        while let Some(stage) = queue.first() {
            order.push(stage);
            queue.remove(stage, &demand);
        }
        assert_eq!(order, [1, 2, 0, 3, 4, 5]);
        assert!(queue.is_empty() && queue.by_source.is_empty());
    }

    #[test]
    fn a_snapshot_finds_the_most_urgent_stage_that_starts_from_it() {
        let need = |work, sources| Need { root: 0, work, sources };
        let needs = [
            need(1.0, vec![]),
            need(1.0, vec![(0, Moment::Last)]),
            need(2.0, vec![(0, Moment::Last)]),
            need(3.0, vec![(0, Moment::Best)]),
        ];
        let demand = Demand::new(needs.into_iter());
        let mut queue = Queue::new(&demand);
        (0..4).for_each(|stage| queue.push(stage, &demand));
        let last = demand.find(0, Moment::Last).unwrap() as u32;
        assert_eq!(queue.first_from(last), Some(2));
        queue.remove(2, &demand);
        assert_eq!(queue.first_from(last), Some(1));
        queue.remove(1, &demand);
        assert_eq!(queue.first_from(last), None);
    }
}
