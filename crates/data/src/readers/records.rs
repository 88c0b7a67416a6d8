//! Sets whose publishers made a format of their own, of records of one size: the binary versions of CIFAR, and STL-10.

use std::io::Read;
use std::path::Path;

use super::form::ExampleForm;
use super::labelled::{LabelSource, LabelledArrays};
use super::scalar::{Scalar, Stride};
use super::source::{ByteSource, Compression};
use super::stored::{StoredArray, StoredOrder};
use crate::example::{Array, Content, Example, Label, Reader, Take};
use tombola_words::catalogue::Format;
use tombola_words::error::{Error, Result};

/// Rows and columns of the images of STL-10.
const SIDE: usize = 96;

/// The form of images of three planes of rows, as they lie in CIFAR.
pub(super) fn planes(side: usize) -> ExampleForm {
    let stride = |size, step| Stride { size, step };
    ExampleForm::image(stride(side, side), stride(side, 1), stride(3, side * side))
}

/// A file of records of CIFAR.
pub(super) struct CifarRecords {
    name: String,
    records: StoredArray,
    format: Format,
}

impl CifarRecords {
    /// # Errors
    /// A file that holds no whole number of records.
    pub(super) fn new(path: &Path, format: Format) -> Result<Self> {
        let name = format!("`{}`", path.display());
        let (count, source) = whole(path, format.record())?;
        let shape = [count, format.record()];
        let records = StoredArray::new(name.clone(), (Scalar::U8, false), &shape, StoredOrder::LastFastest, source)?;
        Ok(Self { name, records, format })
    }
}

impl Reader for CifarRecords {
    fn read(&self, take: &mut Take) -> Result<()> {
        let (form, mut open, mut index) = (planes(32), self.records.open()?, 0);
        while let Some(record) = open.next()? {
            let (labels, pixels) = record.split_at(self.format.label_bytes.min(record.len()));
            let numbers = Scalar::U8.numbers(pixels, false, &form.strides)?;
            let label = Label::Number(labels.last().copied().unwrap_or_default().into());
            let content = Content::Array(Array { shape: form.shape, numbers });
            take(Example { name: format!("record {index} of {}", self.name), label, content })?;
            index += 1;
        }
        Ok(())
    }
}

/// How many records a file holds.
fn whole(path: &Path, record: usize) -> Result<(usize, ByteSource)> {
    let about = std::fs::metadata(path).map_err(|error| Error::file("read", path, &error))?;
    if about.len() == 0 || !about.len().is_multiple_of(record as u64) {
        return Err(Error::input(format!(
            "`{}` has {} bytes; expected a multiple of {record}, the size of a record",
            path.display(),
            about.len()
        ))
        .hint("the file is cut off or of another set: copy or download it again"));
    }
    Ok(((about.len() / record as u64) as usize, ByteSource::of_part(path, 0, about.len(), Compression::Plain)))
}

/// A part of STL-10: images of three planes of columns, and labels from 1 to 10.
///
/// # Errors
/// Files that hold no whole number of images, and counts that differ.
pub(super) fn stl(images: &Path, labels: &Path) -> Result<LabelledArrays> {
    let (count, source) = whole(images, 3 * SIDE * SIDE)?;
    let name = format!("`{}`", images.display());
    let values =
        StoredArray::new(name, (Scalar::U8, false), &[count, 3, SIDE, SIDE], StoredOrder::LastFastest, source)?;
    let (count, source) = whole(labels, 1)?;
    let name = format!("`{}`", labels.display());
    let labels = StoredArray::new(name, (Scalar::U8, false), &[count], StoredOrder::LastFastest, source)?;
    let stride = |size, step| Stride { size, step };
    let form = ExampleForm::image(stride(SIDE, 1), stride(SIDE, SIDE), stride(3, SIDE * SIDE));
    LabelledArrays::of(values, form, LabelSource::Stored(labels))
}

/// A few bytes of a file, for whoever asks what it is.
pub(super) fn first_bytes(path: &Path, count: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut source = ByteSource::of_file(path)?.open()?;
    // A damaged archive has fewer, and is told by its name then.
    let read = source.by_ref().take(count).read_to_end(&mut bytes);
    tombola_words::error::ignored(read, "what was unpacked before is looked at");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::Numbers;
    use crate::samples::{cifar_record, examples};
    use tombola_words::Shape;

    fn pixels(example: &Example) -> (Shape, Vec<u8>) {
        match &example.content {
            Content::Array(Array { shape, numbers: Numbers::Bytes(bytes) }) => (*shape, bytes.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn records_are_what_the_other_reader_of_cifar_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.bin");
        std::fs::write(&path, [cifar_record(&[3, 99], 7), cifar_record(&[4, 0], 9)].concat()).unwrap();
        let all = examples(&CifarRecords::new(&path, Format::CIFAR_100).unwrap()).unwrap();
        let expected = crate::cifar::read(std::slice::from_ref(&path), Format::CIFAR_100).unwrap();
        assert_eq!(all.iter().map(|one| one.label.clone()).collect::<Vec<_>>(), [Label::Number(99), Label::Number(0)]);
        for (index, one) in all.iter().enumerate() {
            assert_eq!((pixels(one).0, &*pixels(one).1), (expected.shape, expected.example(index).unwrap()));
        }
        assert!(CifarRecords::new(&path, Format::CIFAR_10).err().unwrap().message.contains("a multiple of 3073"));
    }

    #[test]
    fn columns_of_stl_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = (folder.path().join("train_X.bin"), folder.path().join("train_y.bin"));
        let place = |channel: usize, column: usize, row: usize| (100 * channel + 7 * column + row) as u8;
        let all = (0..3).flat_map(|channel| {
            (0..SIDE).flat_map(move |column| (0..SIDE).map(move |row| place(channel, column, row)))
        });
        std::fs::write(&images, all.collect::<Vec<u8>>()).unwrap();
        std::fs::write(&labels, [10]).unwrap();
        let all = examples(&stl(&images, &labels).unwrap()).unwrap();
        let (shape, bytes) = pixels(&all[0]);
        assert_eq!((shape, all[0].label.clone()), (Shape::Image(3, SIDE, SIDE), Label::Number(10)));
        assert_eq!(bytes[(5 * SIDE + 11) * 3 + 2], place(2, 11, 5));
        std::fs::write(&labels, [1, 2]).unwrap();
        assert!(stl(&images, &labels).err().unwrap().message.contains("1 examples, but there are 2 labels"));
    }
}
