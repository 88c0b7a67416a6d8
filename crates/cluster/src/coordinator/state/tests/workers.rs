//! Which worker is given a stage, what it holds in memory, and what becomes of workers that fall silent.

use super::*;

fn patient() -> Rules {
    Rules { lease: seconds(60), ..Rules::default() }
}

#[test]
fn a_stage_goes_to_the_idle_worker_that_holds_its_start() {
    // Worker 2 trains the dense stage; its child does not go to the idle worker 0.
    let mut on = with(stages(&[(9.0, None), (5.0, None), (1.0, None), (2.0, Some(1))]), patient());
    assert_eq!(
        starts(&[on(Event::Joined(5)), on(Event::Joined(2)), on(Event::Joined(0))].concat()),
        [(0, 5), (1, 2), (2, 0)]
    );
    assert_eq!(on(Event::Finished(2, 0)), []);
    assert_eq!(on(Event::Joined(1)), []);
    // Worker 2 is still busy when its snapshot is there, so the lowest number takes it.
    assert_eq!(on(Event::Kept(1, LAST, 2)), [Action::Start(3, 0)]);

    let mut state = State::new(stages(&[(5.0, None), (1.0, Some(0)), (1.0, Some(0)), (9.0, None)]), patient());
    let mut on = |event| state.on_event(event, Duration::ZERO);
    assert_eq!(on(Event::Joined(1)), [Action::Start(3, 1)]);
    assert_eq!(on(Event::Joined(3)), [Action::Start(0, 3)]);
    assert_eq!(on(Event::Kept(0, LAST, 3)), []);
    assert_eq!(on(Event::Finished(0, 3)), [Action::Start(1, 3)]);
    // Worker 3 falls idle with the snapshot, then stage 2 becomes ready again: back to 3, although 0 is idle too.
    assert_eq!(on(Event::Joined(2)), [Action::Start(2, 2)]);
    on(Event::Finished(1, 3));
    on(Event::Joined(0));
    assert_eq!(on(Event::Left(2)), [Action::Lost(2, Some(2)), Action::Start(2, 3)]);
    assert!(state.holds(3, 0, LAST));
}

#[test]
fn among_equal_stages_a_worker_takes_the_one_it_holds_the_start_of() {
    // Two dense stages, two equal children each: each worker goes on with its own.
    let forest = stages(&[(1.0, None), (1.0, None), (1.0, Some(0)), (1.0, Some(0)), (1.0, Some(1)), (1.0, Some(1))]);
    let mut on = with(forest, patient());
    on(Event::Joined(0));
    on(Event::Joined(1));
    on(Event::Kept(0, LAST, 0));
    on(Event::Kept(1, LAST, 1));
    assert_eq!(on(Event::Finished(1, 1)), [Action::Start(4, 1)]);
    assert_eq!(on(Event::Finished(0, 0)), [Action::Start(2, 0)]);
    assert_eq!(on(Event::Finished(4, 1)), [Action::Start(5, 1)]);
    // A longer chain comes before what lies near.
    let mut on = with(stages(&[(1.0, None), (1.0, None), (1.0, Some(0)), (2.0, Some(1))]), patient());
    assert_eq!(on(Event::Joined(0)), [Action::Start(1, 0)]);
    assert_eq!(on(Event::Joined(1)), [Action::Start(0, 1)]);
    on(Event::Kept(0, LAST, 1));
    on(Event::Kept(1, LAST, 0));
    assert_eq!(on(Event::Finished(0, 1)), [Action::Start(3, 1)]);
    assert_eq!(on(Event::Finished(1, 0)), [Action::Start(2, 0)]);
}

#[test]
fn a_source_is_sent_unless_the_worker_held_it_before() {
    let mut state = State::new(stages(&[(9.0, None), (1.0, Some(0)), (1.0, Some(0))]), patient());
    let mut told = Vec::new();
    let mut on = |state: &mut State, event| told.extend(state.on_event(event, Duration::ZERO));
    on(&mut state, Event::Joined(0));
    on(&mut state, Event::Joined(1));
    on(&mut state, Event::Kept(0, LAST, 0));
    // Stage 1 went to worker 1, which is to be sent the snapshot; worker 0 took it.
    assert_eq!(state.running(1), Some(1));
    assert!(state.holds(0, 0, LAST) && !state.holds(1, 0, LAST));
    on(&mut state, Event::Finished(1, 1));
    assert_eq!(state.running(1), Some(2));
    assert!(state.holds(1, 0, LAST));
}

#[test]
fn a_copy_that_may_never_have_arrived_is_sent_again() {
    let rules = Rules { retries: 1, ..patient() };
    let mut state = State::new(stages(&[(9.0, None), (1.0, Some(0))]), rules);
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    on(Event::Joined(1));
    assert_eq!(on(Event::Kept(0, LAST, 0)), [Action::Start(1, 1)]);
    // The coordinator could not read the snapshot.
    assert_eq!(on(Event::Failed(1, 1)), [Action::Forget(0, LAST, 1), Action::Retry(1), Action::Start(1, 1)]);
    assert!(!state.holds(1, 0, LAST));
}

