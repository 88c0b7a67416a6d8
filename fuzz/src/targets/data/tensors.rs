//! A file of safetensors with values and labels, behind a byte of choice.

use crate::form::Grammar;
use crate::{FuzzTarget, few_copies, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-safetensors",
    run,
    seeds,
    form: super::CHOSEN_TENSORS,
    grammar: Grammar::Text,
    words,
    longest: 4096,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    super::check(&scratch::file("set.safetensors", file), *choice);
}

fn seeds() -> Vec<Vec<u8>> {
    let file = |choice: u8, header: &str, values: usize| {
        [&[choice][..], &(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; values]].concat()
    };
    vec![
        file(
            0,
            r#"{"__metadata__":{"k":"v"},"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"y":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}}"#,
            40,
        ),
        file(
            1,
            r#"{"train_images":{"dtype":"U8","shape":[2,3,4,5],"data_offsets":[0,120]},"train_labels":{"dtype":"U8","shape":[2,1],"data_offsets":[118,120]},"test_images":{"dtype":"BF16","shape":[1,3,2,2],"data_offsets":[0,24]},"test_labels":{"dtype":"F16","shape":[1,2],"data_offsets":[2,6]}}"#,
            120,
        ),
    ]
}

fn words() -> Vec<String> {
    let words = [
        "\"dtype\":",
        "\"F64\"",
        "\"BOOL\"",
        "\"U16\"",
        "\"shape\":",
        "\"data_offsets\":",
        "\"x\":",
        "\"y\":",
        "[0,0]",
        "18446744073709551615",
        "{}",
        ",",
    ];
    words.map(str::to_string).to_vec()
}
