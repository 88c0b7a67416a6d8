use super::*;
use crate::tables::TrainingState;
use crate::tables::tests::{plan, records_of};
use tombola_core::folder::Holder;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_words::record::Record;
use tombola_words::value::{Moment, Shard};

/// Two seeds, three levels, one twin, tickets that go back to an early epoch.
const SWEEP: &str = r#"
    network = "lenet-300-100"
    dataset = "fashion-mnist"
    epochs = 4
    schedule = "none"
    reinit = "epoch:1"
    seed = [1, 2]
    pr = 0.75
    priter = 2
    control = ["none", "random-mask"]
"#;

/// When the last run began.
const BEGUN: u64 = 1_000_000;
const NOW: f64 = BEGUN as f64 + 600.0;

fn started() -> Record {
    Record::Started { version: "0".into(), time: BEGUN, machine: "m".into() }
}

fn joined(worker: usize) -> Record {
    let place = format!("node{} gpu {}", 1 + worker / 2, worker % 2);
    Record::Joined { worker, place, arithmetic: None, time: BEGUN as f64 }
}

fn began(plan: &Plan, stage: usize, worker: usize, epoch: usize, after: f64) -> Record {
    Record::Began { stage: plan.stages[stage].id, worker, epoch, time: BEGUN as f64 + after }
}

fn kept(plan: &Plan, stage: usize, moment: Moment) -> Record {
    Record::Kept { stage: plan.stages[stage].id, moment, sums: None }
}

fn failed(plan: &Plan, stage: usize, after: f64) -> Record {
    let reason = "loss is not a number at epoch 2 (try a lower learning rate)".into();
    Record::Failed { stage: plan.stages[stage].id, reason, again: false, time: BEGUN as f64 + after }
}

/// Stage 0 is done, 1 is trained, 2 and 3 wait for it; 4 (the dense training of seed 2) has given its epoch 1 and is
/// trained; its worker's neighbour is lost, another has nothing to do.
fn under_way(plan: &Plan) -> Vec<Record> {
    let mut records = vec![started()];
    records.extend((0..4).map(joined));
    records.push(began(plan, 0, 0, 0, 5.0));
    records.extend(records_of(plan, 0));
    records.extend([kept(plan, 0, Moment::Epoch(1)), kept(plan, 0, Moment::Last)]);
    records.push(began(plan, 1, 0, 0, 500.0));
    records.extend(records_of(plan, 1).into_iter().take(3));
    records.push(began(plan, 4, 1, 0, 10.0));
    records.extend(records_of(plan, 4).into_iter().take(4));
    records.push(kept(plan, 4, Moment::Epoch(1)));
    let reason = "no sign of life for 20 s".into();
    records.push(Record::Lost { worker: 2, stage: None, reason, time: NOW - 100.0 });
    records
}

fn history(records: Vec<Record>) -> History {
    let mut history = History::default();
    records.into_iter().for_each(|record| history.add(record));
    history
}

fn at_work() -> Holder {
    Holder::Process("process 4711 on node1".into())
}

/// Looks at what a journal tells and at who writes it.
fn seen<T>(plan: &Plan, records: Vec<Record>, holder: Holder, see: impl FnOnce(&View) -> T) -> T {
    let history = history(records);
    let runs = [Run::of(&history, None, holder, Some(NOW - 3.0))];
    let work = vec![1.0; plan.stages.len()];
    let facts = Basis { plan, history: &history, runs: &runs, whole: true, work: &work, folder: "results/x", now: NOW };
    see(&View::of(facts))
}

/// A text with numbers in place of names, which change with every new setting.
fn numbered(plan: &Plan, text: String) -> String {
    let digits = plan.digits();
    plan.stages.iter().enumerate().fold(text, |text, (index, stage)| {
        let name = stage.id.to_string();
        text.replace(&name, &format!("#{index}")).replace(&name[..digits], &format!("#{index}"))
    })
}

fn shown(plan: &Plan, records: Vec<Record>, holder: Holder) -> String {
    numbered(plan, seen(plan, records, holder, |view| text::text(&Status::of(view), view.digits())))
}

fn explained(plan: &Plan, records: Vec<Record>, holder: Holder, stage: usize) -> String {
    let files = [("epoch-1.safetensors".to_string(), 1_066_440), ("mask.safetensors".to_string(), 300)];
    numbered(plan, seen(plan, records, holder, |view| explain::text(view, stage, &files[..stage % 2 * 2])))
}

#[test]
fn a_run_at_work() {
    let plan = plan(SWEEP);
    insta::assert_snapshot!(shown(&plan, under_way(&plan), at_work()));
}

#[test]
fn a_run_that_was_killed() {
    let plan = plan(SWEEP);
    insta::assert_snapshot!(shown(&plan, under_way(&plan), Holder::Nobody));
}

