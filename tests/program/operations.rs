//! One network with every operation there is, in each form that other programs run: what comes out is what comes out here.

use std::path::Path;
use std::sync::Arc;

use rand::Rng;
use tombola_core::mask::Bits;
use tombola_core::net::channels::Channels;
use tombola_core::net::compact::Compact;
use tombola_core::net::op::{
    Dropped, Filling, Function, Interpolation, LearnedStart, Op, Pairing, Real, Reduction, Window,
};
use tombola_core::net::{Builder, Fixed, Graph, Layout, NodeId, Snapshot, initial};
use tombola_exports::{Exported, Form};
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::script;
use tombola_train::tch::{self, Device, Kind, Tensor};
use tombola_words::stream::stream;
use tombola_words::value::{NormStart, Streams};
use tombola_words::{Axes, Shape};

use super::common::Folder;
use super::common::python::Python;

const CLASSES: usize = 7;
const INPUT: Shape = Shape::Image(3, 17, 14);

fn axes(sizes: &[usize]) -> Axes {
    Axes::of(sizes).unwrap()
}

/// A network in the making, whose layers are named by their number.
struct Growing {
    build: Builder,
    /// Vectors whose sum gives the classes.
    ends: Vec<NodeId>,
}

impl Growing {
    fn add(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> NodeId {
        self.build.add(name, op, inputs).unwrap()
    }

    fn named(&mut self, name: &str, op: Op, inputs: &[NodeId], parameters: &[&str]) -> NodeId {
        let parameters: Vec<String> = parameters.iter().map(|name| name.to_string()).collect();
        self.build.add_named(name, op, inputs, &parameters).unwrap()
    }

    fn function(&mut self, function: Function, from: NodeId) -> NodeId {
        self.add("function", Op::Activation { function }, &[from])
    }

    fn norm(&mut self, name: &str, from: NodeId) -> NodeId {
        self.add(name, Op::BATCH_NORM, &[from])
    }

    /// A part of the network ends: its values come into the sum of all parts.
    fn end(&mut self, name: &str, from: NodeId) {
        let vector = match self.build.shape(from) {
            Shape::Vector(_) => from,
            Shape::Image(..) => self.add("pool", Op::GlobalAveragePool, &[from]),
            other => self.add("vector", Op::Reshape { to: axes(&[1, other.size()]) }, &[from]),
        };
        let end = self.build.linear(name, vector, 8).unwrap();
        self.ends.push(end);
    }

    /// Windows of all kinds, and what is done to each value.
    fn windows(&mut self) {
        let window = Window { kernel: [3, 2], stride: [2, 1], padding: [1, 0], dilation: [1, 2] };
        let stem = self.add("stem.0", Op::Conv { out: 8, window, groups: 1, bias: true }, &[0]);
        let stem = self.add("stem.1", Op::BatchNorm { eps: Real(1e-3), momentum: Real(0.2), affine: true }, &[stem]);
        let stem = self.function(Function::Silu, stem);
        let grouped = Op::Conv { out: 12, window: Window::square(3, 1, 1), groups: 4, bias: false };
        let grouped = self.named("grouped", grouped, &[stem], &["own.kernel"]);
        let plain =
            self.add("plain", Op::BatchNorm { eps: Real(1e-5), momentum: Real(0.1), affine: false }, &[grouped]);
        let dropped = self.add("drop", Op::Dropout { rate: Real(0.2), of: Dropped::Channels }, &[plain]);
        let up = Op::ConvTransposed {
            out: 6,
            window: Window::square(3, 2, 1),
            output_padding: [1, 0],
            groups: 2,
            bias: true,
        };
        let up = self.add("up", up, &[dropped]);
        let up = self.named("up_norm", Op::BATCH_NORM, &[up], &["scales", "shifts"]);
        let up = self.add("relu", Op::Relu, &[up]);
        self.end("end.up", up);
        let functions = [
            Function::Relu6,
            Function::LeakyRelu(Real(0.1)),
            Function::Elu(Real(1.0)),
            Function::Elu(Real(0.7)),
            Function::Gelu,
            Function::GeluTanh,
            Function::Tanh,
            Function::Sigmoid,
            Function::HardSigmoid,
            Function::HardSwish,
            Function::Clamp(Real(-0.5), Real(f64::INFINITY)),
            Function::Softplus,
            Function::Mish,
            Function::Exp,
            Function::Abs,
            Function::Power(Real(2.0)),
            Function::Linear(Real(0.5), Real(0.25)),
            Function::Linear(Real(1.0), Real(0.25)),
            Function::Linear(Real(0.5), Real(0.0)),
        ];
        let all: Vec<NodeId> = functions.into_iter().map(|function| self.function(function, stem)).collect();
        let all = self.add("all", Op::Concat { axis: 1 }, &all);
        let narrow = self.build.conv("narrow", all, 8, 1, 1).unwrap();
        let narrow = self.norm("narrow_norm", narrow);
        let slopes = self.add("slopes", Op::Prelu { slopes: 8 }, &[narrow]);
        let slope = self.add("slope", Op::Prelu { slopes: 1 }, &[slopes]);
        let sum = self.add("sum", Op::Add, &[slope, stem]);
        self.end("end.functions", sum);
        let window = Window { kernel: [3, 2], stride: [2, 3], padding: [1, 1], dilation: [1, 1] };
        let wide = Window { dilation: [2, 1], ..window };
        for (number, ceil) in [false, true].into_iter().enumerate() {
            let largest = self.add("largest", Op::MaxPool { window: wide, ceil }, &[sum]);
            self.end(&format!("end.largest{number}"), largest);
            for counts_padding in [false, true] {
                let mean = self.add("mean", Op::AvgPool { window, ceil, counts_padding }, &[sum]);
                self.end(&format!("end.mean{number}{counts_padding}"), mean);
            }
        }
        for (number, to) in [[3, 5], [9, 4]].into_iter().enumerate() {
            for reduction in [Reduction::Mean, Reduction::Max] {
                let pool = self.add("adaptive", Op::AdaptivePool { reduction, to }, &[sum]);
                let flat = self.add("flatten", Op::Flatten, &[pool]);
                self.end(&format!("end.adaptive{number}{reduction:?}"), flat);
            }
        }
        for mode in [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic] {
            for (to, align_corners) in [([20, 7], false), ([5, 29], mode != Interpolation::Nearest)] {
                let resized = self.add("resize", Op::Interpolate { mode, to, align_corners }, &[sum]);
                let flat = self.add("flatten", Op::Flatten, &[resized]);
                self.end(&format!("end.{mode:?}{}", to[0]), flat);
            }
        }
        self.sides(sum);
    }

    /// Channels and places that move, of an image of 8 channels.
    fn sides(&mut self, image: NodeId) {
        let shortcut = self.add("pad", Op::PadShortcut { stride: 2, before: 1, after: 2 }, &[image]);
        let chosen = self.build.select("select", shortcut, vec![3, 1, 4, 1, 5]).unwrap();
        self.end("end.select", chosen);
        for (number, filling) in
            [Filling::Constant(Real(0.0)), Filling::Constant(Real(0.5)), Filling::Reflect, Filling::Replicate]
                .into_iter()
                .enumerate()
        {
            let padded = self.add("around", Op::Pad { around: [1, 2, 0, 3], filling }, &[image]);
            let rolled = self.add("roll", Op::Roll { axis: 3, by: 2 }, &[padded]);
            let cut = self.add("slice", Op::Slice { axis: 2, start: 1, end: 8, step: 2 }, &[rolled]);
            let taken = self.build.take("take", cut, 3, vec![5, 0, 2]).unwrap();
            self.end(&format!("end.padded{number}"), taken);
        }
        let group = self.add("group", Op::GroupNorm { groups: 4, eps: Real(1e-4), affine: true }, &[image]);
        let bare = self.add("bare", Op::GroupNorm { groups: 2, eps: Real(1e-5), affine: false }, &[group]);
        self.end("end.group", bare);
        // Squeeze and excitation, the kind that keeps its axes.
        let squeezed =
            self.add("squeeze", Op::Reduce { reduction: Reduction::Mean, axes: axes(&[2, 3]), keep: true }, &[image]);
        let gate = self.add("gate", Op::conv(8, 1, 1, 0, true), &[squeezed]);
        let gate = self.function(Function::Sigmoid, gate);
        let gated = self.add("gated", Op::Pair { function: Pairing::Multiply }, &[image, gate]);
        let column = Op::Learned { shape: axes(&[4, 1]), begins: LearnedStart::Constant(Real(0.1)) };
        let column = self.add("column", column, &[]);
        let column = self.add("row", Op::Expand { to: axes(&[1, 4, 3]), images: false }, &[column]);
        let column = self.add("column_of_each", Op::Expand { to: axes(&[1, 4, 3]), images: true }, &[column]);
        self.end("end.column", column);
        let gamma = self.add(
            "block.gamma",
            Op::Learned { shape: axes(&[8, 1, 1]), begins: LearnedStart::Constant(Real(0.5)) },
            &[],
        );
        let scaled = self.add("scaled", Op::Pair { function: Pairing::Multiply }, &[gated, gamma]);
        let less = self.add("less", Op::Pair { function: Pairing::Subtract }, &[scaled, image]);
        let most = self.add("most", Op::Pair { function: Pairing::Maximum }, &[less, image]);
        let long = self.function(Function::Exp, most);
        let share = self.add("share", Op::Pair { function: Pairing::Divide }, &[less, long]);
        self.end("end.pairs", share);
        for reduction in [Reduction::Mean, Reduction::Max, Reduction::Sum, Reduction::Norm] {
            let left = self.add("reduce", Op::Reduce { reduction, axes: axes(&[3]), keep: false }, &[share]);
            // A signal: channels and places.
            let window = Window { kernel: [1, 3], stride: [1, 2], padding: [0, 1], dilation: [1, 1] };
            let name = format!("signal{reduction:?}");
            let signal = self.add(&name, Op::Conv { out: 6, window, groups: 2, bias: true }, &[left]);
            let signal = self.norm(&format!("{name}_norm"), signal);
            let pooled = self.add("pooled", Op::MaxPool { window, ceil: true }, &[signal]);
            let mean = Op::AvgPool { window, ceil: true, counts_padding: true };
            let pooled = self.add("means", mean, &[pooled]);
            self.end(&format!("end.{name}"), pooled);
        }
    }

    /// A small vision transformer with windows, a class token and a position bias that is looked up.
    fn attention(&mut self) {
        let patches = self.add("patch.proj", Op::conv(12, 4, 3, 0, true), &[0]);
        let Shape::Image(_, height, width) = self.build.shape(patches) else { panic!("no image") };
        let places = height * width;
        let tokens = self.add("flat", Op::Reshape { to: axes(&[1, 12, places]) }, &[patches]);
        let tokens = self.add("turn", Op::Permute { order: axes(&[0, 2, 1]) }, &[tokens]);
        let token = Op::Learned { shape: axes(&[1, 1, 12]), begins: LearnedStart::Normal(Real(0.02)) };
        let token = self.add("cls_token", token, &[]);
        let token = self.add("every", Op::Expand { to: axes(&[1, 1, 12]), images: true }, &[token]);
        let all = self.add("all", Op::Concat { axis: 1 }, &[token, tokens]);
        let positions = Op::Learned { shape: axes(&[1, places + 1, 12]), begins: LearnedStart::Normal(Real(0.02)) };
        let positions = self.add("pos_embed", positions, &[]);
        let x = self.add("placed", Op::Pair { function: Pairing::Add }, &[all, positions]);
        let normed = self.add("norm1", Op::LayerNorm { axes: 1, eps: Real(1e-6), weight: true, bias: true }, &[x]);
        let normed =
            self.add("norm2", Op::LayerNorm { axes: 2, eps: Real(1e-5), weight: true, bias: false }, &[normed]);
        let normed =
            self.add("norm3", Op::LayerNorm { axes: 1, eps: Real(1e-5), weight: false, bias: false }, &[normed]);
        let own = Op::LayerNorm { axes: 1, eps: Real(1e-5), weight: false, bias: true };
        let normed = self.add("norm4", own, &[normed]);
        let normed = self.add("rms1", Op::RmsNorm { axes: 1, eps: Real(1e-6), weight: true }, &[normed]);
        let normed = self.add("rms2", Op::RmsNorm { axes: 2, eps: Real(1e-6), weight: false }, &[normed]);
        let qkv = Op::Linear { out: 36, bias: true };
        let qkv = self.named("attn.qkv", qkv, &[normed], &["attn.in_proj_weight", "attn.in_proj_bias"]);
        let cut = self.add("heads", Op::Reshape { to: axes(&[1, places + 1, 3, 3, 4]) }, &[qkv]);
        let turned = self.add("turned", Op::Permute { order: axes(&[0, 2, 3, 1, 4]) }, &[cut]);
        let [q, k, v] = [0, 1, 2].map(|part| {
            let part = self.add("part", Op::Slice { axis: 1, start: part, end: part + 1, step: 1 }, &[turned]);
            self.add("part", Op::Reshape { to: axes(&[1, 3, places + 1, 4]) }, &[part])
        });
        let table = Op::Learned { shape: axes(&[50, 1]), begins: LearnedStart::Normal(Real(0.02)) };
        let table = self.add("attn.bias_table", table, &[]);
        let count = (places + 1) * (places + 1);
        let index: Vec<usize> = (0..count).map(|place| place % 50).collect();
        let bias = self.build.take("looked_up", table, 0, index).unwrap();
        let bias = self.add("bias", Op::Reshape { to: axes(&[places + 1, places + 1, 1]) }, &[bias]);
        let bias = self.add("bias", Op::Permute { order: axes(&[2, 0, 1]) }, &[bias]);
        let mask: Vec<f32> = (0..count).map(|place| if place % 7 == 3 { -100.0 } else { 0.0 }).collect();
        let mask = self.build.constant("mask", Fixed::of(axes(&[places + 1, places + 1]), &mask)).unwrap();
        let mask = self.add("masked", Op::Pair { function: Pairing::Add }, &[bias, mask]);
        let with = self.add("with", Op::Attention { scale: Real(0.5), causal: false }, &[q, k, v, mask]);
        let causal = self.add("causal", Op::Attention { scale: Real(0.4), causal: true }, &[q, k, v]);
        let both = self.add("both", Op::Attention { scale: Real(0.4), causal: true }, &[q, k, v, mask]);
        let turned_keys = self.add("keys", Op::Permute { order: axes(&[0, 1, 3, 2]) }, &[k]);
        let scores = self.add("scores", Op::MatrixProduct, &[q, turned_keys]);
        let shares = self.add("shares", Op::Softmax { axis: 3 }, &[scores]);
        let by_hand = self.add("by_hand", Op::MatrixProduct, &[shares, v]);
        let heads = self.add("joined", Op::Concat { axis: 1 }, &[with, causal, both, by_hand]);
        let heads = self.add("back", Op::Permute { order: axes(&[0, 2, 1, 3]) }, &[heads]);
        let heads = self.add("wide", Op::Reshape { to: axes(&[1, places + 1, 48]) }, &[heads]);
        let projected = self.add("attn.proj", Op::Linear { out: 12, bias: false }, &[heads]);
        let dropped = self.add("path", Op::Dropout { rate: Real(0.1), of: Dropped::Images }, &[projected]);
        let x = self.add("more", Op::Add, &[x, dropped]);
        let first = self.build.take("first", x, 1, vec![0]).unwrap();
        let first = self.add("token", Op::Reshape { to: axes(&[1, 12]) }, &[first]);
        let first = self.add("drop", Op::Dropout { rate: Real(0.1), of: Dropped::Values }, &[first]);
        self.end("end.token", first);
        // Windows on the axis of the images, and something there for each of them.
        let image = self.add("even", Op::Slice { axis: 2, start: 0, end: 4, step: 1 }, &[patches]);
        let image = self.add("even", Op::Slice { axis: 3, start: 0, end: 4, step: 1 }, &[image]);
        let cut = self.add("cut", Op::Reshape { to: axes(&[1, 12, 2, 2, 2, 2]) }, &[image]);
        let cut = self.add("cut", Op::Permute { order: axes(&[0, 2, 4, 3, 5, 1]) }, &[cut]);
        let cut = self.add("cut", Op::Reshape { to: axes(&[4, 4, 12]) }, &[cut]);
        let token = Op::Learned { shape: axes(&[1, 1, 12]), begins: LearnedStart::Normal(Real(0.02)) };
        let token = self.add("window.token", token, &[]);
        let more = self.add("more", Op::Expand { to: axes(&[1, 4, 12]), images: true }, &[token]);
        let more = self.add("more", Op::Reshape { to: axes(&[4, 1, 12]) }, &[more]);
        let cut = self.add("with_more", Op::Concat { axis: 1 }, &[cut, more]);
        let wide = self.add("window_linear", Op::Linear { out: 6, bias: true }, &[cut]);
        let wide = self.function(Function::Gelu, wide);
        let whole = self.add("whole", Op::Reshape { to: axes(&[1, 120]) }, &[wide]);
        self.end("end.windows", whole);
    }
}

fn everything() -> Graph {
    let mut growing = Growing { build: Builder::new(INPUT), ends: Vec::new() };
    growing.windows();
    growing.attention();
    let mut sum = growing.ends[0];
    for end in growing.ends.clone().into_iter().skip(1) {
        sum = growing.add("sum", Op::Add, &[sum, end]);
    }
    let sum = growing.function(Function::Linear(Real(0.1), Real(0.0)), sum);
    growing.build.linear("classes", sum, CLASSES).unwrap();
    growing.build.finish(CLASSES).unwrap()
}

/// Weights and statistics that no layer leaves as they are.
fn state_of(layout: &Layout) -> Snapshot {
    let mut numbers = stream(3, "test", &[]);
    let mut state = initial(layout, NormStart::One, 1, 0);
    state.parameters.iter_mut().for_each(|value| *value += numbers.random_range(-0.2..0.2));
    state.buffers.iter_mut().for_each(|value| *value += numbers.random_range(0.1..0.5));
    state
}

/// What the network gives for images, in evaluation.
pub(super) fn scores(graph: &Graph, layout: &Layout, state: &Snapshot, images: &Tensor) -> Tensor {
    let forward = Forward::new(Arc::new(graph.clone()), layout);
    let mut arena = Arena::new(Arc::new(layout.clone()), state, Device::Cpu).unwrap();
    tch::no_grad(|| forward.run(&mut arena, images, false))
}

/// Without one of each three channels.
fn compact(graph: &Graph, layout: &Layout, state: &Snapshot) -> (Compact, Snapshot) {
    let channels = Channels::of(graph, layout, Streams::Group);
    let mut kept = Bits::ones(channels.len());
    (0..channels.len()).step_by(3).for_each(|unit| kept.set(unit, false));
    let mask = channels.weight_mask(&kept);
    let small = Compact::of(graph, layout, &mask, Streams::Group).unwrap();
    let state = small.gather(state);
    (small, state)
}

/// The network with every operation, and what is left of it without some channels.
pub(super) fn networks() -> [(&'static str, Graph, Layout, Snapshot); 2] {
    let graph = everything();
    let layout = Layout::of(&graph);
    let state = state_of(&layout);
    let (small, small_state) = compact(&graph, &layout, &state);
    assert!(small.layout.len < layout.len);
    [("dense", graph, layout, state), ("compact", (*small.graph).clone(), (*small.layout).clone(), small_state)]
}

fn written(folder: &Folder, name: &str, graph: &Graph, layout: &Layout, state: &Snapshot) -> Vec<String> {
    let facts = [("form".to_string(), "a \"test\"".to_string())];
    let exported = Exported { graph, layout, state, pixels: None, facts: &facts };
    let script =
        |exported: &Exported, path: &Path| script::write(exported.graph, exported.layout, exported.state, path);
    let forms = [(Form::Onnx, "onnx"), (Form::Python, "py"), (Form::TorchScript, "pt")];
    forms
        .map(|(form, end)| {
            let path = folder.path(&format!("{name}.{end}"));
            exported.write(form, &path, script).unwrap();
            path.display().to_string()
        })
        .to_vec()
}

#[test]
fn every_operation_gives_the_same_in_each_program_that_it_is_exported_to() {
    let images = Tensor::randn([5, 3, 17, 14], (Kind::Float, Device::Cpu));
    let Some(python) = Python::with("operations in PyTorch and ONNX Runtime", &["torch", "onnx", "onnxruntime"]) else {
        return;
    };
    let folder = Folder::new();
    for (name, graph, layout, state) in networks() {
        let expected = scores(&graph, &layout, &state, &images);
        let test = folder.path(&format!("{name}.test.safetensors")).display().to_string();
        let named = [("images", images.shallow_clone()), ("scores", expected)];
        Tensor::write_safetensors(&named, &test).unwrap();
        let files = written(&folder, name, &graph, &layout, &state);
        let found = python.run("operations.py", std::iter::once(&test).chain(&files));
        let found: std::collections::BTreeMap<String, f64> = serde_json::from_str(&found).unwrap();
        assert_eq!(found.len(), files.len());
        assert!(found.values().all(|difference| *difference < 1e-4), "{name}: {found:?}");
    }
}
