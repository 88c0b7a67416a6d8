//! The form in which a network is trained: as it is, or compact when channels are pruned.
//!
//! Snapshots always have the form of the dense network, so rewinds, files and messages need not know of another. A
//! compact network computes what the masked one does (`crates/core/src/net/compact.rs`), only faster, and is made anew where a training
//! begins.

use std::sync::Arc;

use tch::{Device, Tensor};

use super::task::Task;
use tombola_core::mask::Bits;
use tombola_core::net::compact::{Compact, Fill};
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_core::sweep::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::value::{DecayOn, Precision};

/// Layers of compact networks have a multiple of this many channels; the dead ones among them stay 0. With the odd counts that
/// pruning leaves, networks can be slower than before: vector units and GPUs take 8 or 16 channels at a time.
const ALIGNMENT: usize = 8;

/// The dead channels that are worth keeping. On a CPU, libtorch copies chosen channels value by value, which in bfloat16 takes longer
/// than to compute with all of them.
pub fn fill(device: Device, precision: Precision) -> Fill {
    Fill { step: ALIGNMENT, whole_streams: device == Device::Cpu && precision == Precision::Bf16 }
}

/// Which weights are those of convolutions and fully connected layers: `[Layout::len]` truth values.
pub fn decayed(layout: &Layout) -> Tensor {
    let mut decayed = vec![false; layout.len];
    for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        decayed[parameter.range()].fill(true);
    }
    Tensor::from_slice(&decayed)
}

/// A network as it is trained.
#[derive(Debug)]
pub(super) struct TrainedForm {
    pub(super) graph: Arc<Graph>,
    pub(super) layout: Arc<Layout>,
    /// How it comes from the dense network, and the dense state that it was made from.
    compact: Option<(Compact, Arc<Snapshot>)>,
}

impl TrainedForm {
    /// The form for a training that starts from `start`.
    pub(super) fn of(task: &Task, start: &Arc<Snapshot>) -> Result<Self> {
        let (graph, layout) = (task.graph, task.layout);
        let pruning = task.stage.pruning.as_ref().filter(|pruning| pruning.channels);
        if let (Some(pruning), Some(mask)) = (pruning, &start.mask) {
            let fill = fill(task.device, task.stage.settings.precision);
            let compact = Compact::filled(graph, layout, mask, pruning.streams, fill)?;
            let (graph, layout) = (Arc::clone(&compact.graph), Arc::clone(&compact.layout));
            return Ok(Self { graph, layout, compact: Some((compact, Arc::clone(start))) });
        }
        Ok(Self { graph: Arc::clone(graph), layout: Arc::clone(layout), compact: None })
    }

    /// A state of the dense network in this form.
    pub(super) fn inner(&self, state: &Arc<Snapshot>) -> Arc<Snapshot> {
        match &self.compact {
            Some((compact, _)) => Arc::new(compact.gather(state)),
            None => Arc::clone(state),
        }
    }

    /// A state of this form as one of the dense network.
    pub(super) fn outer(&self, state: Snapshot) -> Snapshot {
        match &self.compact {
            Some((compact, base)) => compact.scatter(base, &state),
            None => state,
        }
    }

    /// What `--slimming` adds to the gradient for each sign of a weight: `strength` at the batch-norm scales of channels
    /// that may be pruned, 0 elsewhere (Liu et al. 2017, "Learning Efficient Convolutional Networks through Network
    /// Slimming"). Scales of residual streams are pulled where streams are pruned as groups, and left alone where they stay
    /// whole.
    pub(super) fn slimming(&self, task: &Task, strength: f64, device: Device) -> Result<Option<Tensor>> {
        if strength == 0.0 {
            return Ok(None);
        }
        let scales = task.pruner.channels(task.stage.settings.slimmed_streams()).scales();
        if scales.is_empty() {
            return Err(Error::input(format!(
                "`slimming`: network `{}` has no batch norm that could be pruned",
                task.stage.settings.network
            ))
            .hint("leave `slimming` at 0, or take a network with batch norms"));
        }
        let mut pull = vec![0f32; task.layout.len];
        scales.into_iter().for_each(|position| pull[position] = strength as f32);
        if let Some((compact, _)) = &self.compact {
            pull = compact.positions.iter().map(|position| pull[*position]).collect();
        }
        Ok(Some(Tensor::from_slice(&pull).to_device(device)))
    }

    /// Which weights weight decay acts on, where that is not all.
    pub(super) fn decayed(&self, settings: &Settings, device: Device) -> Option<Tensor> {
        (settings.weight_decay_on == DecayOn::Weights).then(|| decayed(&self.layout).to_device(device))
    }

    /// The mask that the optimiser needs, in this form: none where pruned weights are gone.
    pub(super) fn mask<'a>(&'a self, state: &'a Snapshot) -> Option<&'a Bits> {
        match &self.compact {
            Some((compact, _)) => compact.mask.as_ref(),
            None => state.mask.as_deref(),
        }
    }
}