#[test]
fn a_run_with_failures_that_came_to_its_end() {
    let plan = plan(SWEEP);
    let mut records = under_way(&plan);
    records.extend([failed(&plan, 1, 550.0), failed(&plan, 4, 560.0)]);
    records.push(Record::Ended { how: "2 trainings failed".into(), time: NOW - 30.0 });
    insta::assert_snapshot!(shown(&plan, records, Holder::Nobody));
}

#[test]
fn a_sweep_that_is_done_and_one_that_has_not_begun() {
    let plan = plan(SWEEP);
    let all = (0..plan.stages.len()).flat_map(|stage| records_of(&plan, stage));
    let records = std::iter::once(started()).chain(all).collect();
    insta::assert_snapshot!(shown(&plan, records, Holder::Nobody), @r"
    results/x: not running; last written to 3 s ago

    trials     4 of 4 done
    trainings  8 of 8 done
    epochs     26 of 26 done (100 %)

    next
      print the table: `tombola tables results/x`
    ");
    insta::assert_snapshot!(shown(&plan, vec![], Holder::Nobody), @r"
    results/x: nothing was trained yet

    trials     0 of 4 done
    trainings  0 of 8 done · 8 waiting
    epochs     0 of 26 done (0 %)
    time left  not known before the first epoch of a run

    next
      run the same command again to go on: `tombola run results/x/sweep.toml --out results/x`
    ");
}

#[test]
fn the_json_form_is_stable() {
    let plan = plan(SWEEP);
    let mut records = under_way(&plan);
    records.push(failed(&plan, 1, 550.0));
    let json = seen(&plan, records, at_work(), |view| serde_json::to_string_pretty(&Status::of(view)).unwrap());
    insta::assert_snapshot!(numbered(&plan, json));
}

#[test]
fn why_a_training_waits() {
    let plan = plan(SWEEP);
    let explained = |stage| explained(&plan, under_way(&plan), at_work(), stage);
    insta::assert_snapshot!("waits_for_one_that_is_trained", explained(2));
    insta::assert_snapshot!("waits_for_one_that_waits", explained(6));
    insta::assert_snapshot!("is_trained", explained(1));
    insta::assert_snapshot!("is_done", explained(0));
}

#[test]
fn why_a_training_failed_or_was_skipped() {
    let plan = plan(SWEEP);
    let mut records = under_way(&plan);
    records.push(failed(&plan, 1, 550.0));
    insta::assert_snapshot!("failed", explained(&plan, records.clone(), at_work(), 1));
    insta::assert_snapshot!("skipped", explained(&plan, records, at_work(), 3));
}

#[test]
fn what_is_ready_says_what_it_waits_for() {
    let plan = plan(SWEEP);
    let mut records = under_way(&plan);
    records.push(kept(&plan, 1, Moment::Last));
    let ready = explained(&plan, records.clone(), at_work(), 2);
    assert!(
        ready.contains("ready: all that it starts from is there\n  it waits for a free worker: 2 of 3 are busy"),
        "{ready}"
    );
    let ready = explained(&plan, records, Holder::Nobody, 2);
    assert!(ready.contains("no run is at work: run the same command again"), "{ready}");
}

#[test]
fn a_failure_that_the_run_tries_again_stops_nothing_and_is_told() {
    let plan = plan(SWEEP);
    let mut records = under_way(&plan);
    let reason = "out of memory".to_string();
    records.push(Record::Failed { stage: plan.stages[1].id, reason, again: true, time: NOW - 50.0 });
    let again = explained(&plan, records.clone(), at_work(), 1);
    assert!(again.contains("half way: 2 of 3 epochs"), "{again}");
    assert!(again.contains("the attempt before came to nothing: out of memory"), "{again}");
    assert_eq!(seen(&plan, records, at_work(), |view| view.standings[2].state), TrainingState::Waiting);
}

#[test]
fn what_was_trained_behind_the_snapshot_that_a_worker_went_on_from_does_not_count() {
    let plan = plan(SWEEP);
    let mut records = under_way(&plan);
    records.push(Record::Progress { stage: plan.stages[4].id, epoch: 2, best: None, sums: None, best_sums: None });
    records.push(Record::Lost { worker: 1, stage: Some(plan.stages[4].id), reason: "gone".into(), time: NOW });
    assert_eq!(seen(&plan, records.clone(), at_work(), |view| view.epochs(4)), (3, 4));
    records.push(began(&plan, 4, 3, 2, 590.0));
    seen(&plan, records.clone(), at_work(), |view| {
        assert_eq!(view.epochs(4), (2, 4));
        assert_eq!(view.last_epoch(4).unwrap().epoch, 2);
    });
    // A training that is rewound to epoch 1 has trained one epoch after its epoch 2.
    records.push(began(&plan, 1, 0, 0, 595.0));
    records.extend(records_of(&plan, 1).into_iter().skip(1).take(1));
    seen(&plan, records, at_work(), |view| assert_eq!(view.epochs(1), (1, 3)));
}

#[test]
fn the_time_left_is_that_of_all_workers_but_no_less_than_that_of_the_longest_chain() {
    let plan = plan(SWEEP);
    // An epoch takes 1.5 s. Seed 1: 1 epoch of stage 1, then 3 each of 2 and 3. Seed 2: 1 of stage 4, then 3 + 3 + 3.
    let left = |records| seen(&plan, records, at_work(), |view| view.time_left()).unwrap();
    assert!((left(under_way(&plan)) - 1.5 * (1.0 + 3.0 + 3.0)).abs() < 1e-9);
    let lost = |worker| Record::Lost { worker, stage: None, reason: "gone".into(), time: NOW };
    let mut records = under_way(&plan);
    records.extend([lost(0), lost(3)]);
    assert!((left(records) - 1.5 * 17.0).abs() < 1e-9);
    // What an earlier run took tells nothing about this one.
    let mut records = under_way(&plan);
    records.push(started());
    assert_eq!(seen(&plan, records, at_work(), |view| view.time_left()), None);
}

#[test]
fn networks_that_were_not_trained_yet_take_as_much_longer_than_guessed_as_the_others_did() {
    let plan = plan(
        "network = [\"lenet-300-100\", \"lenet-5\"]\ndataset = \"mnist\"\nepochs = 2\nlr-milestones = [1]\npriter = 0",
    );
    let mut records = vec![started(), joined(0)];
    records.extend(records_of(&plan, 0));
    let history = history(records);
    let runs = [Run::of(&history, None, at_work(), None)];
    let work = [0.5, 4.0];
    let facts = Basis { plan: &plan, history: &history, runs: &runs, whole: true, work: &work, folder: "x", now: NOW };
    assert!((View::of(facts).time_left().unwrap() - 2.0 * 4.0 * 3.0).abs() < 1e-9);
}

#[test]
fn shards_are_one_sweep_and_missing_ones_are_named() {
    let plan = plan(SWEEP);
    let shard = |index| Shard { index, count: 3 };
    let mut all =
        history(under_way(&plan).into_iter().filter(|record| !matches!(record, Record::Lost { .. })).collect());
    let mut first = Run::of(&all, Some(shard(1)), at_work(), Some(NOW));
    let mut records = vec![started(), joined(0), began(&plan, 4, 0, 0, 300.0)];
    records.extend(records_of(&plan, 4).into_iter().take(2));
    records.push(failed(&plan, 4, 400.0));
    records.push(Record::Ended { how: "1 training failed".into(), time: NOW - 200.0 });
    let other = history(records);
    let mut second = Run::of(&other, Some(shard(2)), Holder::Nobody, Some(NOW - 200.0));
    // The second knows its own stages alone.
    all.stages.remove(&plan.stages[4].id);
    second.workers = all.merge(other).unwrap();
    first.workers = 0..4;
    let (runs, work) = ([first, second], vec![1.0; plan.stages.len()]);
    let facts = Basis { plan: &plan, history: &all, runs: &runs, whole: true, work: &work, folder: "x", now: NOW };
    let view = View::of(facts);
    insta::assert_snapshot!(numbered(&plan, text::text(&Status::of(&view), view.digits())));
    assert_eq!(explain::folder_of(&view, 4), "x/shard-2-of-3");
    // One shard by itself has its own trainings alone.
    let one = Basis { whole: false, runs: &runs[..1], ..facts };
    let status = Status::of(&View::of(one));
    assert_eq!((status.trainings.total, status.trials.total, status.missing_shards.len()), (4, 2, 0));
    assert_eq!(view.standings[5].state, TrainingState::Skipped);
}

#[test]
fn workers_that_leave_gpus_unused_are_warned_of() {
    let plan = plan(SWEEP);
    let place = |worker| {
        format!(
            "node1, cpu, 1 thread, GPUs unused: the driver shows {} GPU(s) but this libtorch has no CUDA part",
            1 + worker / 2
        )
    };
    let joined = |worker| Record::Joined { worker, place: place(worker), arithmetic: None, time: BEGUN as f64 };
    let mut history = History::default();
    [started(), joined(0), joined(1), joined(2)].into_iter().for_each(|record| history.add(record));
    let runs = [Run::of(&history, None, Holder::Nobody, Some(NOW))];
    let work = vec![1.0; plan.stages.len()];
    let facts =
        Basis { plan: &plan, history: &history, runs: &runs, whole: true, work: &work, folder: "out", now: NOW };
    let status = Status::of(&View::of(facts));
    assert_eq!(status.warnings.len(), 2);
    assert!(status.warnings[0].starts_with("2 workers are on the CPU, GPUs unused: the driver shows 1 GPU(s) but"));
    assert!(status.warnings[0].contains("libtorch_cuda.so"), "{:?}", status.warnings);
    assert!(
        text::text(&status, 8).contains("\nwarning: 1 worker is on the CPU, GPUs unused: the driver shows 2 GPU(s)")
    );
}
