//! The coordinator as a state machine: events in, actions out.
//!
//! It has no I/O, no clock, no threads and no torch, so that every situation can be tested. Stages of one dense
//! training come before those of the next, which frees snapshots early; among them the one with the most epochs still
//! to come behind it goes first, which keeps all workers busy to the end.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use crate::plan::Plan;
use crate::sweep::value::Moment;

/// A worker's number.
pub type Worker = usize;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker has nothing to do.
    Idle(Worker),
    /// A snapshot of a stage is on disk.
    Kept(usize, Moment),
    /// A stage is done; its worker is idle.
    Finished(usize, Worker),
    /// A stage went wrong; its worker is idle.
    Failed(usize, Worker),
    /// A stage was stopped half way and can be continued by the next run; its worker is idle.
    Stopped(usize, Worker),
    /// No new stages: finish what runs at the next epoch.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A worker trains a stage.
    Start(usize, Worker),
    /// Nothing needs this snapshot any more.
    Free(usize, Moment),
    /// A stage cannot be trained because this one failed.
    Skip(usize, usize),
    /// A worker is no longer needed.
    Dismiss(Worker),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Some snapshot that it starts from is missing.
    Waiting,
    /// In the queue.
    Ready,
    Running,
    /// Finished now or in an earlier run, or not needed.
    Done,
    Failed,
    /// An ancestor failed.
    Skipped,
}

/// Where every stage of a plan stands.
#[derive(Debug)]
pub struct State {
    plan: Arc<Plan>,
    status: Vec<Status>,
    /// Stages that start from each stage.
    children: Vec<Vec<usize>>,
    /// Snapshots on disk.
    kept: HashSet<(usize, Moment)>,
    /// How many stages still need each snapshot.
    needed: HashMap<(usize, Moment), usize>,
    ready: BinaryHeap<Reverse<(usize, Reverse<usize>, usize)>>,
    /// Epochs to come behind the start of each stage, along its longest chain.
    remaining: Vec<usize>,
    /// Stages of this run.
    todo: Vec<bool>,
    idle: BTreeSet<Worker>,
    running: usize,
    open: usize,
    stopping: bool,
}

impl State {
    /// The state at the start of a run: `finished` stages are not trained again, unless a stage that is to be trained
    /// needs a snapshot of theirs that is not among `kept`.
    pub fn new(plan: Arc<Plan>, finished: &HashSet<usize>, kept: HashSet<(usize, Moment)>) -> Self {
        let count = plan.stages.len();
        let mut todo: Vec<bool> = (0..count).map(|index| !finished.contains(&index)).collect();
        // Parents stand before their children, so one walk from the end finds all that must be trained again.
        for index in (0..count).rev().filter(|index| todo[*index]).collect::<Vec<_>>() {
            let mut open = vec![index];
            while let Some(stage) = open.pop() {
                for (source, moment) in plan.sources(stage) {
                    if !kept.contains(&(source, moment)) && !todo[source] {
                        todo[source] = true;
                        open.push(source);
                    }
                }
            }
        }
        let children = plan.children();
        let mut remaining = vec![0; count];
        let mut needed = HashMap::new();
        for index in (0..count).rev().filter(|index| todo[*index]) {
            let longest = children[index].iter().map(|child| remaining[*child]).max().unwrap_or(0);
            remaining[index] = longest + plan.stages[index].epochs().len();
            for source in plan.sources(index) {
                *needed.entry(source).or_insert(0) += 1;
            }
        }
        let status = todo.iter().map(|todo| if *todo { Status::Waiting } else { Status::Done }).collect();
        let open = todo.iter().filter(|todo| **todo).count();
        let mut state = Self {
            plan,
            status,
            children,
            kept,
            needed,
            ready: BinaryHeap::new(),
            remaining,
            todo,
            idle: BTreeSet::new(),
            running: 0,
            open,
            stopping: false,
        };
        (0..count).for_each(|index| state.consider(index));
        state
    }

