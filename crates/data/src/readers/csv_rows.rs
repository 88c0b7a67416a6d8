//! Tables as text (CSV): a row an example, a column the label, all others numbers. Separators are commas, semicolons or tabs.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use super::named::listed;
use super::parts::{PartReaders, SetPart, words};
use super::pattern;
use super::scalar::class_of;
use super::source::{ByteSource, broken};
use crate::example::{Array, Content, Example, Label, Numbers, Reader, Take};
use tombola_words::error::{Error, Result, nearest, printable};
use tombola_words::{DataOptions, Shape};

/// A row is not longer, in bytes.
const MOST_ROW: usize = 16 << 20;
/// What the columns of labels are called, the surest first.
const LABELS: [&str; 6] = ["label", "labels", "class", "target", "y", "species"];
/// Columns that number the rows.
const NUMBERS: [&str; 4] = ["", "id", "index", "unnamed: 0"];
/// Columns that say the part of a row.
const PARTS: [&str; 5] = ["split", "part", "subset", "fold", "partition"];

/// What a table looks like.
#[derive(Debug, Clone, PartialEq)]
struct TableForm {
    separator: u8,
    header: bool,
    /// What people call each column.
    columns: Vec<String>,
    label: usize,
    part: Option<usize>,
    values: Vec<usize>,
}

/// The rows of one part of a file.
struct CsvRows {
    path: PathBuf,
    form: TableForm,
    /// What the column of parts has to say.
    part: Option<(SetPart, DataOptions)>,
}

/// Fails when a row has no end, for want of a line break or of a quote: whoever reads it would hold all of it.
struct BoundedRows<R> {
    inner: R,
    /// Bytes since the last row that was complete.
    since_row: Rc<Cell<usize>>,
}

impl<R: Read> Read for BoundedRows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.since_row.set(self.since_row.get() + count);
        if self.since_row.get() > MOST_ROW {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a row has more than {MOST_ROW} bytes")));
        }
        Ok(count)
    }
}

/// The rows of a file.
struct OpenTable {
    reader: csv::Reader<Box<dyn Read>>,
    since_row: Rc<Cell<usize>>,
}

impl OpenTable {
    /// The next row; false behind the last.
    fn next(&mut self, record: &mut ByteRecord) -> Result<bool> {
        self.since_row.set(0);
        self.reader.read_byte_record(record).map_err(|error| unread(&error))
    }
}

fn table(path: &Path, separator: u8) -> Result<OpenTable> {
    let mut inner = ByteSource::of_file(path)?.open()?;
    // A mark of Windows' that says UTF-8.
    let mut first = Vec::new();
    inner
        .by_ref()
        .take(3)
        .read_to_end(&mut first)
        .map_err(|error| broken(&error).at(format!("`{}`", path.display())))?;
    let rest = if first == b"\xef\xbb\xbf" { Vec::new() } else { first };
    let since_row = Rc::new(Cell::new(0));
    let rows = BoundedRows { inner: io::Cursor::new(rest).chain(inner), since_row: since_row.clone() };
    let whole: Box<dyn Read> = Box::new(rows);
    let reader = ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(whole);
    Ok(OpenTable { reader, since_row })
}

/// The separator that a first line has most of.
fn separator(path: &Path) -> Result<u8> {
    let mut line = Vec::new();
    let mut source = ByteSource::of_file(path)?.open()?;
    source
        .by_ref()
        .take(1 << 16)
        .read_to_end(&mut line)
        .map_err(|error| broken(&error).at(format!("`{}`", path.display())))?;
    let (mut quoted, mut counts) = (false, [0usize; 3]);
    for byte in line.into_iter().take_while(|byte| *byte != b'\n') {
        quoted ^= byte == b'"';
        if let Some(place) = b",;\t".iter().position(|separator| *separator == byte && !quoted) {
            counts[place] += 1;
        }
    }
    let most = (0..3).max_by_key(|place| (counts[*place], 3 - place)).unwrap_or(0);
    Ok(b",;\t"[most])
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok().map(str::trim)
}

fn is_number(field: &[u8]) -> bool {
    text(field).is_some_and(|text| text.parse::<f64>().is_ok())
}

