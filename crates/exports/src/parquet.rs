//! A table as a Parquet file, columns typed by what is in them: whole numbers, numbers, truth values or texts; empty cells are
//! nulls.

use std::sync::Arc;

use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use tombola_views::report::sheet::Sheet;
use tombola_words::error::{Error, Result};

/// The bytes of the file.
///
/// # Errors
/// When the table cannot be encoded.
pub fn bytes(sheet: &Sheet) -> Result<Vec<u8>> {
    encoded(sheet).map_err(|error| Error::environment(format!("cannot write a table as Parquet: {error}")))
}

/// What all cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Integer,
    Number,
    Truth,
    Text,
}

impl ColumnKind {
    fn of<'c>(cells: impl Iterator<Item = &'c str> + Clone) -> Self {
        let all = |fits: fn(&str) -> bool| cells.clone().all(fits);
        match () {
            () if cells.clone().next().is_none() => ColumnKind::Text,
            () if all(|cell| cell.parse::<i64>().is_ok()) => ColumnKind::Integer,
            () if all(|cell| cell.parse::<f64>().is_ok()) => ColumnKind::Number,
            () if all(|cell| cell == "true" || cell == "false") => ColumnKind::Truth,
            () => ColumnKind::Text,
        }
    }
}

fn encoded(sheet: &Sheet) -> Result<Vec<u8>, ParquetError> {
    let kinds: Vec<ColumnKind> =
        (0..sheet.columns.len()).map(|column| ColumnKind::of(cells(sheet, column).flatten())).collect();
    let field = |(name, kind): (&String, &ColumnKind)| {
        let physical = match kind {
            ColumnKind::Integer => Physical::INT64,
            ColumnKind::Number => Physical::DOUBLE,
            ColumnKind::Truth => Physical::BOOLEAN,
            ColumnKind::Text => Physical::BYTE_ARRAY,
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        match kind {
            ColumnKind::Text => field.with_converted_type(ConvertedType::UTF8),
            _ => field,
        }
        .build()
        .map(Arc::new)
    };
    let fields = sheet.columns.iter().zip(&kinds).map(field).collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder("table").with_fields(fields).build()?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default()))?;
    let mut group = writer.next_row_group()?;
    let mut column = 0;
    while let Some(mut open) = group.next_column()? {
        let levels: Vec<i16> = cells(sheet, column).map(|cell| i16::from(cell.is_some())).collect();
        let there = || cells(sheet, column).flatten();
        match open.untyped() {
            ColumnWriter::Int64ColumnWriter(own) => {
                let values: Vec<i64> = there().filter_map(|cell| cell.parse().ok()).collect();
                own.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::DoubleColumnWriter(own) => {
                let values: Vec<f64> = there().filter_map(|cell| cell.parse().ok()).collect();
                own.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::BoolColumnWriter(own) => {
                let values: Vec<bool> = there().map(|cell| cell == "true").collect();
                own.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(own) => {
                let values: Vec<ByteArray> = there().map(ByteArray::from).collect();
                own.write_batch(&values, Some(&levels), None)?;
            }
            _ => return Err(ParquetError::General("a column of no kind that is written".into())),
        }
        open.close()?;
        column += 1;
    }
    group.close()?;
    writer.into_inner()
}

/// The cells of a column; nothing for an empty one.
fn cells(sheet: &Sheet, column: usize) -> impl Iterator<Item = Option<&str>> + Clone {
    sheet.rows.iter().map(move |row| row.get(column).map(String::as_str).filter(|cell| !cell.is_empty()))
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    #[test]
    fn columns_are_typed_and_empty_cells_are_nulls() {
        let sheet = Sheet::parse("a,b,c,d,e\n1,0.5,true,x,\n2,nan,false,,\n,3,,z,\n").unwrap();
        let file = SerializedFileReader::new(bytes::Bytes::from(super::bytes(&sheet).unwrap())).unwrap();
        let rows: Vec<Vec<Field>> = file
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().get_column_iter().map(|(_, field)| field.clone()).collect())
            .collect();
        assert_eq!(rows[0][..4], [Field::Long(1), Field::Double(0.5), Field::Bool(true), Field::Str("x".into())]);
        assert!(matches!(rows[1][1], Field::Double(value) if value.is_nan()) && rows[1][3] == Field::Null);
        assert_eq!((&rows[2][0], &rows[2][2], &rows[2][4]), (&Field::Null, &Field::Null, &Field::Null));
    }

    #[test]
    fn a_table_without_rows_has_its_columns() {
        let file =
            SerializedFileReader::new(bytes::Bytes::from(super::bytes(&Sheet::parse("a,b\n").unwrap()).unwrap()))
                .unwrap();
        assert_eq!(file.metadata().file_metadata().schema_descr().num_columns(), 2);
    }
}
