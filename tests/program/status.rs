//! `status`, `explain` and the joining of shards, on results folders that are made with the library's own journal: what a
//! login node does, without torch.

use super::common::Folder;
use tombola_core::folder::Lock;
use tombola_core::folder::journal::{History, Journal};
use tombola_core::folder::write_down;
use tombola_core::plan::{LoadedFiles, Plan};
use tombola_core::sweep::{Field, Flag, Spec};
use tombola_words::record::{Drawn, EpochRecord, Evaluation, Outcome, Record, Scores};
use tombola_words::value::{Moment, Shard};

const SWEEP: &str = r#"
    name = "small"
    network = "lenet-300-100"
    dataset = "fashion-mnist"
    epochs = 2
    schedule = "none"
    reinit = "init"
    seed = [1, 2, 3, 4, 5]
    pr = [0.5, 0.9]
"#;

fn spec(shard: Option<Shard>, text: &str) -> Spec {
    let values = |shard: Shard| vec![format!("{}/{}", shard.index, shard.count)];
    let flags: Vec<Flag> =
        shard.into_iter().map(|shard| Flag { field: Field::find("shard").unwrap(), values: values(shard) }).collect();
    Spec::read(Some(text), &flags).unwrap()
}

fn plan() -> Plan {
    tombola_core::plan::grow(&spec(None, SWEEP), &Default::default()).unwrap()
}

/// What a stage leaves that is trained without trouble; numbers follow from its place in the plan.
fn trained(plan: &Plan, index: usize) -> Vec<Record> {
    let stage = plan.stages[index].id;
    let evaluation = Evaluation { loss: 0.5, correct: 800 + index as u64, images: 1000, top5: None };
    let scores = Scores { validation: evaluation, test: evaluation };
    let drawn = Drawn {
        prunable: 100,
        alive: 50,
        effective: 50,
        parameters: 120,
        dead_layers: vec![],
        pruned: scores,
        start: scores,
        ..Drawn::default()
    };
    let epoch = |epoch| EpochRecord {
        epoch,
        learning_rate: 0.1,
        train: evaluation,
        validation: evaluation,
        test: None,
        seconds: 2.0,
    };
    vec![
        Record::Began { stage, worker: 0, epoch: 0, time: 1000.0 },
        Record::Drawn { stage, drawn },
        Record::Epoch { stage, epoch: epoch(1) },
        Record::Epoch { stage, epoch: epoch(2) },
        Record::Kept { stage, moment: Moment::Last, sums: None },
        Record::Finished {
            stage,
            outcome: Outcome { best_epoch: 1, best: scores, last: scores, ..Outcome::default() },
            images_per_second: 100.0,
            place: "here".into(),
            attempts: 1,
            time: 1010.0,
        },
    ]
}

fn failed(plan: &Plan, index: usize) -> Vec<Record> {
    let mut records = trained(plan, index);
    records.truncate(3);
    let reason = "loss is not a number".into();
    records.push(Record::Failed { stage: plan.stages[index].id, reason, again: false, time: 1010.0 });
    records
}

fn started() -> [Record; 3] {
    [
        Record::Started { version: "0".into(), time: 990, machine: "m".into() },
        Record::Data { dataset: "fashion-mnist".into(), fingerprint: "0123456789abcdef".into() },
        Record::Joined { worker: 0, place: "node1, cpu".into(), arithmetic: None, time: 995.0 },
    ]
}

/// A results folder with this sweep file and journal.
fn make(folder: &Folder, name: &str, spec: &Spec, records: impl IntoIterator<Item = Record>) {
    std::fs::create_dir_all(folder.path(name)).unwrap();
    write_down(&folder.path(name), spec, &LoadedFiles::new()).unwrap();
    let mut journal = Journal::open(&folder.path(&format!("{name}/journal")), 0).unwrap();
    started().into_iter().chain(records).for_each(|record| journal.append(&record).unwrap());
}

/// The contents of all files below a folder, by path.
fn contents(folder: &Folder) -> Vec<(String, Option<Vec<u8>>)> {
    folder.listing().into_iter().map(|name| (name.clone(), std::fs::read(folder.path(&name)).ok())).collect()
}

