//! The mask of a training that changes while it runs: when, to what, and what becomes of weights and optimiser.
//!
//! Rules and counts are those of `crates/core/src/mask/changing.rs`; what goes and comes is chosen in ordinary memory, by the same
//! function that draws tickets, so that counts are exact and ties fall by position. Steps are counted from the training's first, over
//! all epochs: a resumed training counts on.

use std::ops::Range;
use std::sync::Arc;

use tch::Tensor;

use super::optimizer::{Optimizer, mask_tensor};
use super::task::Task;
use crate::network::arena::{Arena, to_vec};
use tombola_core::mask::{Bits, ChangeCourse};
use tombola_core::plan::Pruning;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::{Regrowth, regrow};
use tombola_words::error::Result;
use tombola_words::value::Rewind;

/// Why steps of such a training are not captured.
pub(super) const EAGER: &str = "the mask changes while it trains, which was not tried with captured steps";

/// How the mask of one training changes.
#[derive(Debug)]
pub(super) struct ChangingMask {
    course: ChangeCourse,
    pruning: Pruning,
    /// What may be alive at all: the mask of the network that it was drawn from.
    whole: Bits,
    /// Steps of an epoch, and those on the stage's own count of epochs before its first.
    steps: usize,
    first: usize,
}

impl ChangingMask {
    /// Of a training of the epochs `span`, each of `steps` steps; nothing if its mask stays.
    ///
    /// # Errors
    /// When the training is too short for a change.
    pub(super) fn of(task: &Task, span: &Range<usize>, steps: usize) -> Result<Option<Self>> {
        let changing = task.stage.pruning.as_ref().and_then(|pruning| Some((pruning, pruning.changing?)));
        let Some((pruning, changing)) = changing else { return Ok(None) };
        let first = match pruning.effective_rewind() {
            Rewind::At(point) => point.steps(steps),
            _ => span.start * steps,
        };
        let course = changing.over((span.end * steps).saturating_sub(first))?;
        let drawn = task.sources.drawn.as_ref().and_then(|drawn| drawn.mask.as_deref());
        let whole = drawn.cloned().unwrap_or_else(|| Bits::ones(task.layout.len));
        Ok(Some(Self { course, pruning: pruning.clone(), whole, steps, first }))
    }

    /// Steps of the training that were taken before step `number` of an epoch.
    fn taken(&self, epoch: usize, number: usize) -> usize {
        (epoch * self.steps + number).saturating_sub(self.first)
    }

    /// Whether the mask has come to its final ratio where so many epochs have ended.
    pub(super) fn is_settled(&self, epochs: usize) -> bool {
        self.taken(epochs, 0) >= self.course.settles()
    }

    /// The share of the weights that is replaced instead of step `number` of an epoch.
    pub(super) fn share_instead(&self, epoch: usize, number: usize) -> Option<f64> {
        self.course.share_instead(self.taken(epoch, number))
    }

    /// Prunes on, where that is due after step `number` of an epoch. Returns the new mask.
    ///
    /// # Errors
    /// When a weight is not a number.
    pub(super) fn prune(
        &self,
        task: &Task,
        (epoch, number): (usize, usize),
        (arena, optimizer): (&mut Arena, &mut Optimizer),
        before: Option<&Bits>,
    ) -> Result<Option<Arc<Bits>>> {
        let ratio = self.course.ratio_after(self.taken(epoch, number + 1), self.pruning.rate);
        let Some(rate) = ratio else { return Ok(None) };
        let pruning = Pruning { rate, ..self.pruning.clone() };
        let settings = &task.stage.settings;
        let key = Key { seed: settings.init_seed.unwrap_or(settings.seed), level: task.stage.level as u64 };
        let masks = (before.unwrap_or(&self.whole), &self.whole);
        let mask = task.pruner.prune_on(&to_vec(&arena.weights), masks, &pruning, key)?;
        let tensor = mask_tensor(&mask, arena.device());
        optimizer.change_mask(&mut arena.weights, &tensor, tensor.shallow_clone());
        Ok(Some(Arc::new(mask)))
    }

    /// Replaces weights by the gradient of a step that is not taken (`[Layout::len]`). Returns the new mask.
    ///
    /// # Errors
    /// When a weight or a gradient is not a number.
    pub(super) fn replace(
        &self,
        task: &Task,
        share: f64,
        gradient: &Tensor,
        (arena, optimizer): (&mut Arena, &mut Optimizer),
        before: Option<&Bits>,
    ) -> Result<Arc<Bits>> {
        let known = (to_vec(&arena.weights), to_vec(gradient));
        let masks = (before.unwrap_or(&self.whole), &self.whole);
        let Regrowth { kept, mask } = regrow(task.layout, &self.pruning.layers, (&known.0, &known.1), masks, share)?;
        let [kept, tensor] = [&kept, &mask].map(|bits| mask_tensor(bits, arena.device()));
        optimizer.change_mask(&mut arena.weights, &kept, tensor);
        Ok(Arc::new(mask))
    }
}
