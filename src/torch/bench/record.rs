//! A record of measured rows: one dated file for each run, and what fell since the last one of the same type of machine.
//!
//! It may not know what is measured.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

use tombola_core::folder::atomic::write_atomically;
use tombola_words::error::{Error, Result};

/// Raised when the meaning of a field changes.
const FORMAT: u32 = 1;
/// Share by which a row may be worse than before without a word.
const TOLERANCE: f64 = 0.05;

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MeasuredFigure {
    /// What was measured, the same words in every record.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// What it counts.
    pub unit: String,
    /// Whether a larger figure is a better one.
    pub more_is_better: bool,
}

impl MeasuredFigure {
    /// A rate or a ratio.
    pub(crate) fn more(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.into(), more_is_better: true }
    }

    /// A time or a size.
    pub(crate) fn less(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { more_is_better: false, ..Self::more(name, value, unit) }
    }

    /// How many times as good as `earlier` it is.
    fn gain(&self, earlier: &Self) -> f64 {
        match self.more_is_better {
            true => self.value / earlier.value,
            false => earlier.value / self.value,
        }
    }
}

/// What one run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BenchRecord {
    format: u32,
    /// Coordinated Universal Time, as `2026-11-25T07:01:02Z`.
    pub date: String,
    /// What figures are compared between: processor, cores, device.
    pub machine: String,
    /// Version of the program.
    pub version: String,
    /// The figures.
    pub rows: Vec<MeasuredFigure>,
}

impl BenchRecord {
    /// A record of now.
    pub(crate) fn new(machine: String, rows: Vec<MeasuredFigure>) -> Self {
        Self { format: FORMAT, date: now(), machine, version: env!("CARGO_PKG_VERSION").into(), rows }
    }

    /// Writes it into a folder, under its date.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub(crate) fn save(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).map_err(|error| Error::file("make", folder, &error))?;
        let path = folder.join(format!("{}.json", self.date.replace(':', "-")));
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::environment(format!("cannot write the record: {error}")))?;
        write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
        Ok(path)
    }

    /// The rows that are worse than when they were last measured on this type of machine, each as a line.
    ///
    /// # Errors
    /// When a record in the folder cannot be read.
    pub(crate) fn worse(&self, folder: &Path) -> Result<Vec<String>> {
        let earlier = Self::all(folder)?;
        let same = || earlier.iter().rev().filter(|record| record.machine == self.machine && record.date < self.date);
        let last = |name: &str| same().find_map(|one| Some((one, one.rows.iter().find(|row| row.name == name)?)));
        let line = |row: &MeasuredFigure| {
            let (record, before) = last(&row.name)?;
            let gain = row.gain(before);
            (gain < 1.0 - TOLERANCE).then(|| {
                format!(
                    "{}: {} {}, was {} on {} ({:.0} % worse)",
                    row.name,
                    number(row.value),
                    row.unit,
                    number(before.value),
                    record.date,
                    100.0 * (1.0 - gain)
                )
            })
        };
        Ok(self.rows.iter().filter_map(line).collect())
    }

    /// All records of a folder, oldest first; none where there is no folder.
    fn all(folder: &Path) -> Result<Vec<Self>> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, &error))?;
                let record: Self = serde_json::from_str(&text).map_err(|error| {
                    Error::input(format!("`{}` is no record of `tombola bench`: {error}", path.display()))
                        .hint("move it away, or name another folder by `--records`")
                })?;
                if record.format <= FORMAT {
                    records.push(record);
                }
            }
        }
        records.sort_by(|one, other| one.date.cmp(&other.date));
        Ok(records)
    }
}

/// Coordinated Universal Time, as `2026-11-25T07:01:02Z`.
pub(crate) fn now() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

/// A figure with three digits that matter.
pub(crate) fn number(value: f64) -> String {
    let decimals = (2 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    use tombola_core::machine::machine;
    use tombola_core::processor::instruction_set;

    fn record(date: &str, machine: &str, rows: &[MeasuredFigure]) -> BenchRecord {
        BenchRecord { date: date.into(), ..BenchRecord::new(machine.into(), rows.to_vec()) }
    }

    #[test]
    fn a_row_is_compared_with_the_last_record_that_has_it_on_the_same_type_of_machine() {
        let folder = tempfile::tempdir().unwrap();
        let rate = |value| MeasuredFigure::more("rate", value, "images/s");
        let start = |value| MeasuredFigure::less("start", value, "s");
        record("2026-01-01T00:00:00Z", "a", &[rate(100.0), start(1.0)]).save(folder.path()).unwrap();
        record("2026-01-02T00:00:00Z", "a", &[rate(80.0)]).save(folder.path()).unwrap();
        record("2026-01-03T00:00:00Z", "b", &[rate(500.0), start(0.1)]).save(folder.path()).unwrap();
        let worse = |rows: &[MeasuredFigure]| record("2026-01-04T00:00:00Z", "a", rows).worse(folder.path()).unwrap();
        assert!(worse(&[rate(77.0), start(1.04), MeasuredFigure::more("new", 1.0, "")]).is_empty());
        assert_eq!(worse(&[rate(60.0)]), ["rate: 60.0 images/s, was 80.0 on 2026-01-02T00:00:00Z (25 % worse)"]);
        assert_eq!(worse(&[start(2.0)]), ["start: 2.00 s, was 1.00 on 2026-01-01T00:00:00Z (50 % worse)"]);
    }

    #[test]
    fn machines_with_other_instructions_are_not_compared() {
        let folder = tempfile::tempdir().unwrap();
        let (own, rate) = (machine("cpu"), |value| [MeasuredFigure::more("rate", value, "images/s")]);
        assert!(own.contains(&instruction_set()), "{own}");
        // As it was before records said it, and as another processor has it.
        let without = own.replace(&format!("{}, ", instruction_set()), "");
        let other = own.replace(&instruction_set(), "instructions of another processor");
        record("2026-01-01T00:00:00Z", &without, &rate(100.0)).save(folder.path()).unwrap();
        record("2026-01-02T00:00:00Z", &other, &rate(100.0)).save(folder.path()).unwrap();
        let new = record("2026-01-03T00:00:00Z", &own, &rate(10.0));
        assert!(new.worse(folder.path()).unwrap().is_empty());
        record("2026-01-02T12:00:00Z", &own, &rate(100.0)).save(folder.path()).unwrap();
        assert_eq!(new.worse(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn records_are_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let one = BenchRecord::new(machine("cpu"), vec![MeasuredFigure::more("rate", 1.5, "images/s")]);
        let path = one.save(folder.path()).unwrap();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("20"));
        assert_eq!(BenchRecord::all(folder.path()).unwrap(), [one]);
        fs::write(folder.path().join("other.json"), "{}").unwrap();
        assert!(BenchRecord::all(folder.path()).unwrap_err().message.contains("other.json"));
    }

    #[test]
    fn numbers_have_three_digits_that_matter() {
        assert_eq!([1234.56, 12.345, 0.012345, 0.0].map(number), ["1235", "12.3", "0.0123", "0.000000"]);
    }
}
