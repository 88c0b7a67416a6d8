//! What a run has to train, as far as its order is concerned: who needs which snapshot of whom, and how long it takes.
//!
//! It may not know of workers, files or torch, and of a plan only reads it. A sweep may have a million stages, so
//! everything is an index into a flat array: a stage and the snapshots that it needs take some hundred bytes.

use std::collections::HashSet;
use std::ops::Range;

use tombola_core::plan::Plan;
use tombola_words::value::Moment;

/// One stage to be trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// The dense stage it descends from; itself if it is one.
    pub root: usize,
    /// Estimated seconds of the whole stage.
    pub work: f64,
    /// Snapshots it starts from, each of a stage that stands before it.
    pub sources: Vec<(usize, Moment)>,
}

/// A snapshot that some stage to be trained starts from, or that a stage to be trained takes though nobody needs it any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) stage: u32,
    pub(super) moment: Moment,
    /// Stays on disk when nothing needs it any more.
    pub(super) stays: bool,
    /// On disk before the run begins.
    pub(super) kept: bool,
}

/// All that is to be trained in a run, and what for.
#[derive(Debug)]
pub struct Demand {
    todo: Vec<bool>,
    roots: Vec<u32>,
    /// Milliseconds from the start of each stage to the end of the longest chain behind it: whole numbers, so that equal
    /// chains are equal whatever the order of their sums.
    remaining: Vec<u64>,
    /// Ordered by stage and moment.
    offers: Vec<Offer>,
    /// Where the offers of each stage begin.
    of_stage: Vec<u32>,
    /// Offers that each stage starts from, ascending.
    sources: Rows,
    /// Stages that start from each offer, ascending.
    users: Rows,
}

/// Lists of different lengths in one array.
#[derive(Debug)]
struct Rows {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Demand {
    /// What a plan leaves to do. `work` is the estimated seconds of each stage as a whole.
    ///
    /// `chosen` stages that are not `finished` are trained, and so is every stage, finished or not chosen as it may be,
    /// of which they need a snapshot that is not among `kept`. What needs a snapshot that is known to be `absent`, because
    /// its stage ended without it, is left out with all that descends from it. Only stages of this run count as needing a
    /// snapshot.
    pub fn of(
        plan: &Plan,
        work: &[f64],
        finished: &HashSet<usize>,
        kept: &HashSet<(usize, Moment)>,
        absent: &HashSet<(usize, Moment)>,
        chosen: &dyn Fn(usize) -> bool,
    ) -> Self {
        let hopeless = hopeless(plan, finished, kept, absent);
        let todo = todo(plan, finished, kept, &|index| chosen(index) && !hopeless[index]);
        // Whoever may be trained in another run needs its snapshots then.
        let open = |index: &usize| todo[*index] || !finished.contains(index) && !hopeless[*index];
        let needed: HashSet<(usize, Moment)> = (0..todo.len())
            .filter(open)
            .flat_map(|index| plan.sources(index))
            .filter(|(source, _)| todo[*source])
            .collect();
        let mut spare = Vec::new();
        for (index, stage) in plan.stages.iter().enumerate().filter(|(index, _)| todo[*index]) {
            let taken = stage.wanted.difference(&stage.kept).map(|moment| (index, *moment));
            spare.extend(taken.filter(|snapshot| !needed.contains(snapshot)));
        }
        let needs = todo.iter().enumerate().map(|(index, todo)| {
            let root = plan.stages[index].root;
            todo.then(|| Need { root, work: work[index], sources: plan.sources(index) })
        });
        let stays = |stage: usize, moment| plan.stages[stage].kept.contains(&moment);
        Self::build(needs, spare, stays, |stage, moment| kept.contains(&(stage, moment)))
    }

    /// Stages that are all to be trained, with no snapshot there yet and none that stays: for trials of the coordinator
    /// without a plan.
    pub fn new(needs: impl Iterator<Item = Need>) -> Self {
        Self::build(needs.map(Some), Vec::new(), |_, _| false, |_, _| false)
    }

