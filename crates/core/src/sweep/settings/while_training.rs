//! Masks that change while a training runs: what the settings say of them, and what they cannot be combined with.
//!
//! It may not know of files, flags or torch.

use super::Settings;
use crate::mask::{ChangeRule, Changing};
use tombola_words::error::{Error, Result};
use tombola_words::value::{Budget, Control, Criterion, Rewind, Value, WhileTraining};

impl Settings {
    /// How the mask changes while a ticket trains, if it does.
    pub fn changing(&self) -> Option<Changing> {
        let rule = match self.while_training {
            WhileTraining::None => return None,
            WhileTraining::Gradual => ChangeRule::Gradual { start: self.start_ratio, from: self.mask_from },
            WhileTraining::Rigl => ChangeRule::Rigl { drop: self.drop_share },
        };
        Some(Changing { rule, every: self.mask_every, until: self.mask_until })
    }

    /// Refuses what a mask that changes while a training runs cannot be combined with.
    pub(super) fn check_while_training(&self) -> Result<()> {
        let Some(changing) = self.changing() else { return Ok(()) };
        let gradual = self.while_training == WhileTraining::Gradual;
        let found = |found: String, expected: &str, cure: &str| {
            let message =
                format!("`while-training` is `{}`: found {found}, expected {expected}", self.while_training.show());
            Err(Error::input(message).hint(format!("{cure}, or say `while-training = \"none\"`")))
        };
        if self.prune_iterations != 1 {
            let count = format!("`prune-iterations` {}", self.prune_iterations);
            return found(count, "1", "the mask changes within one training: say `prune-iterations = 1`");
        }
        if self.prunes_channels() {
            return found(
                format!("`pruning-type` `{}`", self.pruning_type.show()),
                "`unstructured`",
                "single weights go and come: say `pruning-type = \"unstructured\"`",
            );
        }
        if self.load_mask.0.is_some() {
            return found(
                format!("`load-mask` `{}`", self.load_mask.show()),
                "none",
                "the mask follows from the training: leave `load-mask` out",
            );
        }
        if gradual && self.criterion() != Criterion::Magnitude {
            return found(
                format!("`criterion` `{}`", self.criterion().show()),
                "`magnitude`",
                "the smallest weights go: leave `criterion` at `auto`",
            );
        }
        if gradual && !self.ratios.is_empty() {
            return found(
                format!("`ratios` {}", self.ratios.show()),
                "none",
                "one ratio grows while the training goes on: leave `ratios` out",
            );
        }
        if self.draw.is_early_bird() {
            return found(
                "`draw` `early-bird`".to_string(),
                "a moment that is known",
                "what settles there is the mask of a ticket that is pruned at once: draw at `epoch:0`, `last` or `best`",
            );
        }
        if self.control != Control::None {
            return found(
                format!("`control` `{}`", self.control.show()),
                "`none`",
                "a twin has the mask of a ticket before it trains: leave `control` and `controls` out",
            );
        }
        if self.budget != Budget::Epochs {
            return found(
                format!("`budget` `{}`", self.budget.show()),
                "`epochs`",
                "the steps of the training are counted before it starts: say `budget = \"epochs\"`",
            );
        }
        if self.average > 0.0 {
            return found(
                format!("`average` {}", self.average.show()),
                "0",
                "an average would keep what weights were before they went: say `average = 0`",
            );
        }
        if gradual && self.start_ratio > self.pruning_ratio {
            return found(
                format!("`start-ratio` {}", self.start_ratio.show()),
                &format!("at most the `pruning-ratio` of {}", self.pruning_ratio.show()),
                "the ratio only grows: give a smaller `start-ratio`",
            );
        }
        // Of data whose number nobody states, the training itself looks.
        match self.epoch_steps() {
            Ok(steps) => changing.over(self.ticket_steps(steps)).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Steps of a ticket of the first level that has the budget `epochs`, where an epoch has so many.
    fn ticket_steps(&self, steps: usize) -> usize {
        let whole = self.epochs.saturating_mul(steps);
        match self.rewind {
            Rewind::None => self.fine_tune_epochs.unwrap_or(self.epochs).saturating_mul(steps),
            Rewind::Epoch(epoch) => whole.saturating_sub(epoch.saturating_mul(steps)),
            Rewind::At(point) => whole.saturating_sub(point.steps(steps)),
            Rewind::LearningRate | Rewind::Init | Rewind::Random => whole,
        }
    }
}
