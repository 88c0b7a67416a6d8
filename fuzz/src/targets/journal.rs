//! A journal. It is refused, or read up to some byte; what was read up to there is the same without the rest, and is read again
//! when it is written anew.

use std::path::Path;

use crate::form::{FRAMES, Grammar};
use crate::{FuzzTarget, few_copies, scratch};
use tombola_core::folder::journal::frames::{HEADER, Piece, Pieces};
use tombola_core::folder::journal::{History, Journal, StageHistory};
use tombola_words::StageId;
use tombola_words::record::{BarrierPoint, ClassCount, Drawn, Evaluation, Outcome, Record, Scores, Size};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "journal",
    run,
    seeds,
    form: FRAMES,
    grammar: Grammar::Values,
    words,
    longest: 4096,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    pieces(bytes);
    let path = Path::new("journal");
    let Ok(history) = History::of(path, bytes) else { return };
    let (end, torn) = (history.end as usize, history.torn as usize);
    assert_eq!(end + torn, bytes.len(), "some bytes are neither read nor torn");
    let again = History::of(path, &bytes[..end]);
    let again = again.unwrap_or_else(|error| panic!("the part that was read is refused without the rest: {error}"));
    assert_eq!((again.end, again.torn), (history.end, 0));
    assert_eq!(told(&again), told(&history), "what stands behind the end changes what is known");
    for (stage, known) in &history.stages {
        rewritten(*stage, known);
    }
}

/// Every byte behind the header belongs to one piece, and the sound ones by themselves are a journal that is read, which is what a
/// repair writes.
fn pieces(bytes: &[u8]) {
    let (mut end, mut sound, mut kept) = (HEADER.len().min(bytes.len()), 0, HEADER.to_vec());
    for piece in Pieces::of(bytes) {
        let range = piece.range();
        assert!(range.start == end && range.end > end, "a piece is {range:?} and the one before ends at {end}");
        end = range.end;
        if matches!(piece, Piece::Sound(..)) {
            sound += 1;
            kept.extend(&bytes[range]);
        }
    }
    assert_eq!(end, bytes.len(), "the end is no piece");
    let again = Pieces::of(&kept).filter(|piece| matches!(piece, Piece::Sound(..))).count();
    assert_eq!((again, Pieces::of(&kept).count()), (sound, sound), "what is sound is not when it stands alone");
    if let Err(error) = History::of(Path::new("journal"), &kept) {
        panic!("a journal of sound records is refused: {error}");
    }
}

/// What is known, in words that are the same for the same history: numbers that are none equal nothing, not even themselves.
fn told(history: &History) -> Vec<String> {
    let mut told: Vec<String> = history.stages.iter().map(|(id, stage)| format!("{id} {stage:?}")).collect();
    told.sort();
    told.push(format!("{:?} {:?} {:?}", history.data, history.workers, history.shifts));
    told.push(format!("{} {} {:?} {:?}", history.runs, history.begun, history.ended, history.made_by));
    told
}

/// What is written into another journal of a stage is read from there.
fn rewritten(stage: StageId, known: &StageHistory) {
    for value in
        known.drawn.iter().flat_map(|drawn| [drawn.density(), drawn.total_density(), drawn.effective_density()])
    {
        assert!(!value.is_nan(), "a density is no number: {known:?}");
    }
    let mut other = History::default();
    let path = scratch::file("journal/other", b"");
    let records = known.records(stage);
    let mut write = || -> tombola_words::error::Result<History> {
        let mut journal = Journal::open(&path, 0)?;
        for record in &records {
            journal.append(record)?;
            other.add(record.clone());
        }
        History::read(&path)
    };
    let read = write().unwrap_or_else(|error| panic!("what was written is not read: {error}"));
    assert_eq!(told(&read), told(&other), "what was written is read as something else");
    let part = |stage: &StageHistory| {
        format!("{:?}", (&stage.drawn, &stage.epochs, &stage.masks, &stage.outcome, &stage.kept, &stage.sums))
    };
    let expected = part(known);
    let found = read.stages.get(&stage).map_or_else(|| part(&StageHistory::default()), |stage| part(stage));
    assert_eq!(found, expected, "a stage is not what it was");
}

