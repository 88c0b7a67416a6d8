//! Which stages start, when, and what a failure or a stop does to the others.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::*;
use crate::coordinator::demand::Need;
use crate::coordinator::rules::OnFail;
use tombola_core::plan::Plan;
use tombola_core::plan::outside::Outside;
use tombola_core::sweep::Spec;

mod workers;

const LAST: Moment = Moment::Last;

fn plan(text: &str) -> Arc<Plan> {
    let spec = Spec::read(Some(text), &[]).unwrap();
    Arc::new(Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap())
}

/// A second of work for each epoch.
fn demand(plan: &Plan, finished: &[usize], kept: &[(usize, Moment)]) -> Demand {
    let work: Vec<f64> = plan.stages.iter().map(|stage| stage.epochs().len() as f64).collect();
    let (finished, kept) = (finished.iter().copied().collect(), kept.iter().copied().collect());
    Demand::of(plan, &work, &finished, &kept, &HashSet::new(), &|_| true)
}

/// A run of a plan at time 0.
struct Run {
    plan: Arc<Plan>,
    state: State,
}

impl Run {
    fn of(text: &str) -> Self {
        let plan = plan(text);
        let state = State::new(demand(&plan, &[], &[]), Rules::default());
        Self { plan, state }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.state.on_event(event, Duration::ZERO)
    }

    fn finish(&mut self, stage: usize, worker: Worker) -> Vec<Action> {
        let wanted: Vec<Moment> = self.plan.stages[stage].wanted.iter().copied().collect();
        let mut actions = Vec::new();
        wanted.into_iter().for_each(|moment| actions.extend(self.on(Event::Kept(stage, moment, worker))));
        actions.extend(self.on(Event::Finished(stage, worker)));
        actions
    }

    /// Runs a sweep with `workers` workers that finish in turn; gives the stages in the order of their start.
    fn order(&mut self, workers: usize) -> Vec<usize> {
        let mut order = Vec::new();
        let mut running = VecDeque::new();
        let mut take = |actions: Vec<Action>, running: &mut VecDeque<(usize, Worker)>| {
            for action in actions {
                if let Action::Start(stage, worker) = action {
                    order.push(stage);
                    running.push_back((stage, worker));
                }
            }
        };
        for worker in 0..workers {
            take(self.on(Event::Joined(worker)), &mut running);
        }
        while let Some((stage, worker)) = running.pop_front() {
            let actions = self.finish(stage, worker);
            take(actions, &mut running);
        }
        order
    }
}