#[test]
fn status_and_explain_only_read_also_beside_a_run() {
    let (folder, plan) = (Folder::new(), plan());
    let mut records = trained(&plan, 0);
    records.extend(trained(&plan, 1).into_iter().take(3));
    make(&folder, "out", &spec(None, SWEEP), records);
    folder.write(&format!("out/stages/{}/last.safetensors", plan.stages[0].id), [0; 1500]);
    // A frame that the run is writing at this moment.
    let journal = std::fs::read(folder.path("out/journal")).unwrap();
    folder.write("out/journal", [&journal[..], &[9, 0, 0, 0, 1]].concat());
    let lock = Lock::take(&folder.path("out")).unwrap();
    let before = contents(&folder);
    folder
        .tombola("status out")
        .expect(0)
        .prints("out: running for ")
        .prints(&format!("(process {} on ", std::process::id()))
        .prints("trainings  1 of 15 done · 1 training · 13 waiting")
        .prints("worker 1  node1, cpu  lenet-300-100 seed 1 · level 1, 50.0 % · init  1/2 epochs  80.10 %  for ");
    folder.tombola("explain out 1").expect(0).prints("training: worker 1 (node1, cpu) trains it for ");
    folder.tombola(&format!("explain out {}", plan.stages[0].id)).expect(0).prints("  last.safetensors  1.5 kB\n");
    // The run is not disturbed, and goes on.
    assert_eq!(contents(&folder), before);
    drop(lock);
    folder.tombola("status out").expect(0).prints("was killed, or its machine went down").prints("1 half way");
    Lock::take(&folder.path("out")).unwrap();
    assert_eq!(contents(&folder).len(), before.len());
}

#[test]
fn the_json_form_can_be_read() {
    let (folder, plan) = (Folder::new(), plan());
    make(&folder, "out", &spec(None, SWEEP), trained(&plan, 0).into_iter().chain(failed(&plan, 1)));
    let ran = folder.tombola("status out --json").expect(0);
    let status: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(status["version"], 1);
    assert_eq!((&status["trainings"]["done"], &status["trainings"]["failed"]), (&1.into(), &1.into()));
    assert_eq!(status["failures"][0]["stage"], plan.stages[1].id.to_string());
    assert_eq!(status["runs"][0]["state"], "killed");
}

#[test]
fn a_script_can_ask_whether_all_is_done() {
    let (folder, plan) = (Folder::new(), plan());
    let all = plan.stages.len();
    let finished = |stages: std::ops::Range<usize>| stages.flat_map(|index| trained(&plan, index)).collect::<Vec<_>>();
    make(&folder, "done", &spec(None, SWEEP), finished(0..all));
    assert_eq!(folder.tombola("status done --check").expect(0).out, "done: 15 of 15 trainings done\n");
    make(&folder, "failed", &spec(None, SWEEP), finished(0..all - 1).into_iter().chain(failed(&plan, all - 1)));
    assert_eq!(folder.tombola("status failed --check").expect(1).out, "failed: 14 of 15 trainings done, 1 failed\n");
    // A failure does not hide that something is left.
    make(&folder, "left", &spec(None, SWEEP), finished(0..3).into_iter().chain(failed(&plan, 4)));
    assert_eq!(
        folder.tombola("status left --check").expect(75).out,
        "left: 3 of 15 trainings done, 1 failed, 11 left\n"
    );
    // Nor does a shard that is done that others are not there yet.
    let shard = Shard { index: 1, count: 3 };
    let own = plan.in_shard(shard);
    let records = (0..all).filter(|stage| own[*stage]).flat_map(|index| trained(&plan, index));
    make(&folder, "all/shard-1-of-3", &spec(Some(shard), SWEEP), records);
    folder.tombola("status all --check").expect(75);
    folder.tombola("status all/shard-1-of-3 --check").expect(0);
    folder.tombola("status nowhere --check").expect(2);
}

#[test]
fn what_is_not_there_is_told_with_what_could_be_meant() {
    let (folder, plan) = (Folder::new(), plan());
    make(&folder, "out", &spec(None, SWEEP), trained(&plan, 0));
    folder.tombola("status nowhere").expect(2).says("nowhere/sweep.toml").says("results/quickstart");
    folder.tombola("explain out zzz").expect(2).says("begins with `zzz`").says("`results.csv`");
    folder.tombola("explain out 99").expect(2).says("begins with `99`");
    folder.tombola("explain out 0").expect(2).says("counted from 1");
    folder.tombola("explain out").expect(2);
    // A reader that has seen enough.
    folder.shell("tombola status out --json | head -n 1").expect(0);
}

