//! Models of ONNX as networks of sweeps: those that PyTorch exports, and our own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_core::onnx;
use tombola_core::onnx::proto::{
    Dimension, FLOAT, GraphProto, Model, NodeProto, TensorShape, TensorType, Type, ValueInfoProto,
};
use tombola_exports::{Exported, Form};
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::tch::{self, Device, Kind, Tensor};
use tombola_words::{Axes, Shape};

use super::common::Folder;
use super::common::python::Python;
use super::operations::scores;

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
        step: 0,
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

/// Our own network with every operation is read back as it was written.
#[test]
fn what_we_export_is_read_back() {
    let folder = Folder::new();
    for (name, graph, layout, state) in super::operations::networks() {
        let images = Tensor::randn([3, 3, 17, 14], (Kind::Float, Device::Cpu));
        let named = [("images", images.shallow_clone()), ("scores", scores(&graph, &layout, &state, &images))];
        let path = folder.path(&format!("{name}.onnx"));
        Tensor::write_safetensors(&named, path.with_extension("safetensors")).unwrap();
        let exported = Exported { graph: &graph, layout: &layout, state: &state, pixels: None, facts: &[] };
        exported.write(Form::Onnx, &path, |_, _| Ok(())).unwrap();
        let (difference, found) = difference(&path);
        assert!(difference < 1e-4, "{name}: {difference}");
        let names = |layout: &Layout| {
            let mut names: Vec<String> = layout.parameters.iter().map(|parameter| parameter.name.clone()).collect();
            names.sort();
            names
        };
        let (found, expected) = (names(&found), names(&layout));
        let lost: Vec<&String> = expected.iter().filter(|name| !found.contains(name)).collect();
        let new: Vec<&String> = found.iter().filter(|name| !expected.contains(name)).collect();
        assert!(lost.is_empty() && new.is_empty(), "{name}: without {lost:?}, with {new:?}");
    }
}

#[test]
fn what_cannot_be_taken_over_is_named_with_its_operator_and_a_cure() {
    let node = |operator: &str| NodeProto {
        inputs: vec!["images".to_string()],
        outputs: vec!["scores".to_string()],
        name: "/head/Odd".to_string(),
        operator: operator.to_string(),
        ..NodeProto::default()
    };
    let sizes = |sizes: &[i64]| TensorShape {
        dimensions: sizes.iter().map(|size| Dimension { value: Some(*size), name: None }).collect(),
    };
    let input = |shape| ValueInfoProto {
        name: "images".to_string(),
        value_type: Some(Type { tensor: Some(TensorType { kind: FLOAT, shape: Some(shape) }) }),
    };
    let bytes = |operator: &str, shape: &[i64]| {
        let output = ValueInfoProto { name: "scores".to_string(), value_type: None };
        let graph = GraphProto {
            nodes: vec![node(operator)],
            inputs: vec![input(sizes(shape))],
            outputs: vec![output],
            ..GraphProto::default()
        };
        Model { ir_version: 8, graph: Some(graph), ..Model::default() }.encode_to_vec()
    };
    let error = onnx::network(&bytes("NonZero", &[1, 3, 8, 8]), false).unwrap_err();
    assert!(error.message.contains("`/head/Odd` (NonZero)"), "{error}");
    assert!(error.hint.unwrap().contains("from_torch"));
    let error = onnx::network(&bytes("Relu", &[4, 3, 8, 8]), false).unwrap_err();
    assert!(error.message.contains("4 images at a time"), "{error}");
    let error = onnx::network(b"\x08\x07garbage", false).unwrap_err();
    assert!(error.message.contains("ONNX"), "{error}");
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
        // In evaluation batch norms become a part of convolutions, and the newer exporter gives some weights names of its own.
        let keeps_names = file.ends_with("-training") || file.ends_with("-one");
        assert!(!keeps_names || found == names, "{file}: {found:?}, expected {names:?}");
    }
}
