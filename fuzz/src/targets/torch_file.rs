//! A file of `torch.save`: a zip archive with a pickle and the values of tensors. What is read is written as safetensors and
//! read again as the same.

use crate::form::{ARCHIVE, Grammar};
use crate::{FuzzTarget, few_copies};
use std::path::Path;
use tombola_core::checkpoint::{Choices, weights, zipped};
use tombola_core::net::Layout;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "torch-file",
    run,
    seeds,
    form: ARCHIVE,
    grammar: Grammar::Bytes,
    words,
    longest: 8192,
    memory: few_copies,
};

fn run(bytes: &[u8]) {
    let Ok(graph) = super::small_network() else { return };
    let layout = Layout::of(&graph);
    let read = weights(Path::new("weights.pth"), bytes, &graph, &layout, &Choices::default());
    super::safetensors::check(&layout, read.map(|taken| taken.snapshot));
}

fn seeds() -> Vec<Vec<u8>> {
    let Ok(graph) = super::small_network() else { return Vec::new() };
    let layout = Layout::of(&graph);
    let ordered: &[u8] = b"ccollections\nOrderedDict\n)R";
    let plain: &[u8] = b"}";
    let pickles = [
        pickle(&layout, ordered, b"(", b"u."),
        pickle(&layout, plain, b"(", b"u."),
        // Inside of a larger dictionary.
        [&b"\x80\x02}(X\x05\0\0\0epochK\x03X\x0a\0\0\0state_dict"[..], &pickle(&layout, ordered, b"(", b"uu.")[2..]]
            .concat(),
        [&b"\x80\x02]q\0(h\0h\0e(K\x01K\x02t(d."[..]].concat(),
    ];
    let archive = |pickle: &Vec<u8>| {
        let parameters = layout
            .parameters
            .iter()
            .map(|parameter| parameter.len)
            .chain(layout.buffers.iter().map(|buffer| buffer.len));
        let storages =
            parameters.enumerate().map(|(key, len)| (format!("archive/data/{key}"), vec![key as u8; 4 * len]));
        let first =
            [("archive/data.pkl".to_string(), pickle.clone()), ("archive/byteorder".to_string(), b"little".to_vec())];
        zipped::archive(first.into_iter().chain(storages), "").unwrap_or_default()
    };
    pickles.iter().map(archive).collect()
}

/// The state dict of the network: what makes the dictionary, what stands before its entries, and what ends it.
fn pickle(layout: &Layout, dictionary: &[u8], begin: &[u8], end: &[u8]) -> Vec<u8> {
    let parameters = layout.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone()));
    let buffers = layout.buffers.iter().map(|buffer| (buffer.name.clone(), vec![buffer.len]));
    let mut code = [b"\x80\x02", dictionary, b"q\x00", begin].concat();
    for (key, (name, shape)) in parameters.chain(buffers).enumerate() {
        text(&mut code, &name);
        code.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut code, "storage");
        code.extend(b"ctorch\nFloatStorage\n");
        text(&mut code, &key.to_string());
        text(&mut code, "cpu");
        integer(&mut code, shape.iter().product());
        code.extend(b"tQK\x00(");
        shape.iter().for_each(|size| integer(&mut code, *size));
        code.extend(b"t(");
        let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product());
        strides.for_each(|stride: usize| integer(&mut code, stride));
        code.extend(b"t\x89");
        code.extend(b"ccollections\nOrderedDict\n)RtR");
    }
    code.extend(end);
    code
}

fn text(code: &mut Vec<u8>, text: &str) {
    code.push(b'X');
    code.extend((text.len() as u32).to_le_bytes());
    code.extend(text.as_bytes());
}

fn integer(code: &mut Vec<u8>, number: usize) {
    code.push(b'M');
    code.extend((number as u16).to_le_bytes());
}

fn words() -> Vec<String> {
    let words = [
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ctorch._utils\n_rebuild_parameter\n",
        "ccollections\nOrderedDict\n",
        "ctorch\nFloatStorage\n",
        "ctorch\nDoubleStorage\n",
        "ctorch\nBoolStorage\n",
        "archive/data.pkl\n",
        "archive/byteorder\n",
        "archive/data/0\n",
        "big",
        "(",
        "t",
        "Q",
        "R",
        ")",
        "q\0",
        "h\0",
        "r\u{7f}\u{7f}\u{7f}\u{7f}",
        "]",
        "}",
        "e",
        "u",
        "s",
        "d",
        "l",
        "2",
        "0",
        "1",
        "b",
    ];
    words.map(str::to_string).to_vec()
}
