//! A training without a sweep: a small network on small synthetic data, and all that it reports.
//!
//! One thread, so that every comparison can be exact. `TOMBOLA_TEST_DEVICE=cuda` trains on a GPU instead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tch::Device;
use tombola_core::mask::Bits;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_core::plan::dense_id;
use tombola_core::plan::{Pruning, Stage};
use tombola_core::prune::{Pruner, Sources};
use tombola_core::sweep::Settings;
use tombola_core::training::{Flow, Resume, TrainingEvent};
use tombola_data::{Normalisation, split, synthetic};
use tombola_train::batches::{Parts, Resident};
use tombola_train::training::{Task, run};
use tombola_words::Shape;
use tombola_words::error::{Kind, Result};
use tombola_words::record::{Drawn, EpochRecord, MeasuredTime, Outcome};
use tombola_words::value::{Augment, Moment, Rewind, Schedule};

/// Images trained on: four whole batches of 64 and a smaller one.
pub(crate) const TRAIN: usize = 300;

/// Where the tests train: the CPU, unless `TOMBOLA_TEST_DEVICE` names another device.
pub(crate) fn device() -> Device {
    let wish = std::env::var("TOMBOLA_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_string());
    tombola_train::device::device(Some(&wish), 0).unwrap()
}

/// Data and network that the trainings of a test share.
pub(crate) struct Place {
    pub(crate) graph: Arc<Graph>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) data: Resident,
    pub(crate) normalisation: Normalisation,
    pub(crate) pruner: Pruner,
}

impl Place {
    /// A small residual network with batch norm, or another of the zoo.
    pub(crate) fn new(network: &str) -> Self {
        Self::with_test_labels(network, |label| label)
    }

    /// The same on images of `side` pixels, for networks that pool often.
    pub(crate) fn with_side(network: &str, side: usize) -> Self {
        Self::build(network, side, |label| label)
    }

    /// The same, with the labels of the test images changed.
    pub(crate) fn with_test_labels(network: &str, change: impl Fn(u16) -> u16) -> Self {
        Self::build(network, 8, change)
    }

    fn build(network: &str, side: usize, change: impl Fn(u16) -> u16) -> Self {
        tch::set_num_threads(1);
        let mut images = synthetic((1, side, side), 10, TRAIN + 60, 100).unwrap();
        images.test.labels.iter_mut().for_each(|label| *label = change(*label));
        let choice = Choice { depth: if network == "resnetb" { 11 } else { 8 }, width: 4, ..Choice::named(network) };
        let graph = Arc::new(zoo::build(&choice, Shape::Image(1, side, side), 10).unwrap());
        let layout = Arc::new(Layout::of(&graph));
        let normalisation = Normalisation::of(&images.train, 0..TRAIN).unwrap();
        let pruner = Pruner::new(&graph, &layout);
        Self { graph, layout, data: Resident::new(images, device()), normalisation, pruner }
    }

    pub(crate) fn parts(&self) -> Parts {
        self.data.parts(&split(TRAIN + 60, None, Some(60)).unwrap(), &self.normalisation)
    }

    pub(crate) fn run(&self, stage: &Stage, start: Start) -> Result<Trained> {
        self.run_until(stage, start, usize::MAX)
    }

    /// Trains, and asks to stop after the epoch `stop`.
    pub(crate) fn run_until(&self, stage: &Stage, start: Start, stop: usize) -> Result<Trained> {
        let mut trained =
            Trained { epochs: start.resume.iter().flat_map(|r| r.epochs.clone()).collect(), ..start.told };
        let task = Task {
            stage,
            graph: &self.graph,
            layout: &self.layout,
            pruner: &self.pruner,
            parts: &self.parts(),
            device: device(),
            sources: start.sources,
            dense_losses: start.dense_losses,
            measured: start.measured,
            resume: start.resume,
            snapshot_every: Duration::ZERO,
        };
        let outcome = run(task, &mut |report| {
            match report {
                TrainingEvent::Drawn(drawn) => trained.drawn.push(*drawn),
                TrainingEvent::Settled(end) => {
                    let drawn = trained.drawn.pop().unwrap();
                    trained.drawn.push(drawn.settled(*end));
                }
                TrainingEvent::Images { .. } | TrainingEvent::Busy | TrainingEvent::Eager(_) => {}
                TrainingEvent::Epoch(epoch) => {
                    trained.epochs.push(EpochRecord { seconds: 0.0, ..epoch });
                    if trained.epochs.len() >= stop {
                        return Flow::Stop;
                    }
                }
                TrainingEvent::Mask { track, epoch, mask } => trained.masks.push((track, epoch, mask)),
                TrainingEvent::Snapshot(moment, snapshot) => {
                    trained.snapshots.push((moment, snapshot.checksum(), snapshot));
                }
                TrainingEvent::Progress(state, best) => {
                    let best = best.or_else(|| trained.progress.last().and_then(|resume| resume.best.clone()));
                    let resume = trained.resume(stage, state, best);
                    trained.progress.push(resume);
                }
            }
            Flow::Continue
        });
        match outcome {
            Ok(outcome) => Ok(Trained { outcome: Some(outcome), ..trained }),
            Err(error) if error.kind == Kind::Interrupted => Ok(trained),
            Err(error) => Err(error),
        }
    }
}

