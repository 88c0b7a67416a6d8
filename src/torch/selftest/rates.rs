//! How fast: images a second of one training, and how many trainings at a time are best.

use tombola::selftest::told::CheckResult;
use tombola_core::net::zoo::Choice;
use tombola_core::plan::estimate::many;
use tombola_train::measure::Steps;
use tombola_train::race::median;
use tombola_words::error::{Error, Result};
use tombola_words::value::{Precision, Value};

use super::CheckBench;
use super::programs::ProgramRun;

/// Steps that nobody measures, and those that are.
const WARM_UP: usize = 3;
const STEPS: [usize; 2] = [5, 200];

/// What is measured: on a processor, small enough for a minute.
fn batch(bench: &CheckBench) -> usize {
    if bench.on_gpu() { 128 } else { 64 }
}

fn precisions(bench: &CheckBench) -> &'static [Precision] {
    if bench.on_gpu() { &[Precision::Fp32, Precision::Tf32, Precision::Bf16] } else { &[Precision::Fp32] }
}

/// Steps of two networks, one training at a time.
pub(super) fn rate(bench: &CheckBench) -> Result<CheckResult> {
    let (mut result, batch) = (CheckResult::pass(""), batch(bench));
    let networks: &[&str] = if bench.on_gpu() { &["lenet-5", "resnet", "vgg-16"] } else { &["lenet-5", "resnet"] };
    for name in networks {
        for &precision in precisions(bench) {
            let title = format!("{name} {}, batch {batch}", precision.show());
            bench.step(title.clone());
            let mut steps = Steps::of_zoo(bench.device, batch, &Choice::named(name), precision)?;
            steps.times(WARM_UP);
            let rate = batch as f64 / median(&mut steps.times(STEPS[usize::from(bench.on_gpu())]));
            if !(rate.is_finite() && rate > 0.0) {
                return Err(Error::training(format!("{title}: {rate} images a second")));
            }
            result.details.push(format!("{title}: {rate:.0} images/s"));
            result.figures.insert(title, rate);
        }
    }
    result.found = format!("{} rates of a training step on images of 3x32x32", result.figures.len());
    Ok(result)
}

/// `tombola tune`, in short.
pub(super) fn workers(bench: &CheckBench) -> Result<CheckResult> {
    bench.step("`tombola tune`");
    let (network, precision) = if bench.on_gpu() { ("resnet", "bf16") } else { ("lenet-5", "fp32") };
    let seconds = if bench.on_gpu() { 1.5 } else { 0.5 };
    let words =
        format!("tune --network {network} --precision {precision} --batch-size {} --seconds {seconds}", batch(bench));
    let output = ProgramRun::new(bench, "tune", &words)?.ends(0)?;
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    let mut result = CheckResult::pass("");
    for row in text.lines() {
        let words: Vec<&str> = row.split_whitespace().collect();
        if let [together, threads, rate] = words.as_slice()
            && let (Ok(together), Ok(threads), Ok(rate)) =
                (together.parse::<usize>(), threads.parse::<usize>(), rate.parse::<f64>())
        {
            let title = format!("{together} at a time, {} each", many(threads, "thread"));
            result.details.push(format!("{title}: {rate:.0} images/s together"));
            result.figures.insert(title, rate);
        }
    }
    let best = text.lines().find_map(|line| line.strip_prefix("Best: "));
    let best = best.ok_or_else(|| Error::training("`tombola tune` names no best number of trainings"))?;
    result.found = format!("{network} {precision}: best is {best}");
    Ok(result)
}
