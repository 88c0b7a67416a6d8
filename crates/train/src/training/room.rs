//! Whether a training fits into the memory of its device, and what would fit if not.
//!
//! It may not know of torch: how much is free on a GPU is told by whoever asks.

use tombola_core::net::cost::Cost;
use tombola_core::sweep::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;

/// Copies of the weights: themselves, gradient, what the optimiser keeps, and what a step computes with.
const COPIES: usize = 4;
const FLOAT: usize = 4;

/// Bytes that a training with these settings takes in batches of `batch`, from above: fused operations keep less. An average of the
/// weights and a teacher are one copy of the weights each.
pub fn need(cost: &Cost, batch: usize, settings: &Settings) -> usize {
    let copies = COPIES + usize::from(settings.average > 0.0) + usize::from(settings.distill > 0.0);
    let activations = match settings.precision {
        Precision::Bf16 => cost.activation_bytes / 2,
        Precision::Fp32 | Precision::Tf32 => cost.activation_bytes,
    };
    copies * FLOAT * cost.parameters + batch.saturating_mul(activations)
}

/// Refuses a training that cannot fit: one that needs more than twice what is free, since the need is an estimate from above.
///
/// # Errors
/// Names the need, what is free on `device`, and the batch that would fit.
pub fn check(cost: &Cost, settings: &Settings, free: usize, device: &str) -> Result<()> {
    let batch = settings.batch_size;
    if need(cost, batch, settings) / 2 <= free {
        return Ok(());
    }
    let megabytes = |bytes: usize| bytes.div_ceil(1_000_000);
    let error = Error::training(format!(
        "out of memory on {device}: batches of {batch} need about {} MB, and {} MB are free",
        megabytes(need(cost, batch, settings)),
        megabytes(free)
    ));
    let halves = std::iter::successors(Some(batch.next_power_of_two() / 2), |batch| Some(batch / 2));
    let smaller = halves.take_while(|batch| *batch > 0).find(|batch| need(cost, *batch, settings) <= free);
    Err(error.hint(match smaller {
        Some(batch) => format!("`--batch-size {batch}` would fit; fewer trainings at the same time leave more to each"),
        None => "not even one image fits: choose a smaller network, or fewer trainings at the same time".to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Cost {
        Cost { parameters: 1_000_000, activation_bytes: 10_000_000, ..Cost::default() }
    }

    fn batches(batch_size: usize) -> Settings {
        Settings { batch_size, ..Settings::default() }
    }

    #[test]
    fn a_training_that_cannot_fit_is_refused_with_the_batch_that_would() {
        assert!(check(&cost(), &batches(64), 400_000_000, "cpu").is_ok());
        let error = check(&cost(), &batches(64), 200_000_000, "cpu").unwrap_err();
        assert_eq!(error.message, "out of memory on cpu: batches of 64 need about 656 MB, and 200 MB are free");
        assert!(error.hint.unwrap().starts_with("`--batch-size 16` would fit"));
        let error = check(&cost(), &batches(64), 1_000_000, "cuda:0").unwrap_err();
        assert!(error.hint.unwrap().starts_with("not even one image fits"));
    }

    #[test]
    fn half_precision_keeps_half() {
        let half = Settings { precision: Precision::Bf16, ..batches(10) };
        assert_eq!(need(&cost(), 10, &batches(10)) - need(&cost(), 10, &half), 50_000_000);
    }

    #[test]
    fn an_average_and_a_teacher_are_copies_of_the_weights() {
        let more = Settings { average: 0.99, distill: 0.5, ..batches(10) };
        assert_eq!(need(&cost(), 10, &more) - need(&cost(), 10, &batches(10)), 8_000_000);
    }
}