    /// As [`Demand::new`], with nothing for stages that are not trained, and the snapshots that are taken for nobody, those that
    /// stay and those that are there.
    pub(super) fn build(
        needs: impl Iterator<Item = Option<Need>>,
        spare: Vec<(usize, Moment)>,
        stays: impl Fn(usize, Moment) -> bool,
        kept: impl Fn(usize, Moment) -> bool,
    ) -> Self {
        let (mut todo, mut roots, mut remaining) = (Vec::new(), Vec::new(), Vec::new());
        // None stands before the stages that use a snapshot.
        let mut uses: Vec<(u32, Moment, Option<u32>)> =
            spare.into_iter().map(|(stage, moment)| (stage as u32, moment, None)).collect();
        for (index, need) in needs.enumerate() {
            todo.push(need.is_some());
            roots.push(need.as_ref().map_or(index, |need| need.root) as u32);
            remaining.push(need.as_ref().map_or(0, |need| milliseconds(need.work)));
            for (source, moment) in need.into_iter().flat_map(|need| need.sources) {
                debug_assert!(source < index, "sources stand before the stage that needs them");
                uses.push((source as u32, moment, Some(index as u32)));
            }
        }
        uses.sort_unstable();
        // A ticket drawn at the epoch that its weights go back to starts from one snapshot, not two.
        uses.dedup();
        let mut offers: Vec<Offer> = Vec::new();
        let mut users = Rows { starts: vec![0], items: Vec::with_capacity(uses.len()) };
        for group in uses.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let (stage, moment, _) = group[0];
            let (stays, kept) = (stays(stage as usize, moment), kept(stage as usize, moment));
            offers.push(Offer { stage, moment, stays, kept });
            users.push(group.iter().filter_map(|(_, _, user)| *user));
        }
        let sources = users.transposed(todo.len());
        // Stages stand behind their sources: what follows each is known when the walk from the end comes to it.
        let mut behind = vec![0_u64; todo.len()];
        for stage in (0..todo.len()).rev() {
            remaining[stage] = behind[stage].saturating_add(remaining[stage]);
            for &offer in sources.row(stage) {
                let source = offers[offer as usize].stage as usize;
                behind[source] = remaining[stage].max(behind[source]);
            }
        }
        let of_stage =
            (0..=todo.len()).map(|stage| offers.partition_point(|offer| (offer.stage as usize) < stage) as u32);
        let of_stage = of_stage.collect();
        Self { todo, roots, remaining, offers, of_stage, sources, users }
    }

    /// Whether a stage is trained in this run.
    pub fn is_todo(&self, stage: usize) -> bool {
        self.todo[stage]
    }

    /// The stages of this run, ascending.
    pub fn todo(&self) -> impl Iterator<Item = usize> {
        self.todo.iter().enumerate().filter_map(|(stage, todo)| todo.then_some(stage))
    }

    /// Stages of the plan, those of this run and the others.
    pub(super) fn stages(&self) -> usize {
        self.todo.len()
    }

    /// What decides the order of stages: the longest chain, then the first dense training, then the first stage.
    pub(super) fn priority(&self, stage: usize) -> (std::cmp::Reverse<u64>, u32, usize) {
        (std::cmp::Reverse(self.remaining[stage]), self.roots[stage], stage)
    }

    pub(super) fn remaining(&self, stage: usize) -> u64 {
        self.remaining[stage]
    }

    pub(super) fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The snapshots of a stage that others start from.
    pub(super) fn offers_of(&self, stage: usize) -> Range<usize> {
        self.of_stage[stage] as usize..self.of_stage[stage + 1] as usize
    }

    /// The number of a snapshot, if any stage of this run starts from it, or none of any run does any more.
    pub(super) fn find(&self, stage: usize, moment: Moment) -> Option<usize> {
        let range = self.offers_of(stage);
        let first = range.start;
        self.offers[range].binary_search_by_key(&moment, |offer| offer.moment).ok().map(|place| first + place)
    }

    /// The snapshots that a stage starts from.
    pub(super) fn sources(&self, stage: usize) -> &[u32] {
        self.sources.row(stage)
    }

    /// The stages that start from a snapshot.
    pub(super) fn users(&self, offer: usize) -> &[u32] {
        self.users.row(offer)
    }
}

