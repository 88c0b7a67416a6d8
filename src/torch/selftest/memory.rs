//! Memory: what trainings leave taken, and what happens where there is not enough.

use tombola::selftest::told::CheckResult;
use tombola_train::Device;
use tombola_train::cuda::gpu;
use tombola_train::rehearsal::{Rehearsal, RehearsalWish, Way, more_than_is_free};
use tombola_words::error::{Error, Result};
use tombola_words::value::{Optimizer, Precision};

use super::CheckBench;
use super::programs::{ProgramRun, table};

/// Trainings, and those before them in which libraries take what they keep.
const TRAININGS: u64 = 200;
const BEFORE: u64 = 10;
/// What 200 trainings may leave taken: less than a quarter of a megabyte each would be nothing that anybody keeps.
const LEFT: u64 = 32 << 20;
const PAGE: u64 = 4096;

/// Many short trainings one after another.
pub(super) fn memory(bench: &CheckBench) -> Result<CheckResult> {
    let rehearsal = Rehearsal::new("lenet-300-100", bench.device)?;
    let train = |seed| {
        let wish =
            RehearsalWish { optimizer: Optimizer::Sgd, precision: Precision::Fp32, seed, epochs: 1, recipe: false };
        rehearsal.train(&wish, Way::Stepper).map(drop)
    };
    for seed in 0..BEFORE {
        bench.step("the first trainings");
        train(seed)?;
    }
    let before = free(bench)?;
    for seed in 0..TRAININGS {
        bench.step(format!("training {} of {TRAININGS}", seed + 1));
        train(seed)?;
    }
    let left = before.saturating_sub(free(bench)?).max(0) as u64;
    let found = format!("{TRAININGS} trainings left {:.1} MB taken", left as f64 / 1e6);
    if left <= LEFT {
        return Ok(CheckResult::pass(found));
    }
    let each = left / TRAININGS;
    Ok(CheckResult::fail(
        format!("{found}: {:.1} MB each", each as f64 / 1e6),
        "report it; until then split long sweeps (`--shard`)",
    ))
}

/// What is free: of a GPU, or of this process's own reckoning, where others use the machine as well.
fn free(bench: &CheckBench) -> Result<i64> {
    match bench.device {
        Device::Cuda(number) => {
            gpu::free_memory(number, usize::MAX).map(|bytes| bytes as i64).map_err(Error::environment)
        }
        _ => {
            let text = super::programs::read(std::path::Path::new("/proc/self/statm"))?;
            let resident = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
            Ok((1i64 << 40) - (resident * PAGE) as i64)
        }
    }
}

/// A training that cannot fit, and one that can after it, by the same worker; on a GPU also one that finds its memory taken.
pub(super) fn too_large(bench: &CheckBench) -> Result<CheckResult> {
    bench.step("a sweep with a batch of a million images");
    let words = "run --quiet --network resnet-18 --dataset synthetic --synthetic-shape 3,32,32 --synthetic-size 80 --priter 0 --epochs 1 \
                 --batch-size 1000000,8 --workers 1 --retries 0 --out out";
    // Two would fit it into some machines; one of a million has more than any.
    let output = ProgramRun::new(bench, "too-large", words)?.ends(1)?;
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    let rows = table(&bench.scratch.join("too-large").join("out/results.csv"))?;
    let trained =
        rows.iter().filter(|row| row.get("best_test_accuracy").is_some_and(|value| !value.is_empty())).count();
    let failed = super::programs::read(&bench.scratch.join("too-large").join("out/log"))?;
    let refused = failed.lines().find(|line| line.contains("out of memory on"));
    let Some(refused) = refused.filter(|line| line.contains("would fit")) else {
        return Ok(CheckResult::fail(
            format!("a batch of a million images is not refused with what would fit: {said}"),
            "report it",
        ));
    };
    if trained != 1 {
        return Ok(CheckResult::fail(format!("{trained} of the trainings after it worked, expected 1"), "report it"));
    }
    let line = refused.split_once("out of memory").map_or(refused, |(_, rest)| rest);
    let mut details = vec![format!("out of memory{line}")];
    if let Device::Cuda(number) = bench.device {
        bench.step("a training on a GPU whose memory is taken");
        details.push(taken(number)?);
    }
    Ok(CheckResult::pass("refused with what would fit; the next training works").with(details))
}

/// A training on a GPU after one asked it for more than is free.
fn taken(number: usize) -> Result<String> {
    let rehearsal = Rehearsal::new("resnet", Device::Cuda(number))?;
    let wish =
        RehearsalWish { optimizer: Optimizer::Sgd, precision: Precision::Fp32, seed: 1, epochs: 1, recipe: false };
    let before = rehearsal.train(&wish, Way::Stepper)?;
    let said = more_than_is_free(number)?;
    if !said.contains("out of memory") {
        return Err(Error::training(said).at("where memory is taken"));
    }
    let after = rehearsal.train(&wish, Way::Stepper)?;
    let alike = before.distance(&after) < 0.1;
    if before.batches != after.batches || !alike {
        return Err(Error::training("a training after one that found no memory gives another result"));
    }
    Ok(format!("memory that is taken: {said}; the next training works"))
}
