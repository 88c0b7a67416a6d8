//! Tables in files of Parquet, as the Hugging Face hub keeps data sets: a column of encoded images, of (nested) lists of numbers, or
//! many of single numbers, and one of labels. Read one row after the other.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::form::ExampleForm;
use super::named::no_such;
use super::scalar::{Stride, class_of};
use super::source::{AGAIN, broken};
use super::stored::MOST_EXAMPLE;
use super::thrift;
use crate::example::{Array, Content, Example, Label, Numbers, Reader, Take, UNLABELLED};
use tombola_words::error::{Error, Result, printable};
use tombola_words::guarded::guarded;
use tombola_words::{AxesOrder, DataOptions, Shape, regular};

/// What the columns of labels are called.
const LABELS: [&str; 6] = ["label", "labels", "fine_label", "class", "target", "y"];
/// Columns that say nothing of an example.
const ASIDE: [&str; 4] = ["id", "index", "__index_level_0__", "coarse_label"];
/// Rows that are taken from a page at a time: images are large.
const ROWS: usize = 32;
/// How often the end of a file may be met by one who reads on.
const MOST_ENDS: usize = 64;

/// A file, and which of its columns are used.
pub(super) struct ParquetRows {
    path: PathBuf,
    label: String,
    values: Vec<String>,
    /// What the numbers of the labels are called.
    pub(super) names: Option<Vec<String>>,
    axes: Option<AxesOrder>,
}

fn unread(error: &parquet::errors::ParquetError) -> Error {
    Error::input(format!("is no file of Parquet, or a damaged one: {error}")).hint(AGAIN)
}

/// The library panics on some damaged files: then they are.
fn whole_file<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(read).unwrap_or_else(|| Err(Error::input("is damaged: the library of Parquet cannot read it").hint(AGAIN)))
}

/// A file whose end is told as an error where it is read again and again: the library counts what it skips, not what it finds.
struct Ending(File);