impl TableForm {
    fn of(path: &Path, options: &DataOptions, notes: &mut Vec<String>) -> Result<Self> {
        let place = format!("`{}`", path.display());
        let separator = separator(path)?;
        let mut reader = table(path, separator)?;
        let mut next = || {
            let mut record = ByteRecord::new();
            let found = reader.next(&mut record).map_err(|error| error.at(&place))?;
            Ok::<_, Error>(found.then_some(record))
        };
        let (first, second) = (next()?.unwrap_or_default(), next()?);
        if first.len() < 2 {
            return Err(Error::input(format!("{place} has {} columns; expected numbers and a label", first.len()))
                .hint("columns are separated by commas, semicolons or tabs"));
        }
        let is_text = |record: &ByteRecord| record.iter().map(|field| !is_number(field)).collect::<Vec<bool>>();
        // A header has text where the rows below have numbers. That of a data frame without names has the numbers of its columns.
        let numbered = first.iter().enumerate().all(|(column, field)| text(field) == Some(column.to_string().as_str()));
        let header = second.as_ref().is_some_and(|second| is_text(&first) != is_text(second))
            || is_text(&first).iter().all(|is| *is)
            || numbered && second.is_some();
        let columns: Vec<String> = match header {
            true => first.iter().map(|field| String::from_utf8_lossy(field).trim().to_string()).collect(),
            false => (1..=first.len()).map(|column| column.to_string()).collect(),
        };
        let lower: Vec<String> = columns.iter().map(|column| column.to_lowercase()).collect();
        let called = |name: &str| lower.iter().position(|column| column == name);
        let label = match &options.labels {
            Some(asked) => {
                columns.iter().position(|column| column == asked).or_else(|| called(&asked.to_lowercase())).ok_or_else(
                    || {
                        let near = nearest(asked, columns.iter().map(String::as_str));
                        Error::input(format!(
                            "{place} has no column `{asked}`, which `labels` names; found {}",
                            listed(&columns)
                        ))
                        .hint(near.map_or("take one of these".to_string(), |near| format!("did you mean `{near}`?")))
                    },
                )?
            }
            None => {
                let likely: Vec<usize> = LABELS.iter().filter_map(|name| called(name)).filter(|_| header).collect();
                if let [first, second, ..] = likely.as_slice() {
                    // Whichever is not the label would be learned from.
                    return Err(Error::input(format!(
                        "{place}: the columns `{}` and `{}` may both be the label",
                        columns[*first], columns[*second]
                    ))
                    .hint("say which with `labels`, and with `values` which columns are learned from"));
                }
                likely.first().copied().unwrap_or(columns.len() - 1)
            }
        };
        if options.labels.is_none() && !(header && LABELS.contains(&lower[label].as_str())) {
            notes.push(format!(
                "{place}: labels are taken from its last column, {}; `labels` names another",
                if header { format!("`{}`", columns[label]) } else { columns[label].clone() }
            ));
        }
        // A column of folds is one of parts where options say which fold is which.
        let is_words = |column: usize| {
            SetPart::ALL.iter().any(|part| part.asked(options).is_some())
                || second
                    .as_ref()
                    .and_then(|row| row.get(column))
                    .is_some_and(|field| text(field).is_some_and(|text| SetPart::of_word(text, options).is_some()))
        };
        let part =
            PARTS.iter().find_map(|name| called(name)).filter(|column| header && *column != label && is_words(*column));
        let is_value = |column: &usize| *column != label && Some(*column) != part;
        let values: Vec<usize> = match &options.values {
            Some(asked) => (0..columns.len())
                .filter(|column| is_value(column) && pattern::fits(asked, &columns[*column]))
                .collect(),
            None => (0..columns.len())
                .filter(|column| is_value(column) && !(header && NUMBERS.contains(&lower[*column].as_str())))
                .collect(),
        };
        if options.values.is_none()
            && let Some(number) =
                (0..columns.len()).filter(is_value).find(|column| values.binary_search(column).is_err())
        {
            notes.push(format!("{place}: left aside the column `{}`, which numbers the rows", columns[number]));
        }
        if values.is_empty() {
            return Err(Error::input(format!("{place} has no columns of values; found {}", listed(&columns)))
                .hint("`values` names them, with `*` for any letters"));
        }
        Ok(Self { separator, header, columns, label, part, values })
    }
}

fn unread(error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(error) => broken(error),
        _ => Error::input(format!("is no table: {error}"))
            .hint("write it with commas between the columns, one row a line"),
    }
}

/// Adds the readers of a file.
///
/// # Errors
/// A file that is no table.
pub(super) fn add(parts: &mut PartReaders, path: &Path, part: SetPart, options: &DataOptions) -> Result<()> {
    let form = TableForm::of(path, options, &mut parts.notes)?;
    if form.part.is_none() {
        parts.add(part, Box::new(CsvRows { path: path.to_path_buf(), form, part: None }));
        return Ok(());
    }
    parts.is_guessed = false;
    for part in SetPart::ALL {
        let reader = CsvRows { path: path.to_path_buf(), form: form.clone(), part: Some((part, options.clone())) };
        let mut any = false;
        // The first row of a part is enough to know that there is one.
        let looked = reader.read(&mut |_| {
            any = true;
            Err(Error::input(""))
        });
        match any {
            true => parts.add(part, Box::new(reader)),
            false => looked?,
        }
    }
    Ok(())
}

