//! Trains stages with torch: the plan, networks and data of a workshop on one device.
//!
//! It may not know of messages or ranks.

use std::sync::Arc;
use std::time::Duration;

use tch::Device;

use super::serve::Trainer;
use super::workshop::Workshop;
use crate::error::{Error, Result};
use crate::journal::Outcome;
use crate::link::Assignment;
use crate::prune::Sources;
use crate::train::{self, Flow, Report, Task};

/// What trains on one device.
#[derive(Debug)]
pub struct TorchTrainer {
    /// Networks and data.
    pub workshop: Arc<Workshop>,
    /// Where to train.
    pub device: Device,
}

impl Trainer for TorchTrainer {
    fn train(
        &mut self,
        assignment: Assignment,
        sources: Sources,
        listen: &mut dyn FnMut(Report) -> Flow,
    ) -> Result<Outcome> {
        let Assignment { stage: index, id, dense_losses, resume, snapshot_seconds, .. } = assignment;
        let missing = || Error::environment("the stage's network or data were not loaded");
        let stage = self.workshop.plan.stages.get(index).filter(|stage| stage.id == id).ok_or_else(missing)?;
        let network = self.workshop.network(index).ok_or_else(missing)?;
        let pruner = self.workshop.pruner(index).ok_or_else(missing)?;
        let parts = self.workshop.parts(index, self.device).ok_or_else(missing)?;
        let task = Task {
            stage,
            graph: &network.graph,
            layout: &network.layout,
            pruner,
            parts: &parts,
            device: self.device,
            sources,
            dense_losses,
            resume,
            snapshot_every: Duration::from_secs_f64(snapshot_seconds),
        };
        train::run(task, listen)
    }
}
