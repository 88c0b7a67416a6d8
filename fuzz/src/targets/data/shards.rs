//! An archive of WebDataset: a choice, then files behind their names and a line break; the headers are right. Or, where the choice says
//! so, bytes as they are.

use crate::form::{Grammar, LIST};
use crate::{FuzzTarget, few_copies, scratch};
use tombola_words::DataOptions;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-tar",
    run,
    seeds,
    form: LIST,
    grammar: Grammar::Bytes,
    words,
    longest: 8192,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let [choice, files @ ..] = parts.as_slice() else { return };
    let choice = choice.first().copied().unwrap_or_default();
    let mut archive = Vec::new();
    for file in files {
        if choice & 0x20 != 0 {
            archive.extend(file);
            continue;
        }
        let end = file.iter().position(|byte| *byte == b'\n').unwrap_or(file.len());
        let (name, content) = (&file[..end], file.get(end + 1..).unwrap_or_default());
        // Names that begin so are those of headers with names: long ones, and extended ones.
        let (kind, name) = match name {
            [b'L', b':', rest @ ..] => (b'L', rest),
            [b'x', b':', rest @ ..] => (b'x', rest),
            name => (b'0', name),
        };
        archive.extend(header(kind, name, content.len()));
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    let labels = (choice & 0x40 != 0).then(|| "b".to_string());
    let options = DataOptions { labels, ..DataOptions::default() };
    super::check_with(&scratch::file("train-0.tar", &archive), &options);
}

/// The 512 bytes before a file.
fn header(kind: u8, name: &[u8], length: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    let count = name.len().min(100);
    header[..count].copy_from_slice(&name[..count]);
    header[124..136].copy_from_slice(format!("{length:011o}\0").as_bytes());
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn seeds() -> Vec<Vec<u8>> {
    let list = |choice: u8, files: &[&str]| {
        let files = files.iter().map(|file| file.as_bytes().to_vec());
        (LIST.join)(&std::iter::once(vec![choice]).chain(files).collect::<Vec<_>>())
    };
    let raw = [
        header(b'0', b"1.jpg", 3),
        b"abc".to_vec(),
        vec![0; 509],
        header(b'0', b"1.cls", 1),
        b"1".to_vec(),
        vec![0; 511],
    ]
    .concat();
    vec![
        list(0, &["d/1.jpg\nbytes", "d/1.cls\n3", "d/2.png\nbytes", "d/2.json\n{\"label\": \"cat\"}"]),
        list(0, &["L:././@LongLink\n../../long.jpg\0", "x\nbytes", "x:pax\n23 path=../../long.cls\n", "y\n1"]),
        list(0x40, &["1.b\nword", "1.webp\n"]),
        (LIST.join)(&[vec![0x20], raw]),
    ]
}

fn words() -> Vec<String> {
    let words = [
        "1.jpg\n",
        "1.cls\n",
        "1.json\n",
        "{\"label\":",
        "L:x\n",
        "x:x\n",
        "18 path=1.jpg\n",
        "path=",
        "../",
        "99999999999 ",
    ];
    words.map(str::to_string).to_vec()
}
