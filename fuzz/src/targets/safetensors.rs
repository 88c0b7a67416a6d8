//! A safetensors file, behind a byte that says what it is taken for: the weights, the optimiser's vectors or the mask of a
//! snapshot. What is read is written and read again as the same.

use crate::form::{Grammar, InputForm, SAFETENSORS};
use crate::{FuzzTarget, few_copies, scratch};
use tombola_core::folder::Store;
use tombola_core::folder::snapshots::{self, Expected};
use tombola_core::net::{Layout, Snapshot};
use tombola_words::StageId;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "safetensors",
    run,
    seeds,
    form: BEHIND_CHOICE,
    grammar: Grammar::Text,
    words,
    longest: 4096,
    memory: few_copies,
};

const BEHIND_CHOICE: InputForm = InputForm {
    split: |bytes| {
        let (choice, rest) = bytes.split_first()?;
        Some([vec![vec![*choice]], (SAFETENSORS.split)(rest)?].concat())
    },
    join: |parts| match parts {
        [choice, rest @ ..] => [choice.as_slice(), &(SAFETENSORS.join)(rest)].concat(),
        [] => Vec::new(),
    },
};

/// The files of a snapshot.
const FILES: [&str; 3] = ["last.safetensors", "last.optimizer.safetensors", "mask.safetensors"];

fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let Ok(graph) = super::small_network() else { return };
    let (layout, stage) = (Layout::of(&graph), StageId::of("fuzz"));
    let choice = usize::from(*choice) % FILES.len();
    let place = |name: &str| format!("snapshot{choice}/stages/{stage}/{name}");
    let path = scratch::file(&place(FILES[choice]), file);
    let store = Store::new(&scratch::folder().join(format!("snapshot{choice}")));
    match choice {
        0 => check(&layout, snapshots::load_weights(&path, &layout)),
        1 => {
            if !store.path(stage, "last").exists() {
                let weights = scratch::file(&place(FILES[0]), b"");
                exported(&weights, &super::small_snapshot(&layout), &layout);
            }
            check(&layout, store.load(stage, "last", &layout, Expected { optimizer: true, ..Expected::default() }));
        }
        _ => {
            if let Ok(Some(mask)) = store.mask(stage, &layout, None) {
                assert_eq!(mask.len(), layout.len);
            }
        }
    }
}

fn exported(path: &std::path::Path, snapshot: &Snapshot, layout: &Layout) {
    let written = Store::export(path, snapshot, layout, &[("epoch", snapshot.epoch.to_string())]);
    assert!(written.is_ok(), "a snapshot is not written: {written:?}");
}

/// A snapshot that was read has the form of the network, and is read again as it is. Shared with the target for files of PyTorch.
pub(super) fn check(layout: &Layout, read: tombola_words::error::Result<Snapshot>) {
    let Ok(snapshot) = read else { return };
    assert_eq!((snapshot.parameters.len(), snapshot.buffers.len()), (layout.len, layout.buffer_len));
    for (name, vector) in snapshot.optimizer.iter().flat_map(|state| &state.vectors) {
        assert_eq!(vector.len(), layout.len, "the optimiser's `{name}` has another length");
    }
    let weights = Snapshot { optimizer: None, mask: None, ..snapshot };
    let path = scratch::folder().join("again.safetensors");
    exported(&path, &weights, layout);
    match snapshots::load_weights(&path, layout) {
        Ok(again) => assert_eq!(again.checksum(), weights.checksum(), "what was written is read as something else"),
        Err(error) => panic!("what was written is refused: {error}"),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let Ok(graph) = super::small_network() else { return Vec::new() };
    let (layout, stage) = (Layout::of(&graph), StageId::of("fuzz"));
    let folder = scratch::folder().join("seed");
    let store = Store::new(&folder);
    if store.save(stage, "last", &super::small_snapshot(&layout), &layout).is_err() {
        return Vec::new();
    }
    let file = |(choice, name): (usize, &&str)| {
        let bytes = std::fs::read(store.folder(stage).join(name)).ok()?;
        Some([&[choice as u8][..], &bytes].concat())
    };
    FILES.iter().enumerate().filter_map(file).chain([[&[0][..], &[2, 0, 0, 0, 0, 0, 0, 0], b"{}"].concat()]).collect()
}

fn words() -> Vec<String> {
    let words = [
        "\"dtype\":",
        "\"F32\"",
        "\"F64\"",
        "\"I64\"",
        "\"BOOL\"",
        "\"F4\"",
        "\"F8_E4M3\"",
        "\"shape\":",
        "\"data_offsets\":",
        "\"__metadata__\":",
        "\"tombola\":\"1\"",
        "\"epoch\":\"3\"",
        "\"conv.weight\":",
        "\"fc.bias\":",
        "\"momentum.fc.bias\":",
        "[0,0]",
        "[]",
        "{}",
        ",",
        "18446744073709551615",
        "4294967296",
    ];
    words.map(str::to_string).to_vec()
}
