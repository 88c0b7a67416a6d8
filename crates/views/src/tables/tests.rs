use std::collections::BTreeMap;

use super::*;
use tombola_core::plan::outside::Outside;
use tombola_core::sweep::Spec;
use tombola_words::record::{Drawn, EpochRecord, Evaluation, Outcome, Record, Scores};
use tombola_words::value::Shard;

/// The plan of a sweep file.
pub(crate) fn plan(text: &str) -> Plan {
    let spec = Spec::read(Some(text), &[]).unwrap();
    Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap()
}

fn evaluation(correct: u64) -> Evaluation {
    Evaluation { loss: 2.0 - correct as f64 / 1000.0, correct, images: 1000, top5: None }
}

fn scores(correct: u64) -> Scores {
    Scores { validation: evaluation(correct + 1), test: evaluation(correct) }
}

/// Everything that the journal tells of a stage that is trained without trouble. Numbers follow from the index, so
/// that a mix-up shows.
pub(crate) fn records_of(plan: &Plan, index: usize) -> Vec<Record> {
    let stage = &plan.stages[index];
    let correct = 900 - 10 * stage.level as u64 + index as u64;
    let rates = std::iter::successors(Some(index), |&index| plan.stages[index].parent);
    let density: f64 =
        rates.filter_map(|index| plan.stages[index].pruning.as_ref()).map(|pruning| 1.0 - pruning.rate).product();
    let alive = (density * 8000.0).round() as usize;
    let drawn = Drawn {
        prunable: 8000,
        alive,
        effective: alive - stage.level,
        parameters: 10_000,
        dead_layers: if stage.level == 3 { vec!["conv1".into(), "fc".into()] } else { vec![] },
        pruned: scores(correct - 300),
        start: scores(correct - 600),
        ..Drawn::default()
    };
    let mut records = vec![Record::Drawn { stage: stage.id, drawn }];
    for epoch in stage.epochs().map(|epoch| epoch + 1) {
        let epoch = EpochRecord {
            epoch,
            learning_rate: 0.1 / epoch as f64,
            train: evaluation(correct - 50),
            validation: evaluation(correct - 20),
            test: None,
            seconds: 1.5,
        };
        records.push(Record::Epoch { stage: stage.id, epoch });
    }
    let outcome = Outcome {
        best_epoch: stage.epochs().start + 1,
        best: scores(correct),
        last: scores(correct - 5),
        ..Outcome::default()
    };
    records.push(Record::Finished {
        stage: stage.id,
        outcome,
        images_per_second: 1000.5,
        place: "cpu".to_string(),
        attempts: 1,
        time: 0.0,
    });
    records
}

/// The journal of a sweep in which every stage is trained but those that `except` says something else of.
pub(crate) fn history(plan: &Plan, except: &BTreeMap<usize, Vec<Record>>) -> History {
    let mut history = History::default();
    for index in 0..plan.stages.len() {
        let records = except.get(&index).cloned().unwrap_or_else(|| records_of(plan, index));
        records.into_iter().for_each(|record| history.add(record));
    }
    history
}

pub(super) fn failed(plan: &Plan, index: usize) -> Vec<Record> {
    let mut records = records_of(plan, index);
    records.truncate(2);
    records.push(Record::Failed {
        stage: plan.stages[index].id,
        reason: "loss is not a number at epoch 2".to_string(),
        again: false,
        time: 0.0,
    });
    records
}