impl Length for Ending {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Ending {
    type T = Ended;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Ended> {
        Ok(Ended { inner: ChunkReader::get_read(&self.0, start)?, ends: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        ChunkReader::get_bytes(&self.0, start, length)
    }
}

/// What is read of it.
struct Ended {
    inner: BufReader<File>,
    /// How often its end was met.
    ends: usize,
}

impl Read for Ended {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.ends += usize::from(count == 0 && !buffer.is_empty());
        if self.ends > MOST_ENDS { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }
}

fn opened(path: &Path) -> Result<SerializedFileReader<Ending>> {
    let file = regular::open(path).map_err(|error| Error::file("read", path, &error))?;
    let length = file.metadata().map_err(|error| broken(&error))?.len();
    thrift::check_footer(&file, length)?;
    let reader = whole_file(|| SerializedFileReader::new(Ending(file)).map_err(|error| unread(&error)))?;
    let file = regular::open(path).map_err(|error| Error::file("read", path, &error))?;
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            match column.compression() {
                Compression::UNCOMPRESSED
                | Compression::SNAPPY
                | Compression::GZIP(_)
                | Compression::LZ4
                | Compression::LZ4_RAW => {}
                other => {
                    return Err(Error::input(format!(
                        "its column `{}` is compressed with {other}, which is not read; expected snappy, gzip, lz4 or nothing",
                        column.column_path()
                    ))
                    .hint("write it again: `pandas.read_parquet(\"a.parquet\").to_parquet(\"b.parquet\", compression=\"snappy\")`"));
                }
            }
            // Where the library begins, also where a file says 0.
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let range = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
            let end = range.and_then(|(start, size)| start.checked_add(size)).filter(|end| *end <= length);
            match (range, end) {
                (Some((start, _)), Some(end)) => thrift::check_pages(&file, start, end)?,
                _ => return Err(Error::input("is damaged: a column lies beyond its end").hint(AGAIN)),
            }
        }
    }
    Ok(reader)
}

/// Whether a column is a structure with the bytes of a file in it.
fn is_file(column: &Type) -> bool {
    column.is_group() && column.get_fields().iter().any(|field| field.name() == "bytes")
}

fn is_text(column: &Type) -> bool {
    let info = column.get_basic_info();
    matches!(info.converted_type(), parquet::basic::ConvertedType::UTF8)
        || matches!(info.logical_type_ref(), Some(parquet::basic::LogicalType::String))
}

impl ParquetRows {
    /// Looks at a file.
    ///
    /// # Errors
    /// A file that is none, and one whose columns of labels and values cannot be told.
    pub(super) fn new(path: &Path, options: &DataOptions) -> Result<Self> {
        let at = |error: Error| error.at_path(path);
        let reader = opened(path).map_err(at)?;
        let about = reader.metadata().file_metadata();
        let columns: Vec<Arc<Type>> = about.schema().get_fields().to_vec();
        let listed = || columns.iter().map(|column| format!("`{}`", column.name())).collect::<Vec<_>>().join(", ");
        let called: Vec<&str> = columns.iter().map(|column| column.name()).collect();
        let place = format!("`{}`", path.display());
        for (key, asked) in [("values", &options.values), ("labels", &options.labels)] {
            let fits = |asked: &str| called.iter().any(|name| super::pattern::fits(asked, name));
            if let Some(asked) = asked.as_deref().filter(|asked| !fits(asked)) {
                return Err(no_such(&place, key, asked, &called));
            }
        }
        let label = match &options.labels {
            Some(asked) => columns.iter().find(|column| column.name() == asked),
            None => {
                let of_name = |name: &&str| columns.iter().find(|column| column.name() == *name);
                let likely: Vec<&Arc<Type>> = LABELS.iter().filter_map(of_name).collect();
                // Beside an image a second one is no value.
                let is_table = columns.iter().all(|column| column.is_primitive());
                if let ([first, second, ..], true, None) = (likely.as_slice(), is_table, &options.values) {
                    return Err(at(Error::input(format!(
                        "the columns `{}` and `{}` may both be the label",
                        first.name(),
                        second.name()
                    ))
                    .hint("say which with `labels`, and with `values` which columns are learned from")));
                }
                likely.first().copied()
            }
        };
        let label = label.ok_or_else(|| {
            at(Error::input(format!("it has no column of labels; found {}", listed())).hint("name it with `labels`"))
        })?;
        let others: Vec<&Arc<Type>> = columns.iter().filter(|column| column.name() != label.name()).collect();
        let values = match &options.values {
            Some(asked) => others.into_iter().filter(|column| super::pattern::fits(asked, column.name())).collect(),
            None => Self::values(others),
        };
        let alone = values.len() == 1 || values.iter().all(|column| column.is_primitive() && !is_text(column));
        if values.is_empty() || !alone {
            return Err(at(Error::input(format!("it cannot be told which column has the values; found {}", listed()))
                .hint(
                    "name it with `values`: a column of images, of lists of numbers, or with `*` several of numbers",
                )));
        }
        let key_values = about.key_value_metadata();
        let hub = key_values.and_then(|all| all.iter().find(|pair| pair.key == "huggingface")?.value.as_deref());
        let names = hub.and_then(|json| names(json, label.name()));
        let values = values.iter().map(|column| column.name().to_string()).collect();
        Ok(Self { path: path.to_path_buf(), label: label.name().to_string(), values, names, axes: options.axes })
    }

    /// The columns that are most likely meant: an image, lists, or all numbers.
    fn values(others: Vec<&Arc<Type>>) -> Vec<&Arc<Type>> {
        let bytes = |column: &Type| {
            column.is_primitive() && column.get_physical_type() == parquet::basic::Type::BYTE_ARRAY && !is_text(column)
        };
        let kinds: [&dyn Fn(&Type) -> bool; 4] =
            [&is_file, &bytes, &|column| column.is_group(), &|column| column.is_primitive() && !is_text(column)];
        let used: Vec<&Arc<Type>> = others.into_iter().filter(|column| !ASIDE.contains(&column.name())).collect();
        let found = kinds.iter().map(|is| used.iter().filter(|column| is(column)).copied().collect::<Vec<_>>());
        found.into_iter().find(|columns| !columns.is_empty()).unwrap_or_default()
    }

