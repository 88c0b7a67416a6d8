//! The Python versions of CIFAR-10 and CIFAR-100, as torchvision keeps them: pickles of a dictionary with pixels and labels.

use std::path::Path;

use super::labelled::{LabelSource, LabelledArrays};
use super::pickled::PickleContent;
use super::records::planes;
use super::scalar::Scalar;
use super::stored::{StoredArray, StoredOrder};
use crate::example::Label;
use tombola_words::error::{Error, Result};

/// Bytes of an image.
const PIXELS: usize = 3 * 32 * 32;

/// The images and labels of a file.
///
/// # Errors
/// Another pickle, and one without images or labels.
pub(super) fn batch(path: &Path) -> Result<LabelledArrays> {
    let content = PickleContent::read(path)?;
    let lacks = |what: &str| {
        Error::input(format!("`{}` has no {what}; expected a batch of CIFAR", path.display()))
            .hint("download the set again: `cifar-10-python.tar.gz` or `cifar-100-python.tar.gz`")
    };
    let value = |key: &str| content.value(content.root, key);
    let (shape, source) =
        value("data").and_then(|array| content.bytes(array)).ok_or_else(|| lacks("array `data` of bytes"))?;
    let [count, PIXELS] = *shape.as_slice() else { return Err(lacks("array `data` of images of 3x32x32")) };
    let labels = value("fine_labels").or_else(|| value("labels")).and_then(|list| content.numbers(list));
    let labels = labels.ok_or_else(|| lacks("list `labels` or `fine_labels` of numbers"))?;
    let name = format!("`{}`", path.display());
    let shape = [count, PIXELS];
    // The text of the array ends where it says.
    let values = StoredArray::new(name, (Scalar::U8, false), &shape, StoredOrder::LastFastest, source)?;
    LabelledArrays::of(values, planes(32), LabelSource::Listed(labels.into_iter().map(Label::Number).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Content, Numbers};
    use crate::samples::{cifar_pickle, examples};

    #[test]
    fn a_batch_has_the_pixels_of_the_binary_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data_batch_1");
        let planes: Vec<u8> = (0..2 * PIXELS).map(|place| (place % 251) as u8).collect();
        for key in ["labels", "fine_labels"] {
            std::fs::write(&path, cifar_pickle(key, &[4, 2], &planes)).unwrap();
            let all = examples(&batch(&path).unwrap()).unwrap();
            assert_eq!((all.len(), all[1].label.clone()), (2, Label::Number(2)));
            let Content::Array(array) = &all[1].content else { panic!("{all:?}") };
            let Numbers::Bytes(bytes) = &array.numbers else { panic!("{array:?}") };
            assert_eq!(bytes[..4], [PIXELS, PIXELS + 1024, PIXELS + 2048, PIXELS + 1].map(|place| (place % 251) as u8));
        }
        std::fs::write(&path, cifar_pickle("labels", &[4], &planes)).unwrap();
        assert!(batch(&path).err().unwrap().message.contains("2 examples, but there are 1 labels"));
        std::fs::write(&path, cifar_pickle("names", &[4, 2], &planes)).unwrap();
        assert!(batch(&path).err().unwrap().message.contains("no list `labels`"));
    }
}