/// What a training goes on from.
#[derive(Default)]
pub(crate) struct Start {
    pub(crate) sources: Sources,
    pub(crate) dense_losses: Vec<f64>,
    pub(crate) measured: Option<MeasuredTime>,
    pub(crate) resume: Option<Resume>,
    /// What was told before the resume.
    pub(crate) told: Trained,
}

impl Start {
    /// From a dense training: drawn at its end, rewound to the epoch if one is given.
    pub(crate) fn after(dense: &Trained, epoch: Option<usize>) -> Self {
        Self::back_to(dense, epoch.map(Moment::Epoch))
    }

    /// The same, rewound to any moment.
    pub(crate) fn back_to(dense: &Trained, moment: Option<Moment>) -> Self {
        let drawn = Some(Arc::clone(dense.snapshot(Moment::Last)));
        let rewound = moment.map(|moment| Arc::clone(dense.snapshot(moment)));
        let dense_losses = dense.epochs.iter().map(|epoch| epoch.steering().loss).collect();
        Self { sources: Sources { drawn, rewound, ..Sources::default() }, dense_losses, ..Self::default() }
    }
}

/// Everything that a training told. Seconds, which differ from run to run, are 0.
#[derive(Default, Debug, Clone)]
pub(crate) struct Trained {
    /// None when it was stopped.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) drawn: Vec<Drawn>,
    pub(crate) epochs: Vec<EpochRecord>,
    /// With the checksum at the moment of the report.
    pub(crate) snapshots: Vec<(Moment, String, Arc<Snapshot>)>,
    pub(crate) progress: Vec<Resume>,
    /// Kind, epoch and mask.
    pub(crate) masks: Vec<(u64, usize, Arc<Bits>)>,
}

/// Everything that a training told, snapshots as checksums.
pub(crate) type Fingerprint =
    (Option<Outcome>, Vec<Drawn>, Vec<EpochRecord>, Vec<(Moment, String)>, Vec<(u64, usize, Arc<Bits>)>);

impl Trained {
    pub(crate) fn snapshot(&self, moment: Moment) -> &Arc<Snapshot> {
        let found = self.snapshots.iter().find(|(found, ..)| *found == moment);
        &found.unwrap_or_else(|| panic!("no snapshot {moment}")).2
    }

    /// What a training goes on from that is interrupted now.
    fn resume(&self, stage: &Stage, state: Arc<Snapshot>, best: Option<Arc<Snapshot>>) -> Resume {
        let of = |key: u64| self.masks.iter().filter(move |(track, ..)| *track == key);
        let masks = stage
            .tracks
            .iter()
            .map(|track| (track.key, of(track.key).map(|(_, epoch, mask)| (*epoch, Arc::clone(mask))).collect()));
        let drawn =
            stage.birds.iter().filter(|bird| self.snapshots.iter().any(|(moment, ..)| *moment == bird.moment()));
        let drawn = drawn.map(|bird| bird.key).collect();
        Resume { state, best, epochs: self.epochs.clone(), drawn, masks: masks.collect() }
    }

    /// Everything that must be the same when the same thing is trained again.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let snapshots = self.snapshots.iter().map(|(moment, checksum, _)| (*moment, checksum.clone())).collect();
        (self.outcome.clone(), self.drawn.clone(), self.epochs.clone(), snapshots, self.masks.clone())
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        network: "resnet".to_string(),
        epochs: 4,
        learning_rate: 0.02,
        schedule: Schedule::None,
        augment: Some(Augment::CropFlip),
        ..Settings::default()
    }
}

/// A stage that takes all snapshots it can.
pub(crate) fn stage(settings: &Settings, pruning: Option<Pruning>) -> Stage {
    let mut stage = Stage {
        id: dense_id(settings, None, None),
        level: usize::from(pruning.is_some()),
        parent: None,
        root: 0,
        settings: Arc::new(settings.clone()),
        pruning,
        sibling: None,
        wanted: BTreeSet::new(),
        kept: BTreeSet::new(),
        tracks: Vec::new(),
        birds: Vec::new(),
        to_the_end: true,
        counts_classes: false,
    };
    let epochs = (0..=settings.epochs).flat_map(|epoch| [Moment::Epoch(epoch), Moment::BestUntil(epoch)]);
    let moments = epochs.chain([Moment::Best, Moment::Last]).filter(|moment| stage.passes(*moment));
    stage.wanted = moments.collect();
    stage
}

pub(crate) fn dense(settings: &Settings) -> Stage {
    stage(settings, None)
}

pub(crate) fn pruned(settings: &Settings, rate: f64, rewind: Rewind) -> Stage {
    let pruning = Pruning { rewind, fine_tune_epochs: 2, ..Pruning::of(settings, rate) };
    stage(settings, Some(pruning))
}
