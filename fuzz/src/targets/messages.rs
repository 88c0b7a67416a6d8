//! A message between the coordinator and a worker, behind a byte that says from whom. What is read is sent and read again as
//! the same.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::form::{CHOICE, Grammar};
use crate::{FuzzTarget, few_copies};
use tombola_cluster::link::message::{decode, encode};
use tombola_cluster::link::{Assignment, Hello, Order, Ready, SourceSnapshot, Welcome, Word};
use tombola_core::mask::Bits;
use tombola_core::net::Layout;
use tombola_core::plan::{LoadedFile, Part};
use tombola_core::training::{Resume, TrainingEvent};
use tombola_words::StageId;
use tombola_words::error::Error;
use tombola_words::record::{Drawn, MeasuredTime, Outcome};
use tombola_words::value::Moment;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "messages",
    run,
    seeds,
    form: CHOICE,
    grammar: Grammar::Values,
    words,
    longest: 4096,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, message)) => there_and_back::<Order>(message),
        Some((1, message)) => there_and_back::<Word>(message),
        _ => {}
    }
}

fn there_and_back<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = decode::<T>(bytes) else { return };
    let sent = encode(&message).unwrap_or_else(|error| panic!("what was read is not sent: {error}"));
    // Numbers that are none equal nothing: what is compared are bytes.
    let again = decode::<T>(&sent).and_then(|again| encode(&again));
    let again = again.unwrap_or_else(|error| panic!("what was sent is not read: {error}"));
    assert_eq!(again, sent, "a message arrives as another");
}

fn seeds() -> Vec<Vec<u8>> {
    let Ok(graph) = super::small_network() else { return Vec::new() };
    let layout = Layout::of(&graph);
    let snapshot = Arc::new(super::small_snapshot(&layout));
    let mask = Arc::new(Bits::ones(70));
    let source = |moment, snapshot| SourceSnapshot { stage: 1, moment, part: Part::Draw, snapshot };
    let orders = [
        Order::Welcome(Box::new(Welcome {
            sweep: "epochs = 3\n".into(),
            loaded: [("file".to_string(), LoadedFile { place: "file".into(), checksum: "checksum".into() })].into(),
            plan: "plan".into(),
            roots: vec![0, 3],
            lease: 60.0,
            dedicated_host: Some("host".into()),
        })),
        Order::Start(Box::new(Assignment {
            attempt: 7,
            stage: 3,
            id: StageId::of("fuzz"),
            sources: vec![source(Moment::Epoch(4), Some(Arc::clone(&snapshot))), source(Moment::EarlyBird(9), None)],
            loaded: None,
            mask: Some(Arc::clone(&mask)),
            dense_losses: vec![0.1, f64::NAN],
            measured: Some(MeasuredTime { share: 0.1, dense_seconds: f64::NAN, seconds: 1e-3, batch: 128, draw: 7 }),
            resume: Some(Resume {
                state: Arc::clone(&snapshot),
                best: None,
                epochs: Vec::new(),
                masks: vec![(9, vec![(1, Arc::clone(&mask))])],
                drawn: vec![3],
            }),
            snapshot_seconds: 20.0,
            until: Some(2),
        })),
        Order::Forget(3, Moment::Best),
        Order::Stop,
        Order::End { clean: true },
    ];
    let words = [
        Word::Hello(Box::new(Hello { version: "0.1.0".into(), host: "host".into(), process: 1 })),
        Word::Ready(Box::new(Ready {
            place: "cpu".into(),
            arithmetic: None,
            fingerprints: [("mnist".to_string(), "sum".to_string())].into(),
        })),
        Word::Alive,
        Word::Report {
            attempt: 1,
            report: TrainingEvent::Drawn(Box::new(Drawn { span: Some((0, 3)), ..Drawn::default() })),
        },
        Word::Report { attempt: 1, report: TrainingEvent::Images { seen: 5, of: 9 } },
        Word::Report { attempt: 1, report: TrainingEvent::Mask { track: 9, epoch: 1, mask } },
        Word::Report { attempt: 1, report: TrainingEvent::Snapshot(Moment::Last, Arc::clone(&snapshot)) },
        Word::Report { attempt: 1, report: TrainingEvent::Progress(snapshot, None) },
        Word::Done { attempt: 2, outcome: Ok(Outcome::default()) },
        Word::Done { attempt: 2, outcome: Err(Error::training("diverged").hint("lower it")) },
        Word::Unable(Error::input("no data")),
    ];
    let with = |choice: u8, message: Option<Vec<u8>>| message.map(|message| [&[choice][..], &message].concat());
    let orders = orders.iter().filter_map(|order| with(0, encode(order).ok()));
    orders.chain(words.iter().filter_map(|word| with(1, encode(word).ok()))).collect()
}

fn words() -> Vec<String> {
    let names = "Welcome Start Forget Stop Alive End Hello Ready Report Done Signal Unable Bye Drawn Images Epoch Mask Snapshot Progress Ok Err snapshot mask parameters bits len words";
    names.split(' ').map(str::to_string).collect()
}
