//! Settings that contradict each other, told before anything starts. It may not know of files, flags or torch.

use super::{Decides, Field, SEEDS, Settings};
use tombola_words::error::{Error, Result};
use tombola_words::value::{Budget, ClassWeights, Criterion, Load, Moment, Rewind, Scope, Select, Value};

/// Refuses a criterion that cannot score what is pruned.
pub fn check_fits(criterion: Criterion, channels: bool) -> Result<()> {
    let (fits, what, others) = match channels {
        true => (criterion.scores_channels(), "channels", "bn-scale, l1, l2, geometric-median, taylor or random"),
        false => (criterion.scores_weights(), "weights", "magnitude, random, lamp, snip, grasp or synflow"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::input(format!("`criterion`: `{}` does not score {what}", criterion.show()))
        .hint(format!("choose {others}, or another `pruning-type`")))
}

impl Settings {
    /// Refuses settings that contradict each other.
    pub(super) fn check(&self) -> Result<()> {
        let beyond = |what: &str, epoch: usize| {
            Error::input(format!("`{what}` names epoch {epoch}, but a training has {} epochs", self.epochs))
                .hint(format!("give `epochs` of at least {epoch}, or an earlier epoch"))
        };
        if let Rewind::Epoch(epoch) = self.rewind
            && epoch >= self.epochs
            && self.prune_iterations > 0
        {
            return Err(beyond("reinit", epoch).hint("rewind to an epoch before the last"));
        }
        if let Moment::Epoch(epoch) | Moment::BestUntil(epoch) = self.draw
            && epoch > self.epochs
            && self.prune_iterations > 0
        {
            return Err(beyond("draw", epoch));
        }
        let saved = self.epochs_save.iter().filter_map(|point| point.whole_epochs());
        if let Some(epoch) = saved.into_iter().find(|epoch| *epoch > self.epochs) {
            return Err(beyond("epochs-save", epoch));
        }
        self.check_points()?;
        self.check_images()?;
        if self.fine_tune_lr.is_some_and(|rate| rate <= 0.0) {
            return Err(Error::input("`fine-tune-lr` must be above 0"));
        }
        if self.validation_size == Some(0) && self.select == Select::Validation {
            return Err(Error::input("`validation-size` is 0, but epochs are chosen on the validation images")
                .hint("hold some images out, or choose on the test set with `--select test`"));
        }
        if self.min_lr > self.learning_rate {
            return Err(Error::input(format!(
                "`min-lr` is {}, above the learning rate of {}",
                self.min_lr, self.learning_rate
            )));
        }
        let steps = self.counted_steps.unwrap_or(1);
        if self.schedule_after_warmup && self.warmup_epochs.steps(steps) >= self.epochs.saturating_mul(steps) {
            return Err(Error::input(format!(
                "`schedule-after-warmup`: the warm-up takes {} and the training {} epochs, which leaves none to the schedule",
                self.warmup_epochs.show(), self.epochs
            ))
            .hint("give fewer `warmup-epochs` or more `epochs`"));
        }
        if matches!(&self.class_weights, ClassWeights::Numbers(weights) if weights.iter().all(|weight| *weight == 0.0))
        {
            return Err(Error::input("`class-weights`: all are 0, so that there is nothing to learn")
                .hint("give at least one class a weight above 0, or leave them at `none`"));
        }
        if self.dataset == "synthetic" && (self.synthetic_shape.len() != 3 || self.synthetic_shape.contains(&0)) {
            return Err(Error::input(format!(
                "`synthetic-shape`: found {}, expected channels, height and width, each at least 1",
                self.synthetic_shape.show()
            ))
            .hint("for example `1,8,8`"));
        }
        self.check_filter()?;
        if let (Load::Path(path), Some(init)) = (&self.load, &self.load_init.0) {
            return Err(Error::input(format!(
                "`load-init` names `{}`, but the dense network is not trained: `load` takes it from `{}`",
                init.display(),
                path.display()
            ))
            .hint("leave one of the two out"));
        }
        if self.batch_size == 1 && (self.mixup > 0.0 || self.cutmix > 0.0) {
            let key = if self.mixup > 0.0 { "mixup" } else { "cutmix" };
            return Err(Error::input(format!("`{key}` mixes the images of a batch, and `batch-size` is 1"))
                .hint(format!("give a `batch-size` of at least 2, or leave `{key}` at 0")));
        }
        if self.distill > 0.0 && self.prune_iterations == 0 {
            return Err(Error::input("`distill`: the dense network teaches its tickets, and `prune-iterations` is 0")
                .hint("prune at least once, or leave `distill` at 0"));
        }
        if self.prune_iterations > 0 {
            self.check_pruning()?;
            self.check_mask()?;
        }
        self.check_competing()?;
        self.check_while_training()
    }

    /// Refuses settings that cannot compete.
    fn check_competing(&self) -> Result<()> {
        for key in &self.halving_over.0 {
            let wrong = |what: &str, cure: &str| {
                Err(Error::input(format!("`halving-over` names `{key}`, {what}")).hint(cure.to_string()))
            };
            match Field::find(key) {
                None => return wrong("which is not a setting", "name settings by their keys (see `tombola settings`)"),
                Some(field) if field.decides == Decides::Run => {
                    return wrong("which says how the sweep is run", "name settings that are axes");
                }
                Some(field) if SEEDS.contains(&field.key) => {
                    return wrong("and seeds count together", "leave it out: accuracies are means over seeds");
                }
                Some(field)
                    if ["control", "barrier-points", "halving", "halving-over", "find", "within"]
                        .contains(&field.key) =>
                {
                    return wrong("which cannot compete", "leave it out: controls are trained where their tickets are");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Refuses what a mask that is given cannot have.
    fn check_mask(&self) -> Result<()> {
        let Some(path) = &self.load_mask.0 else { return Ok(()) };
        let given = |what: String, cure: &str| {
            Err(Error::input(format!("`load-mask` gives the mask `{}`, but {what}", path.display())).hint(cure))
        };
        if self.prune_iterations > 1 {
            let what = format!("`prune-iterations` asks for {} prunings", self.prune_iterations);
            return given(what, "say `prune-iterations = 1`: a mask that is given is one pruning");
        }
        if self.prunes_channels() {
            return given(
                "channels are pruned".to_string(),
                "say `pruning-type = \"unstructured\"`: a mask is over weights",
            );
        }
        if self.draw.is_early_bird() {
            let what = "an early bird is drawn when masks settle, and none are drawn".to_string();
            return given(what, "draw at `last`, `best` or `epoch:K`: the weights are those of that moment");
        }
        Ok(())
    }

    /// Refuses what pruning to a size cannot have.
    fn check_target(&self) -> Result<()> {
        if self.target.0.is_none() {
            return Ok(());
        }
        let target = |what: String, cure: &str| {
            Err(Error::input(format!("`target` is `{}`, but {what}", self.target.show())).hint(cure))
        };
        if !self.prunes_channels() {
            let what = "single weights are pruned, which leave a network as large as it was".to_string();
            return target(what, "say `pruning-type = \"structured\"`, or give a `pruning-ratio`");
        }
        if self.prune_iterations > 1 {
            let what = format!("`prune-iterations` asks for {} prunings", self.prune_iterations);
            return target(what, "say `prune-iterations = 1`: the size is met by one pruning");
        }
        if self.draw.is_early_bird() {
            let what = "an early bird is drawn when masks at a ratio settle, and there is none".to_string();
            return target(what, "draw at `last`, `best` or `epoch:K`, or give a `pruning-ratio`");
        }
        Ok(())
    }

    fn check_pruning(&self) -> Result<()> {
        let channels = self.prunes_channels();
        let criterion = self.criterion();
        check_fits(criterion, channels)?;
        self.check_target()?;
        if self.scope() == Scope::Deviation && criterion != Criterion::Magnitude {
            return Err(Error::input(format!("`scope`: `deviation` measures magnitudes, not `{}`", criterion.show()))
                .hint("use `criterion = \"magnitude\"`, or another `scope`"));
        }
        if channels && matches!(self.scope(), Scope::Erk | Scope::Deviation) {
            return Err(Error::input(format!("`scope`: `{}` is a rule for weights", self.scope().show()))
                .hint("channels compete `global` or within each `layer`"));
        }
        if self.budget == Budget::Remaining && self.draw == Moment::Last {
            return Err(Error::input("`budget`: nothing of the epochs remains after a draw at the end")
                .hint("draw earlier (`early-bird`, `epoch:K` or `best`), or give the whole budget (`epochs`)"));
        }
        if let (Budget::Remaining, Moment::At(_)) = (self.budget, self.draw) {
            return Err(Error::input(format!(
                "`budget`: `remaining` is whole epochs after the draw, and `draw` `{}` is within one",
                self.draw.show()
            ))
            .hint("draw where an epoch ends, or give the whole budget (`epochs`)"));
        }
        if self.budget != Budget::Epochs && matches!(self.rewind, Rewind::None | Rewind::Epoch(_) | Rewind::At(_)) {
            return Err(Error::input(format!(
                "`budget`: with `reinit` `{}` the epochs are given by where the training goes on",
                self.rewind.show()
            ))
            .hint("use `reinit` lr, init or random, or leave `budget` as it is"));
        }
        Ok(())
    }
}
