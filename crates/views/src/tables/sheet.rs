//! Writes the cells of a CSV file, one after the other.
//!
//! Numbers are written with as many digits as it takes to read the same number back. It may not know what they mean.

use std::fmt::{Display, Write as _};
use std::io::{Result, Write};
use tombola_words::error::ignored;

/// A CSV file in the making.
pub(super) struct CsvSheet<W: Write> {
    writer: csv::Writer<W>,
    text: String,
}

impl<W: Write> CsvSheet<W> {
    /// Begins a file with its header.
    pub(super) fn new<'a>(file: W, header: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(header)?;
        Ok(Self { writer, text: String::new() })
    }

    /// A cell as it is shown.
    pub(super) fn put(&mut self, value: impl Display) -> Result<()> {
        self.text.clear();
        ignored(write!(self.text, "{value}"), "writing to a string does not fail");
        Ok(self.writer.write_field(&self.text)?)
    }

    /// A cell that may be empty.
    pub(super) fn maybe(&mut self, value: Option<impl Display>) -> Result<()> {
        match value {
            Some(value) => self.put(value),
            None => self.put(""),
        }
    }

    /// A number with a fraction, in the form that settings have too, or nothing.
    pub(super) fn float(&mut self, value: Option<f64>) -> Result<()> {
        match value {
            Some(value) => self.put(format_args!("{value:?}")),
            None => self.put(""),
        }
    }

    /// Ends the row. All rows must be as long as the header.
    pub(super) fn end_row(&mut self) -> Result<()> {
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<()> {
        self.writer.flush()
    }
}