impl Rows {
    fn push(&mut self, row: impl Iterator<Item = u32>) {
        self.items.extend(row);
        self.starts.push(self.items.len() as u32);
    }

    fn row(&self, index: usize) -> &[u32] {
        &self.items[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// For each of `count` items the rows that it stands in.
    fn transposed(&self, count: usize) -> Self {
        let mut starts = vec![0; count + 1];
        for &item in &self.items {
            starts[item as usize + 1] += 1;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let mut next = starts.clone();
        let mut items = vec![0; self.items.len()];
        for row in 0..self.starts.len() - 1 {
            for &item in self.row(row) {
                items[next[item as usize] as usize] = row as u32;
                next[item as usize] += 1;
            }
        }
        Self { starts, items }
    }
}

/// Which stages of a plan can never be trained.
fn hopeless(
    plan: &Plan,
    finished: &HashSet<usize>,
    kept: &HashSet<(usize, Moment)>,
    absent: &HashSet<(usize, Moment)>,
) -> Vec<bool> {
    let mut hopeless = vec![false; plan.stages.len()];
    for stage in 0..hopeless.len() {
        let missing =
            |source: &(usize, Moment)| absent.contains(source) || hopeless[source.0] && !kept.contains(source);
        hopeless[stage] = !finished.contains(&stage) && plan.sources(stage).iter().any(missing);
    }
    hopeless
}

/// Which stages of a plan are trained.
fn todo(
    plan: &Plan,
    finished: &HashSet<usize>,
    kept: &HashSet<(usize, Moment)>,
    chosen: &dyn Fn(usize) -> bool,
) -> Vec<bool> {
    let mut todo: Vec<bool> = (0..plan.stages.len()).map(|index| chosen(index) && !finished.contains(&index)).collect();
    // Sources stand before the stages that need them, so one walk from the end finds all that are missing.
    for stage in (0..todo.len()).rev() {
        if todo[stage] {
            let missing = plan.sources(stage).into_iter().filter(|source| !kept.contains(source));
            missing.for_each(|(source, _)| todo[source] = true);
        }
    }
    todo
}

/// Whole milliseconds of some seconds; nothing for what is no length of time.
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(root: usize, work: f64, sources: &[(usize, Moment)]) -> Need {
        Need { root, work, sources: sources.to_vec() }
    }

    fn demand() -> Demand {
        let early = Moment::Epoch(10);
        let needs = [
            need(0, 2.0, &[]),
            need(0, 1.5, &[(0, Moment::Last)]),
            need(0, 0.25, &[(1, Moment::Last), (0, early)]),
            need(3, 3.0, &[]),
            need(0, 4.0, &[(0, early), (0, early)]),
        ];
        Demand::new(needs.into_iter())
    }

    #[test]
    fn what_remains_is_the_longest_chain_of_those_that_need_a_stage() {
        let demand = demand();
        let remaining: Vec<u64> = (0..5).map(|stage| demand.remaining(stage)).collect();
        assert_eq!(remaining, [6000, 1750, 250, 3000, 4000]);
        assert_eq!(demand.todo().count(), 5);
    }

    #[test]
    fn snapshots_know_their_users_and_stages_their_sources() {
        let demand = demand();
        let early = demand.find(0, Moment::Epoch(10)).unwrap();
        let last = demand.find(0, Moment::Last).unwrap();
        assert_eq!((demand.users(early), demand.users(last)), (&[2, 4][..], &[1][..]));
        // The parent's snapshot stands behind the dense one.
        let parent = demand.find(1, Moment::Last).unwrap();
        assert_eq!(demand.sources(2), [early as u32, parent as u32]);
        assert_eq!(demand.sources(4), [early as u32]);
        assert_eq!((demand.find(0, Moment::Best), demand.find(3, Moment::Last)), (None, None));
        assert_eq!(demand.offers_of(0).chain(demand.offers_of(1)).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn equal_work_is_equal_whatever_the_order_of_the_sums() {
        assert_eq!(milliseconds(0.1 + 0.2), milliseconds(0.3));
        assert_eq!([milliseconds(f64::NAN), milliseconds(-1.0)], [0, 0]);
    }
}