    /// Takes in what happened and says what is to be done.
    pub fn on_event(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Idle(worker) => {
                self.idle.insert(worker);
            }
            Event::Kept(stage, moment) => {
                self.kept.insert((stage, moment));
                for child in self.children[stage].clone() {
                    self.consider(child);
                }
            }
            Event::Finished(stage, worker) => {
                self.close(stage, Status::Done, &mut actions);
                self.idle.insert(worker);
            }
            Event::Failed(stage, worker) => {
                self.close(stage, Status::Failed, &mut actions);
                self.skip_descendants(stage, &mut actions);
                self.idle.insert(worker);
            }
            // What can be continued counts as open: the sweep is not done.
            Event::Stopped(stage, worker) => {
                self.status[stage] = Status::Waiting;
                self.running -= 1;
                self.idle.insert(worker);
            }
            Event::Stop => self.stopping = true,
        }
        self.assign(&mut actions);
        actions
    }

    /// Stages that are neither done nor given up.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Whether a stage is to be trained in this run, or was.
    pub fn is_todo(&self, stage: usize) -> bool {
        self.todo[stage]
    }

    /// Puts a stage into the queue once everything that it starts from is there.
    fn consider(&mut self, stage: usize) {
        let complete = |state: &Self| state.plan.sources(stage).iter().all(|source| state.kept.contains(source));
        if self.status[stage] == Status::Waiting && complete(self) {
            self.status[stage] = Status::Ready;
            self.ready.push(Reverse((self.plan.stages[stage].root, Reverse(self.remaining[stage]), stage)));
        }
    }

    fn assign(&mut self, actions: &mut Vec<Action>) {
        while !self.stopping
            && let Some(&worker) = self.idle.first()
            && let Some(Reverse((_, _, stage))) = self.ready.pop()
        {
            self.idle.remove(&worker);
            self.status[stage] = Status::Running;
            self.running += 1;
            actions.push(Action::Start(stage, worker));
        }
        // Workers wait as long as something that runs may make a stage ready.
        if self.stopping || (self.ready.is_empty() && self.running == 0) {
            actions.extend(std::mem::take(&mut self.idle).into_iter().map(Action::Dismiss));
        }
    }

    /// Ends a stage and lets go of the snapshots that it was the last to need.
    fn close(&mut self, stage: usize, status: Status, actions: &mut Vec<Action>) {
        self.running -= usize::from(self.status[stage] == Status::Running);
        self.status[stage] = status;
        self.open -= 1;
        for source in self.plan.sources(stage) {
            if let Some(count) = self.needed.get_mut(&source) {
                *count -= 1;
                if *count == 0 && !self.plan.stages[source.0].kept.contains(&source.1) && self.kept.remove(&source) {
                    actions.push(Action::Free(source.0, source.1));
                }
            }
        }
    }

    fn skip_descendants(&mut self, failed: usize, actions: &mut Vec<Action>) {
        let mut open = self.children[failed].clone();
        while let Some(stage) = open.pop() {
            // A child that has its snapshot already does not need the rest of its parent.
            if self.status[stage] == Status::Waiting {
                self.close(stage, Status::Skipped, actions);
                actions.push(Action::Skip(stage, failed));
                open.extend(&self.children[stage]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::forest::Outside;
    use crate::sweep::Spec;

    fn plan(text: &str) -> Arc<Plan> {
        let spec = Spec::read(Some(text), &[]).unwrap();
        Arc::new(Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap())
    }

    fn state(text: &str) -> State {
        State::new(plan(text), &HashSet::new(), HashSet::new())
    }

    fn finish(state: &mut State, stage: usize, worker: Worker) -> Vec<Action> {
        let wanted: Vec<Moment> = state.plan.stages[stage].wanted.iter().copied().collect();
        let mut actions = Vec::new();
        wanted.into_iter().for_each(|moment| actions.extend(state.on_event(Event::Kept(stage, moment))));
        actions.extend(state.on_event(Event::Finished(stage, worker)));
        actions
    }

    /// Runs a sweep with `workers` workers that finish in turn; gives the stages in the order of their start.
    fn run(state: &mut State, workers: usize) -> Vec<usize> {
        let mut order = Vec::new();
        let mut running = std::collections::VecDeque::new();
        let mut take = |actions: Vec<Action>, running: &mut std::collections::VecDeque<(usize, Worker)>| {
            for action in actions {
                if let Action::Start(stage, worker) = action {
                    order.push(stage);
                    running.push_back((stage, worker));
                }
            }
        };
        for worker in 0..workers {
            take(state.on_event(Event::Idle(worker)), &mut running);
        }
        while let Some((stage, worker)) = running.pop_front() {
            let actions = finish(state, stage, worker);
            take(actions, &mut running);
        }
        order
    }

    #[test]
    fn every_stage_is_trained_once_after_those_it_starts_from() {
        for workers in [1, 2, 5] {
            let mut state = state("pr = [0.5, 0.7]\npriter = [1, 3]\nseed = [1, 2]\nreinit = [\"init\", \"epoch:3\"]");
            let order = run(&mut state, workers);
            assert_eq!(order.len(), state.plan.stages.len());
            let place = |stage| order.iter().position(|other| *other == stage).unwrap();
            for &stage in &order {
                assert!(state.plan.sources(stage).iter().all(|(source, _)| place(*source) < place(stage)));
            }
            assert_eq!(state.open(), 0);
        }
    }

    #[test]
    fn long_chains_go_first_and_one_dense_training_after_the_other() {
        let mut state = state("pr = 0.9\npriter = [1, 4]\nseed = [1, 2]");
        let order = run(&mut state, 1);
        let levels: Vec<usize> = order.iter().map(|stage| state.plan.stages[*stage].level).collect();
        assert_eq!(levels, [0, 1, 2, 3, 1, 4, 0, 1, 2, 3, 1, 4]);
    }

    #[test]
    fn a_child_starts_while_its_parent_still_trains() {
        let mut state = state("pr = 0.5\ndraw = \"epoch:10\"");
        assert_eq!(state.on_event(Event::Idle(0)), [Action::Start(0, 0)]);
        assert_eq!(state.on_event(Event::Idle(1)), []);
        assert_eq!(state.on_event(Event::Kept(0, Moment::Epoch(10))), [Action::Start(1, 1)]);
    }

    #[test]
    fn a_failure_skips_what_descends_from_it_and_nothing_else() {
        let mut state = state("pr = [0.5, 0.75]\npriter = [1, 2]\nzip = [\"pr\", \"priter\"]\nseed = [1, 2]");
        assert_eq!(state.on_event(Event::Idle(0)), [Action::Start(0, 0)]);
        let actions = state.on_event(Event::Failed(0, 0));
        let skipped = actions.iter().filter(|action| matches!(action, Action::Skip(_, 0))).count();
        assert_eq!((skipped, actions.last()), (2, Some(&Action::Start(2, 0))));
        assert_eq!(state.plan.stages[2].level, 0);
    }

    #[test]
    fn a_child_that_has_its_snapshot_survives_the_failure_of_its_parent() {
        let mut state = state("pr = 0.5\ndraw = [\"epoch:10\", \"last\"]");
        state.on_event(Event::Idle(0));
        state.on_event(Event::Kept(0, Moment::Epoch(10)));
        let actions = state.on_event(Event::Failed(0, 0));
        assert!(actions.contains(&Action::Start(1, 0)) && actions.contains(&Action::Skip(2, 0)), "{actions:?}");
    }

    #[test]
    fn snapshots_are_freed_with_the_last_stage_that_needs_them() {
        let mut state = state("pr = [0.5, 0.7]\nkeep = \"nothing\"");
        state.on_event(Event::Idle(0));
        finish(&mut state, 0, 0);
        assert!(!finish(&mut state, 1, 0).contains(&Action::Free(0, Moment::Last)));
        assert!(finish(&mut state, 2, 0).contains(&Action::Free(0, Moment::Last)));
        // Tickets stay, unless told otherwise.
        let mut state = self::state("pr = 0.5");
        state.on_event(Event::Idle(0));
        finish(&mut state, 0, 0);
        assert!(finish(&mut state, 1, 0).iter().all(|action| !matches!(action, Action::Free(..))));
    }

    #[test]
    fn finished_stages_are_trained_again_only_for_a_snapshot_that_is_gone() {
        let plan = plan("pr = [0.5, 0.7]");
        let finished: HashSet<usize> = [0, 1].into();
        let mut state = State::new(Arc::clone(&plan), &finished, [(0, Moment::Last)].into());
        assert_eq!(state.on_event(Event::Idle(0)), [Action::Start(2, 0)]);
        let mut state = State::new(plan, &finished, HashSet::new());
        assert_eq!(state.on_event(Event::Idle(0)), [Action::Start(0, 0)]);
        assert_eq!((state.is_todo(0), state.is_todo(1), state.is_todo(2)), (true, false, true));
    }

    #[test]
    fn nothing_starts_after_a_stop() {
        let mut state = state("pr = 0.5\nseed = [1, 2]");
        state.on_event(Event::Idle(0));
        assert_eq!(state.on_event(Event::Stop), []);
        assert_eq!(state.on_event(Event::Idle(1)), [Action::Dismiss(1)]);
        assert_eq!(state.on_event(Event::Stopped(0, 0)), [Action::Dismiss(0)]);
        assert!(state.open() > 0);
    }

    #[test]
    fn workers_are_dismissed_when_nothing_is_left_to_come() {
        let mut state = state("priter = 0");
        assert_eq!(state.on_event(Event::Idle(0)), [Action::Start(0, 0)]);
        assert_eq!(state.on_event(Event::Idle(1)), []);
        assert_eq!(finish(&mut state, 0, 0), [Action::Dismiss(0), Action::Dismiss(1)]);
    }
}
