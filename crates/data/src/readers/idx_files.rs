//! The IDX format with all its types of elements and any number of axes: MNIST, EMNIST, QMNIST and their kin, plain or compressed.
//! The sets that have a name here are read by `idx`, which is stricter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::form::ExampleForm;
use super::labelled::{LabelSource, LabelledArrays};
use super::parts::{PartReaders, SetPart};
use super::scalar::{Scalar, Stride};
use super::source::{AGAIN, ByteSource, broken};
use super::stored::{StoredArray, StoredOrder};
use crate::checksum;
use tombola_words::error::{Error, Result};
use tombola_words::{DataOptions, catalogue};

/// More axes no file has.
const MOST_AXES: u8 = 8;
/// No file whose checksum is known is larger.
const MOST_KNOWN: u64 = 160 << 20;

/// Whether a file, unpacked, begins as one of IDX.
pub(super) fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, kind, axes, ..] if scalar(*kind).is_some() && (1..=MOST_AXES).contains(axes))
}

fn scalar(kind: u8) -> Option<Scalar> {
    Some(match kind {
        0x08 => Scalar::U8,
        0x09 => Scalar::I8,
        0x0b => Scalar::I16,
        0x0c => Scalar::I32,
        0x0d => Scalar::F32,
        0x0e => Scalar::F64,
        _ => return None,
    })
}

/// The array of a file.
fn array(path: &Path) -> Result<StoredArray> {
    let source = ByteSource::of_file(path)?;
    let name = format!("`{}`", path.display());
    let mut reader = source.open()?;
    let mut four = || {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(|error| broken(&error).at(&name))?;
        Ok::<_, Error>(bytes)
    };
    let magic = four()?;
    let kind = scalar(magic[2]).filter(|_| begins(&magic)).ok_or_else(|| {
        Error::input(format!(
            "{name} starts with {magic:02x?}; expected two zeros, a type of IDX and up to {MOST_AXES} axes"
        ))
        .hint(AGAIN)
    })?;
    let mut shape = Vec::new();
    for _ in 0..magic[3] {
        shape.push(u32::from_be_bytes(four()?) as usize);
    }
    let begin = 4 + 4 * shape.len() as u64;
    StoredArray::new(name, (kind, true), &shape, StoredOrder::LastFastest, source.after(begin))
}

/// The files of one part.
#[derive(Default)]
struct IdxPair {
    images: Vec<PathBuf>,
    labels: Vec<PathBuf>,
}

/// Adds the readers of these files: those with `images` and those with `labels` in their names that are otherwise called the same.
///
/// # Errors
/// A file without its counterpart, one that is damaged, several sets in one folder.
pub(super) fn add(parts: &mut PartReaders, files: &[(String, PathBuf)], options: &DataOptions) -> Result<()> {
    let mut pairs: BTreeMap<(Option<SetPart>, String), IdxPair> = BTreeMap::new();
    let mut unpacked = BTreeMap::new();
    for (name, path) in files {
        // Beside `NAME.gz` lies, as torchvision leaves it, `NAME`: the same once more.
        let plain = name.strip_suffix(".gz").unwrap_or(name).to_string();
        unpacked.entry(plain).or_insert(path);
    }
    for (name, path) in unpacked {
        let stem =
            |role: &str| name.split_once(role).map(|(before, _)| before.trim_end_matches(['-', '_', '.']).to_string());
        let part = SetPart::of_path(&name, options);
        if let Some(stem) = stem("images") {
            pairs.entry((part, stem)).or_default().images.push(path.clone());
        } else if let Some(stem) = stem("labels") {
            pairs.entry((part, stem)).or_default().labels.push(path.clone());
        } else {
            parts.notes.push(format!("`{name}` left aside: neither `images` nor `labels` is in its name"));
        }
    }
    let mut found = Vec::new();
    for ((part, stem), pair) in pairs {
        let ([images], [labels]) = (pair.images.as_slice(), pair.labels.as_slice()) else {
            return Err(Error::input(format!(
                "`{stem}` has {} files of images and {} of labels; expected one of each",
                pair.images.len(),
                pair.labels.len()
            ))
            .hint("the names of both are the same but for `images` and `labels`, as in MNIST"));
        };
        found.push((stem, part, (images.clone(), labels.clone())));
    }
    for (part, (images, labels)) in parts.sort(found, "pairs of files", options) {
        if parts.has(part) {
            return Err(Error::input(format!(
                "there is more than one set: `{}` is one more for the {} part",
                images.display(),
                part.called()
            ))
            .hint("say with `train` and `test` which files are meant, with `*`: `train = \"emnist-letters-train*\"`"));
        }
        known(parts, &images)?;
        let reader = pair(parts, &images, &labels, options)?;
        parts.add(part, Box::new(reader));
    }
    Ok(())
}