/// Stages of some seconds of work, each from the last snapshot of another or from nothing; each chain is a root's.
fn stages(stages: &[(f64, Option<usize>)]) -> Demand {
    let root = |mut stage: usize| {
        while let Some(parent) = stages[stage].1 {
            stage = parent;
        }
        stage
    };
    Demand::new(stages.iter().enumerate().map(|(index, (work, parent))| Need {
        root: root(index),
        work: *work,
        sources: parent.iter().map(|parent| (*parent, LAST)).collect(),
    }))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn starts(actions: &[Action]) -> Vec<(usize, Worker)> {
    let start = |action: &Action| match action {
        Action::Start(stage, worker) => Some((*stage, *worker)),
        _ => None,
    };
    actions.iter().filter_map(start).collect()
}

/// A state of synthetic stages where nothing is told but the events.
fn with(demand: Demand, rules: Rules) -> impl FnMut(Event) -> Vec<Action> {
    let mut state = State::new(demand, rules);
    move |event| state.on_event(event, Duration::ZERO)
}

#[test]
fn every_stage_is_trained_once_after_those_it_starts_from() {
    for workers in [1, 2, 5] {
        let mut run = Run::of("pr = [0.5, 0.7]\npriter = [1, 3]\nseed = [1, 2]\nreinit = [\"init\", \"epoch:3\"]");
        let order = run.order(workers);
        assert_eq!(order.len(), run.plan.stages.len());
        let place = |stage| order.iter().position(|other| *other == stage).unwrap();
        for &stage in &order {
            assert!(run.plan.sources(stage).iter().all(|(source, _)| place(*source) < place(stage)));
        }
        assert_eq!((run.state.open(), run.state.workers()), (0, 0));
    }
}

#[test]
fn the_longest_chain_goes_first_whichever_dense_training_it_comes_from() {
    let mut run = Run::of("pr = 0.9\npriter = [1, 4]\nseed = [1, 2]");
    let order = run.order(1);
    let of = |stage: &usize| (run.plan.stages[*stage].root, run.plan.stages[*stage].level);
    let first = run.plan.stages[order[0]].root;
    assert_ne!(first, run.plan.stages[order[1]].root);
    let levels: Vec<usize> = order.iter().map(|stage| of(stage).1).collect();
    // Both dense trainings and both long chains side by side; what is one level long comes last, and there a worker
    // takes the one of equally urgent stages that it holds the start of.
    assert_eq!(levels, [0, 0, 1, 1, 2, 2, 3, 3, 4, 1, 4, 1]);
    let roots: Vec<usize> = order.iter().map(|stage| of(stage).0).collect();
    assert_eq!(roots.iter().filter(|root| **root == first).count(), 6);
}

#[test]
fn work_is_measured_in_seconds_not_in_stages() {
    let mut on = with(stages(&[(1.0, None), (1.0, Some(0)), (1.0, Some(1)), (3.5, None)]), Rules::default());
    assert_eq!(on(Event::Joined(0)), [Action::Start(3, 0)]);
    assert_eq!(on(Event::Joined(1)), [Action::Start(0, 1)]);
}

#[test]
fn a_child_starts_while_its_parent_still_trains() {
    let mut run = Run::of("pr = 0.5\ndraw = \"epoch:10\"");
    assert_eq!(run.on(Event::Joined(0)), [Action::Start(0, 0)]);
    assert_eq!(run.on(Event::Joined(1)), []);
    assert_eq!(run.on(Event::Kept(0, Moment::Epoch(10), 0)), [Action::Start(1, 1)]);
    assert_eq!((run.state.running(0), run.state.running(1), run.state.running(2)), (Some(0), Some(1), None));
}

#[test]
fn a_child_waits_for_all_the_snapshots_it_starts_from() {
    let mut run = Run::of("pr = 0.5\npriter = 2\nreinit = \"epoch:12\"");
    let plan = Arc::clone(&run.plan);
    // The dense snapshot was lost by hand, that of the level before was not.
    let drawn = plan.sources(2)[0];
    run.state = State::new(demand(&plan, &[0, 1], &[drawn]), Rules::default());
    assert_eq!(run.on(Event::Joined(0)), [Action::Start(0, 0)]);
    assert_eq!(run.on(Event::Joined(1)), []);
    assert_eq!(run.on(Event::Kept(0, Moment::Epoch(12), 0)), [Action::Start(2, 1)]);
    assert_eq!((run.state.is_todo(0), run.state.is_todo(1)), (true, false));
}

#[test]
fn a_failure_skips_what_descends_from_it_and_nothing_else() {
    let mut run = Run::of("pr = [0.5, 0.75]\npriter = [1, 2]\nzip = [\"pr\", \"priter\"]\nseed = [1, 2]");
    assert_eq!(run.on(Event::Joined(0)), [Action::Start(0, 0)]);
    let actions = run.on(Event::Failed(0, 0));
    let skipped = actions.iter().filter(|action| matches!(action, Action::Skip(_, 0))).count();
    assert_eq!((skipped, actions.last()), (2, Some(&Action::Start(2, 0))));
    assert_eq!(run.plan.stages[2].level, 0);
}

#[test]
fn a_child_that_has_its_snapshot_survives_the_failure_of_its_parent() {
    let mut run = Run::of("pr = 0.5\ndraw = [\"epoch:10\", \"last\"]");
    run.on(Event::Joined(0));
    run.on(Event::Kept(0, Moment::Epoch(10), 0));
    let actions = run.on(Event::Failed(0, 0));
    assert!(actions.contains(&Action::Start(1, 0)) && actions.contains(&Action::Skip(2, 0)), "{actions:?}");
}

#[test]
fn a_later_level_survives_the_failure_of_the_dense_training_that_it_has_its_snapshot_of() {
    let early = Moment::Epoch(2);
    let need = |work, sources: &[(usize, Moment)]| Need { root: 0, work, sources: sources.to_vec() };
    let needs = [need(9.0, &[]), need(1.0, &[(0, early)]), need(1.0, &[(1, LAST), (0, early)])];
    let mut on = with(Demand::new(needs.into_iter()), Rules::default());
    on(Event::Joined(0));
    on(Event::Joined(1));
    assert_eq!(on(Event::Kept(0, early, 0)), [Action::Start(1, 1)]);
    // Level 2 still waits for level 1, but needs nothing more of the dense training.
    assert_eq!(on(Event::Failed(0, 0)), []);
    assert_eq!(starts(&on(Event::Kept(1, LAST, 1))), [(2, 0)]);
}

#[test]
fn snapshots_are_freed_with_the_last_stage_that_needs_them() {
    let mut run = Run::of("pr = [0.5, 0.7]\nkeep = \"nothing\"");
    run.on(Event::Joined(0));
    run.finish(0, 0);
    assert!(!run.finish(1, 0).contains(&Action::Free(0, LAST)));
    let actions = run.finish(2, 0);
    assert!(actions.contains(&Action::Free(0, LAST)) && actions.contains(&Action::Forget(0, LAST, 0)), "{actions:?}");
    // Tickets stay on disk, unless told otherwise; not in memory.
    let mut run = Run::of("pr = 0.5");
    run.on(Event::Joined(0));
    run.finish(0, 0);
    let actions = run.finish(1, 0);
    assert!(actions.iter().all(|action| !matches!(action, Action::Free(..))));
    assert!(actions.contains(&Action::Forget(0, LAST, 0)));
}

#[test]
fn finished_stages_are_trained_again_only_for_a_snapshot_that_is_gone() {
    let mut run = Run::of("pr = [0.5, 0.7]");
    let plan = Arc::clone(&run.plan);
    run.state = State::new(demand(&plan, &[0, 1], &[(0, LAST)]), Rules::default());
    assert_eq!(run.on(Event::Joined(0)), [Action::Start(2, 0)]);
    run.state = State::new(demand(&plan, &[0, 1], &[]), Rules::default());
    assert_eq!(run.on(Event::Joined(0)), [Action::Start(0, 0)]);
    let todo = [0, 1, 2].map(|stage| run.state.is_todo(stage));
    assert_eq!((todo, run.state.open()), ([true, false, true], 2));
}

#[test]
fn a_snapshot_whose_users_are_done_is_not_wanted_and_goes_when_its_stage_takes_it_again() {
    let plan = plan("epochs = 4\npr = 0.5\ndraw = [\"last\", \"epoch:1\"]\nkeep = \"nothing\"");
    let early = Moment::Epoch(1);
    let user = (0..plan.stages.len()).find(|stage| plan.sources(*stage).contains(&(0, early))).unwrap();
    let mut state = State::new(demand(&plan, &[user], &[]), Rules::default());
    assert_eq!((state.wants(0, early), state.wants(0, LAST)), (false, true));
    assert_eq!(state.on_event(Event::Joined(0), Duration::ZERO), [Action::Start(0, 0)]);
    let actions = state.on_event(Event::Kept(0, early, 0), Duration::ZERO);
    assert_eq!(actions, [Action::Forget(0, early, 0), Action::Free(0, early)]);
    // One that another run will train needs it then.
    let (work, nothing) = (vec![1.0; plan.stages.len()], HashSet::new());
    let others = |stage: usize| stage != user;
    let demand = Demand::of(&plan, &work, &HashSet::new(), &nothing, &nothing, &others);
    let mut state = State::new(demand, Rules::default());
    assert!(state.wants(0, early));
    state.on_event(Event::Joined(0), Duration::ZERO);
    assert_eq!(state.on_event(Event::Kept(0, early, 0), Duration::ZERO), [Action::Forget(0, early, 0)]);
}

#[test]
fn a_run_of_some_stages_trains_those_and_what_they_start_from() {
    let plan = plan("pr = 0.9\npriter = 3\nseed = [1, 2]");
    let work = vec![1.0; plan.stages.len()];
    let chosen = plan.chains[1].stages[1];
    let demand = Demand::of(&plan, &work, &HashSet::new(), &HashSet::new(), &HashSet::new(), &|stage| stage == chosen);
    assert_eq!(demand.todo().collect::<Vec<_>>(), plan.chains[1].stages[..2]);
    let done = HashSet::from([chosen]);
    let demand = Demand::of(&plan, &work, &done, &HashSet::new(), &HashSet::new(), &|stage| stage == chosen);
    assert_eq!(demand.todo().count(), 0);
}

#[test]
fn nothing_starts_after_a_stop() {
    let mut run = Run::of("pr = 0.5\nseed = [1, 2]");
    run.on(Event::Joined(0));
    assert_eq!(run.on(Event::Stop), []);
    assert_eq!(run.on(Event::Joined(1)), [Action::Dismiss(1)]);
    assert_eq!(run.on(Event::Stopped(0, 0)), [Action::Dismiss(0)]);
    assert!(run.state.open() > 0 && run.state.is_stopping());
    assert_eq!(run.state.workers(), 0);
}

#[test]
fn workers_are_dismissed_when_nothing_is_left_to_come() {
    let mut run = Run::of("priter = 0");
    assert_eq!(run.on(Event::Joined(0)), [Action::Start(0, 0)]);
    assert_eq!(run.on(Event::Joined(1)), []);
    let actions = run.finish(0, 0);
    assert_eq!(actions[actions.len() - 2..], [Action::Dismiss(0), Action::Dismiss(1)]);
    assert_eq!(run.on(Event::Joined(2)), [Action::Dismiss(2)]);
    // The end of a dismissed worker is no loss.
    assert_eq!(run.on(Event::Left(0)), []);
    assert_eq!(run.state.on_event(Event::Tick, seconds(1000)), []);
}

#[test]
fn a_failed_stage_is_tried_again_as_often_as_allowed() {
    let rules = Rules { retries: 2, ..Rules::default() };
    let mut on = with(stages(&[(1.0, None), (1.0, Some(0))]), rules);
    on(Event::Joined(0));
    for _ in 0..2 {
        assert_eq!(on(Event::Failed(0, 0)), [Action::Retry(0), Action::Start(0, 0)]);
    }
    assert_eq!(on(Event::Failed(0, 0)), [Action::Skip(1, 0), Action::Dismiss(0)]);
}

#[test]
fn a_stage_that_fails_during_a_stop_is_not_tried_again() {
    let mut state = State::new(stages(&[(1.0, None), (1.0, Some(0))]), Rules { retries: 2, ..Rules::default() });
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    on(Event::Stop);
    assert_eq!(on(Event::Failed(0, 0)), [Action::Skip(1, 0), Action::Dismiss(0)]);
    assert_eq!(state.open(), 0);
}

#[test]
fn on_fail_stop_gives_up_at_the_first_failure_for_good() {
    let rules = Rules { retries: 1, on_fail: OnFail::Stop, ..Rules::default() };
    let mut state = State::new(stages(&[(2.0, None), (2.0, None), (1.0, None)]), rules);
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    on(Event::Joined(1));
    assert_eq!(on(Event::Failed(0, 0)), [Action::Retry(0), Action::Start(0, 0)]);
    assert_eq!(on(Event::Failed(0, 0)), [Action::GiveUp, Action::Dismiss(0)]);
    // Another failure is not told twice.
    assert_eq!(on(Event::Failed(1, 1)), [Action::Dismiss(1)]);
    assert!(state.is_stopping());
    assert_eq!(state.open(), 1);
}

#[test]
fn a_run_gives_up_when_too_many_stages_have_failed_and_stopped_ones_stay_open() {
    let rules = Rules { max_fails: Some(2), ..Rules::default() };
    let mut state = State::new(stages(&[(4.0, None), (3.0, None), (2.0, None), (1.0, None)]), rules);
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    on(Event::Joined(1));
    assert_eq!(on(Event::Failed(0, 0)), [Action::Start(2, 0)]);
    assert_eq!(on(Event::Failed(2, 0)), [Action::GiveUp, Action::Dismiss(0)]);
    assert_eq!(on(Event::Stopped(1, 1)), [Action::Dismiss(1)]);
    assert_eq!(state.open(), 2);
}

#[test]
fn a_stopped_stage_is_left_to_the_next_run() {
    let mut state = State::new(stages(&[(2.0, None), (1.0, Some(0)), (1.0, None)]), Rules::default());
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    assert_eq!(on(Event::Stopped(0, 0)), [Action::Start(2, 0)]);
    assert_eq!(on(Event::Finished(2, 0)), [Action::Dismiss(0)]);
    assert_eq!(state.open(), 2);
}

#[test]
fn a_held_stage_starts_when_it_is_wanted_and_frees_its_source_when_it_is_spared() {
    // Two tickets of one dense network, both held.
    let hold = || {
        let mut state = State::new(stages(&[(1.0, None), (1.0, Some(0)), (1.0, Some(0))]), Rules::default());
        state.hold(1);
        state.hold(2);
        state
    };
    let now = Duration::ZERO;
    let mut state = hold();
    assert_eq!(state.on_event(Event::Joined(0), now), [Action::Start(0, 0)]);
    assert_eq!(state.on_event(Event::Kept(0, LAST, 0), now), []);
    // One is wanted, the other is spared, before the worker is free.
    assert_eq!(state.on_event(Event::Wanted(1), now), []);
    assert_eq!(state.on_event(Event::Spared(2), now), [Action::Spare(2)]);
    assert_eq!(state.open(), 2);
    assert_eq!(state.on_event(Event::Finished(0, 0), now), [Action::Start(1, 0)]);
    // Told again, nothing changes.
    assert_eq!(state.on_event(Event::Wanted(1), now), []);
    assert_eq!(state.on_event(Event::Spared(2), now), []);
    let last = state.on_event(Event::Finished(1, 0), now);
    assert!(last.contains(&Action::Free(0, LAST)) && last.contains(&Action::Dismiss(0)), "{last:?}");
    assert_eq!(state.open(), 0);
}

#[test]
fn what_is_held_for_a_training_that_failed_is_left_out_of_the_run() {
    let mut state = State::new(stages(&[(1.0, None), (1.0, None), (1.0, None)]), Rules::default());
    state.hold(2);
    let now = Duration::ZERO;
    assert_eq!(state.on_event(Event::Joined(0), now), [Action::Start(0, 0)]);
    assert_eq!(state.on_event(Event::Failed(0, 0), now), [Action::Start(1, 0)]);
    // Nothing runs and nothing can start: nobody will say whether the held one is needed.
    assert_eq!(state.on_event(Event::Finished(1, 0), now), [Action::Skip(2, 2), Action::Dismiss(0)]);
    assert_eq!(state.open(), 0);
}

#[test]
fn a_paused_stage_goes_on_when_it_is_wanted_and_its_worker_waits_for_that() {
    let mut state = State::new(stages(&[(2.0, None), (1.0, None)]), Rules::default());
    let now = Duration::ZERO;
    assert_eq!(state.on_event(Event::Joined(0), now), [Action::Start(0, 0)]);
    assert_eq!(state.on_event(Event::Paused(0, 0), now), [], "what comes next may be all that is left");
    assert_eq!(state.on_event(Event::Heard(0), now), [Action::Start(1, 0)]);
    assert_eq!(state.on_event(Event::Paused(1, 0), now), []);
    // Both came to the rung: one goes on, the other is left behind.
    assert_eq!(state.on_event(Event::Spared(0), now), [Action::Spare(0)], "nothing is left behind before all is told");
    assert_eq!(state.on_event(Event::Wanted(1), now), []);
    assert_eq!(state.on_event(Event::Heard(0), now), [Action::Start(1, 0)]);
    assert_eq!(state.on_event(Event::Finished(1, 0), now), [Action::Dismiss(0)]);
    assert_eq!(state.open(), 0);
}
