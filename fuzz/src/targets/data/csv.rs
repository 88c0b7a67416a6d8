//! A table behind a byte of choice.

use crate::form::{CHOICE, Grammar};
use crate::{FuzzTarget, few_copies, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-csv",
    run,
    seeds,
    form: CHOICE,
    grammar: Grammar::Text,
    words,
    longest: 4096,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    super::check(&scratch::file("set.csv", file), choice & 0x40);
}

fn seeds() -> Vec<Vec<u8>> {
    let tables = [
        "\0a,b,label\n1,2.5,cat\n3,4e3,dog\n",
        "\0\u{feff}\"a\";\"b\";\"y\"\r\n\"1.5\";2;0\r\n",
        "\0id\ta1\ta2\tsplit\tb\n1\t2\t3\ttrain\t0\n2\t3\t4\ttest\t1\n",
        "@b,a1,a2\ncat,1,2\ndog,nan,-inf\n",
        "\x001,2,3\n4,5,6\n",
    ];
    tables.map(|table| table.as_bytes().to_vec()).to_vec()
}

fn words() -> Vec<String> {
    let words = [
        ",", ";", "\t", "\"", "\"\"", "\n", "\r\n", "label", "split", "train", "test", "val", "nan", "1e400", "-1",
        "cat", "\u{feff}",
    ];
    words.map(str::to_string).to_vec()
}
