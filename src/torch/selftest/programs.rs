//! The program itself, as a user would start it: `tombola run` and `tombola tune` in a folder of the check's own.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tombola_words::error::{Error, Result};

use super::CheckBench;

/// A command line of the program.
#[derive(Debug)]
pub(super) struct ProgramRun {
    command: Command,
    words: String,
}

impl ProgramRun {
    /// `tombola WORDS`, in the folder `name`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn new(bench: &CheckBench, name: &str, words: &str) -> Result<Self> {
        let folder = bench.scratch.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| Error::file("make", &folder, &error))?;
        let mut command = Command::new(&bench.program);
        command.args(words.split_whitespace()).args(device_flag(bench)).current_dir(&folder);
        // What `tombola tune` found for the user's own runs is left alone.
        command.env("XDG_CACHE_HOME", &folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for launcher in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_NTASKS"] {
            command.env_remove(launcher);
        }
        if let Some(folder) = &bench.wish.data_dir {
            command.env("TOMBOLA_DATA", folder);
        }
        Ok(Self { command, words: words.split_whitespace().take(2).collect::<Vec<_>>().join(" ") })
    }

    /// Its command, to be started otherwise.
    pub(super) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end: with exit code `code`, or it is an error.
    ///
    /// # Errors
    /// When it ends otherwise, with what it said.
    pub(super) fn ends(mut self, code: i32) -> Result<Output> {
        let output = self
            .command
            .output()
            .map_err(|error| Error::environment(format!("cannot start `{}`: {error}", self.words)))?;
        if output.status.code() == Some(code) {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let cure = lines.iter().rev().find_map(|line| line.strip_prefix("hint: ")).map(str::to_string);
        let told: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with("hint: ")).collect();
        let last = told.get(told.len().saturating_sub(3)..).unwrap_or_default().join("; ");
        let (words, status) = (&self.words, output.status);
        let error =
            Error::training(format!("`tombola {words}` ended with {status}, expected exit code {code}: {last}"));
        Err(Error { hint: cure, ..error })
    }
}

fn device_flag(bench: &CheckBench) -> Vec<String> {
    let device = tombola_train::device::short(bench.device);
    vec!["--device".to_string(), device]
}

/// A file that a run wrote.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::file("read", path, &error))
}

/// The rows of a table, each value by its column.
///
/// # Errors
/// When it cannot be read.
pub(super) fn table(path: &Path) -> Result<Vec<std::collections::BTreeMap<String, String>>> {
    let text = read(path)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let fail = |error: csv::Error| Error::environment(format!("cannot read `{}`: {error}", path.display()));
    let headers = reader.headers().map_err(fail)?.clone();
    let rows = reader.records().map(|record| {
        let record = record.map_err(fail)?;
        Ok(headers.iter().zip(record.iter()).map(|(name, value)| (name.to_string(), value.to_string())).collect())
    });
    rows.collect()
}
