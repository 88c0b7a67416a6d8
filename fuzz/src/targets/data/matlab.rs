//! A file of MATLAB: a choice, then what is inside of each array; the lengths around it are right.

use std::io::Write;

use crate::form::{Grammar, LIST};
use crate::{FuzzTarget, scratch};

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-matlab",
    run,
    seeds,
    form: LIST,
    grammar: Grammar::Bytes,
    words,
    longest: 4096,
    memory: super::unpacked,
};

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let [choice, arrays @ ..] = parts.as_slice() else { return };
    let choice = choice.first().copied().unwrap_or_default();
    let mut file = b"MATLAB 5.0 MAT-file".to_vec();
    file.resize(124, b' ');
    file.extend(b"\0\x01IM");
    for array in arrays {
        let whole = [&14_u32.to_le_bytes()[..], &(array.len() as u32).to_le_bytes(), array].concat();
        match choice & 0x30 {
            0x10 => {
                let packed = zlib(&whole);
                file.extend([&15_u32.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed].concat());
            }
            // As they are: compressed by whoever made the input, or with lengths that lie.
            0x20 => file.extend(array),
            _ => {
                file.extend(whole);
                file.resize(file.len().next_multiple_of(8), 0);
            }
        }
    }
    super::check(&scratch::file("set_32x32.mat", &file), choice & 0x0f);
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn element(kind: u32, content: &[u8]) -> Vec<u8> {
    let filling = vec![0; content.len().next_multiple_of(8) - content.len()];
    [&kind.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), content, &filling].concat()
}

fn matrix(name: &str, class: u32, shape: &[u32], kind: u32, values: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    [element(6, &flags), element(5, &sizes), element(1, name.as_bytes()), element(kind, values)].concat()
}

fn seeds() -> Vec<Vec<u8>> {
    let x = matrix("X", 9, &[2, 3, 3, 2], 2, &[7; 36]);
    let y = matrix("y", 6, &[2, 1], 2, &[10, 1]);
    let rows = matrix("x", 6, &[2, 3], 9, &[1; 48]);
    let other = matrix("cells", 1, &[1, 1], 2, &[1]);
    let zeros = [&14_u32.to_le_bytes()[..], &[0, 0, 1, 0], &matrix("x", 9, &[2, 20_000], 2, &vec![0; 40_000])].concat();
    let packed = zlib(&zeros);
    let packed = [&15_u32.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed].concat();
    let plain = [&14_u32.to_le_bytes()[..], &(y.len() as u32).to_le_bytes(), &y].concat();
    [
        vec![vec![0], x.clone(), y.clone()],
        vec![vec![0x10], x, other, y.clone()],
        vec![vec![1], rows, y],
        vec![vec![0x20], packed, plain],
    ]
    .iter()
    .map(|parts| (LIST.join)(parts))
    .collect()
}

fn words() -> Vec<String> {
    ["X", "y", "\u{9}\0\0\0", "\u{e}\0\0\0", "\u{f}\0\0\0", "\u{1}\0\u{1}\0X\0\0\0", "\0\u{8}\0\0"]
        .map(str::to_string)
        .to_vec()
}
