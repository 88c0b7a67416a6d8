//! The report of a sweep of a hundred thousand trials: `cargo bench --bench report`.
//!
//! The journal is made up: every training with three epochs and an outcome; the program is the real one.

mod common;

use std::process::{Command, ExitCode};
use std::time::Instant;

use common::bars::Bars;
use common::is_asked_for;
use tombola_core::folder::journal::Journal;
use tombola_core::plan::Plan;
use tombola_core::sweep::Spec;
use tombola_words::error::{Error, Result};
use tombola_words::record::{Drawn, EpochRecord, Evaluation, Outcome, Record, Scores};

const SWEEP: &str = r#"
name = "many"
network = "lenet-300-100"
dataset = "synthetic"
synthetic-size = 200
epochs = 3
reinit = ["init", "random", "lr"]
"#;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    Bars::verdict(measure())
}

/// 33 ratios, 3 rewinds, 1,000 seeds.
fn sweep() -> String {
    let ratios: Vec<String> = (1..=33).map(|step| format!("{:.3}", 1.0 - 0.9_f64.powi(step))).collect();
    let seeds: Vec<String> = (1..=1000).map(|seed: u32| seed.to_string()).collect();
    format!("{SWEEP}seed = [{}]\npruning-ratio = [{}]\n", seeds.join(", "), ratios.join(", "))
}

fn measure() -> Result<Bars> {
    let folder = tempfile::tempdir().map_err(|error| Error::environment(error.to_string()))?;
    let spec = Spec::read(Some(&sweep()), &[])?;
    let trials = spec.trials()?;
    println!("{} trials", trials.len());
    let plan = Plan::of(&spec, trials, Default::default())?;
    let written = std::fs::write(folder.path().join("sweep.toml"), spec.to_toml());
    written.map_err(|error| Error::environment(error.to_string()))?;
    let mut journal = Journal::open(&folder.path().join("journal"), 0)?;
    for (index, stage) in plan.stages.iter().enumerate() {
        records(index, stage.id, stage.pruning.as_ref().map_or(0.0, |pruning| pruning.rate))
            .iter()
            .try_for_each(|record| journal.append(record))?;
    }
    journal.sync()?;
    let page = folder.path().join("report.html");
    let begun = Instant::now();
    let mut program = Command::new(env!("CARGO_BIN_EXE_tombola"));
    let status =
        program.arg("report").arg(folder.path()).status().map_err(|error| Error::environment(error.to_string()))?;
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(Error::environment(format!("`tombola report` ended with {status}")));
    }
    let size = std::fs::metadata(&page).map_err(|error| Error::file("read", &page, &error))?.len() as f64 / 1e6;
    if let Some(kept) = std::env::var_os("TOMBOLA_BENCH_PAGE") {
        std::fs::copy(&page, kept).map_err(|error| Error::environment(error.to_string()))?;
    }
    let mut bars = Bars::default();
    bars.at_most("the report takes", seconds, 20.0, "s");
    bars.at_most("the page has", size, 20.0, "MB");
    Ok(bars)
}

/// What a training leaves in the journal, with numbers that differ.
fn records(index: usize, stage: tombola_words::StageId, rate: f64) -> Vec<Record> {
    let evaluation = |epoch: usize| {
        let correct = 6000 + ((index * 7919 + epoch * 104_729) % 3000) as u64;
        Evaluation { loss: 1.0 - correct as f64 / 10_000.0, correct, images: 10_000, top5: None }
    };
    let scores = |epoch: usize| Scores { validation: evaluation(epoch), test: evaluation(epoch + 1) };
    let prunable = 266_200;
    let alive = ((1.0 - rate) * f64::from(prunable)).round() as usize;
    let drawn = Drawn {
        prunable: prunable as usize,
        alive,
        effective: alive,
        parameters: 266_610,
        pruned: scores(0),
        start: scores(0),
        ..Drawn::default()
    };
    let epoch = |epoch: usize| Record::Epoch {
        stage,
        epoch: EpochRecord {
            epoch,
            learning_rate: 0.1,
            train: evaluation(epoch),
            validation: evaluation(epoch + 10),
            test: None,
            seconds: 1.5,
        },
    };
    let time = index as f64 * 4.5;
    let outcome = Outcome { best_epoch: 2, best: scores(2), last: scores(3), ..Outcome::default() };
    let mut records = vec![Record::Began { stage, worker: index % 64, epoch: 0, time }, Record::Drawn { stage, drawn }];
    records.extend((1..=3).map(epoch));
    records.push(Record::Finished {
        stage,
        outcome,
        images_per_second: 1000.0,
        place: "cpu, 1 thread, worker 0".to_string(),
        attempts: 1,
        time: time + 250.0,
    });
    records
}
