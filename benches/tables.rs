//! The tables of a hundred thousand trainings of 160 epochs, as a running sweep writes them: `cargo bench --bench tables`.
//!
//! Bars: all tables in under 20 s, and a copy of what is known, which rank 0 makes before, in under 0.1 s. It takes some 4 GB of
//! memory and 3 GB of the disk that holds the temporary folder.

mod common;

use std::process::ExitCode;
use std::time::Instant;

use common::bars::Bars;
use common::is_asked_for;
use tombola_core::folder::journal::History;
use tombola_core::plan::Plan;
use tombola_core::sweep::Spec;
use tombola_views::tables;
use tombola_words::error::{Error, Result};
use tombola_words::record::{Drawn, EpochRecord, Evaluation, Outcome, Record, Scores};

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
        train(&mut history, index, stage.id);
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

/// What a training leaves behind, with numbers that differ.
fn train(history: &mut History, index: usize, stage: tombola_words::StageId) {
    let evaluation = |epoch: usize, images: u64| {
        let share = ((index * 7919 + epoch * 104_729) % 100_003) as f64 / 100_003.0;
        Evaluation { loss: 1.0 - 0.7 * share, correct: (share * images as f64) as u64, images }
    };
    let last = Scores { validation: evaluation(160, 5000), test: evaluation(160, 10_000) };
    let drawn =
        Drawn { prunable: 266_200, alive: 133_100, effective: 133_000, parameters: 266_610, ..Drawn::default() };
    history.add(Record::Drawn { stage, drawn: Drawn { pruned: last, start: last, ..drawn } });
    for epoch in 1..=160 {
        let epoch = EpochRecord {
            epoch,
            learning_rate: 0.1 * 0.97_f64.powi(epoch as i32),
            train: evaluation(epoch + 1, 45_000),
            validation: evaluation(epoch, 5000),
            test: None,
            seconds: 12.25,
        };
        history.add(Record::Epoch { stage, epoch });
    }
    let outcome = Outcome { best_epoch: 160, best: last, last, ..Outcome::default() };
    let (images_per_second, place) = (1e4, "cpu".to_string());
    history.add(Record::Finished { stage, outcome, images_per_second, place, attempts: 1, time: 1.0 });
}