#[test]
fn shards_are_joined_to_the_tables_of_one_run() {
    let (folder, plan) = (Folder::new(), plan());
    let records = |index: usize| if index == 4 { failed(&plan, 4) } else { trained(&plan, index) };
    make(&folder, "one", &spec(None, SWEEP), (0..plan.stages.len()).flat_map(records));
    folder.tombola("tables one").expect(0);
    let count = 3;
    for index in 1..=count {
        let shard = Shard { index, count };
        let own = plan.in_shard(shard);
        let records = (0..plan.stages.len()).filter(|stage| own[*stage]).flat_map(records);
        make(&folder, &format!("all/{}", shard.folder()), &spec(Some(shard), SWEEP), records);
        if index == 1 {
            folder.tombola("tables all").expect(0).says("shards 2 and 3 of 3 are not there yet");
            folder.tombola("status all").expect(0).prints("shard 2/3               not there yet");
            let stage = plan.stages[3].id;
            folder
                .tombola(&format!("explain all {stage}"))
                .expect(0)
                .prints("it belongs to shard 2/3, which is not there");
        }
    }
    let ran = folder.tombola("tables all").expect(0);
    assert_eq!(ran.err, "");
    for name in ["results.csv", "epochs.csv", "summary.csv", "timing.csv", "sweep.toml"] {
        assert_eq!(folder.read(&format!("one/{name}")), folder.read(&format!("all/{name}")), "{name}");
    }
    // One that has tables already stays one that holds shards, and one shard by itself is a sweep of fewer trainings.
    folder
        .tombola("status all")
        .expect(0)
        .prints("trainings  14 of 15 done · 1 failed")
        .prints("shard 3/3  3 of 3 done");
    folder.tombola("status all/shard-3-of-3").expect(0).prints("trainings  3 of 3 done");
    assert!(History::read(&folder.path("all/journal")).unwrap().stages.is_empty());
}

#[test]
fn shards_that_do_not_belong_together_are_refused_and_named() {
    let (folder, plan) = (Folder::new(), plan());
    let shard = |index, count| Shard { index, count };
    make(&folder, "a/shard-1-of-2", &spec(Some(shard(1, 2)), SWEEP), trained(&plan, 0));
    let other = SWEEP.replace("epochs = 2", "epochs = 3");
    make(&folder, "a/shard-2-of-2", &spec(Some(shard(2, 2)), &other), []);
    folder
        .tombola("tables a")
        .expect(2)
        .says("found `epochs = 3`, expected `epochs = 2`")
        .says("shard-2-of-2/sweep.toml");
    // Other data.
    let data = Record::Data { dataset: "fashion-mnist".into(), fingerprint: "f00d".into() };
    make(&folder, "a/shard-2-of-2", &spec(Some(shard(2, 2)), SWEEP), [data]);
    folder.tombola("status a").expect(2).says("the checksum of `fashion-mnist` is f00d, expected 0123456789ab");
    make(&folder, "a/shard-2-of-2", &spec(Some(shard(1, 2)), SWEEP), []);
    folder.tombola("tables a").expect(2).says("is of shard 1/2, expected shard 2/2");
    make(&folder, "a/shard-2-of-3", &spec(Some(shard(2, 3)), SWEEP), []);
    folder.tombola("tables a").expect(2).says("`shard-1-of-2` and `shard-2-of-3`");
    // Beside a run of the whole sweep they are not read, which is said.
    make(&folder, "c", &spec(None, SWEEP), []);
    make(&folder, "c/shard-1-of-2", &spec(Some(shard(1, 2)), SWEEP), []);
    folder.tombola("tables c").expect(0).says("left out: `c/shard-1-of-2`");
    // A sweep file of the user's own is left alone.
    make(&folder, "b/shard-1-of-2", &spec(Some(shard(1, 2)), SWEEP), []);
    folder.write("b/sweep.toml", SWEEP);
    folder.tombola("tables b").expect(2).says("would be overwritten");
    assert_eq!(folder.read("b/sweep.toml"), SWEEP);
    assert!(!folder.path("b/results.csv").exists());
}
