//! One network of PyTorch as a file, and what PyTorch gives for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use safetensors::{Dtype, SafeTensors};
use tombola_core::net::custom::{OwnNetwork, parse};
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::tch::{Device, Kind, Reduction, Tensor};
use tombola_words::Shape;

use crate::common::python::Python;

/// How far values may lie apart, as a share of the largest of their tensor: what a file holds is float32.
const CLOSE: f64 = 1e-5;

/// Which networks are tried.
pub(crate) struct Names {
    pub(crate) taken: Vec<String>,
    /// Whether these are all.
    pub(crate) all: bool,
}

/// The names of all networks, or of those that are asked for; nothing without a Python that has them.
pub(crate) fn names() -> Option<Names> {
    let asked = std::env::var("TOMBOLA_TEST_ARCHITECTURES").unwrap_or_else(|_| "quick".to_string());
    let listed = match asked.as_str() {
        "all" => python(&["names"])?,
        "quick" => python(&["names", "quick"])?,
        some => some.replace(',', "\n"),
    };
    Some(Names { taken: listed.lines().map(str::to_string).collect(), all: asked == "all" })
}

/// What the script prints; nothing without a Python that has those networks, which is noted once.
pub(crate) fn python(arguments: &[&str]) -> Option<String> {
    static PYTHON: OnceLock<Option<Python>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| Python::with("architectures", &["torchvision", "timm", "onnx"])).as_ref()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/from_torch.py");
    let output = python.command().arg(script).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    Some(text(&output.stdout))
}

/// A network, its weights, and what PyTorch computes with it.
pub(crate) struct Case {
    /// The folder with its files.
    pub(crate) folder: PathBuf,
    /// Where they go with it.
    _place: tempfile::TempDir,
    pub(crate) graph: Arc<Graph>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) state: Snapshot,
    pub(crate) images: Tensor,
    pub(crate) labels: Tensor,
    expected: BTreeMap<String, Tensor>,
}

impl Case {
    /// Writes and reads it.
    pub(crate) fn of(name: &str) -> Self {
        let kept = std::env::var_os("TOMBOLA_TEST_CASES").map(PathBuf::from);
        let place = tempfile::tempdir().unwrap();
        let folder = kept.as_deref().unwrap_or(place.path());
        if !folder.join(name).join("case.safetensors").exists() {
            python(&["generate", &folder.to_string_lossy(), name]).unwrap();
        }
        Self::read(folder.join(name), place)
    }

