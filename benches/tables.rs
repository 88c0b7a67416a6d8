//! The tables of a hundred thousand trainings of 160 epochs, as a running sweep writes them: `cargo bench --bench tables`.
//!
//! Bars: all tables in under 20 s, and a copy of what is known, which rank 0 makes before, in under 0.1 s. It takes some 4 GB of
//! memory and 3 GB of the disk that holds the temporary folder.

mod common;

use std::process::ExitCode;
use std::time::Instant;

use common::bars::Bars;
use common::{finished, is_asked_for};
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_core::sweep::Spec;
use tombola_views::tables;
use tombola_words::error::{Error, Result};

const SWEEP: &str = r#"
network = "lenet-300-100"
dataset = "synthetic"
epochs = 160
pruning-ratio = 0.5
reinit = "init"
"#;
const SEEDS: usize = 50_000;

/// Writes one table.
type WriteTable = fn(&mut dyn std::io::Write, &Plan, &History) -> std::io::Result<()>;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    Bars::verdict(measure())
}

fn measure() -> Result<Bars> {
    let seeds: Vec<String> = (1..=SEEDS).map(|seed| seed.to_string()).collect();
    let spec = Spec::read(Some(&format!("{SWEEP}seed = [{}]\n", seeds.join(", "))), &[])?;
    let plan = Plan::of(&spec, spec.trials()?, Default::default())?;
    let mut history = History::default();
    for (index, stage) in plan.stages.iter().enumerate() {
        finished::train(index, stage.id, |record| {
            history.add(record);
            Ok(())
        })?;
    }
    let epochs: usize = history.stages.values().map(|stage| stage.epochs.len()).sum();
    println!("{} trainings, {epochs} epochs", plan.stages.len());
    let begun = Instant::now();
    let copy = history.clone();
    let copied = begun.elapsed();
    let parts: [(&str, WriteTable); 4] = [
        ("results.csv", tables::results::write),
        ("epochs.csv", tables::epochs::write),
        ("summary.csv", tables::summary::write),
        ("timing.csv", tables::timing::write),
    ];
    for (name, write) in parts {
        let begun = Instant::now();
        write(&mut std::io::sink(), &plan, &copy).map_err(|error| Error::environment(error.to_string()))?;
        println!("  {name:12} {:.2} s without a disk", begun.elapsed().as_secs_f64());
    }
    let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
    let begun = Instant::now();
    tables::write_meanwhile(folder.path(), &plan, &copy)?;
    let written = begun.elapsed();
    let size = std::fs::metadata(folder.path().join("epochs.csv")).map_or(0, |found| found.len());
    println!("  epochs.csv has {:.2} GB", size as f64 / 1e9);
    let mut bars = Bars::default();
    bars.at_most("a copy of what is known takes", copied.as_secs_f64(), 0.1, "s");
    bars.at_most("all tables take", written.as_secs_f64(), 20.0, "s");
    Ok(bars)
}