    fn example(&self, row: &Row, index: usize) -> Result<Example> {
        let at = |error: Error| error.at(format!("row {index}"));
        let fields: HashMap<&str, &Field> =
            row.get_column_iter().map(|(column, field)| (column.as_str(), field)).collect();
        let field = |name: &str| fields.get(name).copied();
        let missing = |name: &str| {
            at(Error::input(format!("column `{name}`: a value is missing")).hint("fill it in, or leave the row out"))
        };
        let label =
            field(&self.label).filter(|label| !matches!(label, Field::Null)).ok_or_else(|| missing(&self.label))?;
        let label = match (label_of(label).map_err(at)?, &self.names) {
            (Label::Number(number), Some(names)) => {
                let name = usize::try_from(number).ok().and_then(|number| names.get(number));
                Label::Word(name.cloned().ok_or_else(|| {
                    let error =
                        Error::input(format!("the label {number} is none of the {} that the file names", names.len()));
                    at(error.hint(if number == -1 { UNLABELLED } else { AGAIN }))
                })?)
            }
            (label, _) => label,
        };
        let content = match self.values.as_slice() {
            [one] => match field(one).ok_or_else(|| missing(one))? {
                Field::Null => Content::Damaged("there is none".to_string()),
                Field::Bytes(bytes) => encoded(bytes.data()),
                Field::Group(parts) => {
                    let bytes = parts.get_column_iter().find(|(name, _)| *name == "bytes").map(|(_, bytes)| bytes);
                    match bytes {
                        Some(Field::Bytes(bytes)) => encoded(bytes.data()),
                        _ => Content::Damaged("its bytes are not in the file, which has a path alone".to_string()),
                    }
                }
                other => numbers(other, one, self.axes).map_err(at)?,
            },
            several => {
                let mut flat = FlatNumbers::default();
                for name in several {
                    let number =
                        field(name).filter(|number| !matches!(number, Field::Null)).ok_or_else(|| missing(name))?;
                    flat.add(number, 0).map_err(at)?;
                }
                let numbers = flat.numbers();
                Content::Array(Array { shape: Shape::Vector(numbers.len()), numbers })
            }
        };
        Ok(Example { name: printable(&format!("row {index} of `{}`", self.path.display())), label, content })
    }
}

fn encoded(bytes: &[u8]) -> Content {
    match bytes.len() as u64 {
        0 => Content::Damaged("it is empty".to_string()),
        1..=MOST_EXAMPLE => Content::File(bytes.to_vec()),
        _ => Content::Damaged(format!("it has more than {MOST_EXAMPLE} bytes")),
    }
}

fn label_of(field: &Field) -> Result<Label> {
    Ok(match field {
        Field::Str(word) => Label::Word(word.clone()),
        Field::Bytes(bytes) => Label::Word(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::Bool(truth) => Label::Number((*truth).into()),
        other => match (whole(other), float(other)) {
            (Some(number), _) => Label::Number(number),
            (None, Some(number)) => class_of(number)?,
            (None, None) => {
                return Err(
                    Error::input("the label is neither a number nor a word").hint("name another column with `labels`")
                );
            }
        },
    })
}

fn whole(field: &Field) -> Option<i64> {
    Some(match field {
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) => *number,
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => i64::try_from(*number).ok()?,
        _ => return None,
    })
}

fn float(field: &Field) -> Option<f64> {
    match field {
        Field::Float16(number) => Some(number.to_f64()),
        Field::Float(number) => Some((*number).into()),
        Field::Double(number) => Some(*number),
        Field::Bool(truth) => Some(if *truth { 1.0 } else { 0.0 }),
        _ => None,
    }
}

/// Numbers of lists in lists, one after the other, and how long lists are.
#[derive(Default)]
struct FlatNumbers {
    sizes: Vec<usize>,
    whole: Vec<i64>,
    floats: Vec<f32>,
    bytes: bool,
    any: bool,
}

impl FlatNumbers {
    fn add(&mut self, field: &Field, depth: usize) -> Result<()> {
        if let Field::ListInternal(list) = field {
            let elements = list.elements();
            match self.sizes.get(depth) {
                None if depth < 5 => self.sizes.push(elements.len()),
                Some(size) if *size == elements.len() => {}
                _ => {
                    return Err(Error::input("its lists are of different lengths; expected an array")
                        .hint("an example has one length, or one height and width: cut or fill lists"));
                }
            }
            return elements.iter().try_for_each(|element| self.add(element, depth + 1));
        }
        match (whole(field), float(field)) {
            (Some(number), _) => {
                self.bytes = (self.bytes || !self.any) && matches!(field, Field::UByte(_));
                self.whole.push(number);
                self.floats.push(number as f32);
            }
            (None, Some(number)) => self.floats.push(number as f32),
            (None, None) => {
                return Err(
                    Error::input("a value is missing or no number").hint("name the column of the values with `values`")
                );
            }
        }
        self.any = true;
        Ok(())
    }