    fn read(folder: PathBuf, place: tempfile::TempDir) -> Self {
        let text = std::fs::read_to_string(folder.join("network.toml")).unwrap();
        let network: OwnNetwork = parse("mine", &toml::Value::Table(text.parse().unwrap())).unwrap();
        let mut expected = tensors(&folder.join("case.safetensors"));
        let (images, labels) = (expected.remove("images").unwrap(), expected.remove("labels").unwrap());
        let sizes: Vec<usize> = images.size()[1..].iter().map(|size| *size as usize).collect();
        let classes = expected["evaluation"].size()[1] as usize;
        let graph = network.build(Shape::Image(sizes[0], sizes[1], sizes[2]), classes).unwrap();
        let layout = Layout::of(&graph);
        let weights = tensors(&folder.join("weights.safetensors"));
        let values = |name: &str| -> Vec<f32> {
            let tensor = weights.get(name).unwrap_or_else(|| panic!("`{name}` is not in the file"));
            Vec::try_from(tensor.to_kind(Kind::Float).flatten(0, -1)).unwrap()
        };
        let mut state = Snapshot {
            epoch: 0,
            step: 0,
            batches: 0,
            parameters: vec![0.0; layout.len],
            buffers: vec![0.0; layout.buffer_len],
            optimizer: None,
            mask: None,
        };
        for parameter in &layout.parameters {
            let shape: Vec<usize> = weights[&parameter.name].size().iter().map(|size| *size as usize).collect();
            assert_eq!(shape, parameter.shape, "{}", parameter.name);
            state.parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&values(&parameter.name)));
        }
        for buffer in &layout.buffers {
            state.buffers[buffer.range()].copy_from_slice(&values(&buffer.name));
        }
        let (graph, layout) = (Arc::new(graph), Arc::new(layout));
        Self { folder, _place: place, graph, layout, state, images, labels, expected }
    }

    /// Compares outputs, statistics and gradients; the largest distance.
    pub(crate) fn computes(&self) -> Result<f64, String> {
        let mut arena = exact(&self.layout, &self.state);
        let forward = Forward::new(Arc::clone(&self.graph), &self.layout);
        let mut found: BTreeMap<String, Tensor> = BTreeMap::new();
        found.insert("evaluation".into(), tombola_train::tch::no_grad(|| forward.run(&mut arena, &self.images, false)));
        let scores = forward.run(&mut arena, &self.images, true);
        let loss = scores.cross_entropy_loss::<Tensor>(&self.labels, None, Reduction::Mean, -100, 0.0);
        found.insert("training".into(), scores.detach());
        let gradient = Tensor::run_backward(&[loss], &[&arena.weights], false, false).pop().unwrap();
        let gradient: Vec<f64> = Vec::try_from(gradient).unwrap();
        let long = |shape: &[usize]| shape.iter().map(|size| *size as i64).collect::<Vec<i64>>();
        for parameter in &self.layout.parameters {
            let values = Tensor::from_slice(&parameter.to_pytorch(&gradient[parameter.range()]));
            found.insert(format!("gradient.{}", parameter.name), values.view(long(&parameter.shape).as_slice()));
        }
        for (buffer, view) in self.layout.buffers.iter().zip(arena.buffer_views()) {
            found.insert(format!("statistics.{}", buffer.name), view.copy());
        }
        let names = |of: &BTreeMap<String, Tensor>| of.keys().cloned().collect::<Vec<_>>();
        if names(&found) != names(&self.expected) {
            let missing: Vec<_> = names(&self.expected).into_iter().filter(|name| !found.contains_key(name)).collect();
            let more: Vec<_> = names(&found).into_iter().filter(|name| !self.expected.contains_key(name)).collect();
            // What reaches no output has no gradient in PyTorch.
            let silent = more.iter().all(|name| found[name].abs().max().double_value(&[]) == 0.0);
            if !missing.is_empty() || !silent {
                return Err(format!("only in PyTorch: {missing:?}; only here: {more:?}"));
            }
        }
        let largest = |of: &dyn Fn(&str) -> bool| {
            let some = self.expected.iter().filter(|(name, _)| of(name));
            some.map(|(_, tensor)| tensor.abs().max().double_value(&[])).fold(0.0, f64::max)
        };
        let gradients = largest(&|name| name.starts_with("gradient."));
        let mut most: f64 = 0.0;
        for (name, wanted) in &self.expected {
            // What is left of gradients that cancel out is measured by the others, and means by deviations.
            let least = match name.as_str() {
                name if name.starts_with("gradient.") => 1e-2 * gradients,
                name if name.ends_with(".running_mean") => {
                    let variance = &self.expected[&name.replace("running_mean", "running_var")];
                    1e-2 * variance.max().double_value(&[]).sqrt()
                }
                _ => 1e-6,
            };
            let scale = wanted.abs().max().double_value(&[]).max(least);
            let away = (&found[name] - wanted).abs().max().double_value(&[]) / scale;
            if away.is_nan() || away > CLOSE {
                return Err(format!("`{name}` is {away:.1e} away from PyTorch"));
            }
            most = most.max(away);
        }
        Ok(most)
    }
}

/// A network's state in float64.
pub(crate) fn exact(layout: &Arc<Layout>, state: &Snapshot) -> Arena {
    let mut arena = Arena::new(Arc::clone(layout), state, Device::Cpu).unwrap();
    arena.weights = arena.weights.detach().to_kind(Kind::Double).set_requires_grad(true);
    arena.buffers = arena.buffers.to_kind(Kind::Double);
    arena
}

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let one = |(name, view): (String, safetensors::tensor::TensorView)| {
        let sizes: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
        let tensor = match view.dtype() {
            Dtype::F32 => Tensor::from_data_size(view.data(), &sizes, Kind::Float),
            Dtype::F64 => Tensor::from_data_size(view.data(), &sizes, Kind::Double),
            Dtype::I64 => Tensor::from_data_size(view.data(), &sizes, Kind::Int64),
            other => panic!("`{name}` is {other:?}"),
        };
        (name, tensor)
    };
    file.tensors().into_iter().map(one).collect()
}
