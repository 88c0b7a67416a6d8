//! How long a user waits before anything happens: help, a large plan, the first trained images.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::MeasuredFigure;
use tombola_train::race::median;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};

const TIMES: usize = 5;

/// Measures with `program`, which is `tombola` itself; `folder` is an empty folder for what it writes.
///
/// # Errors
/// When the program does not do what it is asked.
pub(crate) fn measure(
    program: &Path,
    folder: &Path,
    say: &mut dyn FnMut(&MeasuredFigure),
) -> Result<Vec<MeasuredFigure>> {
    let seeds: Vec<String> = (1..=100).map(|seed| seed.to_string()).collect();
    let ratios: Vec<String> = (1..=999).map(|ratio| format!("0.{ratio:03}")).collect();
    let (seeds, ratios, out) = (seeds.join(","), ratios.join(","), folder.join("run").display().to_string());
    let plan = ["plan", "--seed", &seeds, "--pruning-ratio", &ratios, "--out", &out];
    // An epoch of one batch: what is left is the start of the program, of libtorch, and of 60,000 images.
    let train = ["run", "--quiet", "--out", &out, "--dataset", "fashion-mnist", "--train-limit", "128"];
    let train = [&train[..], &["--network", "lenet-5", "--epochs", "1", "--priter", "0"]].concat();
    let parts: [(&str, &[&str]); 3] = [
        ("start, `--help`", &["--help"]),
        ("start, `plan` of 99,900 trials", &plan),
        ("start, `run` of one epoch of one batch, Fashion-MNIST", &train),
    ];
    let mut rows = Vec::new();
    for (name, arguments) in parts {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            ignored(
                std::fs::remove_dir_all(folder.join("run")),
                "there may be none; a finished run would find nothing to train",
            );
            times.push(seconds(program, arguments)?);
        }
        rows.push(MeasuredFigure::less(name, median(&mut times), "s"));
        rows.last().into_iter().for_each(&mut *say);
    }
    Ok(rows)
}

fn seconds(program: &Path, arguments: &[&str]) -> Result<f64> {
    let begun = Instant::now();
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status =
        status.map_err(|error| Error::environment(format!("cannot start `{}`: {error}", program.display())))?;
    match status.success() {
        true => Ok(begun.elapsed().as_secs_f64()),
        false => Err(Error::environment(format!("`tombola {}` ended with {status}", arguments[0]))),
    }
}
