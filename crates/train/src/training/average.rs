//! A moving average of the weights: what is evaluated, kept and pruned, while training goes on from the weights themselves.
//!
//! As PyTorch's `AveragedModel` with `get_ema_multi_avg_fn(decay)` and `use_buffers=True`: after the first step it is a copy, after
//! each further one `average ← decay · average + (1 − decay) · weights`, and the statistics of batch norms likewise. So they belong
//! to the averaged weights (docs/pitfalls.md, number 28). A pruned weight is 0 in both, and stays it.

use std::sync::Arc;

use tch::{Device, Tensor};

use crate::done;
use crate::network::arena::{Arena, to_vec};
use tombola_core::net::{Layout, OptimizerState, Snapshot};
use tombola_core::sweep::Settings;
use tombola_words::error::{Error, Result};

/// The average, in an arena of its own.
#[derive(Debug)]
pub struct Average {
    /// The averaged network.
    pub arena: Arena,
    decay: f64,
}

impl Average {
    /// One that begins at `start`, if the settings ask for one. `start` is what is averaged, also where training goes on.
    ///
    /// # Errors
    /// When the snapshot is of another network.
    pub fn new(settings: &Settings, layout: &Arc<Layout>, start: &Snapshot, device: Device) -> Result<Option<Self>> {
        if settings.average == 0.0 {
            return Ok(None);
        }
        let mut arena = Arena::new(Arc::clone(layout), start, device)?;
        arena.precision = settings.precision;
        Ok(Some(Self { arena, decay: settings.average }))
    }

    /// Takes in the state after a step; `first` says that nothing was averaged before.
    pub fn follow(&mut self, trained: &Arena, first: bool) {
        let _no_grad = tch::no_grad_guard();
        let pairs = [(&mut self.arena.weights, &trained.weights), (&mut self.arena.buffers, &trained.buffers)];
        for (average, value) in pairs {
            match first {
                true => average.copy_(value),
                false => done(average.lerp_(value, 1.0 - self.decay)),
            }
        }
    }

    /// Puts the weights that are trained into the state of the optimiser, beside the averaged ones of the snapshot.
    pub fn set_aside(trained: &Arena, state: &mut OptimizerState) {
        let vectors = [(OptimizerState::TRAINED, &trained.weights), (OptimizerState::STATISTICS, &trained.buffers)];
        let there = vectors.into_iter().filter(|(_, vector)| vector.numel() > 0);
        state.vectors.extend(there.map(|(name, vector)| (name.to_string(), to_vec(vector))));
    }

    /// Takes them back: `trained` becomes what training goes on from, and the rest of the state is the optimiser's own.
    ///
    /// # Errors
    /// When they are of another network.
    pub fn take_back(trained: &mut Arena, state: &mut OptimizerState) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let targets: [(&str, &mut Tensor); 2] =
            [(OptimizerState::TRAINED, &mut trained.weights), (OptimizerState::STATISTICS, &mut trained.buffers)];
        for (name, target) in targets {
            let Some(place) = state.vectors.iter().position(|(found, _)| found == name) else { continue };
            let (_, values) = state.vectors.remove(place);
            if values.len() != target.numel() {
                return Err(Error::input(format!(
                    "the optimiser state `{name}` has {} values, expected {}",
                    values.len(),
                    target.numel()
                )));
            }
            target.copy_(&Tensor::from_slice(&values));
        }
        Ok(())
    }
}
