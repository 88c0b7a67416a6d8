//! A folder with a batch of the Python version of CIFAR: a pickle, of which nothing may ever be run.

use crate::form::{Grammar, WHOLE};
use crate::{FuzzTarget, few_copies, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-pickle",
    run,
    seeds,
    form: WHOLE,
    grammar: Grammar::Bytes,
    words,
    longest: 8192,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    let path = scratch::file("pickle/data_batch_1", bytes);
    super::check(path.parent().unwrap_or(&path), 0);
}

fn seeds() -> Vec<Vec<u8>> {
    let planes: Vec<u8> = (0..6144).map(|place| place as u8).collect();
    let batch = |latin: bool| {
        let mut code = b"\x80\x02}q\x01(U\x04datacnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\0\x85U\x01b\x87Rq\x04(K\x01K\x02M\0\x0c\x86cnumpy\ndtype\nq\x05U\x02u1K\0K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89".to_vec();
        if latin {
            let text: String = planes.iter().map(|byte| char::from(byte % 128)).collect();
            code.extend(b"c_codecs\nencode\nX");
            code.extend((text.len() as u32).to_le_bytes());
            code.extend(text.bytes());
            code.extend(b"X\x06\0\0\0latin1\x86R");
        } else {
            code.push(b'T');
            code.extend((planes.len() as u32).to_le_bytes());
            code.extend(&planes);
        }
        code.extend(b"tbU\x06labels]q\x07(K\x01M\x09\0eU\x0bbatch_labelh\x01U\x04noneNU\x04true\x88u.");
        code
    };
    vec![batch(false), batch(true), b"\x80\x02}(U\x01ah\0K\x01)\x85u.".to_vec()]
}

fn words() -> Vec<String> {
    let words = [
        "cnumpy.core.multiarray\n_reconstruct\n",
        "cnumpy\nndarray\n",
        "cnumpy\ndtype\n",
        "c_codecs\nencode\n",
        "cos\nsystem\n",
        "U\u{6}labels",
        "U\u{b}fine_labels",
        "U\u{4}data",
        "(",
        "t",
        "R",
        "b",
        ")",
        "]",
        "}",
        "e",
        "u",
        "a",
        "s",
        "q\u{9}",
        "h\u{9}",
        "T\u{7f}\u{7f}\u{7f}\u{7f}",
        "X\u{4}\0\0\0",
    ];
    words.map(str::to_string).to_vec()
}
