//! What is allowed and seldom meant: said by `plan`, and before a run, with the cure.
//!
//! It may not know of files, workers or torch.

use super::forest::Plan;
use super::halving::{Halving, Race};
use super::stage::Stage;
use crate::sweep::schedule::fine_tuning_rate;
use crate::sweep::{IDLE_CURE, Settings, Spec};
use tombola_words::value::{Rewind, Schedule, Value};

/// A fine-tuning at less than this share of the learning rate moves next to nothing.
const TINY: f64 = 0.01;

/// Something that a person should know before a sweep is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What is to be said.
    pub said: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl Plan {
    /// What the sweep of this plan gives that no trial looks at.
    pub fn idle(&self, spec: &Spec) -> Vec<Advice> {
        let said = spec.idle(self.chains.iter().map(|chain| &chain.trial.settings));
        said.into_iter().map(|said| Advice { said, cure: IDLE_CURE }).collect()
    }

    /// What should be known before the `stages` are trained, each thing once.
    pub fn advice(&self, stages: impl IntoIterator<Item = usize>) -> Vec<Advice> {
        let mut advice: Vec<Advice> = Vec::new();
        for stage in stages.into_iter().map(|index| &self.stages[index]) {
            for found in [tiny_rate(stage), steered_by_test(stage)].into_iter().flatten() {
                if !advice.contains(&found) {
                    advice.push(found);
                }
            }
        }
        if !self.halvings().is_empty() && !self.halvings().iter().flat_map(Halving::races).any(Race::decides) {
            advice.push(Advice {
                said: "`halving` leaves nothing behind: fewer trainings compete than its number, or they have too few epochs"
                    .to_string(),
                cure: "give more values to a setting that competes (`halving-over`), or more epochs",
            });
        }
        advice
    }
}

/// A fine-tuning that inherits the end of a schedule that falls to next to nothing.
fn tiny_rate(stage: &Stage) -> Option<Advice> {
    let (settings, pruning) = (&stage.settings, stage.pruning.as_ref()?);
    // A plateau falls or not as the losses do: nobody knows before.
    let known = settings.schedule != Schedule::Plateau;
    if pruning.effective_rewind() != Rewind::None || pruning.fine_tune_lr.is_some() || !known {
        return None;
    }
    let rate = fine_tuning_rate(settings, steps(settings), &[]);
    // The first digits: a hundredth by two milestones is no less than a hundredth.
    (rate < TINY * settings.learning_rate * (1.0 - 1e-9)).then(|| Advice {
        said: format!(
            "tickets with `reinit = \"none\"` are fine-tuned at a learning rate of {rate:.2e}, where schedule `{}` ends: less \
             than a hundredth of `learning-rate`, {}",
            settings.schedule.show(),
            settings.learning_rate.show()
        ),
        cure: "give `--fine-tune-lr`, or start the schedule again with `--reinit lr`",
    })
}

/// A schedule that looks at held-out images where none but the test images are.
fn steered_by_test(stage: &Stage) -> Option<Advice> {
    let Settings { schedule, validation_size, .. } = *stage.settings;
    (schedule == Schedule::Plateau && validation_size == Some(0)).then(|| Advice {
        said: "`validation-size` is 0, so schedule `plateau` looks at the loss on the test images".to_string(),
        cure: "hold images out with `--validation-size`, or take a schedule that looks at no loss",
    })
}

/// Steps of an epoch by what the data set's publisher says of it.
fn steps(settings: &Settings) -> usize {
    settings.epoch_steps().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outside::Outside;
    use crate::sweep::Spec;

    fn advice(text: &str) -> Vec<Advice> {
        let spec = Spec::read(Some(text), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        plan.advice(0..plan.stages.len())
    }

    #[test]
    fn a_fine_tuning_at_next_to_nothing_is_said_once_with_the_cure() {
        let cosine = "reinit = \"none\"\nschedule = \"cosine\"\nepochs = 40\npr = [0.5, 0.9]\nseed = [1, 2]";
        let found = advice(cosine);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].said.contains("1.54e-4, where schedule `cosine` ends"), "{}", found[0].said);
        assert!(found[0].cure.contains("--fine-tune-lr"));
        for other in ["cosine-restarts\"\ncycle-epochs = 40", "cyclic\"\ncycle-epochs = 10", "step\"\nstep-epochs = 10"]
        {
            assert_eq!(advice(&cosine.replace("cosine\"", other)).len(), 1, "{other}");
        }
    }

    #[test]
    fn fine_tunings_at_a_rate_that_trains_are_nothing_to_speak_of() {
        for fine in [
            // A hundredth, by the milestones of the original script.
            "reinit = \"none\"",
            "reinit = \"none\"\nschedule = \"cosine\"\nfine-tune-lr = 1e-5",
            "reinit = \"none\"\nschedule = \"cosine\"\nmin-lr = 0.001",
            "reinit = \"none\"\nschedule = \"cosine\"\ncontrol = \"reinit\"\nepochs = 2",
            "reinit = \"none\"\nschedule = \"plateau\"",
            "reinit = \"lr\"\nschedule = \"cosine\"",
        ] {
            assert_eq!(advice(fine), [], "{fine}");
        }
    }

    #[test]
    fn a_plateau_without_validation_images_is_said_to_look_at_the_test_images() {
        let text = "schedule = \"plateau\"\nvalidation-size = 0\nselect = \"test\"";
        let found = advice(text);
        assert!(found.len() == 1 && found[0].said.contains("test images"), "{found:?}");
        assert_eq!(advice(&text.replace("plateau", "cosine")), []);
        assert_eq!(advice(&text.replace("= 0", "= 10")), []);
    }
}
