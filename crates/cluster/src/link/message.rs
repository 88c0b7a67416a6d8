//! What the coordinator and its workers say to each other.
//!
//! Messages are MessagePack with named fields. Whoever changes their meaning raises [`PROTOCOL`]: ranks of different
//! versions then refuse each other instead of misunderstanding. It may not know how messages travel.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use tombola_core::mask::Bits;
use tombola_core::net::Snapshot;
use tombola_core::plan::{LoadedFiles, Part};
use tombola_core::training::{Resume, TrainingEvent};
use tombola_words::StageId;
use tombola_words::arithmetic::Arithmetic;
use tombola_words::error::{Error, Result};
use tombola_words::record::{MeasuredTime, Outcome};
use tombola_words::value::Moment;

/// The version of everything below.
pub const PROTOCOL: u32 = 4;

/// From the coordinator to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// What this is about. The first order to a rank; threads of the coordinator's process know it.
    Welcome(Box<Welcome>),
    /// Train a stage.
    Start(Box<Assignment>),
    /// Let go of the copy of a snapshot.
    Forget(usize, Moment),
    /// Report progress after the running epoch and stop.
    Stop,
    /// The coordinator lives.
    Alive,
    /// All is over.
    End {
        /// Whether all ranks are there to take leave of each other.
        clean: bool,
    },
}

/// From a worker to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Word {
    /// A rank is there.
    Hello(Box<Hello>),
    /// It has its data and waits for a stage.
    Ready(Box<Ready>),
    /// It lives.
    Alive,
    /// A training goes on.
    Report {
        /// The assignment.
        attempt: u64,
        /// What happened.
        report: TrainingEvent,
    },
    /// A training ended.
    Done {
        /// The assignment.
        attempt: u64,
        /// How.
        outcome: Result<Outcome>,
    },
    /// Its process was asked to stop (a signal).
    Signal,
    /// It cannot begin, or not go on.
    Unable(Error),
    /// It has seen the end.
    Bye,
}

impl Word {
    /// Whether its sender waits for an answer, or others have to be told. Signs of life and reports are followed by more of
    /// the same; what a snapshot makes ready goes to workers that wait already.
    pub fn calls_for_orders(&self) -> bool {
        match self {
            Self::Alive | Self::Bye | Self::Report { .. } => false,
            Self::Hello(_) | Self::Ready(_) | Self::Done { .. } | Self::Signal | Self::Unable(_) => true,
        }
    }

    /// Bytes of the snapshots in it: beside those, nothing is large.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Report { report: TrainingEvent::Snapshot(_, snapshot), .. } => snapshot.bytes(),
            Self::Report { report: TrainingEvent::Progress(state, best), .. } => {
                state.bytes() + best.as_ref().map_or(0, |best| best.bytes())
            }
            _ => 0,
        }
    }
}

/// The sweep, for a process that has not read it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Welcome {
    /// The sweep as a sweep file, complete.
    pub sweep: String,
    /// The files that dense networks are loaded from: their checksums are part of the stages' names.
    pub loaded: LoadedFiles,
    /// Checksum over the names of all stages.
    pub plan: String,
    /// The dense stages whose networks and data are needed.
    pub roots: Vec<usize>,
    /// Seconds without a sign of life after which a rank counts as lost.
    pub lease: f64,
    /// The host where rank 0 takes no device, if it does not train.
    pub dedicated_host: Option<String>,
}

/// A rank introduces itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the program.
    pub version: String,
    /// Name of its host.
    pub host: String,
    /// Number of its process there.
    pub process: u32,
}

/// What a worker found when it got ready.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ready {
    /// Host and device in words.
    pub place: String,
    /// What it computes with.
    pub arithmetic: Option<Arithmetic>,
    /// Name and checksum of each data set.
    pub fingerprints: BTreeMap<String, String>,
}

