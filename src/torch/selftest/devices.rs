//! What is trained on, and by which kind of steps.

use tombola::doctor::look::libtorch;
use tombola::selftest::told::CheckResult;
use tombola_core::processor::slow_bf16;
use tombola_train::cuda::graph;
use tombola_train::device;
use tombola_words::error::Result;

use super::CheckBench;

/// Names the device; says where trainings would be slower than they could be.
pub(super) fn device(bench: &CheckBench) -> Result<CheckResult> {
    bench.step("asking for the device");
    let details = vec![format!("libtorch {}", libtorch().unwrap_or_else(|| "of an unknown version".into()))];
    let (place, alike) = (device::describe(bench.device, 1), device::arithmetic(bench.device, 1));
    if bench.on_gpu() {
        return Ok(match graph::possible() {
            Ok(()) => CheckResult::pass(place).with(details),
            Err(reason) => CheckResult::warn(
                format!(
                    "{place}: steps are not replayed as CUDA graphs, and take two to three times as long: {reason}"
                ),
                "take the wheel of a release, or build where CUDA's headers are (`CUDA_HOME`)",
            ),
        });
    }
    if let Some(unused) = device::unused_gpus(bench.wish.device.as_deref()) {
        return Ok(CheckResult::warn(unused.words("trainings run"), unused.cure()));
    }
    let slow = slow_bf16().map_or("computes in bfloat16 by itself", |_| "no instructions for bfloat16");
    Ok(CheckResult::pass(format!("{alike}; {slow}")).with(details))
}
