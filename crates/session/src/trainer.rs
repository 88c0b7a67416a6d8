//! Trains stages with torch: the plan, networks and data of a workshop on one device.
//!
//! It may not know how messages travel, nor of ranks.

use std::sync::Arc;

use tombola_train::Device;

use tombola_cluster::link::Assignment;
use tombola_cluster::worker::Trainer;
use tombola_core::memory::{FreeMemory, free_memory};
use tombola_core::net::Graph;
use tombola_core::net::cost::Cost;
use tombola_core::prune::Sources;
use tombola_core::sweep::Settings;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_train::cuda::gpu;
use tombola_train::device;
use tombola_train::training::{self as train, Task, room};
use tombola_train::workshop::Workshop;
use tombola_words::error::{Error, Result};
use tombola_words::record::Outcome;
use tombola_words::seconds;

/// What trains on one device.
#[derive(Debug)]
pub(crate) struct TorchTrainer {
    /// Networks and data.
    pub workshop: Arc<Workshop>,
    /// Where to train.
    pub device: Device,
}

impl TorchTrainer {
    /// Refuses what cannot fit before it takes the memory of those that train beside it.
    fn check_room(&self, graph: &Graph, settings: &Settings) -> Result<()> {
        let device = device::short(self.device);
        let (free, place) = match self.device {
            Device::Cpu => match free_memory() {
                Some(FreeMemory { bytes, limit }) => {
                    // A limit is what the user can change, and the host's memory would not explain it.
                    let limit = limit.map(|(limit, of)| format!(" ({of}, limited to {} MB)", limit / 1_000_000));
                    (usize::try_from(bytes).ok(), format!("{device}{}", limit.unwrap_or_default()))
                }
                None => return Ok(()),
            },
            Device::Cuda(number) => {
                let need = room::need(&Cost::of(graph), settings.batch_size, settings);
                (gpu::free_memory(number, need).ok(), device)
            }
            _ => return Ok(()),
        };
        free.map_or(Ok(()), |free| room::check(&Cost::of(graph), settings, free, &place))
    }
}

impl Trainer for TorchTrainer {
    fn train(
        &mut self,
        assignment: Assignment,
        sources: Sources,
        listen: &mut dyn FnMut(TrainingEvent) -> Flow,
    ) -> Result<Outcome> {
        device::enter(self.device);
        let Assignment { stage: index, id, dense_losses, measured, resume, snapshot_seconds, .. } = assignment;
        let missing = || Error::environment("the stage's network or data were not loaded");
        let stage = self.workshop.plan.stages.get(index).filter(|stage| stage.id == id).ok_or_else(missing)?;
        let network = self.workshop.network(index).ok_or_else(missing)?;
        let pruner = self.workshop.pruner(index).ok_or_else(missing)?;
        let parts = self.workshop.parts(index, self.device).ok_or_else(missing)?;
        self.check_room(&network.graph, &stage.settings)?;
        let task = Task {
            stage,
            graph: &network.graph,
            layout: &network.layout,
            pruner,
            parts: &parts,
            device: self.device,
            sources,
            dense_losses,
            measured,
            resume,
            snapshot_every: seconds(snapshot_seconds),
        };
        train::run(task, listen)
    }
}
