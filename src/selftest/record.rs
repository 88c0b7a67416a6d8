//! The record of a self-test: a dated file in JSON.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::SelftestWish;
use super::told::{CheckLevel, CheckResult};
use crate::doctor::{gpus, look};
use tombola_core::folder::atomic::write_atomically;
use tombola_core::machine::machine;
use tombola_core::plan::estimate::many;
use tombola_words::error::{Error, Result};

/// Raised when the meaning of a field changes.
const FORMAT: u32 = 1;

/// Whether records can be written into a folder, which is made.
///
/// # Errors
/// When they cannot.
pub(super) fn check(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Error::file("create", folder, &error))?;
    let trial = folder.join(format!(".trial-{}", std::process::id()));
    let written = std::fs::write(&trial, "").and_then(|()| std::fs::remove_file(&trial));
    written.map_err(|error| {
        Error::file("write into", folder, &error).hint("name another by `--records`, or give `--no-record`")
    })
}

/// What one self-test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SelftestRecord {
    format: u32,
    /// Coordinated Universal Time, as `2026-11-25T07:01:02Z`.
    date: String,
    version: String,
    /// What was asked for: `auto` for a GPU where there is one.
    device: String,
    /// Minutes for all, and seconds for each check where its own were not taken.
    minutes: f64,
    limit: Option<u64>,
    host: String,
    /// The driver of NVIDIA's, where there is one.
    driver: Option<String>,
    /// Processor, its instructions, and usable cores.
    machine: String,
    seconds: f64,
    /// What came of each check, in their order.
    pub(super) checks: Vec<CheckResult>,
}

impl SelftestRecord {
    pub(super) fn new(wish: &SelftestWish, checks: Vec<CheckResult>, took: Duration) -> Self {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        Self {
            format: FORMAT,
            date: OffsetDateTime::now_utc().format(format).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").into(),
            device: wish.device.clone().unwrap_or_else(|| "auto".into()),
            machine: machine("cpu"),
            minutes: wish.minutes,
            limit: wish.limit,
            host: look::host(),
            driver: gpus::driver(),
            seconds: took.as_secs_f64(),
            checks,
        }
    }

    pub(super) fn json(&self) -> Result<String> {
        let fail = |error| Error::environment(format!("cannot write the record as JSON: {error}"));
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(fail)
    }

    /// The last line for people.
    pub(super) fn summary(&self) -> String {
        let count = |level| self.checks.iter().filter(|result| result.level == level).count();
        let (fail, warn, skip) = (count(CheckLevel::Fail), count(CheckLevel::Warn), count(CheckLevel::Skip));
        let all = many(self.checks.len(), "check");
        format!("\n{all} in {:.0} s: {fail} FAIL, {warn} WARN, {skip} SKIP\n", self.seconds)
    }

    /// A file of its own in `folder`, though others may write one in the same second.
    fn place(&self, folder: &Path) -> Result<PathBuf> {
        let date = self.date.replace(':', "-");
        for number in 1.. {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let path = folder.join(format!("{date}{more}.json"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("create", &path, &error)),
            }
        }
        Ok(folder.join(format!("{date}.json")))
    }

    /// Writes it as a new file in `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<PathBuf> {
        let path = self.place(folder)?;
        let text = self.json()?;
        write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
        Ok(path)
    }
}
