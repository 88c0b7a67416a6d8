//! What decides a training. It may not know how one is done.

use std::sync::Arc;
use std::time::Duration;

use tch::Device;

use crate::batches::Parts;
use tombola_core::net::{Graph, Layout};
use tombola_core::plan::Stage;
use tombola_core::prune::{Pruner, Sources};
use tombola_core::training::Resume;
use tombola_words::Shape;
use tombola_words::record::MeasuredTime;

/// Everything that decides a training, and how to report it.
#[derive(Debug)]
pub struct Task<'a> {
    /// What to train.
    pub stage: &'a Stage,
    /// The network.
    pub graph: &'a Arc<Graph>,
    /// Where its weights lie.
    pub layout: &'a Arc<Layout>,
    /// What draws its masks.
    pub pruner: &'a Pruner,
    /// The data.
    pub parts: &'a Parts,
    /// Where to train.
    pub device: Device,
    /// The snapshots that it starts from; for a dense network that is loaded, its weights as `drawn`.
    pub sources: Sources,
    /// Losses of the dense training on the images that steer, epoch by epoch, as far as the stage goes on from it: up to the
    /// draw for a fine-tuning, up to the rewind for a rewound training.
    pub dense_losses: Vec<f64>,
    /// What was measured for a ticket that is drawn alike, where its target is a time.
    pub measured: Option<MeasuredTime>,
    /// Where it was when it was interrupted.
    pub resume: Option<Resume>,
    /// Time between two reports of progress.
    pub snapshot_every: Duration,
}

impl Task<'_> {
    /// Height and width of the images.
    pub(super) fn pixels(&self) -> (usize, usize) {
        match self.graph.input() {
            Shape::Image(_, height, width) => (height, width),
            _ => (1, 1),
        }
    }
}
