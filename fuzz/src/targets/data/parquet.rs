//! A file of Parquet behind a byte of choice.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use ::parquet::errors::Result;
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use crate::form::{CHOICE, Grammar};
use crate::{FuzzTarget, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-parquet",
    run,
    seeds,
    form: CHOICE,
    grammar: Grammar::Bytes,
    words: Vec::new,
    longest: 8192,
    memory: super::unpacked,
};

fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    super::check(&scratch::file("train.parquet", file), *choice);
}

fn seeds() -> Vec<Vec<u8>> {
    let all = [
        (Compression::UNCOMPRESSED, WriterVersion::PARQUET_1_0),
        (Compression::SNAPPY, WriterVersion::PARQUET_2_0),
        (Compression::GZIP(Default::default()), WriterVersion::PARQUET_1_0),
        (Compression::LZ4_RAW, WriterVersion::PARQUET_1_0),
    ];
    let files = all.into_iter().flat_map(|(compression, version)| {
        [images(compression, version), numbers(compression, version)].into_iter().flatten()
    });
    files.map(|file| [&[0][..], &file].concat()).collect()
}

fn writer(schema: &str, compression: Compression, version: WriterVersion) -> Result<SerializedFileWriter<Vec<u8>>> {
    let properties = WriterProperties::builder().set_compression(compression).set_writer_version(version).build();
    SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(schema)?), Arc::new(properties))
}

/// A structure with bytes, and a word as the label.
fn images(compression: Compression, version: WriterVersion) -> Result<Vec<u8>> {
    let schema = "message m { optional group image { optional binary bytes; } optional binary label (UTF8); }";
    let mut file = writer(schema, compression, version)?;
    let mut group = file.next_row_group()?;
    for (values, level) in [(["one", "two", "two"], 2), (["cat", "dog", "cat"], 1)] {
        if let Some(mut column) = group.next_column()? {
            let values: Vec<ByteArray> = values.iter().map(|value| (*value).into()).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&[level; 3]), None)?;
            column.close()?;
        }
    }
    group.close()?;
    file.into_inner()
}

/// Lists, single numbers, and a number as the label.
fn numbers(compression: Compression, version: WriterVersion) -> Result<Vec<u8>> {
    let schema = "message m { optional group a (LIST) { repeated group list { optional float element; } } \
        required double c; required int32 d (INTEGER(8,false)); required int64 label; }";
    let mut file = writer(schema, compression, version)?;
    let mut group = file.next_row_group()?;
    if let Some(mut column) = group.next_column()? {
        column.typed::<FloatType>().write_batch(&[1.0, 2.0, 3.0, 4.0], Some(&[3; 4]), Some(&[0, 1, 0, 1]))?;
        column.close()?;
    }
    if let Some(mut column) = group.next_column()? {
        column.typed::<DoubleType>().write_batch(&[1.0, 2.0], None, None)?;
        column.close()?;
    }
    if let Some(mut column) = group.next_column()? {
        column.typed::<Int32Type>().write_batch(&[1, 200], None, None)?;
        column.close()?;
    }
    if let Some(mut column) = group.next_column()? {
        column.typed::<Int64Type>().write_batch(&[0, 1], None, None)?;
        column.close()?;
    }
    group.close()?;
    file.into_inner()
}
