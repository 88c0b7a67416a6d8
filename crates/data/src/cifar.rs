//! The binary versions of CIFAR-10 and CIFAR-100.
//!
//! A file is a row of records without a header: the label bytes, then the red, green and blue planes of 32x32 bytes
//! each (A. Krizhevsky: "Learning multiple layers of features from tiny images", 2009, and the page of the data set).
//! The Python version is read by `readers`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::images::{Images, MOST_BYTES};
use tombola_words::catalogue::Format;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Rows and columns of every image.
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const CHANNELS: usize = 3;

/// Reads one part from its files, one after the other.
///
/// # Errors
/// Of kind [`Input`](tombola_words::error::Kind::Input): a file that is missing, empty, not a whole number of records long, or
/// has a label out of range.
pub fn read(files: &[PathBuf], format: Format) -> Result<Images> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let mut record = vec![0; format.record()];
    let mut sources = Vec::new();
    let mut records = 0;
    for path in files {
        let (file, count) = open(path, format)?;
        sources.push((path, file, count));
        records += count;
    }
    // Every size is known by now, and every byte of it lies in a file.
    pixels.reserve_exact(records * CHANNELS * PLANE);
    labels.reserve_exact(records);
    for (path, file, count) in sources {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        for index in 0..count {
            reader.read_exact(&mut record).map_err(|error| Error::file("read", path, &error))?;
            let (head, planes) = record.split_at(format.label_bytes);
            let label = head.last().copied().unwrap_or_default();
            if usize::from(label) >= format.classes {
                return Err(Error::input(format!(
                    "`{}`: label {label} of image {index} is out of range; expected 0 to {}",
                    path.display(),
                    format.classes - 1
                ))
                .hint(
                    "this file belongs to another data set, or is damaged: `tombola data fetch` replaces wrong files",
                ));
            }
            labels.push(label);
            append_interleaved(planes, &mut pixels);
        }
    }
    Images::new(pixels, labels, (CHANNELS, SIDE, SIDE), format.classes)
}

/// From one plane a channel to one pixel after the other.
fn append_interleaved(planes: &[u8], pixels: &mut Vec<u8>) {
    for position in 0..PLANE {
        pixels.extend((0..CHANNELS).map(|channel| planes[channel * PLANE + position]));
    }
}

/// The opened file and how many records it holds.
fn open(path: &Path, format: Format) -> Result<(File, usize)> {
    let failed = |error| Error::file("read", path, &error);
    let file = regular::open(path).map_err(failed)?;
    let (length, record) = (file.metadata().map_err(failed)?.len(), format.record() as u64);
    if length == 0 || length % record != 0 || length > MOST_BYTES {
        return Err(Error::input(format!(
            "`{}` has {length} bytes; expected a multiple of {record}, the size of one image with its labels",
            path.display()
        ))
        .hint("the file is cut off or of another data set: `tombola data fetch` replaces wrong files"));
    }
    Ok((file, (length / record) as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::cifar_record;
    use tombola_words::error::Kind;

    fn read_bytes(files: &[&[u8]], format: Format) -> Result<Images> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..files.len()).map(|index| folder.path().join(format!("{index}.bin"))).collect();
        for (path, bytes) in paths.iter().zip(files) {
            std::fs::write(path, bytes).unwrap();
        }
        read(&paths, format)
    }

    #[test]
    fn planes_become_pixels_and_files_follow_each_other() {
        let first = [cifar_record(&[7], 10), cifar_record(&[0], 20)].concat();
        let second = cifar_record(&[9], 30);
        let images = read_bytes(&[&first, &second], Format::CIFAR_10).unwrap();
        assert_eq!(images.labels, [7, 0, 9]);
        assert_eq!(images.shape, tombola_words::Shape::Image(3, 32, 32));
        // `cifar_record` gives channel c of pixel p the value start + p + 100 c, modulo 256.
        let second_image = images.example(1).unwrap();
        assert_eq!(second_image[..6], [20, 120, 220, 21, 121, 221]);
        assert_eq!(second_image[3 * 33 + 1], 153, "row 1, column 1, green");
    }

    #[test]
    fn cifar_100_uses_the_fine_label() {
        let bytes = [cifar_record(&[19, 99], 0), cifar_record(&[250, 3], 0)].concat();
        assert_eq!(read_bytes(&[&bytes], Format::CIFAR_100).unwrap().labels, [99, 3]);
    }

    #[test]
    fn cut_off_empty_and_missing_files_are_refused() {
        let whole = cifar_record(&[1], 0);
        for bytes in [&whole[..whole.len() - 1], &[]] {
            let error = read_bytes(&[&whole, bytes], Format::CIFAR_10).unwrap_err();
            assert_eq!(error.kind, Kind::Input);
            assert!(error.message.contains("1.bin") && error.message.contains("a multiple of 3073"), "{error}");
        }
        assert!(read_bytes(&[&whole], Format::CIFAR_100).unwrap_err().message.contains("a multiple of 3074"));
        let error = read(&[PathBuf::from("nowhere/train.bin")], Format::CIFAR_10).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        assert!(error.message.contains("nowhere/train.bin"));
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let bytes = [cifar_record(&[1], 0), cifar_record(&[10], 0)].concat();
        let error = read_bytes(&[&bytes], Format::CIFAR_10).unwrap_err();
        assert!(error.message.ends_with("label 10 of image 1 is out of range; expected 0 to 9"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..7000), hundred in any::<bool>()) {
            let format = if hundred { Format::CIFAR_100 } else { Format::CIFAR_10 };
            let whole = bytes.len() - bytes.len() % format.record();
            for bytes in [&bytes[..], &bytes[..whole]] {
                if let Ok(images) = read_bytes(&[bytes], format) {
                    prop_assert_eq!(images.len() * format.record(), bytes.len());
                }
            }
        }
    }
}
