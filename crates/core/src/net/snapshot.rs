//! The full state of a training at one moment, in ordinary memory.
//!
//! It owns its values: nothing that trains on can change a snapshot. It may not know of torch, files or messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::floats;
use crate::mask::Bits;

/// Weights, batch-norm statistics, optimiser state and mask after some epoch, or within one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Epochs trained before it.
    pub epoch: usize,
    /// Steps of the next epoch that were taken; 0 where an epoch ended.
    #[serde(default)]
    pub step: usize,
    /// Batches seen since the batch-norm statistics started: PyTorch's `num_batches_tracked`.
    pub batches: u64,
    /// All weights, `[Layout::len]`, in the layout's order.
    #[serde(with = "floats")]
    pub parameters: Vec<f32>,
    /// All batch-norm statistics, `[Layout::buffer_len]`.
    #[serde(with = "floats")]
    pub buffers: Vec<f32>,
    /// Momentum or moments, where they are needed to train on from here.
    pub optimizer: Option<OptimizerState>,
    /// Which weights are alive, `[Layout::len]` bits; none for a dense network.
    pub mask: Option<Arc<Bits>>,
}

/// What an optimiser remembers between steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OptimizerState {
    /// Steps taken: what Adam corrects its bias with.
    pub steps: u64,
    /// Named vectors of the length of the weights ("momentum", "square"), and under [`OptimizerState::STATISTICS`] one of the
    /// length of the statistics.
    #[serde(with = "floats::named")]
    pub vectors: Vec<(String, Vec<f32>)>,
}

impl OptimizerState {
    /// The vector of the weights that are trained, where the snapshot itself has their average.
    pub const TRAINED: &str = "trained";
    /// The batch-norm statistics that belong to them.
    pub const STATISTICS: &str = "statistics";
}

impl Snapshot {
    /// Bytes of its vectors.
    pub fn bytes(&self) -> usize {
        let vectors = self.optimizer.iter().flat_map(|state| &state.vectors).map(|(_, vector)| vector.len());
        size_of::<f32>() * (self.parameters.len() + self.buffers.len() + vectors.sum::<usize>())
    }

    /// A checksum over every value and every bit: equal exactly when the state is.
    pub fn checksum(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let mut floats = |values: &[f32]| {
            hash.update(&(values.len() as u64).to_le_bytes());
            for chunk in values.chunks(4096) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
                hash.update(&bytes);
            }
        };
        floats(&self.parameters);
        floats(&self.buffers);
        for (_, vector) in self.optimizer.iter().flat_map(|state| &state.vectors) {
            floats(vector);
        }
        hash.update(&self.batches.to_le_bytes());
        hash.update(&self.mask.as_ref().map_or_else(Vec::new, |mask| mask.to_bytes()));
        hash.finalize().to_hex()[..16].to_string()
    }
}