/// One stage for one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Number of this order: what is said about it carries the same.
    pub attempt: u64,
    /// Index of the stage in the plan.
    pub stage: usize,
    /// Its name, as a check.
    pub id: StageId,
    /// The snapshots that it starts from: the draw, then the rewind.
    pub sources: Vec<SourceSnapshot>,
    /// Weights of a dense network that is loaded instead of trained, or that it trains from.
    pub loaded: Option<Arc<Snapshot>>,
    /// The mask, where it is given and not drawn.
    pub mask: Option<Arc<Bits>>,
    /// Losses of its dense training on the images that steer, as far as it goes on from them.
    pub dense_losses: Vec<f64>,
    /// What was measured for a ticket that is drawn alike, where its target is a time.
    pub measured: Option<MeasuredTime>,
    /// Where it was when it was interrupted.
    pub resume: Option<Resume>,
    /// Seconds between two snapshots of it while it runs.
    pub snapshot_seconds: f64,
    /// The epoch after which it is to stop, where results of others decide whether it goes on.
    pub until: Option<usize>,
}

/// A snapshot of another stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSnapshot {
    /// Of which stage.
    pub stage: usize,
    /// When.
    pub moment: Moment,
    /// What it is for.
    pub part: Part,
    /// The snapshot; nothing if the worker holds a copy.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// A message as bytes.
///
/// # Errors
/// When it cannot be encoded, which would be a defect.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(message).map_err(|error| Error::environment(format!("cannot encode a message: {error}")))
}

/// A message from bytes.
///
/// # Errors
/// When they are no message of this version.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        Error::environment(format!("a message of {} bytes cannot be read: {error}", bytes.len()))
            .hint("start the same build of Tombola on every node")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_core::plan::dense_id;
    use tombola_core::sweep::Settings;
    use tombola_words::record::{EpochRecord, Evaluation};

    #[test]
    fn every_kind_of_message_arrives_as_it_was_sent() {
        let snapshot = Arc::new(Snapshot {
            epoch: 2,
            step: 0,
            batches: 5,
            parameters: vec![0.5; 10],
            buffers: Vec::new(),
            optimizer: None,
            mask: None,
        });
        let epoch = EpochRecord {
            epoch: 1,
            learning_rate: 0.1,
            train: Evaluation { loss: f64::MAX, correct: 1, images: 2, top5: None },
            validation: Evaluation::default(),
            test: None,
            seconds: 0.5,
        };
        let orders = [
            Order::Start(Box::new(Assignment {
                attempt: 7,
                stage: 3,
                id: dense_id(&Settings::default(), None, None),
                sources: vec![SourceSnapshot {
                    stage: 1,
                    moment: Moment::Epoch(4),
                    part: Part::Draw,
                    snapshot: Some(Arc::clone(&snapshot)),
                }],
                loaded: None,
                mask: None,
                dense_losses: vec![0.1, f64::MIN_POSITIVE],
                measured: Some(MeasuredTime { share: 0.1, dense_seconds: 2e-3, seconds: 1e-3, batch: 128, draw: 7 }),
                resume: Some(Resume {
                    state: Arc::clone(&snapshot),
                    best: None,
                    epochs: vec![epoch.clone()],
                    masks: Vec::new(),
                    drawn: vec![3],
                }),
                snapshot_seconds: 20.0,
                until: Some(3),
            })),
            Order::Forget(3, Moment::Best),
            Order::Stop,
            Order::Alive,
            Order::End { clean: true },
        ];
        for order in orders {
            assert_eq!(decode::<Order>(&encode(&order).unwrap()).unwrap(), order);
        }
        let words = [
            Word::Report { attempt: 1, report: TrainingEvent::Epoch(epoch) },
            Word::Report { attempt: 1, report: TrainingEvent::Snapshot(Moment::Last, snapshot) },
            Word::Report { attempt: 1, report: TrainingEvent::Images { seen: 5, of: 9 } },
            Word::Done { attempt: 2, outcome: Err(Error::training("diverged").hint("lower it")) },
            Word::Unable(Error::input("no data")),
            Word::Bye,
        ];
        for word in words {
            assert_eq!(decode::<Word>(&encode(&word).unwrap()).unwrap(), word);
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_refused_with_a_cure() {
        let error = decode::<Word>(&[0xc1, 0, 1]).unwrap_err();
        assert!(error.message.contains("3 bytes") && error.hint.unwrap().contains("same build"));
    }
}
