//! Whether a training fits into the memory of its device, and what would fit if not.
//!
//! It may not know of torch: how much is free on a GPU is told by whoever asks.

use tombola_core::net::cost::Cost;
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;

/// Copies of the weights: themselves, gradient, what the optimiser keeps, and what a step computes with.
const COPIES: usize = 4;
const FLOAT: usize = 4;

/// Bytes that a training takes, from above: fused operations keep less.
pub fn need(cost: &Cost, batch: usize, precision: Precision) -> usize {
    let activations = match precision {
        Precision::Bf16 => cost.activation_bytes / 2,
        Precision::Fp32 | Precision::Tf32 => cost.activation_bytes,
    };
    COPIES * FLOAT * cost.parameters + batch.saturating_mul(activations)
}

/// Refuses a training that cannot fit: one that needs more than twice what is free, since the need is an estimate from above.
///
/// # Errors
/// Names the need, what is free on `device`, and the batch that would fit.
pub fn check(cost: &Cost, batch: usize, precision: Precision, free: usize, device: &str) -> Result<()> {
    if need(cost, batch, precision) / 2 <= free {
        return Ok(());
    }
    let megabytes = |bytes: usize| bytes.div_ceil(1_000_000);
    let error = Error::training(format!(
        "out of memory on {device}: batches of {batch} need about {} MB, and {} MB are free",
        megabytes(need(cost, batch, precision)),
        megabytes(free)
    ));
    let halves = std::iter::successors(Some(batch.next_power_of_two() / 2), |batch| Some(batch / 2));
    let smaller = halves.take_while(|batch| *batch > 0).find(|batch| need(cost, *batch, precision) <= free);
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

    #[test]
    fn a_training_that_cannot_fit_is_refused_with_the_batch_that_would() {
        assert!(check(&cost(), 64, Precision::Fp32, 400_000_000, "cpu").is_ok());
        let error = check(&cost(), 64, Precision::Fp32, 200_000_000, "cpu").unwrap_err();
        assert_eq!(error.message, "out of memory on cpu: batches of 64 need about 656 MB, and 200 MB are free");
        assert!(error.hint.unwrap().starts_with("`--batch-size 16` would fit"));
        let error = check(&cost(), 64, Precision::Fp32, 1_000_000, "cuda:0").unwrap_err();
        assert!(error.hint.unwrap().starts_with("not even one image fits"));
    }

    #[test]
    fn half_precision_keeps_half() {
        assert_eq!(need(&cost(), 10, Precision::Fp32) - need(&cost(), 10, Precision::Bf16), 50_000_000);
    }
}
