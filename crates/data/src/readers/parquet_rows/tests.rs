//! Files of Parquet as the library writes them.

use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::samples::examples;

/// A file with images, labels, and rows of two numbers.
fn file(path: &Path, labels: &[i64], compression: Compression) {
    let schema = "message schema { optional group image { optional binary bytes; optional binary path (UTF8); } \
        required int64 label; optional group row (LIST) { repeated group list { optional float element; } } }";
    let metadata = r#"{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_key_value_metadata(Some(vec![parquet::file::metadata::KeyValue::new(
            "huggingface".to_string(),
            metadata.to_string(),
        )]))
        .build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let count = labels.len();
    let mut group = writer.next_row_group().unwrap();
    let images: Vec<ByteArray> = (0..count).map(|index| format!("image {index}").into_bytes().into()).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&images, Some(&vec![2; count]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; count]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(labels, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let numbers: Vec<f32> = (0..2 * count).map(|number| number as f32).collect();
    let repetitions: Vec<i16> = (0..2 * count).map(|place| (place % 2) as i16).collect();
    column.typed::<FloatType>().write_batch(&numbers, Some(&vec![3; 2 * count]), Some(&repetitions)).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn images_lists_and_names_of_classes_are_read_however_they_are_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let gzip = Compression::GZIP(Default::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, Compression::LZ4_RAW] {
        file(&path, &[1, 0, 1], compression);
        let reader = ParquetRows::new(&path, &DataOptions::default()).unwrap();
        assert_eq!(reader.names, Some(vec!["cat".to_string(), "dog".to_string()]));
        let all = examples(&reader).unwrap();
        assert_eq!((all.len(), &all[1].label), (3, &Label::Word("cat".into())));
        assert_eq!(all[2].content, Content::File(b"image 2".to_vec()));
        let options = DataOptions { values: Some("row".into()), ..DataOptions::default() };
        let all = examples(&ParquetRows::new(&path, &options).unwrap()).unwrap();
        let expected = Array { shape: Shape::Vector(2), numbers: Numbers::Floats(vec![2.0, 3.0]) };
        assert_eq!(all[1].content, Content::Array(expected));
    }
}

#[test]
fn labels_without_a_name_and_cut_off_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    file(&path, &[2], Compression::SNAPPY);
    let error = examples(&ParquetRows::new(&path, &DataOptions::default()).unwrap()).unwrap_err();
    assert!(error.message.contains("the label 2 is none of the 2"), "{error}");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(ParquetRows::new(&path, &DataOptions::default()).is_err(), "{length}");
    }
}

#[test]
fn sizes_that_are_lies_are_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    // A footer with a list of two billion columns.
    let footer = [0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
    let bytes = [&b"PAR1"[..], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    std::fs::write(&path, bytes).unwrap();
    let error = ParquetRows::new(&path, &DataOptions::default()).err().unwrap();
    assert!(error.message.contains("a list is longer than the file"), "{error}");
}