fn pair(parts: &mut PartReaders, images: &Path, labels: &Path, options: &DataOptions) -> Result<LabelledArrays> {
    let (values, labels) = (array(images)?, array(labels)?);
    // QMNIST has eight numbers a digit, the class first.
    let labels = match labels.values() > 1 && !labels.scalar.is_text() && labels.scalar == Scalar::I32 {
        true => LabelSource::FirstColumn(labels),
        false => LabelSource::Stored(labels),
    };
    let emnist = images.file_name().is_some_and(|name| name.to_string_lossy().starts_with("emnist-"));
    match (emnist, values.sizes.as_slice()) {
        (true, &[across, down]) => {
            parts.notes.push(
                "the images of EMNIST lie on their side in their files: they are turned upright (torchvision gives them as they lie)".into(),
            );
            let form = ExampleForm::image(down, across, Stride { size: 1, step: 0 });
            LabelledArrays::of(values, form, labels)
        }
        _ => LabelledArrays::new(values, labels, options.axes),
    }
}

/// Notes whose file it is, if its checksum is known.
pub(super) fn known(parts: &mut PartReaders, path: &Path) -> Result<()> {
    let length = std::fs::metadata(path).map_err(|error| Error::file("read", path, &error))?.len();
    if length > MOST_KNOWN {
        return Ok(());
    }
    let owner = match catalogue::owner(&checksum::md5_of(path)?) {
        // Whoever compresses a file anew leaves its content as it was.
        None => catalogue::owner(&checksum::md5_of_content(path, MOST_KNOWN)?),
        owner => owner,
    };
    if let Some((set, _)) = owner {
        parts.notes.push(format!("`{}` is a file of {set}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{Content, Example, Label, Numbers};
    use crate::samples::{examples, gzip, idx_images, idx_labels};
    use tombola_words::Shape;

    fn read(files: &[(&str, Vec<u8>)]) -> Result<(Vec<Example>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            paths.push((name.to_string(), folder.path().join(name)));
        }
        let (mut parts, options) = (PartReaders::default(), DataOptions::default());
        add(&mut parts, &paths, &options)?;
        let parts = parts.finish("IDX", &options)?;
        Ok((examples(&*parts.train)?, parts.notes))
    }

    fn bytes(example: &Example) -> (Shape, &Numbers) {
        let Content::Array(array) = &example.content else { panic!("{example:?}") };
        (array.shape, &array.numbers)
    }

    #[test]
    fn emnist_is_turned_upright_and_counts_from_one() {
        let images = idx_images(2, 3, &[0, 1, 2, 10, 11, 12]);
        let (all, notes) = read(&[
            ("emnist-letters-train-images-idx3-ubyte.gz", gzip(&images)),
            ("emnist-letters-train-labels-idx1-ubyte", idx_labels(&[26])),
        ])
        .unwrap();
        assert_eq!(all[0].label, Label::Number(26));
        assert_eq!(bytes(&all[0]), (Shape::Image(1, 3, 2), &Numbers::Bytes(vec![0, 10, 1, 11, 2, 12])));
        assert!(notes.iter().any(|note| note.contains("upright")), "{notes:?}");
    }

    #[test]
    fn every_type_of_element_and_more_axes_are_read() {
        let file = |kind: u8, sizes: &[u32], values: &[u8]| -> Vec<u8> {
            let places = sizes.iter().flat_map(|size| size.to_be_bytes());
            [0, 0, kind, sizes.len() as u8].into_iter().chain(places).chain(values.iter().copied()).collect()
        };
        let labels = file(0x0c, &[1, 8], &[[0, 0, 0, 5], [0, 0, 0, 9]].concat().repeat(4));
        for (kind, values, expected) in [
            (0x08, vec![1, 2], Numbers::Bytes(vec![1, 2])),
            (0x09, vec![0xff, 2], Numbers::Whole(vec![-1, 2])),
            (0x0b, vec![0xff, 0xfe, 0, 1], Numbers::Whole(vec![-2, 1])),
            (0x0c, [[0, 0, 1, 0], [0, 0, 0, 1]].concat(), Numbers::Whole(vec![256, 1])),
            (0x0d, [1.5_f32.to_be_bytes(), 2_f32.to_be_bytes()].concat(), Numbers::Floats(vec![1.5, 2.0])),
            (0x0e, [1.5_f64.to_be_bytes(), 2_f64.to_be_bytes()].concat(), Numbers::Floats(vec![1.5, 2.0])),
        ] {
            let images = file(kind, &[1, 1, 2], &values);
            let (all, _) = read(&[("a-images", images), ("a-labels", labels.clone())]).unwrap();
            assert_eq!((all[0].label.clone(), bytes(&all[0]).1), (Label::Number(5), &expected));
        }
    }

    #[test]
    fn pairs_that_are_none_are_refused() {
        let images = idx_images(2, 3, &[0; 6]);
        assert!(read(&[("train-images", images.clone())]).unwrap_err().message.contains("0 of labels"));
        let error = read(&[("train-images", images.clone()), ("train-labels", idx_labels(&[1, 2]))]).unwrap_err();
        assert!(error.message.contains("1 examples, but there are 2 labels"), "{error}");
        let cut = images[..images.len() - 1].to_vec();
        assert!(read(&[("a-images", cut), ("a-labels", idx_labels(&[1]))]).unwrap_err().message.contains("cut off"));
    }
}
