//! A table as the CSV files have it: what the report is made from, so that its numbers are those of the files.

use std::collections::BTreeMap;
use tombola_words::error::{Error, Result, ignored};

/// Columns and rows of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// A cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Reads the text of a CSV file.
    ///
    /// # Errors
    /// When it is none, or has rows of other lengths than its first.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = |error: csv::Error| Error::environment(format!("a table is no CSV: {error}"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let cells = |record: &csv::StringRecord| record.iter().map(str::to_string).collect::<Vec<String>>();
        let columns = cells(reader.headers().map_err(fail)?);
        let rows = reader.records().map(|record| record.map(|record| cells(&record)).map_err(fail));
        Ok(Self { columns, rows: rows.collect::<Result<_>>()? })
    }

    /// A table of these columns and rows.
    pub fn of<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Self {
        let rows = rows.into_iter().map(|row| row.to_vec()).collect();
        Self { columns: columns.map(str::to_string).to_vec(), rows }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where a column stands.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// A cell; empty where there is no such column.
    pub fn text<'a>(&self, row: &'a [String], name: &str) -> &'a str {
        self.column(name).and_then(|column| row.get(column)).map_or("", String::as_str)
    }

    /// A cell as a number, if it is one.
    pub fn number(&self, row: &[String], name: &str) -> Option<f64> {
        self.text(row, name).parse().ok()
    }

    /// The columns with more than one value, and what all rows have in the others; columns that are empty in all rows are in
    /// neither.
    pub fn parted(&self) -> (Vec<usize>, Vec<(String, String)>) {
        let (mut varying, mut shared) = (Vec::new(), Vec::new());
        for (index, name) in self.columns.iter().enumerate() {
            let mut values = self.rows.iter().map(|row| row.get(index).map_or("", String::as_str));
            let first = values.next().unwrap_or_default();
            if values.any(|value| value != first) {
                varying.push(index);
            } else if !first.is_empty() {
                shared.push((name.clone(), first.to_string()));
            }
        }
        (varying, shared)
    }

    /// Whether some rows have more than one value in a column, empty cells apart: there the setting makes no difference.
    pub fn differs<'a>(&self, rows: impl IntoIterator<Item = &'a Vec<String>>, name: &str) -> bool {
        let Some(column) = self.column(name) else { return false };
        let mut first = None;
        let values = rows.into_iter().filter_map(|row| row.get(column)).filter(|value| !value.is_empty());
        values.into_iter().any(|value| *first.get_or_insert(value) != value)
    }

    /// All of it as the text of a CSV file.
    pub fn whole_csv(&self) -> String {
        self.csv(&self.rows)
    }

    /// Some of its rows as the text of a CSV file, names of columns first.
    pub fn csv<'a>(&self, rows: impl IntoIterator<Item = &'a Vec<String>>) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        ignored(writer.write_record(&self.columns), "writing to memory does not fail");
        for row in rows {
            ignored(writer.write_record(row), "writing to memory does not fail");
        }
        writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The rows of which something holds.
    #[must_use]
    pub fn only(&self, holds: impl Fn(&[String]) -> bool) -> Self {
        let rows = self.rows.iter().filter(|row| holds(row)).cloned().collect();
        Self { columns: self.columns.clone(), rows }
    }

    /// Rows that agree in some column, in the order of their first.
    pub fn by<'a>(&'a self, name: &str) -> Vec<(&'a str, Vec<&'a Vec<String>>)> {
        let mut places = BTreeMap::new();
        let mut groups: Vec<(&str, Vec<&Vec<String>>)> = Vec::new();
        for row in &self.rows {
            let key = self.text(row, name);
            let place = *places.entry(key).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(row);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_parted_into_those_that_vary_and_those_that_all_rows_share() {
        let sheet = Sheet::parse("a,b,c,d\n1,x,,\"p, q\"\n2,x,,r\n1,x,,r\n").unwrap();
        assert_eq!(sheet.parted(), (vec![0, 3], vec![("b".to_string(), "x".to_string())]));
        assert_eq!(sheet.text(&sheet.rows[0], "d"), "p, q");
        assert_eq!((sheet.number(&sheet.rows[1], "a"), sheet.number(&sheet.rows[1], "b")), (Some(2.0), None));
        let groups = sheet.by("a");
        assert_eq!((groups.len(), groups[0].0, groups[0].1.len()), (2, "1", 2));
        assert_eq!(Sheet::parse(&sheet.csv(&sheet.rows)).unwrap(), sheet);
    }
}
