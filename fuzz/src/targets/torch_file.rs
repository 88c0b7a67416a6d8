//! A file that is loaded: of `torch.save`, as a zip archive or in the form of before, and safetensors. The network is looked for in
//! it under any names, as weights and as a mask. What is read is written as safetensors and read again as the same.

use crate::form::{ARCHIVE, Grammar};
use crate::{FuzzTarget, few_copies};
use std::path::Path;
use tombola_core::checkpoint::{Choices, NamePairs, mask_in, weights, zipped};
use tombola_core::net::{Layout, initial};
use tombola_words::value::NormStart;

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
    let path = Path::new("weights.pth");
    let names = NamePairs::read(Path::new("names.toml"), b"\"stem\" = \"conv\"").ok();
    let new_head = initial(&layout, NormStart::One, 1, 0);
    let others = Choices { names: names.clone(), new_head: Some(new_head) };
    for choices in [Choices::default(), others] {
        let read = weights(path, bytes, &graph, &layout, &choices);
        if let Ok(Some(mask)) = read.as_ref().map(|taken| taken.snapshot.mask.as_ref()) {
            assert_eq!(mask.len(), layout.len);
        }
        super::safetensors::check(&layout, read.map(|taken| taken.snapshot));
    }
    if let Ok(taken) = mask_in(path, bytes, &graph, &layout, names.as_ref()) {
        assert_eq!(taken.mask.len(), layout.len);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let Ok(graph) = super::small_network() else { return Vec::new() };
    let layout = Layout::of(&graph);
    let ordered: &[u8] = b"ccollections\nOrderedDict\n)R";
    let plain: &[u8] = b"}";
    let wrapped = |inner: &[u8]| {
        [&b"\x80\x02}(X\x05\0\0\0epochK\x03X\x0a\0\0\0state_dict"[..], inner.get(2..).unwrap_or_default()].concat()
    };
    let as_is = |name: &str| name.to_string();
    let other = |name: &str| name.replace("conv.", "stem.").replace("fc.", "linear.");
    let pickles = [
        pickle(&layout, ordered, b"(", b"u.", &as_is),
        pickle(&layout, plain, b"(", b"u.", &as_is),
        // Inside of a larger dictionary, behind words, under other names, with a mask.
        wrapped(&pickle(&layout, ordered, b"(", b"uu.", &as_is)),
        pickle(&layout, plain, b"(", b"u.", &|name| format!("module.model.{name}")),
        wrapped(&pickle(&layout, ordered, b"(", b"uu.", &|name| format!("_orig_mod.{}", other(name)))),
        pickle(&layout, plain, b"(", b"u.", &|name| match name {
            "conv.weight" => "conv.weight_orig".to_string(),
            "fc.bias" => "fc.weight_mask".to_string(),
            name => name.to_string(),
        }),
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
    let old = pickles.iter().map(|pickle| old(pickle, &layout));
    // Weights and a mask of our own, without the byte that says which.
    let own = super::safetensors::seeds().into_iter().filter_map(|seed| Some(seed.get(1..)?.to_vec()));
    pickles.iter().map(archive).chain(old).chain(own).collect()
}

/// A file of before PyTorch 1.6: a magic number, a version, a machine, the object, the names of the storages, and these.
fn old(pickle: &[u8], layout: &Layout) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    bytes.extend(pickle);
    let lengths: Vec<usize> =
        layout.parameters.iter().map(|piece| piece.len).chain(layout.buffers.iter().map(|piece| piece.len)).collect();
    bytes.extend(b"\x80\x02](");
    (0..lengths.len()).for_each(|key| text(&mut bytes, &key.to_string()));
    bytes.extend(b"e.");
    for (key, length) in lengths.into_iter().enumerate() {
        bytes.extend((length as u64).to_le_bytes());
        bytes.extend(vec![key as u8; 4 * length]);
    }
    bytes
}

/// The state dict of the network: what makes the dictionary, what stands before its entries, what ends it, and what names become.
fn pickle(layout: &Layout, dictionary: &[u8], begin: &[u8], end: &[u8], called: &dyn Fn(&str) -> String) -> Vec<u8> {
    let parameters = layout.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone()));
    let buffers = layout.buffers.iter().map(|buffer| (buffer.name.clone(), vec![buffer.len]));
    let mut code = [b"\x80\x02", dictionary, b"q\x00", begin].concat();
    for (key, (name, shape)) in parameters.chain(buffers).enumerate() {
        text(&mut code, &called(&name));
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
        "ctorch._utils\n_rebuild_tensor\n",
        "ctorch\nSize\n",
        "module.",
        "\"channels.conv\":\"{}\",",
        "_orig_mod.",
        "mask_conv___weight",
        "_mask",
        "_orig",
        "num_batches_tracked",
        "ctorch\nHalfStorage\n",
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
