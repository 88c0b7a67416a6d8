//! A folder with `x.npy` and `y.npy`: a choice, then header and values of both; or, where the choice says so, whole files.

use crate::form::{Grammar, LIST};
use crate::{FuzzTarget, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-npy",
    run,
    seeds,
    form: LIST,
    grammar: Grammar::Text,
    words,
    longest: 4096,
    memory: super::unpacked,
};

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let [choice, x, x_values, y, y_values] = parts.as_slice() else { return };
    let choice = choice.first().copied().unwrap_or_default();
    let whole = |header: &[u8], values: &[u8]| match choice & 0x30 {
        0x10 => super::gzip(&super::array(header, values)),
        0x20 => header.to_vec(),
        _ => super::array(header, values),
    };
    let path = scratch::file("npy/x.npy", &whole(x, x_values));
    scratch::file("npy/y.npy", &whole(y, y_values));
    super::check(path.parent().unwrap_or(&path), choice & 0x0f);
}

fn seeds() -> Vec<Vec<u8>> {
    let values: Vec<u8> = (0..96).collect();
    let one = |choice: u8, kind: &str, order: &str, shape: &str, count: usize, labels: &str, size: usize| {
        let parts = [
            vec![choice],
            super::header(kind, order, shape),
            values[..count].to_vec(),
            super::header(labels, "False", "(2,)"),
            vec![0; 2 * size],
        ];
        (LIST.join)(&parts)
    };
    vec![
        one(0, "|u1", "False", "(2, 2, 4, 3)", 48, "<i8", 8),
        one(0, ">f4", "True", "(2, 3)", 24, "|u1", 1),
        one(1, "<f2", "False", "(2, 3, 4)", 48, "<U2", 8),
        one(0x10, "<f8", "True", "(2, 3, 2)", 96, "|S3", 3),
        one(0, "|b1", "False", "(2, 9)", 18, "<f4", 4),
    ]
}

fn words() -> Vec<String> {
    let words = [
        "'descr':",
        "'fortran_order':",
        "'shape':",
        "True",
        "False",
        "'<U9'",
        "'|S1'",
        "'|O'",
        "'>i4'",
        "'<u8'",
        "(2,)",
        "()",
    ];
    words.iter().map(ToString::to_string).chain(["9223372036854775807".to_string()]).collect()
}
