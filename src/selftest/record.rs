//! The record of a self-test: a dated file in JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::SelftestWish;
use super::told::{CheckLevel, CheckResult};
use tombola_core::folder::atomic::write_atomically;
use tombola_core::machine::machine;
use tombola_words::error::{Error, Result};

/// Raised when the meaning of a field changes.
const FORMAT: u32 = 1;

/// What one self-test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SelftestRecord {
    format: u32,
    /// Coordinated Universal Time, as `2026-11-25T07:01:02Z`.
    date: String,
    version: String,
    /// What was asked for: `auto` for a GPU where there is one.
    device: String,
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
        let all = self.checks.len();
        format!("\n{all} checks in {:.0} s: {fail} FAIL, {warn} WARN, {skip} SKIP\n", self.seconds)
    }

    /// Writes it as a new file in `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder).map_err(|error| Error::file("create", folder, &error))?;
        let path = folder.join(format!("{}.json", self.date.replace(':', "-")));
        let text = self.json()?;
        write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
        Ok(path)
    }
}
