//! Exported tickets, run by the programs that they are for: plain PyTorch, TorchScript, ONNX Runtime, NumPy. Each must classify
//! exactly as many test images correctly as `results.csv` says, of pixels that are
//! normalised by the numbers in the file alone.

use std::collections::{BTreeMap, HashMap};

use super::common::Folder;
use super::common::python::Python;
use safetensors::{Dtype, SafeTensors};
use tombola_data::split::{Normalisation, split};
use tombola_train::batches::Resident;
use tombola_train::tch::{self, Device, Kind, Tensor};

const IMAGES: usize = 200;

/// Networks with every operation there is, and tickets of both kinds.
const SWEEPS: [(&str, &str); 5] = [
    ("lenet", "network = \"lenet-5\"\nsynthetic-shape = [1, 28, 28]\npr = 0.5"),
    ("resnet", "network = \"resnet\"\ndepth = 8\nwidth = 4\nsynthetic-shape = [3, 16, 16]\npr = 0.8"),
    ("vgg", "network = \"vgg-11\"\nwidth = 4\nsynthetic-shape = [3, 32, 32]\nprunety = \"s\"\npr = 0.5"),
    ("streams", "network = \"resnetb\"\ndepth = 11\nwidth = 4\nprunety = \"s\"\npr = 0.5\nbn-init = \"uniform\""),
    ("resnet-18", "network = \"resnet-18\"\nwidth = 4\nsynthetic-shape = [3, 16, 16]\nprunety = \"s\"\npr = 0.4"),
];

/// The test images of a sweep, as its trainings see them and as pixels in [0, 1], in a file.
fn test_images(folder: &Folder, row: &HashMap<String, String>) -> String {
    let shape: Vec<usize> = serde_json::from_str(&row["synthetic-shape"]).unwrap();
    let data = tombola_data::synthetic((shape[0], shape[1], shape[2]), 10, IMAGES, IMAGES / 2).unwrap();
    let split = split(data.train.len(), None, None).unwrap();
    let normalisation = Normalisation::of(&data.train, split.train.clone()).unwrap();
    let data = std::sync::Arc::new(data);
    let parts = Resident::new(std::sync::Arc::clone(&data), Device::Cpu).parts(&split, &normalisation);
    let (images, labels) = parts.test.range(0..parts.test.len());
    let path = folder.path("test.safetensors").display().to_string();
    let plain = Normalisation { mean: vec![0.0; shape[0]], standard_deviation: vec![1.0; shape[0]] };
    let (pixels, _) = Resident::new(data, Device::Cpu).parts(&split, &plain).test.range(0..parts.test.len());
    let named: [(&str, Tensor); 3] =
        [("images", images.contiguous()), ("pixels", pixels.contiguous()), ("labels", labels.to_kind(Kind::Int64))];
    Tensor::write_safetensors(&named, &path).unwrap();
    path
}

fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is no number in {row:?}"))
}

/// TorchScript, by libtorch itself.
fn in_libtorch(folder: &Folder, rows: &[HashMap<String, String>], test: &str) {
    let named: HashMap<String, Tensor> = Tensor::read_safetensors(test).unwrap().into_iter().collect();
    for row in rows {
        let stage = &row["stage"];
        folder.tombola(&format!("export results/sweep {stage} --snapshot last --out own.pt")).expect(0);
        let network = tch::CModule::load(folder.path("own.pt")).unwrap();
        let scores = [0, 50].map(|start| {
            let images = named["images"].narrow(0, start, 50);
            tch::no_grad(|| network.forward_ts(&[images])).unwrap()
        });
        let scores = Tensor::cat(&scores, 0);
        let hits = scores.argmax(1, false).eq_tensor(&named["labels"]).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(hits, (number(row, "last_test_accuracy") * number(row, "test_images")).round() as i64);
    }
}