#[test]
fn a_worker_holds_the_newest_copies_only() {
    let children = (0..6).map(|epoch| Need { root: 0, work: 1.0, sources: vec![(0, Moment::Epoch(epoch))] });
    let root = Need { root: 0, work: 9.0, sources: Vec::new() };
    let mut state = State::new(Demand::new(std::iter::once(root).chain(children)), patient());
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    for epoch in 0..4 {
        assert_eq!(on(Event::Kept(0, Moment::Epoch(epoch), 0)), []);
    }
    assert_eq!(on(Event::Kept(0, Moment::Epoch(4), 0)), [Action::Forget(0, Moment::Epoch(0), 0)]);
    // Taken anew, it is the newest.
    assert_eq!(on(Event::Kept(0, Moment::Epoch(1), 0)), []);
    assert_eq!(on(Event::Kept(0, Moment::Epoch(5), 0)), [Action::Forget(0, Moment::Epoch(2), 0)]);
    let held: Vec<usize> = (0..6).filter(|epoch| state.holds(0, 0, Moment::Epoch(*epoch))).collect();
    assert_eq!(held, [1, 3, 4, 5]);
}

#[test]
fn a_copy_that_nothing_starts_from_is_let_go_at_once() {
    let mut on = with(stages(&[(1.0, None)]), patient());
    on(Event::Joined(0));
    assert_eq!(on(Event::Kept(0, Moment::Best, 0)), [Action::Forget(0, Moment::Best, 0)]);
}

#[test]
fn a_snapshot_that_is_taken_again_after_its_last_use_is_freed_again() {
    let early = Moment::Epoch(1);
    let need = |work, sources| Need { root: 0, work, sources };
    let mut on = with(Demand::new([need(9.0, vec![]), need(1.0, vec![(0, early)])].into_iter()), patient());
    on(Event::Joined(0));
    on(Event::Joined(1));
    on(Event::Kept(0, early, 0));
    assert!(on(Event::Finished(1, 1)).contains(&Action::Free(0, early)));
    assert_eq!(starts(&on(Event::Left(0))), [(0, 1)]);
    assert_eq!(on(Event::Kept(0, early, 1)), [Action::Forget(0, early, 1), Action::Free(0, early)]);
}

#[test]
fn a_silent_worker_is_lost_and_another_trains_its_stage() {
    let mut state = State::new(stages(&[(1.0, None), (2.0, Some(0))]), patient());
    assert_eq!(state.on_event(Event::Joined(0), seconds(0)), [Action::Start(0, 0)]);
    assert_eq!(state.on_event(Event::Joined(1), seconds(30)), []);
    assert_eq!(state.on_event(Event::Heard(0), seconds(40)), []);
    // At the end of the lease it is still alive.
    assert_eq!(state.on_event(Event::Tick, seconds(90)), []);
    state.on_event(Event::Heard(1), seconds(90));
    assert_eq!(state.on_event(Event::Tick, seconds(101)), [Action::Lost(0, Some(0)), Action::Start(0, 1)]);
    assert_eq!((state.workers(), state.running(0), state.running(1)), (1, None, Some(0)));
    // An interruption is no failure.
    assert_eq!(state.open(), 2);
    // Time that seems to run backwards loses nobody.
    assert_eq!(state.on_event(Event::Tick, seconds(50)), []);
}

#[test]
fn an_idle_worker_that_falls_silent_is_never_given_anything() {
    let mut state = State::new(stages(&[(1.0, None), (2.0, Some(0))]), patient());
    state.on_event(Event::Joined(1), seconds(0));
    state.on_event(Event::Joined(0), seconds(0));
    state.on_event(Event::Heard(1), seconds(61));
    assert_eq!(state.on_event(Event::Tick, seconds(61)), [Action::Lost(0, None)]);
    assert_eq!(state.on_event(Event::Kept(0, LAST, 1), seconds(61)), []);
    assert_eq!(state.on_event(Event::Joined(0), seconds(62)), []);
    assert_eq!(state.workers(), 1);
}

#[test]
fn late_messages_of_a_lost_worker_change_nothing() {
    let mut state = State::new(stages(&[(1.0, None), (2.0, Some(0))]), Rules { retries: 3, ..patient() });
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    on(Event::Joined(1));
    assert_eq!(on(Event::Left(0)), [Action::Lost(0, Some(0)), Action::Start(0, 1)]);
    let late = [
        Event::Heard(0),
        Event::Joined(0),
        Event::Kept(0, LAST, 0),
        Event::Finished(0, 0),
        Event::Failed(0, 0),
        Event::Stopped(0, 0),
        Event::Left(0),
    ];
    for event in late {
        assert_eq!(on(event.clone()), [], "{event:?}");
    }
    assert_eq!((state.running(1), state.open(), state.workers()), (Some(0), 2, 1));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut state = State::new(stages(&[(2.0, None), (1.0, None), (1.0, Some(0))]), patient());
    let mut on = |event| state.on_event(event, Duration::ZERO);
    on(Event::Joined(0));
    for stage in [1, 2, 99] {
        assert_eq!(on(Event::Finished(stage, 0)), []);
        assert_eq!(on(Event::Failed(stage, 0)), []);
        assert_eq!(on(Event::Kept(stage, LAST, 0)), []);
    }
    // Nobody has heard of worker 7.
    for event in [Event::Heard(7), Event::Finished(0, 7), Event::Kept(0, LAST, 7)] {
        assert_eq!(on(event), []);
    }
    // It is at work, whatever it says.
    assert_eq!(on(Event::Joined(0)), []);
    assert_eq!((state.running(0), state.open(), state.workers()), (Some(0), 3, 1));
}