fn seeds() -> Vec<Vec<u8>> {
    let all = records();
    let whole = write(&all);
    let mut each: Vec<Vec<u8>> = all.iter().map(|record| write(std::slice::from_ref(record))).collect();
    each.push(whole[..whole.len() - 7].to_vec());
    each.push([&whole[..], &[0; 40]].concat());
    each.push(whole);
    each.push(write(&[]));
    each
}

fn write(records: &[Record]) -> Vec<u8> {
    let path = scratch::file("journal/seed", b"");
    let written =
        Journal::open(&path, 0).and_then(|mut journal| records.iter().try_for_each(|record| journal.append(record)));
    written.ok().and_then(|()| std::fs::read(&path).ok()).unwrap_or_default()
}

/// Each kind of record.
fn records() -> Vec<Record> {
    let stage = StageId::of("fuzz");
    let evaluation = Evaluation { loss: 0.7, correct: 5, images: 9, top5: None };
    let scores = Scores { validation: evaluation, test: evaluation };
    let size = Size { parameters: 60, macs: 900, activation_bytes: 4000 };
    let drawn = Drawn {
        prunable: 50,
        alive: 25,
        effective: 24,
        parameters: 60,
        dead_layers: vec!["fc.weight".into()],
        pruned: scores,
        start: scores,
        sizes: Some((size, size)),
        span: Some((0, 3)),
        ..Drawn::default()
    };
    let outcome = Outcome {
        best_epoch: 1,
        best: scores,
        last: scores,
        stopped_at: Some(2),
        barrier: vec![BarrierPoint { alpha: 0.5, scores }],
        classes: vec![ClassCount { images: 4, best: 3, last: 2 }],
        computed_with: Vec::new(),
    };
    let mut told = vec![
        Record::Started { version: "0.1.0".into(), time: 1_700_000_000, machine: "cpu, 2 threads".into() },
        Record::Data { dataset: "mnist".into(), fingerprint: "0123456789abcdef".into() },
        Record::Joined { worker: 0, place: "host cpu".into(), arithmetic: None, time: 1.7e9 },
        Record::Began { stage, worker: 0, epoch: 0, time: 1.7e9 },
        Record::Drawn { stage, drawn },
        Record::Stopped { stage, time: 1.7e9 },
        Record::Lost { worker: 0, stage: Some(stage), reason: "silent".into(), time: 1.7e9 },
        Record::Failed { stage, reason: "diverged".into(), again: true, time: 1.7e9 },
        Record::Finished { stage, outcome, images_per_second: 1e3, place: "cpu".into(), attempts: 2, time: 1.7e9 },
        Record::Ended { how: "complete".into(), time: 1.7e9 },
    ];
    told.extend(older(stage));
    told
}

/// Records that fields are added to now and then: read from text, which need not have the new ones.
fn older(stage: StageId) -> Vec<Record> {
    let stage = format!("{:?}", stage_bytes(stage));
    let evaluation = r#"{"loss":0.7,"correct":5,"images":9}"#;
    let texts = [
        format!(
            r#"{{"Epoch":{{"stage":{stage},"epoch":{{"epoch":1,"learning_rate":0.1,"train":{evaluation},"validation":{evaluation},"seconds":1.5}}}}}}"#
        ),
        format!(
            r#"{{"Mask":{{"stage":{stage},"track":9,"epoch":3,"mask":{{"len":75,"alive":40,"first":1,"distances":[3,4]}}}}}}"#
        ),
        format!(r#"{{"Kept":{{"stage":{stage},"moment":{{"Epoch":1}}}}}}"#),
        format!(r#"{{"Kept":{{"stage":{stage},"moment":"Best"}}}}"#),
        format!(r#"{{"Freed":{{"stage":{stage},"moment":{{"Epoch":1}}}}}}"#),
        format!(r#"{{"Progress":{{"stage":{stage},"epoch":2,"best":1}}}}"#),
    ];
    texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// What the name of a stage is in a record.
fn stage_bytes(stage: StageId) -> Vec<u8> {
    let text = stage.to_string();
    (0..text.len() / 2).filter_map(|byte| u8::from_str_radix(text.get(2 * byte..2 * byte + 2)?, 16).ok()).collect()
}

fn words() -> Vec<String> {
    let names = "Started Data Drawn Epoch Mask Kept Freed Progress Joined Began Stopped Lost Finished Failed Ended Best Last stage epoch moment";
    names.split(' ').map(str::to_string).collect()
}
