//! The learning rate of every step.
//!
//! A schedule is a function of the epoch, the step within it and the held-out losses before it, so that a resumed or
//! rewound training needs no state to be at the right point of it. Each follows the scheduler of PyTorch that is named
//! beside it. It may not know of torch.

use super::settings::Settings;
use tombola_words::value::{Schedule, ScheduleBy};

/// PyTorch's default for plateaus: an improvement must be at least this share of the best loss.
const PLATEAU_THRESHOLD: f64 = 1e-4;

/// A moment of a training.
#[derive(Debug, Clone, Copy)]
pub struct When<'a> {
    /// Epochs trained before, on the scale of the dense training.
    pub epoch: usize,
    /// Steps taken in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Loss on the held-out images that steer ([`EpochRecord::steering`](tombola_words::record::EpochRecord::steering)) after
    /// each epoch before this one.
    pub losses: &'a [f64],
}

/// The learning rate of one step.
pub fn learning_rate(settings: &Settings, when: When) -> f64 {
    let (base, lowest) = (settings.learning_rate, settings.min_lr);
    let cosine = |share: f64| lowest + (base - lowest) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0;
    let taken = when.epoch * when.steps + when.step;
    let by_step = settings.schedule_by == ScheduleBy::Iteration;
    // Where the schedule is, and in how many pieces an epoch is cut.
    let (at, unit) = if by_step { (taken, when.steps) } else { (when.epoch, 1) };
    let rate = match settings.schedule {
        Schedule::None => base,
        // MultiStepLR
        Schedule::Manual => {
            let passed = settings.milestones.iter().filter(|milestone| milestone.steps(when.steps) <= taken).count();
            base * settings.gamma.powi(passed as i32)
        }
        // StepLR
        Schedule::Step => base * settings.gamma.powi((taken / settings.step_epochs.steps(when.steps).max(1)) as i32),
        // ReduceLROnPlateau(mode="min")
        Schedule::Plateau => plateau(settings, when.losses),
        // CosineAnnealingLR(T_max = epochs, or the steps of them)
        Schedule::Cosine => cosine(at as f64 / (settings.epochs * unit) as f64),
        // CosineAnnealingWarmRestarts(T_0 = cycle-epochs, or the steps of them, T_mult = cycle-factor)
        Schedule::CosineRestarts => {
            let (mut start, mut length) = (0, settings.cycle_epochs.steps(unit).max(1));
            while at >= start + length {
                start += length;
                length *= settings.cycle_factor;
            }
            cosine((at - start) as f64 / length as f64)
        }
        // CyclicLR(mode="triangular"), a step of it for each batch
        Schedule::Cyclic => {
            let half = settings.cycle_epochs.steps(when.steps) as f64 / 2.0;
            let taken = taken as f64;
            let cycle = (1.0 + taken / (2.0 * half)).floor();
            let distance = (taken / half - 2.0 * cycle + 1.0).abs();
            lowest + (base - lowest) * (1.0 - distance).max(0.0)
        }
    };
    rate * warmup(settings, when)
}

/// The learning rate of a fine-tuning that was given none: that of the last step of the schedule. A schedule that looks at
/// losses has come as far as it had when the dense training had those of `losses`, the last of which came too late for it.
pub fn fine_tuning_rate(settings: &Settings, steps: usize, losses: &[f64]) -> f64 {
    let epoch = settings.epochs - 1;
    let losses = &losses[..epoch.min(losses.len().saturating_sub(1))];
    learning_rate(settings, When { epoch, step: steps.saturating_sub(1), steps, losses })
}

/// The share of the rate that warm-up leaves: rises linearly, the last step of the warm-up has all of it.
fn warmup(settings: &Settings, when: When) -> f64 {
    let steps = settings.warmup_epochs.steps(when.steps);
    let taken = when.epoch * when.steps + when.step + 1;
    if taken < steps { taken as f64 / steps as f64 } else { 1.0 }
}