/// A table as text.
pub(super) fn text(table: Table, plan: &Plan, history: &History) -> String {
    let mut bytes = Vec::new();
    table(&mut bytes, plan, history).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A table with numbers in place of identities, which change with every new setting.
fn numbered(plan: &Plan, csv: &str) -> String {
    plan.stages
        .iter()
        .enumerate()
        .fold(csv.to_string(), |csv, (index, stage)| csv.replace(&stage.id.to_string(), &format!("#{index}")))
}

/// A table on its side, a line for each column, which is how one can read a wide one.
pub(super) fn transposed(csv: &str) -> String {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let line =
        |column: usize| rows.iter().map(|row| &row[column]).collect::<Vec<_>>().join(" | ").trim_end().to_string();
    (0..rows[0].len()).map(|column| line(column) + "\n").collect()
}

/// Column `name` of a table, from top to bottom.
pub(super) fn column(csv: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let index = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
    reader.records().map(|row| row.unwrap()[index].to_string()).collect()
}

/// Two seeds, two ways back, three levels, a control.
pub(super) const SMALL: &str = r#"
    network = "lenet-300-100"
    dataset = "fashion-mnist"
    epochs = 2
    lr = 0.05
    schedule = "none"
    reinit = "init"
    seed = [1, 2]

    [[grid]]
    pr = [0.5, 0.75]
    priter = [1, 2]
    zip = ["pr", "priter"]
    control = ["none", "reinit"]
"#;

const ALL: [(&str, Table); 9] = FILES;

#[test]
fn results_of_a_small_sweep() {
    let text_of_file = "network = \"lenet-300-100\"\ndataset = \"fashion-mnist\"\nepochs = 2\nschedule = \"none\"\n\
        reinit = \"init\"\npr = 0.75\npriter = 2\ncontrol = \"reinit\"";
    let plan = plan(text_of_file);
    let history = history(&plan, &BTreeMap::new());
    insta::assert_snapshot!(transposed(&numbered(&plan, &text(results::write, &plan, &history))), @r"
    trial | 1 | 1 | 1
    level | 0 | 1 | 2
    stage | #0 | #1 | #2
    state | done | done | done
    network | lenet-300-100 | lenet-300-100 | lenet-300-100
    depth |  |  |
    width |  |  |
    shortcut |  |  |
    bn-init | 1.0 | 1.0 | 1.0
    dataset | fashion-mnist | fashion-mnist | fashion-mnist
    train-limit | auto | auto | auto
    validation-size | auto | auto | auto
    augment | none | none | none
    synthetic-shape |  |  |
    synthetic-classes |  |  |
    synthetic-size |  |  |
    epochs | 2 | 2 | 2
    batch-size | 64 | 64 | 64
    precision |  |  |
    optimizer | sgd | sgd | sgd
    learning-rate | 0.1 | 0.1 | 0.1
    momentum | 0.9 | 0.9 | 0.9
    nesterov | true | true | true
    weight-decay | 0.0001 | 0.0001 | 0.0001
    slimming |  |  |
    beta1 |  |  |
    beta2 |  |  |
    schedule | none | none | none
    gamma |  |  |
    lr-milestones |  |  |
    step-epochs |  |  |
    patience |  |  |
    min-lr |  |  |
    cycle-epochs |  |  |
    cycle-factor |  |  |
    warmup-epochs | 0 | 0 | 0
    pruning-ratio |  | 0.75 | 0.75
    prune-iterations |  | 2 | 2
    pruning-type |  | unstructured | unstructured
    criterion |  | magnitude | magnitude
    scope |  | global | global
    prune-layers |  | all | all
    output-rate |  | 1.0 | 1.0
    streams |  |  |
    round-channels |  |  |
    score-images |  |  |
    draw |  | last | last
    early-bird-rule |  |  |
    early-bird-window |  |  |
    early-bird-epsilon |  |  |
    reinit |  | init | init
    fine-tune-epochs |  |  |
    fine-tune-lr |  |  |
    budget |  |  |
    control |  | none | reinit
    barrier-points |  |  |
    seed | 1 | 1 | 1
    init-seed | 1 | 1 | 1
    order-seed | 1 | 1 | 1
    augment-seed |  |  |
    select | validation | validation | validation
    load |  |  |
    rate |  | 0.5 | 0.5
    density | 1.0 | 0.5 | 0.25
    density_total | 1.0 | 0.6 | 0.4
    density_effective | 1.0 | 0.499875 | 0.24975
    alive | 8000 | 4000 | 2000
    prunable | 8000 | 8000 | 8000
    parameters | 10000 | 10000 | 10000
    dead_layers |  |  |
    density_channels |  |  |
    channels_alive |  |  |
    channels |  |  |
    channels_forced |  |  |
    macs_dense |  |  |
    macs |  |  |
    density_macs |  |  |
    parameters_alive |  |  |
    pruned_validation_accuracy |  | 0.592 | 0.583
    pruned_test_accuracy |  | 0.591 | 0.582
    start_validation_accuracy | 0.301 | 0.292 | 0.283
    start_test_accuracy | 0.3 | 0.291 | 0.282
    best_epoch | 1 | 1 | 1
    best_validation_accuracy | 0.901 | 0.892 | 0.883
    best_test_accuracy | 0.9 | 0.891 | 0.882
    last_epoch | 2 | 2 | 2
    last_validation_accuracy | 0.896 | 0.887 | 0.878
    last_test_accuracy | 0.895 | 0.886 | 0.877
    last_test_loss | 1.105 | 1.1139999999999999 | 1.123
    test_images | 1000 | 1000 | 1000
    selected_on | validation | validation | validation
    error |  |  |
    ");
}

#[test]
fn epochs_of_a_small_sweep() {
    let plan = plan(
        "network = \"lenet-5\"\ndataset = \"mnist\"\nepochs = 2\npr = 0.5\nlr-milestones = [1]\nreinit = \"epoch:1\"",
    );
    let history = history(&plan, &BTreeMap::new());
    insta::assert_snapshot!(numbered(&plan, &text(epochs::write, &plan, &history)), @r"
    stage,level,trial,epoch,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,test_loss,test_accuracy
    #0,0,1,1,0.1,1.15,0.85,1.12,0.88,,
    #0,0,1,2,0.05,1.15,0.85,1.12,0.88,,
    #1,1,1,2,0.05,1.159,0.841,1.129,0.871,,
    ");
}

#[test]
fn pitfall_12_what_is_called_best_was_chosen_on_validation_and_the_last_epoch_stands_beside_it() {
    let plan = plan(SMALL);
    let history = history(&plan, &BTreeMap::new());
    let (results, summary) = (text(results::write, &plan, &history), text(summary::write, &plan, &history));
    assert!(column(&results, "selected_on").iter().all(|part| part == "validation"));
    for (stage, epoch) in column(&results, "stage").iter().zip(column(&results, "best_epoch")) {
        let index = plan.stages.iter().position(|known| known.id.to_string() == *stage).unwrap();
        let epochs = &history.stages[&plan.stages[index].id].epochs;
        let best = epochs.values().map(|epoch| epoch.validation.correct).max();
        assert_eq!(epochs.get(&epoch.parse().unwrap()).map(|epoch| epoch.validation.correct), best);
    }
    let names: Vec<&str> =
        summary.lines().next().unwrap().split(',').filter(|name| name.contains("accuracy")).collect();
    assert!(names.contains(&"last_test_accuracy_mean") && names.contains(&"best_test_accuracy_mean"));
    // Nothing is the best on the test set.
    assert!(names.iter().all(|name| !name.contains("max") && !name.starts_with("test")), "{names:?}");
}

#[test]
fn summary_of_a_small_sweep() {
    let plan = plan(SMALL);
    let history = history(&plan, &BTreeMap::new());
    insta::assert_snapshot!(transposed(&numbered(&plan, &text(summary::write, &plan, &history))), @r"
    level | 0 | 1 | 1 | 1 | 2 | 2
    network | lenet-300-100 | lenet-300-100 | lenet-300-100 | lenet-300-100 | lenet-300-100 | lenet-300-100
    bn-init | 1.0 | 1.0 | 1.0 | 1.0 | 1.0 | 1.0
    dataset | fashion-mnist | fashion-mnist | fashion-mnist | fashion-mnist | fashion-mnist | fashion-mnist
    train-limit | auto | auto | auto | auto | auto | auto
    validation-size | auto | auto | auto | auto | auto | auto
    augment | none | none | none | none | none | none
    epochs | 2 | 2 | 2 | 2 | 2 | 2
    batch-size | 64 | 64 | 64 | 64 | 64 | 64
    optimizer | sgd | sgd | sgd | sgd | sgd | sgd
    learning-rate | 0.05 | 0.05 | 0.05 | 0.05 | 0.05 | 0.05
    momentum | 0.9 | 0.9 | 0.9 | 0.9 | 0.9 | 0.9
    nesterov | true | true | true | true | true | true
    weight-decay | 0.0001 | 0.0001 | 0.0001 | 0.0001 | 0.0001 | 0.0001
    schedule | none | none | none | none | none | none
    warmup-epochs | 0 | 0 | 0 | 0 | 0 | 0
    pruning-ratio |  | 0.5 | 0.5 | 0.75 | 0.75 | 0.75
    prune-iterations |  | 1 | 1 | 2 | 2 | 2
    pruning-type |  | unstructured | unstructured | unstructured | unstructured | unstructured
    criterion |  | magnitude | magnitude | magnitude | magnitude | magnitude
    scope |  | global | global | global | global | global
    prune-layers |  | all | all | all | all | all
    output-rate |  | 1.0 | 1.0 | 1.0 | 1.0 | 1.0
    draw |  | last | last | last | last | last
    reinit |  | init | init | init | init | init
    control |  | none | reinit | none | none | reinit
    select | validation | validation | validation | validation | validation | validation
    planned | 2 | 2 | 2 | 2 | 2 | 2
    n | 2 | 2 | 2 | 2 | 2 | 2
    density_mean | 1.0 | 0.5 | 0.5 | 0.5 | 0.25 | 0.25
    density_std | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0
    density_ci95 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0
    density_effective_mean | 1.0 | 0.499875 | 0.499875 | 0.499875 | 0.24975 | 0.24975
    density_effective_std | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0
    density_effective_ci95 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0
    pruned_test_accuracy_mean |  | 0.5934999999999999 | 0.5945 | 0.5934999999999999 | 0.5854999999999999 | 0.5865
    pruned_test_accuracy_std |  | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407
    pruned_test_accuracy_ci95 |  | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024
    best_test_accuracy_mean | 0.9025000000000001 | 0.8935 | 0.8945000000000001 | 0.8935 | 0.8855 | 0.8865000000000001
    best_test_accuracy_std | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407
    best_test_accuracy_ci95 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024
    last_test_accuracy_mean | 0.8975 | 0.8885000000000001 | 0.8895 | 0.8885000000000001 | 0.8805000000000001 | 0.8815
    last_test_accuracy_std | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407 | 0.0035355339059327407
    last_test_accuracy_ci95 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024 | 0.031765511840000024
    paired_n |  |  | 2 |  |  | 2
    ticket_minus_control_best_test_accuracy_mean |  |  | -0.001 |  |  | -0.001
    ticket_minus_control_best_test_accuracy_ci95 |  |  | 0.0 |  |  | 0.0
    ticket_minus_control_best_test_accuracy_t_p |  |  | 0.0 |  |  | 0.0
    ticket_minus_control_best_test_accuracy_permutation_p |  |  | 0.5 |  |  | 0.5
    ticket_minus_control_last_test_accuracy_mean |  |  | -0.001 |  |  | -0.001
    ticket_minus_control_last_test_accuracy_ci95 |  |  | 0.0 |  |  | 0.0
    ticket_minus_control_last_test_accuracy_t_p |  |  | 0.0 |  |  | 0.0
    ticket_minus_control_last_test_accuracy_permutation_p |  |  | 0.5 |  |  | 0.5
    ");
}

#[test]
fn timing_of_a_small_sweep() {
    let plan =
        plan("network = \"lenet-5\"\ndataset = \"mnist\"\nepochs = 2\npr = 0.5\nlr-milestones = [1]\npriter = 2");
    let history = history(&plan, &BTreeMap::from([(2, vec![])]));
    insta::assert_snapshot!(numbered(&plan, &text(timing::write, &plan, &history)), @r"
    stage,level,epochs,seconds,images_per_second,place,attempts,computed_with
    #0,0,2,3.0,1000.5,cpu,1,
    #1,1,2,3.0,1000.5,cpu,1,
    #2,2,0,0.0,,,0,
    ");
}

#[test]
fn settings_that_do_not_act_are_empty() {
    let plan = plan("o = [\"sgd\", \"adam\"]\nreinit = [\"none\", \"init\"]\npriter = 2\ncontrol = \"random-mask\"");
    let table = text(results::write, &plan, &History::default());
    assert_eq!(column(&table, "trial")[..4], ["1", "1", "1", "2"]);
    assert_eq!(column(&table, "momentum"), [["0.9"; 6], [""; 6]].concat());
    assert_eq!(column(&table, "beta1"), [[""; 6], ["0.9"; 6]].concat());
    assert_eq!(column(&table, "reinit"), ["", "none", "none", "", "init", "init"].repeat(2));
    assert_eq!(column(&table, "fine-tune-epochs"), ["", "160", "160", "", "", ""].repeat(2));
    assert_eq!(column(&table, "control"), ["", "none", "random-mask"].repeat(4), "only the last level has a control");
}

#[test]
fn rows_of_a_sweep_under_way_are_there_and_empty() {
    let plan = plan("priter = 3\npr = 0.875\nepochs = 2\nlr-milestones = [1]");
    let mut begun = records_of(&plan, 1);
    begun.truncate(2);
    let history = history(&plan, &BTreeMap::from([(1, begun), (2, vec![]), (3, vec![])]));
    let table = text(results::write, &plan, &history);
    assert_eq!(column(&table, "state"), ["done", "training", "waiting", "waiting"]);
    assert_eq!(column(&table, "best_test_accuracy"), ["0.9", "", "", ""]);
    assert_eq!(column(&table, "density"), ["1.0", "0.5", "", ""]);
    assert_eq!(column(&table, "rate"), ["", "0.5", "0.5", "0.5"]);
    assert_eq!(column(&text(epochs::write, &plan, &history), "epoch"), ["1", "2", "1"]);
    assert_eq!(column(&text(summary::write, &plan, &history), "n"), ["1", "0", "0", "0"]);
}

#[test]
fn what_follows_a_failure_names_it() {
    let plan = plan("priter = 3\npr = 0.875\nepochs = 2\nlr-milestones = [1]");
    let history = history(&plan, &BTreeMap::from([(1, failed(&plan, 1)), (2, vec![]), (3, vec![])]));
    let table = text(results::write, &plan, &history);
    assert_eq!(column(&table, "state"), ["done", "failed", "skipped", "skipped"]);
    let skipped = "skipped: level 1 failed: loss is not a number at epoch 2";
    assert_eq!(column(&table, "error"), ["", "loss is not a number at epoch 2", skipped, skipped]);
}

#[test]
fn only_timing_depends_on_order_place_and_attempts() {
    let plan = plan(SMALL);
    let expected = history(&plan, &BTreeMap::new());
    // Last stage first, each of its records twice and in reverse, after a failure, elsewhere and slower.
    let mut other = History::default();
    for index in (0..plan.stages.len()).rev() {
        other.add(Record::Failed {
            stage: plan.stages[index].id,
            reason: "out of memory".to_string(),
            again: false,
            time: 0.0,
        });
        for record in records_of(&plan, index).into_iter().rev().flat_map(|record| [record.clone(), record]) {
            other.add(match record {
                Record::Finished { stage, outcome, .. } => Record::Finished {
                    stage,
                    outcome,
                    images_per_second: 7.0,
                    place: "cuda:0".to_string(),
                    attempts: 3,
                    time: 1e9,
                },
                Record::Epoch { stage, epoch } => {
                    Record::Epoch { stage, epoch: EpochRecord { seconds: epoch.seconds * 3.0, ..epoch } }
                }
                other => other,
            });
        }
        other.add(Record::Failed { stage: plan.stages[index].id, reason: "late".to_string(), again: false, time: 0.0 });
    }
    for (name, table) in ALL {
        let same = text(table, &plan, &expected) == text(table, &plan, &other);
        assert_eq!(same, name != "timing.csv", "{name}");
    }
    let style = Style::default();
    assert_eq!(render(&plan, &expected, &style), render(&plan, &other, &style));
}

#[test]
fn who_trained_what_leaves_no_trace_in_the_tables_but_timing() {
    let plan = plan(SMALL);
    let expected = history(&plan, &BTreeMap::new());
    let mut other = History::default();
    let started = || Record::Started { version: "0".into(), time: 1, machine: "m".into() };
    other.add(started());
    other.add(Record::Joined { worker: 0, place: "here".into(), arithmetic: None, time: 2.0 });
    for (index, stage) in plan.stages.iter().map(|stage| stage.id).enumerate() {
        let began = |epoch| Record::Began { stage, worker: 0, epoch, time: 3.0 };
        let records = records_of(&plan, index);
        other.add(began(0));
        other.add(records[0].clone());
        match index % 4 {
            0 => other.add(Record::Stopped { stage, time: 4.0 }),
            1 => other.add(Record::Lost { worker: 0, stage: Some(stage), reason: "gone".into(), time: 4.0 }),
            2 => other.add(Record::Failed { stage, reason: "none".into(), again: true, time: 4.0 }),
            _ => other.add(started()),
        }
        other.add(began(0));
        records.into_iter().for_each(|record| other.add(record));
    }
    other.add(Record::Ended { how: "done".into(), time: 9.0 });
    for (name, table) in ALL.into_iter().filter(|(name, _)| *name != "timing.csv") {
        assert_eq!(text(table, &plan, &expected), text(table, &plan, &other), "{name}");
    }
    let style = Style::default();
    assert_eq!(render(&plan, &expected, &style), render(&plan, &other, &style));
}

#[test]
fn a_stage_that_a_worker_is_at_is_trained_also_before_its_mask_is_drawn() {
    let plan = plan(SMALL);
    let began = Record::Began { stage: plan.stages[1].id, worker: 0, epoch: 0, time: 3.0 };
    // Its parent gave the snapshot before it failed.
    let records = BTreeMap::from([(0, failed(&plan, 0)), (1, vec![began]), (2, vec![])]);
    let history = history(&plan, &records);
    let states: Vec<TrainingState> = Standing::of(&plan, &history).iter().map(|standing| standing.state).collect();
    assert_eq!(states[..2], [TrainingState::Failed, TrainingState::Training]);
    let table = text(results::write, &plan, &history);
    assert_eq!(column(&table, "state")[..2], ["failed", "training"]);
}

#[test]
fn shards_that_are_joined_give_the_tables_of_one_run() {
    let plan = plan(SMALL);
    let expected = history(&plan, &BTreeMap::from([(1, failed(&plan, 1)), (2, vec![]), (3, vec![])]));
    let parts: Vec<Vec<bool>> = (1..=2).map(|index| plan.in_shard(Shard { index, count: 2 })).collect();
    let mut joined = History::default();
    // In whatever order they are read.
    for part in parts.iter().rev() {
        let mut own = History::default();
        own.add(Record::Started { version: "0".into(), time: 1, machine: "m".into() });
        for (id, known) in &expected.stages {
            if part[plan.find(*id).unwrap()] {
                own.stages.insert(*id, known.clone());
            }
        }
        joined.merge(own).unwrap();
    }
    for (name, table) in ALL {
        assert_eq!(text(table, &plan, &expected), text(table, &plan, &joined), "{name}");
    }
}

#[test]
fn means_deviations_and_intervals_are_those_of_plain_loops() {
    let plan = plan("seed = [1, 2, 3]\npr = 0.5\nepochs = 2\nlr-milestones = [1]");
    let history = history(&plan, &BTreeMap::new());
    let table = text(summary::write, &plan, &history);
    assert_eq!(column(&table, "level"), ["0", "1"]);
    assert_eq!(column(&table, "n"), ["3", "3"]);
    let mut values = Vec::new();
    for chain in &plan.chains {
        let outcome = history.stages[&plan.stages[chain.stages[1]].id].outcome.clone().unwrap();
        values.push(outcome.last.test.correct as f64 / outcome.last.test.images as f64);
    }
    let mut mean = 0.0;
    for value in &values {
        mean += value / 3.0;
    }
    let mut squares = 0.0;
    for value in &values {
        squares += (value - mean) * (value - mean);
    }
    let deviation = (squares / 2.0).sqrt();
    let interval = 4.302652729911275 * deviation / 3f64.sqrt();
    for (name, expected) in [("mean", mean), ("std", deviation), ("ci95", interval)] {
        let found: f64 = column(&table, &format!("last_test_accuracy_{name}"))[1].parse().unwrap();
        assert!((found - expected).abs() < 1e-9, "{name}: {found}, expected {expected}");
    }
    assert!(deviation > 0.001);
}

#[test]
fn a_training_that_several_trials_share_counts_once() {
    let plan =
        plan("dataset = \"mnist\"\nseed = 1\npr = 0.5\nreinit = [\"init\", \"lr\"]\ndraw = [\"last\", \"best\"]");
    let history = history(&plan, &BTreeMap::new());
    let table = text(summary::write, &plan, &history);
    assert_eq!(column(&table, "level"), ["0", "1", "1", "1", "1"]);
    assert_eq!(column(&table, "n"), ["1"; 5]);
    assert_eq!(column(&table, "best_test_accuracy_std"), [""; 5]);
}

#[test]
fn every_trial_of_a_large_sweep_has_its_rows() {
    let seeds: Vec<String> = (1..=500).map(|seed: usize| seed.to_string()).collect();
    let rates: Vec<String> = (1..=10).map(|rate| format!("{}", f64::from(rate) / 1000.0)).collect();
    let plan = plan(&format!("seed = [{}]\nlr = [{}]\npriter = 2", seeds.join(","), rates.join(",")));
    assert_eq!(plan.chains.len(), 5_000);
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path(), &plan, &History::default()).unwrap();
    let table = std::fs::read_to_string(folder.path().join("results.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 15_000);
    assert!(render(&plan, &History::default(), &Style::default()).contains("learning-rate 0.01"));
}

#[test]
fn all_tables_are_written_and_a_missing_folder_is_named() {
    let plan = plan(SMALL);
    let history = history(&plan, &BTreeMap::new());
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path(), &plan, &history).unwrap();
    for (name, table) in ALL.into_iter().filter(|(name, _)| ![CLASSES, ANSWERS].contains(name)) {
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), text(table, &plan, &history));
    }
    let error = write_all(&folder.path().join("none"), &plan, &history).unwrap_err();
    assert!(error.message.contains("none"), "{error}");
}