#[test]
fn each_form_classifies_as_many_images_correctly_as_the_table_says() {
    let Some(python) = Python::with("tickets in ONNX Runtime", &["safetensors", "numpy", "onnxruntime"]) else {
        return;
    };
    let kinds: &[&str] = match Python::with("tickets in PyTorch", &["torch"]) {
        Some(_) => &["onnx", "py", "pt"],
        None => &["onnx"],
    };
    for (name, text) in SWEEPS {
        let folder = Folder::new();
        let shared = format!(
            "name = \"sweep\"\ndataset = \"synthetic\"\nsynthetic-size = {IMAGES}\nepochs = 2\nlearning-rate = 0.05\nsave = true\n"
        );
        folder.write("sweep.toml", format!("{shared}{text}"));
        folder.tombola("run sweep.toml --quiet").expect(0);
        let rows = folder.table("results/sweep/results.csv");
        let test = test_images(&folder, &rows[0]);
        let mut expected = BTreeMap::new();
        for row in &rows {
            let (stage, level) = (&row["stage"], &row["level"]);
            for kind in kinds {
                for form in ["compact", "masked"] {
                    let file = format!("{form}-{level}.{kind}");
                    folder
                        .tombola(&format!("export results/sweep {stage} --snapshot last --form {form} --out {file}"))
                        .expect(0);
                    let hits = number(row, "last_test_accuracy") * number(row, "test_images");
                    expected.insert(folder.path(&file).display().to_string(), hits.round() as u64);
                }
            }
        }
        in_libtorch(&folder, &rows, &test);
        let found = python.run("tickets.py", std::iter::once(&test).chain(expected.keys()));
        let found: BTreeMap<String, u64> = serde_json::from_str(&found).unwrap();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn masks_and_first_weights_are_those_of_the_ticket() {
    let folder = Folder::new();
    folder.write(
        "sweep.toml",
        "name = \"sweep\"\ndataset = \"synthetic\"\nsynthetic-size = 200\nepochs = 1\nnetwork = \"lenet-5\"\n\
         synthetic-shape = [1, 28, 28]\npr = 0.75\nreinit = [\"init\", \"random\"]\nsave = true\nepochs-save = 1",
    );
    folder.tombola("run sweep.toml --quiet").expect(0);
    let rows = folder.table("results/sweep/results.csv");
    let read = |file: &str| -> BTreeMap<String, Vec<f32>> {
        let bytes = std::fs::read(folder.path(file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let floats = tensors.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        floats.map(|(name, view)| (name, values(view.data()))).collect()
    };
    let dense = rows.iter().find(|row| row["level"] == "0").unwrap();
    folder
        .tombola(&format!("export results/sweep {} --snapshot init --out dense.safetensors", dense["stage"]))
        .expect(0);
    let dense = read("dense.safetensors");
    for row in rows.iter().filter(|row| row["level"] == "1") {
        let stage = &row["stage"];
        folder.tombola(&format!("export results/sweep {stage} --snapshot init --out init.safetensors")).expect(0);
        folder.tombola(&format!("export results/sweep {stage} --out masks.npz")).expect(0);
        let init = read("init.safetensors");
        let weights = init.iter().filter(|(name, _)| name.ends_with("weight"));
        let (mut alive, mut same) = (0, 0);
        for (name, values) in weights {
            let kept = values.iter().zip(&dense[name]).filter(|(value, _)| **value != 0.0);
            alive += kept.clone().count();
            same += kept.filter(|(value, dense)| value == dense).count();
        }
        assert_eq!(alive as f64, number(row, "alive"));
        // The ticket is what it was; a random one is nowhere the same.
        assert_eq!(same, if row["reinit"] == "init" { alive } else { 0 });
        let Some(python) = Python::with("masks of NumPy", &["numpy"]) else { continue };
        let found = python.run("masks.py", [folder.path("masks.npz")]);
        let found: BTreeMap<String, (u64, Vec<usize>)> = serde_json::from_str(&found).unwrap();
        assert_eq!(found.values().map(|(ones, _)| ones).sum::<u64>() as f64, number(row, "alive"));
        assert_eq!(found["conv1.weight"].1, [6, 1, 5, 5]);
    }
}

#[test]
fn pandas_and_tensorboard_read_the_numbers_of_the_tables() {
    let folder = Folder::new();
    folder.write(
        "sweep.toml",
        "name = \"sweep\"\ndataset = \"synthetic\"\nsynthetic-size = 200\nepochs = 3\nnetwork = \"lenet-5\"\n\
         synthetic-shape = [1, 28, 28]\npr = 0.75\nseed = [1, 2]\nsave = true",
    );
    folder.tombola("run sweep.toml --quiet").expect(0);
    folder.tombola("tables results/sweep --format parquet --tensorboard").expect(0).says("tensorboard --logdir");
    let Some(python) = Python::with("tables in other forms", &["pandas", "pyarrow", "tensorboard"]) else { return };
    let found: BTreeMap<String, u64> =
        serde_json::from_str(&python.run("tables.py", [folder.path("results/sweep")])).unwrap();
    // Four trainings of three epochs with a learning rate, two losses and two accuracies.
    assert_eq!((found["tables"], found["points"]), (8, 4 * 3 * 5), "{found:?}");
}

#[test]
fn every_form_says_what_images_are_normalised_by_without_the_validation_images() {
    let folder = Folder::new();
    folder.write(
        "sweep.toml",
        "dataset = \"synthetic\"\nsynthetic-size = 200\nsynthetic-shape = [1, 28, 28]\nvalidation-size = 50\nepochs = 1\n\
         network = \"lenet-5\"\npr = 0.5",
    );
    folder.tombola("run sweep.toml --out r --quiet").expect(0);
    let data = tombola_data::synthetic((1, 28, 28), 10, 200, 100).unwrap();
    let of = |images: usize| Normalisation::of(&data.train, 0..images).unwrap();
    let (mean, std) = (format!("{:?}", of(150).mean), format!("{:?}", of(150).standard_deviation));
    assert_ne!(of(150), of(200));
    assert!(
        folder.read("r/log").contains(&format!("normalised by mean {mean} and standard deviation {std} of 150 images"))
    );
    for end in ["safetensors", "py", "onnx", "pt", "npz"] {
        folder.tombola(&format!("export r 1 --out t.{end}")).expect(0);
        let bytes = std::fs::read(folder.path(&format!("t.{end}"))).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has(&mean) && has(&std), "{end}");
    }
}

/// Examples of numbers that are no bytes, each channel or feature about a mean of its own, in three classes that overlap.
fn numbers(count: usize, shape: &[i64], seed: usize) -> (Tensor, Tensor) {
    let sizes = [&[count as i64], shape].concat();
    let (size, places) = (shape.iter().product::<i64>() as usize, shape[1..].iter().product::<i64>() as usize);
    let value = |place: usize| {
        let (example, channel) = (place / size, place % size / places);
        let noise = ((place + seed) * 7919 % 1009) as f32 / 1009.0 - 0.5;
        (channel * 40) as f32 - 100.0 + (example % 3) as f32 * (0.05 + channel as f32 * 0.01) + noise
    };
    let values: Vec<f32> = (0..count * size).map(value).collect();
    let labels: Vec<i64> = (0..count).map(|example| (example % 3) as i64).collect();
    (Tensor::from_slice(&values).view(sizes.as_slice()), Tensor::from_slice(&labels))
}

#[test]
fn signals_and_rows_of_numbers_go_in_normalised_along_their_channels_and_features() {
    let name = "tickets of signals and rows in ONNX Runtime and PyTorch";
    let Some(python) = Python::with(name, &["safetensors", "numpy", "onnxruntime", "torch"]) else { return };
    for (set, shape, said) in [
        (
            "signals",
            &[3, 16][..],
            ["Signals go in as float32 [signals, 3, 16]", "each channel of the signals", "(-1, 1)"],
        ),
        ("rows", &[11], ["Rows go in as float32 [rows, 11]", "each feature of the rows", "(-1)"]),
    ] {
        let folder = Folder::new();
        let ((values, labels), (pixels, test_labels)) = (numbers(300, shape, 0), numbers(100, shape, 500));
        let written = |file: &str, named: &[(&str, &Tensor)]| {
            Tensor::write_safetensors(named, folder.path(file)).unwrap();
            folder.path(file).display().to_string()
        };
        let names = [("x_train", &values), ("y_train", &labels), ("x_test", &pixels), ("y_test", &test_labels)];
        written("set.safetensors", &names);
        let test = written("test.safetensors", &[("pixels", &pixels), ("labels", &test_labels)]);
        let axes = if set == "signals" { "axes = \"first\"\n" } else { "" };
        folder.write(
            "sweep.toml",
            format!(
                "dataset = \"numbers\"\nnetwork = \"mlp\"\nhidden = [16]\nepochs = 2\nbatch-size = 32\nlearning-rate = 0.02\n\
                 pr = 0.5\nsave = true\n[datasets.numbers]\npath = \"set.safetensors\"\n{axes}"
            ),
        );
        folder.tombola("run sweep.toml --out r --quiet").expect(0);
        let rows = folder.table("r/results.csv");
        let mut expected = BTreeMap::new();
        for row in &rows {
            for kind in ["onnx", "py", "pt"] {
                let file = format!("{}.{kind}", row["stage"]);
                folder.tombola(&format!("export r {} --snapshot last --out {file}", row["stage"])).expect(0);
                let hits = number(row, "last_test_accuracy") * number(row, "test_images");
                expected.insert(folder.path(&file).display().to_string(), hits.round() as u64);
            }
            let text = folder.read(&format!("{}.py", row["stage"]));
            assert!(said.iter().all(|said| text.contains(said)), "{text}");
        }
        let found = python.run("tickets.py", std::iter::once(&test).chain(expected.keys()));
        let found: BTreeMap<String, u64> = serde_json::from_str(&found).unwrap();
        assert_eq!(found, expected, "{set}");
        // Nothing but what is fully connected reads them, and that is told before anything trains.
        for network in ["conv-2", "alexnet", "resnet"] {
            let ran = folder.tombola(&format!("run sweep.toml --network {network} --out other")).expect(2);
            let flat = ran.err.replace('\n', " ");
            assert!(flat.contains(&format!("network `{network}` for {set} of")) && flat.contains("`mlp`"), "{ran}");
        }
    }
}