/// Goes through the losses as PyTorch's scheduler would have, one call an epoch.
fn plateau(settings: &Settings, losses: &[f64]) -> f64 {
    let (mut rate, mut best, mut waited) = (settings.learning_rate, f64::INFINITY, 0);
    for &loss in losses {
        if loss < best * (1.0 - PLATEAU_THRESHOLD) {
            (best, waited) = (loss, 0);
        } else {
            waited += 1;
        }
        if waited > settings.patience {
            let lower = (rate * settings.gamma).max(settings.min_lr);
            // PyTorch leaves changes below 1e-8 out.
            if rate - lower > 1e-8 {
                rate = lower;
            }
            waited = 0;
        }
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::value::Point;

    fn rates(settings: &Settings, epochs: usize) -> Vec<f64> {
        (0..epochs).map(|epoch| learning_rate(settings, When { epoch, step: 0, steps: 10, losses: &[] })).collect()
    }

    #[test]
    fn milestones_multiply_by_gamma_from_their_epoch_on() {
        let settings = Settings { milestones: [2, 3].map(Point::epoch).to_vec(), ..Settings::default() };
        let rates = rates(&settings, 5);
        for (rate, expected) in rates.iter().zip([0.1, 0.1, 0.01, 0.001, 0.001]) {
            assert!((rate - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn warm_up_rises_step_by_step_to_the_full_rate() {
        let settings = Settings { warmup_epochs: Point::epoch(2), schedule: Schedule::None, ..Settings::default() };
        let at = |epoch, step| learning_rate(&settings, When { epoch, step, steps: 10, losses: &[] });
        assert!((at(0, 0) - 0.005).abs() < 1e-12 && (at(0, 9) - 0.05).abs() < 1e-12);
        assert_eq!((at(1, 9), at(2, 0)), (0.1, 0.1));
    }

    #[test]
    fn a_cosine_ends_at_the_lowest_rate_and_restarts_begin_anew() {
        let settings = Settings { schedule: Schedule::Cosine, epochs: 10, min_lr: 0.02, ..Settings::default() };
        assert!((rates(&settings, 11)[10] - 0.02).abs() < 1e-12);
        let settings = Settings {
            schedule: Schedule::CosineRestarts,
            cycle_epochs: Point::epoch(2),
            cycle_factor: 2,
            ..Settings::default()
        };
        let rates = rates(&settings, 7);
        assert_eq!((rates[0], rates[2], rates[6]), (0.1, 0.1, 0.1));
        assert!((rates[4] - 0.05).abs() < 1e-12);
    }

    /// The rates of twelve steps, four an epoch, from 0.4 down to 0.04.
    fn by_step(settings: Settings) -> Vec<f64> {
        let settings = Settings { learning_rate: 0.4, min_lr: 0.04, epochs: 3, gamma: 0.5, ..settings };
        let at =
            |taken: usize| learning_rate(&settings, When { epoch: taken / 4, step: taken % 4, steps: 4, losses: &[] });
        (0..12).map(at).collect()
    }

    #[test]
    fn schedules_by_steps_are_those_of_pytorch_called_after_each_batch() {
        let base = || Settings { schedule_by: ScheduleBy::Iteration, ..Settings::default() };
        let point = Point::iteration;
        // torch 2.11: CosineAnnealingLR(T_max=12), CosineAnnealingWarmRestarts(T_0=3, T_mult=2), MultiStepLR([5, 8, 10]),
        // StepLR(5), CyclicLR(step_size_up=3), LambdaLR(min(1, (i + 1) / 6)).
        let cases = [
            (
                Settings { schedule: Schedule::Cosine, ..base() },
                [
                    0.4,
                    0.393866648732032,
                    0.375884572681199,
                    0.347279220613579,
                    0.31,
                    0.266587428118454,
                    0.22,
                    0.173412571881546,
                    0.13,
                    0.0927207793864215,
                    0.064115427318801,
                    0.0461333512679677,
                ],
            ),
            (
                Settings { schedule: Schedule::CosineRestarts, cycle_epochs: point(3), cycle_factor: 2, ..base() },
                [
                    0.4,
                    0.31,
                    0.13,
                    0.4,
                    0.375884572681199,
                    0.31,
                    0.22,
                    0.13,
                    0.064115427318801,
                    0.4,
                    0.393866648732032,
                    0.375884572681199,
                ],
            ),
            (
                Settings {
                    schedule: Schedule::Manual,
                    milestones: vec![point(5), Point::epoch(2), point(10)],
                    ..base()
                },
                [0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05],
            ),
            (
                Settings { schedule: Schedule::Step, step_epochs: point(5), ..base() },
                [0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1],
            ),
            (
                Settings { schedule: Schedule::Cyclic, cycle_epochs: point(6), ..base() },
                [0.04, 0.16, 0.28, 0.4, 0.28, 0.16, 0.04, 0.16, 0.28, 0.4, 0.28, 0.16],
            ),
            (
                Settings { schedule: Schedule::None, warmup_epochs: point(6), ..base() },
                [
                    0.0666666666666667,
                    0.133333333333333,
                    0.2,
                    0.266666666666667,
                    0.333333333333333,
                    0.4,
                    0.4,
                    0.4,
                    0.4,
                    0.4,
                    0.4,
                    0.4,
                ],
            ),
        ];
        for (settings, expected) in cases {
            let name = format!("{:?}", settings.schedule);
            for (step, (found, expected)) in by_step(settings).into_iter().zip(expected).enumerate() {
                assert!((found - expected).abs() < 1e-14, "{name}, step {step}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn by_epochs_a_schedule_stands_still_within_one_and_agrees_at_its_beginning() {
        for schedule in [Schedule::Cosine, Schedule::CosineRestarts] {
            let of = |schedule_by| {
                by_step(Settings { schedule, schedule_by, cycle_epochs: Point::epoch(2), ..Settings::default() })
            };
            let (epochs, steps) = (of(ScheduleBy::Epoch), of(ScheduleBy::Iteration));
            for step in 0..12 {
                assert_eq!(epochs[step], epochs[step - step % 4]);
                assert!(step % 4 > 0 || (epochs[step] - steps[step]).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn a_plateau_drops_after_the_patience_is_used_up() {
        let settings = Settings { schedule: Schedule::Plateau, patience: 2, ..Settings::default() };
        let at = |losses: &[f64]| learning_rate(&settings, When { epoch: losses.len(), step: 0, steps: 1, losses });
        assert_eq!(at(&[1.0, 1.0, 1.0]), 0.1);
        assert!((at(&[1.0, 1.0, 1.0, 1.0]) - 0.01).abs() < 1e-12);
        assert_eq!(at(&[1.0, 1.0, 1.0, 0.5]), 0.1);
    }
}
