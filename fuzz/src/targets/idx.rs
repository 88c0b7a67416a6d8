//! Two IDX files, images and labels, plain or compressed. What is read holds as many pixels as it says.

use std::io::Write;

use crate::form::{Grammar, LIST};
use crate::{FuzzTarget, scratch};
use tombola_data::idx;

/// The target. Compressed files may hold a thousand times their size.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "idx",
    run,
    seeds,
    form: LIST,
    grammar: Grammar::Bytes,
    words,
    longest: 4096,
    memory: |length| (2 << 20) + 4 * 1100 * length,
};

const CLASSES: usize = 10;

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let [images, labels] = parts.as_slice() else { return };
    let (first, second) = (scratch::file("images", images), scratch::file("labels", labels));
    let Ok(images) = idx::read(&first, &second, CLASSES) else { return };
    assert_eq!(images.values.len(), images.len() * images.shape.size());
    assert!(images.labels.len() == images.len() && images.labels.iter().all(|label| usize::from(*label) < CLASSES));
}

fn seeds() -> Vec<Vec<u8>> {
    let file = |numbers: &[u32], elements: &[u8]| -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).chain(elements.iter().copied()).collect()
    };
    let images = file(&[0x803, 3, 2, 3], &(0..18).collect::<Vec<u8>>());
    let labels = file(&[0x801, 3], &[0, 1, 9]);
    let zeros = file(&[0x803, 100, 20, 20], &vec![0; 40_000]);
    let many = file(&[0x801, 100], &[3; 100]);
    let twice = [gzip(&images[..7]), gzip(&images[7..])].concat();
    [
        [images.clone(), labels.clone()],
        [gzip(&images), gzip(&labels)],
        [twice, labels.clone()],
        [gzip(&zeros), gzip(&many)],
        [gzip(&zeros), labels],
        [images, many],
    ]
    .iter()
    .map(|parts| (LIST.join)(parts))
    .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn words() -> Vec<String> {
    ["\0\0\u{8}\u{3}", "\0\0\u{8}\u{1}", "\0\0\0\u{1}", "\0\0\0\0"].map(str::to_string).to_vec()
}
