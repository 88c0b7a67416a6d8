use std::path::PathBuf;

use safetensors::SafeTensors;

use super::*;

fn file(name: &str) -> (PathBuf, Vec<u8>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state_dicts").join(name);
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

fn read(name: &str) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let (path, bytes) = file(name);
    assert!(is_one(&bytes));
    let found = as_safetensors(&path, &bytes).unwrap();
    let tensors = SafeTensors::deserialize(&found).unwrap();
    tensors.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect()
}

#[test]
fn a_state_dict_is_read_with_names_shapes_and_values() {
    let found = read("plain.pth");
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
    assert_eq!(read("checkpoint.pth"), read("plain.pth"));
}

#[test]
fn nothing_in_a_file_is_run() {
    let (path, bytes) = file("evil.pth");
    let error = as_safetensors(&path, &bytes).unwrap_err();
    assert!(error.message.contains("holds no tensors by name"), "{error}");
    read("checkpoint.pth");
    assert!(!PathBuf::from("/tmp/tombola-was-run").exists());
}

#[test]
fn damaged_files_are_refused_and_never_more() {
    let (path, bytes) = file("checkpoint.pth");
    for length in (0..bytes.len()).step_by(7) {
        assert!(as_safetensors(&path, &bytes[..length]).is_err());
    }
    // In the pickle itself, where no checksum is.
    let mut archive = Archive::open(&path, &bytes).unwrap();
    let pickle = archive.read("checkpoint/data.pkl", MOST_PICKLE).unwrap();
    for at in 0..pickle.len() {
        for byte in [0, b'.', b'R', b't', 0x81, 0xff] {
            let mut changed = pickle.clone();
            changed[at] = byte;
            let mut machine = PickleMachine::default();
            if let Ok(top) = machine.run(&changed) {
                let tensors = named_tensors(&machine, &top).unwrap_or_default();
                tensors
                    .iter()
                    .for_each(|(_, tensor)| assert!(gathered(tensor, &[0; 100]).is_none_or(|b| b.len() <= 100)));
            }
        }
    }
}
