//! Two files of CIFAR, behind a byte that chooses the kind. What is read has an image for each record.

use crate::form::{Grammar, InputForm, LIST};
use crate::{FuzzTarget, few_copies, scratch};
use tombola_data::cifar;
use tombola_words::catalogue::Format;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "cifar",
    run,
    seeds,
    form: RECORDS,
    grammar: Grammar::Bytes,
    words: Vec::new,
    longest: 20_000,
    memory: few_copies,
};

/// Lengths are not put right: records have one size, and another is what must be noticed.
const RECORDS: InputForm = LIST;

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let [choice, files @ ..] = parts.as_slice() else { return };
    let format = if choice.first().is_some_and(|byte| byte % 2 == 1) { Format::CIFAR_100 } else { Format::CIFAR_10 };
    let paths: Vec<_> =
        files.iter().take(3).enumerate().map(|(place, file)| scratch::file(&format!("cifar{place}"), file)).collect();
    let Ok(images) = cifar::read(&paths, format) else { return };
    let length: usize = files.iter().take(3).map(Vec::len).sum();
    assert_eq!(images.len() * format.record(), length, "an image is missing or made up");
    assert!(images.labels.iter().all(|label| usize::from(*label) < format.classes));
}

fn seeds() -> Vec<Vec<u8>> {
    let record =
        |labels: &[u8]| -> Vec<u8> { labels.iter().copied().chain((0..3072).map(|place| place as u8)).collect() };
    [
        vec![vec![0], record(&[3])],
        vec![vec![0], [record(&[0]), record(&[9])].concat(), record(&[5])],
        vec![vec![1], record(&[19, 99])],
        vec![vec![1]],
    ]
    .iter()
    .map(|parts| (LIST.join)(parts))
    .collect()
}
