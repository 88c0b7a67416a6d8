//! Files of IDX that are good, and many that are not.

use proptest::prelude::*;

use super::*;
use crate::samples::{gzip, idx_images, idx_labels};
use tombola_words::error::Kind;

/// Reads two files with these contents.
fn read_bytes(images: &[u8], labels: &[u8]) -> Result<Images> {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("images"), folder.path().join("labels"));
    std::fs::write(&first, images).unwrap();
    std::fs::write(&second, labels).unwrap();
    read(&first, &second, 3)
}

fn message(images: &[u8], labels: &[u8]) -> String {
    let error = read_bytes(images, labels).unwrap_err();
    assert_eq!(error.kind, Kind::Input, "{error}");
    assert!(error.hint.is_some(), "no cure: {error}");
    error.message
}

fn good() -> (Vec<u8>, Vec<u8>) {
    (idx_images(2, 3, &(0..18).collect::<Vec<u8>>()), idx_labels(&[0, 1, 2]))
}

#[test]
fn files_are_read_plain_and_compressed_whatever_their_names() {
    let (images, labels) = good();
    let expected = Images::new((0..18).collect(), vec![0_u8, 1, 2], (1, 2, 3), 3).unwrap();
    assert_eq!(read_bytes(&images, &labels).unwrap(), expected);
    assert_eq!(read_bytes(&gzip(&images), &gzip(&labels)).unwrap(), expected);
    assert_eq!(read_bytes(&gzip(&images), &labels).unwrap(), expected);
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing");
    let error = read(&path, &path, 3).unwrap_err();
    assert_eq!(error.kind, Kind::Input);
    assert!(error.message.contains("nothing"), "{error}");
    assert!(read(folder.path(), &path, 3).unwrap_err().message.contains("Is a directory"));
}

#[test]
fn a_file_cut_off_anywhere_is_refused_plain_and_compressed() {
    let (images, labels) = good();
    for length in 0..images.len() {
        assert!(message(&images[..length], &labels).contains("cut off"), "{length} bytes of images");
    }
    for length in 0..labels.len() {
        assert!(message(&images, &labels[..length]).contains("cut off"), "{length} bytes of labels");
    }
    let packed = gzip(&images);
    for length in 0..packed.len() {
        message(&packed[..length], &labels);
    }
}

#[test]
fn exchanged_files_are_recognised() {
    let (images, labels) = good();
    assert!(message(&labels, &images).contains("holds labels (magic number 0x00000801) where images"));
    assert!(message(&gzip(&images), &gzip(&images)).contains("holds images"));
}

#[test]
fn another_magic_number_is_refused() {
    let (images, labels) = good();
    assert!(message(b"<!DOCTYPE html><title>404", &labels).contains("starts with 0x3c21444f; expected 0x00000803"));
    let mut floats = images.clone();
    floats[2] = 0x0d;
    assert!(message(&floats, &labels).contains("starts with 0x00000d03"));
}

#[test]
fn data_after_the_end_is_refused_plain_and_compressed() {
    let (mut images, labels) = good();
    let mut packed = gzip(&images);
    packed.extend_from_slice(b"more");
    message(&packed, &labels);
    images.push(0);
    assert!(message(&images, &labels).contains("more data than the header promises (3 images of 2x3, 18 bytes)"));
    assert!(message(&gzip(&images), &labels).contains("more data"));
    let twice = [gzip(&labels), gzip(&labels)].concat();
    assert!(message(&good().0, &twice).contains("more data"));
}

#[test]
fn a_changed_byte_in_a_compressed_file_is_noticed() {
    let (images, labels) = good();
    let mut packed = gzip(&images);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    assert!(message(&packed, &labels).contains("cannot be unpacked"));
}

#[test]
fn counts_that_differ_are_refused() {
    let (images, _) = good();
    let text = message(&images, &idx_labels(&[0, 1]));
    assert!(text.contains("holds 3 images") && text.contains("holds 2 labels"), "{text}");
}

#[test]
fn a_label_out_of_range_is_refused() {
    let (images, _) = good();
    let text = message(&images, &idx_labels(&[0, 3, 1]));
    assert!(text.contains("label 3 of image 1 is out of range; expected 0 to 2"), "{text}");
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_reserved() {
    let (_, labels) = good();
    let header = |numbers: [u32; 4]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let huge = header([IMAGES, u32::MAX, u32::MAX, u32::MAX]);
    assert!(message(&huge, &labels).contains("more than 4294967296 are not read"));
    let large = header([IMAGES, 3 << 20, 32, 32]);
    assert!(message(&large, &labels).contains("more than the file can hold"));
    assert!(message(&gzip(&large), &labels).contains("more than the file can hold"));
    for empty in [[IMAGES, 0, 2, 3], [IMAGES, 3, 0, 3], [IMAGES, 3, 2, 0]] {
        assert!(message(&header(empty), &labels).contains("expected at least 1"));
    }
    assert!(message(&good().0, &idx_labels(&[])).contains("promises 0 labels"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic_nor_give_more_than_they_hold(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        // Half of the cases get a true magic number, so that the sizes behind it are tried too.
        for magic in [None, Some(IMAGES), Some(LABELS)] {
            let mut bytes = bytes.clone();
            if let (Some(magic), Some(start)) = (magic, bytes.get_mut(..4)) {
                start.copy_from_slice(&magic.to_be_bytes());
            }
            for bytes in [gzip(&bytes), bytes] {
                let length = bytes.len() as u64;
                if let Ok((pixels, _)) = decode_images(bytes.as_slice(), length) {
                    prop_assert!(pixels.capacity() <= 2 * 400);
                }
                if let Ok(labels) = decode_labels(bytes.as_slice(), length) {
                    prop_assert!(labels.capacity() <= 2 * 400);
                }
            }
        }
    }

    #[test]
    fn whatever_the_sizes_no_more_is_reserved_than_the_file_can_hold(
        count in any::<u32>(), rows in any::<u32>(), columns in any::<u32>(), tail in 0usize..50,
    ) {
        let mut bytes: Vec<u8> = [IMAGES, count, rows, columns].iter().flat_map(|n| n.to_be_bytes()).collect();
        bytes.resize(16 + tail, 7);
        let length = bytes.len() as u64;
        let promised = u128::from(count) * u128::from(rows) * u128::from(columns);
        prop_assert_eq!(decode_images(bytes.as_slice(), length).is_ok(), promised == tail as u128 && tail > 0);
    }
}
