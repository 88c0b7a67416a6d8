use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

fn file(name: &str) -> (PathBuf, Vec<u8>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state_dicts").join(name);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

/// The tensors of the dictionary that `keys` lead to: shapes and bytes.
fn read(name: &str, keys: &str) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let (path, bytes) = file(name);
    assert!(is_one(&bytes));
    let mut found = TorchFile::open(&path, &bytes).unwrap();
    let (_, tensors) = found.tables.iter().find(|(place, _)| place.join(".") == keys).unwrap().clone();
    tensors
        .iter()
        .map(|(name, tensor)| (name.to_string(), (tensor.shape.clone(), found.values(name, tensor).unwrap())))
        .collect()
}

#[test]
fn a_state_dict_is_read_with_names_shapes_and_values() {
    let found = read("plain.pth", "");
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "bn1.bias",
            "bn1.num_batches_tracked",
            "bn1.running_mean",
            "bn1.running_var",
            "bn1.weight",
            "conv1.weight",
            "fc.bias",
            "fc.weight"
        ]
    );
    // As tests/state_dicts/record.py fills them: eighths, and the number of the tensor.
    let (shape, bytes) = &found["conv1.weight"];
    let values: Vec<f32> = (0..18u8).map(|index| f32::from(index) / 8.0).collect();
    assert_eq!((shape.as_slice(), bytes), (&[2, 1, 3, 3][..], &values.iter().flat_map(|v| v.to_le_bytes()).collect()));
    let (shape, bytes) = &found["bn1.num_batches_tracked"];
    assert_eq!((shape.len(), bytes.as_slice()), (0, &5i64.to_le_bytes()[..]));
}

#[test]
fn a_state_dict_inside_of_a_checkpoint_of_a_parallel_training_is_the_same() {
    let inner = read("checkpoint.pth", "state_dict");
    let bare = inner.into_iter().map(|(name, tensor)| (name.replacen("module.", "", 1), tensor)).collect();
    assert_eq!(read("plain.pth", ""), bare);
}

#[test]
fn nothing_in_a_file_is_run() {
    let (path, bytes) = file("evil.pth");
    let error = TorchFile::open(&path, &bytes).unwrap_err();
    assert!(error.message.contains("holds no tensors by name"), "{error}");
    read("checkpoint.pth", "state_dict");
    assert!(!PathBuf::from("/tmp/tombola-was-run").exists());
}

#[test]
fn damaged_files_are_refused_and_never_more() {
    let (path, bytes) = file("checkpoint.pth");
    for length in (0..bytes.len()).step_by(7) {
        assert!(TorchFile::open(&path, &bytes[..length]).is_err());
    }
    // In the pickle itself, where no checksum is.
    let mut archive = Archive::open(&path, &bytes).unwrap();
    let pickle = archive.read("checkpoint/data.pkl", MOST_PICKLE).unwrap();
    for at in 0..pickle.len() {
        for byte in [0, b'.', b'R', b't', 0x81, 0xff] {
            let mut changed = pickle.clone();
            changed[at] = byte;
            let mut machine = PickleMachine::default();
            if let Ok((top, _)) = machine.run(&changed) {
                let tables = super::found(&machine, &top).tables;
                let tensors = tables.iter().flat_map(|(_, tensors)| tensors);
                tensors.for_each(|(_, tensor)| assert!(tensor.gathered(&[0; 100]).is_none_or(|b| b.len() <= 100)));
            }
        }
    }
}

/// What the machine makes of a pickle, on a thread with as little stack as any that may read one.
fn run(pickle: Vec<u8>) -> Result<String, String> {
    let work = move || {
        let mut machine = PickleMachine::default();
        machine.run(&pickle).map(|_| "something".to_string())
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap()
}

#[test]
fn tuples_nested_without_end_are_refused_and_take_no_stack() {
    let nested = |depth: usize| [&b")"[..], &vec![0x85; depth], &b"."[..]].concat();
    assert_eq!(run(nested(20)).unwrap(), "something");
    assert!(run(nested(1_000_000)).unwrap_err().contains("nests tuples"));
    // The same through the memo and marks.
    let marked = [&b")"[..], &b"q\x00(h\x00t".repeat(100_000), &b"."[..]].concat();
    assert!(run(marked).unwrap_err().contains("nests tuples"));
}

#[test]
fn a_small_pickle_does_not_become_a_large_memory() {
    // A name of a megabyte, put together with itself again and again.
    let text = [&b"X"[..], &1_000_000u32.to_le_bytes(), &vec![b'a'; 1_000_000], &b"q\x00"[..]].concat();
    let names = [&text[..], &b"h\x00h\x00\x93".repeat(1_000_000), &b"."[..]].concat();
    assert!(run(names).is_ok());
    // Lists, dictionaries and values that are let go of.
    for made in [&b"]0"[..], &b"}0"[..], &b"N0"[..], &b"(l0"[..]] {
        let pickle = [&b"N"[..], &made.repeat(6_000_000), &b"."[..]].concat();
        assert!(run(pickle).unwrap_err().contains("too many values"), "{made:?}");
    }
}