impl CsvRows {
    fn example(&self, record: &ByteRecord, row: u64) -> Result<Example> {
        let form = &self.form;
        let wrong = |column: usize, what: String, cure: &str| {
            let name = form.columns.get(column).map(String::as_str).unwrap_or_default();
            Error::input(format!("row {row}, column `{name}`: {what}")).hint(cure)
        };
        if record.len() != form.columns.len() {
            return Err(Error::input(format!(
                "row {row} has {} columns; expected {}",
                record.len(),
                form.columns.len()
            ))
            .hint("a row has as many as the first; text with separators in it stands between quotes"));
        }
        let field = |column: usize| {
            let field = text(record.get(column).unwrap_or_default());
            match field.ok_or_else(|| wrong(column, "it is no text in UTF-8".into(), "save the table in UTF-8"))? {
                "" => Err(wrong(column, "a value is missing".into(), "fill it in, or leave the row out")),
                text => Ok(text),
            }
        };
        let label = field(form.label)?;
        let label = match (label.parse::<i64>(), label.parse::<f64>()) {
            (Ok(number), _) => Label::Number(number),
            (_, Ok(number)) if number.is_finite() => {
                class_of(number).map_err(|error| error.at(format!("row {row}")))?
            }
            _ => Label::Word(label.to_string()),
        };
        let fields: Vec<&str> = form.values.iter().map(|column| field(*column)).collect::<Result<_>>()?;
        let whole: Option<Vec<i64>> = fields.iter().map(|field| field.parse().ok()).collect();
        let numbers = match whole {
            Some(numbers) => Numbers::Whole(numbers),
            None => {
                let number = |(field, column): (&&str, &usize)| match field.parse::<f64>() {
                    Ok(number) if !number.is_nan() => Ok(number as f32),
                    Ok(_) => Err(wrong(*column, "a value is missing".into(), "fill it in, or leave the row out")),
                    Err(_) => Err(wrong(
                        *column,
                        format!("found `{field}`; expected a number"),
                        match field.contains([',', ';']) {
                            true => "decimal commas are not read: write numbers with a point, as `1.5`",
                            false => {
                                "columns but that of the label hold numbers: `labels` names that, and `values` those that are used"
                            }
                        },
                    )),
                };
                Numbers::Floats(fields.iter().zip(&form.values).map(number).collect::<Result<_>>()?)
            }
        };
        let content = Content::Array(Array { shape: Shape::Vector(numbers.len()), numbers });
        Ok(Example { name: printable(&format!("row {row} of `{}`", self.path.display())), label, content })
    }
}

impl Reader for CsvRows {
    fn read(&self, take: &mut Take) -> Result<()> {
        let at = |error: Error| error.at(format!("`{}`", self.path.display()));
        let mut reader = table(&self.path, self.form.separator)?;
        let mut record = ByteRecord::new();
        let mut row = 0;
        while reader.next(&mut record).map_err(at)? {
            row += 1;
            if row == 1 && self.form.header {
                continue;
            }
            if let (Some(column), Some((part, options))) = (self.form.part, &self.part) {
                let word = record.get(column).and_then(text).unwrap_or_default();
                match SetPart::of_word(word, options) {
                    Some(own) if own == *part => {}
                    Some(_) => continue,
                    // What options do not name is not wanted.
                    None if SetPart::ALL.iter().any(|part| part.asked(options).is_some()) => continue,
                    None => {
                        let name = self.form.columns.get(column).map(String::as_str).unwrap_or_default();
                        return Err(at(Error::input(format!(
                            "row {row}, column `{name}`: found `{word}`; expected `train`, `val` or `test`"
                        ))
                        .hint("say with `train`, `validation` and `test` what the parts are called")));
                    }
                }
            }
            take(self.example(&record, row).map_err(at)?)?;
        }
        Ok(())
    }
}

/// Whether the first bytes of a file, which has the ending of a table or none, may be those of one.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    let line: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != b'\n').collect();
    let is_text = !line.iter().any(|byte| *byte < b' ' && !matches!(byte, b'\t' | b'\r'));
    is_text && line.iter().any(|byte| b",;\t".contains(byte)) && words(&String::from_utf8_lossy(&line)).next().is_some()
}

#[cfg(test)]
mod tests;
