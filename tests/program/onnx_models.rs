//! Models of ONNX as networks of sweeps: those that PyTorch exports, and our own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_core::onnx;
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::tch::{self, Device, Tensor};
use tombola_words::{Axes, Shape};

use super::common::Folder;
use super::common::python::Python;

/// The network of a file, and its weights.
fn read(path: &Path, images: &Tensor, scores: &Tensor) -> (Graph, Layout, Snapshot) {
    let network = onnx::network(&std::fs::read(path).unwrap(), true);
    let network = network.unwrap_or_else(|error| panic!("{}: {error} {:?}", path.display(), error.hint));
    let mut sizes: Vec<usize> = images.size().iter().map(|size| *size as usize).collect();
    sizes[0] = 1;
    let input = Shape::of_images(Axes::of(&sizes).unwrap());
    let graph = network.nodes.build(input, scores.size()[1] as usize).unwrap();
    let layout = Layout::of(&graph);
    let state: BTreeMap<String, Vec<f32>> =
        network.state.into_iter().map(|tensor| (tensor.name, tensor.values)).collect();
    let mut snapshot = Snapshot {
        epoch: 0,
        batches: 0,
        parameters: vec![0.0; layout.len],
        buffers: vec![0.0; layout.buffer_len],
        optimizer: None,
        mask: None,
    };
    for parameter in &layout.parameters {
        snapshot.parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&state[&parameter.name]));
    }
    for buffer in &layout.buffers {
        snapshot.buffers[buffer.range()].copy_from_slice(&state[&buffer.name]);
    }
    (graph, layout, snapshot)
}

/// How far what a file gives is from what it should, as a share of the largest score.
fn difference(path: &Path) -> (f64, Layout) {
    let test = Tensor::read_safetensors(path.with_extension("safetensors")).unwrap();
    let test: BTreeMap<String, Tensor> = test.into_iter().collect();
    let (graph, layout, state) = read(path, &test["images"], &test["scores"]);
    let forward = Forward::new(Arc::new(graph), &layout);
    let mut arena = Arena::new(Arc::new(layout.clone()), &state, Device::Cpu).unwrap();
    let given = tch::no_grad(|| forward.run(&mut arena, &test["images"], false));
    let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
    (largest(&(given - &test["scores"])) / largest(&test["scores"]), layout)
}

#[test]
fn models_that_pytorch_exports_give_what_they_give_there() {
    let Some(python) = Python::with("models of ONNX", &["torch", "onnx", "safetensors"]) else { return };
    let folder = Folder::new();
    let told = python.run("models.py", [folder.path("")]);
    let told: BTreeMap<String, Vec<String>> = serde_json::from_str(&told).unwrap();
    assert!(told.len() >= 6, "{:?}", told.keys());
    for (file, names) in told {
        let (difference, layout) = difference(&folder.path(&format!("{file}.onnx")));
        assert!(difference < 1e-4, "{file}: {difference}");
        let parameters = layout.parameters.iter().map(|parameter| parameter.name.clone());
        let mut found: Vec<String> =
            parameters.chain(layout.buffers.iter().map(|buffer| buffer.name.clone())).collect();
        found.sort();
        // In evaluation batch norms become a part of convolutions.
        assert!(file.ends_with("-eval") || found == names, "{file}: {found:?}, expected {names:?}");
    }
}