    fn numbers(self) -> Numbers {
        match (self.whole.len() == self.floats.len(), self.bytes) {
            (true, true) => Numbers::Bytes(self.whole.into_iter().map(|number| number as u8).collect()),
            (true, false) => Numbers::Whole(self.whole),
            (false, _) => Numbers::Floats(self.floats),
        }
    }
}

/// Nested lists as an example.
fn numbers(field: &Field, name: &str, axes: Option<AxesOrder>) -> Result<Content> {
    let mut flat = FlatNumbers::default();
    flat.add(field, 0)?;
    let step = |axis: usize| flat.sizes[axis + 1..].iter().product();
    let strides: Vec<Stride> =
        (0..flat.sizes.len()).map(|axis| Stride { size: flat.sizes[axis], step: step(axis) }).collect();
    if flat.sizes.contains(&0) {
        return Err(Error::input(format!("column `{name}`: a list is empty")).hint("leave the row out"));
    }
    let form = ExampleForm::of(&format!("column `{name}`"), &strides, axes)?;
    let numbers = match flat.numbers() {
        Numbers::Bytes(bytes) => Numbers::Bytes(super::scalar::in_order(&form.strides, |place| bytes[place])),
        Numbers::Whole(numbers) => Numbers::Whole(super::scalar::in_order(&form.strides, |place| numbers[place])),
        Numbers::Floats(numbers) => Numbers::Floats(super::scalar::in_order(&form.strides, |place| numbers[place])),
    };
    Ok(Content::Array(Array { shape: form.shape, numbers }))
}

/// What the hub calls the numbers of a column.
fn names(json: &str, column: &str) -> Option<Vec<String>> {
    let about: serde_json::Value = serde_json::from_str(json).ok()?;
    let names = about.get("info")?.get("features")?.get(column)?.get("names")?.as_array()?;
    names.iter().map(|name| Some(name.as_str()?.to_string())).collect()
}

impl Reader for ParquetRows {
    fn read(&self, take: &mut Take) -> Result<()> {
        let at = |error: Error| error.at_path(&self.path);
        let reader = opened(&self.path).map_err(at)?;
        let schema = reader.metadata().file_metadata().schema().clone();
        let values: HashSet<&str> = self.values.iter().map(String::as_str).collect();
        let used = |field: &&Arc<Type>| field.name() == self.label || values.contains(field.name());
        let fields = schema.get_fields().iter().filter(used).cloned().collect();
        let mut rows = whole_file(|| {
            let projection =
                Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(|error| unread(&error))?;
            let rows = RowIter::from_file_into(Box::new(reader)).with_batch_size(ROWS);
            rows.project(Some(projection)).map_err(|error| unread(&error))
        })
        .map_err(at)?;
        let mut index = 0;
        while let Some(row) = whole_file(|| rows.next().transpose().map_err(|error| unread(&error))).map_err(at)? {
            take(self.example(&row, index).map_err(at)?)?;
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
