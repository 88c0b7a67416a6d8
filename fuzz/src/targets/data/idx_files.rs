//! A folder with two files of IDX of any type: a choice, images, labels.

use crate::form::{Grammar, LIST};
use crate::{FuzzTarget, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-idx",
    run,
    seeds,
    form: LIST,
    grammar: Grammar::Bytes,
    words: Vec::new,
    longest: 4096,
    memory: super::unpacked,
};

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let [choice, images, labels] = parts.as_slice() else { return };
    let choice = choice.first().copied().unwrap_or_default();
    let (folder, before) = if choice & 0x20 == 0 { ("idx", "") } else { ("emnist", "emnist-") };
    let path = scratch::file(&format!("{folder}/{before}train-images-idx3-ubyte"), images);
    scratch::file(&format!("{folder}/{before}train-labels-idx1-ubyte"), labels);
    super::check(path.parent().unwrap_or(&path), choice & 0x0f);
}

fn seeds() -> Vec<Vec<u8>> {
    let file = |kind: u8, sizes: &[u32], size: usize| -> Vec<u8> {
        let head = [0, 0, kind, sizes.len() as u8];
        let count = sizes.iter().map(|size| *size as usize).product::<usize>() * size;
        let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
        head.into_iter().chain(sizes).chain((0..count).map(|place| place as u8 % 3)).collect()
    };
    let labels = file(8, &[3], 1);
    [
        vec![vec![0], file(8, &[3, 4, 5], 1), labels.clone()],
        vec![vec![0x20], super::gzip(&file(8, &[3, 4, 5], 1)), labels.clone()],
        vec![vec![1], file(0x0d, &[3, 4, 5], 4), super::gzip(&labels)],
        vec![vec![0], file(0x0b, &[3, 5, 5, 3], 2), file(0x0c, &[3, 8], 4)],
        vec![vec![0], file(0x0e, &[3, 2], 8), file(9, &[3, 1], 1)],
    ]
    .iter()
    .map(|parts| (LIST.join)(parts))
    .collect()
}