#[test]
fn a_worker_that_could_not_begin_is_lost_without_a_stage() {
    let mut on = with(stages(&[(1.0, None)]), patient());
    assert_eq!(on(Event::Left(3)), [Action::Lost(3, None)]);
    assert_eq!(on(Event::Joined(3)), []);
    assert_eq!(on(Event::Joined(0)), [Action::Start(0, 0)]);
}

#[test]
fn nothing_happens_when_all_workers_are_lost() {
    let mut state = State::new(stages(&[(1.0, None)]), patient());
    state.on_event(Event::Joined(0), seconds(0));
    assert_eq!(state.on_event(Event::Tick, seconds(61)), [Action::Lost(0, Some(0))]);
    assert_eq!(state.on_event(Event::Tick, seconds(200)), []);
    assert_eq!((state.workers(), state.open()), (0, 1));
}

/// A worker that trains the only stage, and another that waits; a training may be silent for 30 s.
fn two_workers() -> State {
    let rules = Rules { give_up_after: seconds(30), ..patient() };
    let mut state = State::new(stages(&[(9.0, None), (1.0, Some(0))]), rules);
    assert_eq!(state.on_event(Event::Joined(0), seconds(0)), [Action::Start(0, 0)]);
    assert_eq!(state.on_event(Event::Sent(0, seconds(1)), seconds(0)), []);
    assert_eq!(state.on_event(Event::Joined(1), seconds(0)), []);
    state
}

/// All workers give signs of life, then time passes.
fn tick(state: &mut State, now: u64) -> Vec<Action> {
    (0..4).for_each(|worker| assert_eq!(state.on_event(Event::Heard(worker), seconds(now)), []));
    state.on_event(Event::Tick, seconds(now))
}

fn hung(worker: Worker, silence: u64, again: bool) -> Action {
    Action::Hung { worker, stage: 0, silence: seconds(silence), again }
}

#[test]
fn a_training_that_reports_nothing_goes_on_elsewhere_though_its_worker_gives_signs_of_life() {
    let mut state = two_workers();
    // An epoch of a second: the setting counts, three times before the first epoch.
    assert_eq!(tick(&mut state, 90), []);
    assert_eq!(state.on_event(Event::Reported(0, None), seconds(90)), []);
    assert_eq!(tick(&mut state, 180), []);
    assert_eq!(state.on_event(Event::Reported(0, Some(seconds(1))), seconds(180)), []);
    assert_eq!(tick(&mut state, 210), []);
    assert_eq!(tick(&mut state, 211), [hung(0, 31, true), Action::Start(0, 1)]);
    // Whatever it says later changes nothing, and it is never given anything again.
    for late in [Event::Reported(0, None), Event::Kept(0, LAST, 0), Event::Finished(0, 0), Event::Joined(0)] {
        assert_eq!(state.on_event(late, seconds(212)), []);
    }
    assert_eq!((state.running(0), state.running(1), state.workers()), (None, Some(0), 1));
}

#[test]
fn a_training_of_long_epochs_may_be_silent_for_ten_of_them() {
    let mut state = two_workers();
    state.on_event(Event::Reported(0, Some(seconds(60))), seconds(50));
    assert_eq!(tick(&mut state, 650), []);
    assert_eq!(tick(&mut state, 651), [hung(0, 601, true), Action::Start(0, 1)]);
    // What is known of one training is not held against the next: an estimate of 20 s allows three times ten of them.
    state.on_event(Event::Sent(1, seconds(20)), seconds(651));
    assert_eq!(tick(&mut state, 1251), []);
    assert_eq!(tick(&mut state, 1252), [hung(1, 601, false), Action::Skip(1, 0)]);
}

#[test]
fn a_stage_that_hangs_at_a_second_worker_has_failed_and_takes_no_third() {
    let mut state = two_workers();
    state.on_event(Event::Joined(2), seconds(0));
    assert_eq!(tick(&mut state, 91), [hung(0, 91, true), Action::Start(0, 1)]);
    assert_eq!(tick(&mut state, 182), [hung(1, 91, false), Action::Skip(1, 0), Action::Dismiss(2)]);
    assert_eq!((state.open(), state.workers()), (0, 0));
}

#[test]
fn a_stop_does_not_wait_for_a_training_that_hangs() {
    let mut state = two_workers();
    assert_eq!(state.on_event(Event::Stop, seconds(1)), [Action::Dismiss(1)]);
    assert_eq!(tick(&mut state, 91), [hung(0, 91, true)]);
    assert_eq!((state.open(), state.workers()), (2, 0));
}
