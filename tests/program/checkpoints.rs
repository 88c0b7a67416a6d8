//! Checkpoints that other programs wrote, in all the forms that PyTorch has had: each is the same network, or is refused with its cure.

use super::common::Folder;
use super::common::python::Python;

const NETWORK: &str = "--network resnet --depth 8 --width 4 --shortcut b --dataset synthetic --synthetic-size 60 --epochs 1 \
     --prune-iterations 0 --workers 1 --save";

#[derive(serde::Deserialize)]
struct Form {
    /// What a note says.
    says: Vec<String>,
    /// What the error says, where there is one.
    refused: Option<Vec<String>>,
    flags: String,
}

#[test]
fn every_form_of_checkpoint_is_the_same_network_or_is_refused_with_its_cure() {
    let Some(python) = Python::with("checkpoints of PyTorch", &["torch", "numpy", "safetensors"]) else { return };
    let folder = Folder::new();
    let place = folder.path("").display().to_string();
    let written = python.run("checkpoints.py", ["write", &place]);
    let forms: std::collections::BTreeMap<String, Form> = serde_json::from_str(&written).unwrap();
    let mut loaded = 0;
    for (name, Form { says, refused, flags }) in &forms {
        let ran = folder.tombola(&format!("run {NETWORK} --load {name} {flags} --out {name}-out"));
        if let Some(refused) = refused {
            refused.iter().fold(ran.expect(2), |ran, text| ran.says(text)).says("hint: ");
            continue;
        }
        let ran = says.iter().fold(ran.expect(0), |ran, text| ran.says(text));
        let file = format!("{name}`: ");
        if says.is_empty() && flags.is_empty() { ran.does_not_say(&file) } else { ran.says(&file) };
        folder.tombola(&format!("export {name}-out 1 --snapshot last --out {name}.out.safetensors")).expect(0);
        loaded += 1;
    }
    assert_eq!(python.run("checkpoints.py", ["compare", &place]).trim(), loaded.to_string());
    // Notes are for who starts a run.
    folder.tombola("tables half.pth-out").expect(0).does_not_say("became float32");
    // All are one network: its accuracy before any training is in the tables, and the same.
    let accuracy = |name: &str| folder.table(&format!("{name}-out/results.csv"))[0]["start_test_accuracy"].clone();
    assert!(!accuracy("plain.pth").is_empty());
    for name in ["old.pth", "open-lth.pth", "prefix-4.safetensors", "names.safetensors", "double.pth"] {
        assert_eq!(accuracy(name), accuracy("plain.pth"), "{name}");
    }
}
