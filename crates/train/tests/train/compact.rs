//! A compact network computes what the masked one does: for every network, criterion and random mask that is tried here.

use std::sync::Arc;

use proptest::prelude::*;
use rand::Rng;
use tch::{Device, Kind, Tensor};
use tombola_core::mask::Bits;
use tombola_core::net::channels::Channels;
use tombola_core::net::compact::{Compact, Fill};
use tombola_core::net::zoo::{Choice, build};
use tombola_core::net::{Builder, Graph, Layout, Op, Role, Snapshot, initial};
use tombola_core::plan::Pruning;
use tombola_core::prune::Pruner;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::rewind::silence;
use tombola_core::prune::scorer::{NoGradients, Scorer, TimePrecision, Want};
use tombola_core::sweep::Settings;
use tombola_train::network::arena::{Arena, to_vec};
use tombola_train::network::forward::Forward;
use tombola_words::Shape;
use tombola_words::stream::stream;
use tombola_words::value::{Criterion, NormStart, PruningType, Scope, ShortcutOption, Streams};

const NETWORKS: [&str; 9] =
    ["resnet a", "resnet b", "resnetb", "vgg-11", "lenet-5", "conv-2", "lenet-300-100", "resnet-18", "own"];

/// Strides without padding, a batch norm before the first convolution, branches that are read twice, an addition of
/// three, a residual of vectors, a biased convolution before an addition, and layers of a single channel.
fn own(seed: u64) -> Graph {
    let mut numbers = stream(seed, "test", &[]);
    let mut width = || if numbers.random::<f64>() < 0.3 { 1 } else { numbers.random_range(2..9) };
    let mut build = Builder::new(Shape::Image(2, 13, 11));
    let norm = build.batch_norm("input-norm", 0).unwrap();
    let (out, inner) = (width(), width());
    let conv = |kernel, stride, padding, out| Op::conv(out, kernel, stride, padding, true);
    let stem = build.add("stem", conv(3, 2, 0, out), &[norm]).unwrap();
    let stem = build.relu(stem).unwrap();
    let one = build.add("one", conv(1, 1, 0, inner), &[stem]).unwrap();
    let one = build.batch_norm("one-norm", one).unwrap();
    let one = build.relu(one).unwrap();
    let two = build.add("two", conv(3, 1, 1, out), &[one]).unwrap();
    let three = build.add("three", conv(5, 1, 2, out), &[one]).unwrap();
    let three = build.batch_norm("three-norm", three).unwrap();
    let sum = build.add("sum", Op::Add, &[two, three]).unwrap();
    let sum = build.add("sum-of-three", Op::Add, &[sum, stem]).unwrap();
    let gate = build.batch_norm("gate", sum).unwrap();
    let gate = build.relu(gate).unwrap();
    let last = build.add("last", conv(2, 2, 0, 2 * out), &[gate]).unwrap();
    let (before, after) = (out / 2, out - out / 2);
    let pool = build.add("pool", Op::avg_pool(1, 1), &[sum]).unwrap();
    let pad = build.add("pad", Op::PadShortcut { stride: 2, before, after }, &[pool]).unwrap();
    let pad = build.add("pad-pool", Op::max_pool(3, 1, 1), &[pad]).unwrap();
    let last = match build.shape(last) == build.shape(pad) {
        true => build.add("padded-sum", Op::Add, &[last, pad]).unwrap(),
        false => last,
    };
    let flat = build.add("flatten", Op::Flatten, &[last]).unwrap();
    let hidden = build.linear("hidden", flat, width()).unwrap();
    let hidden_norm = build.batch_norm("hidden-norm", hidden).unwrap();
    let hidden_norm = build.relu(hidden_norm).unwrap();
    let features = build.shape(hidden).channels();
    let again = build.linear("again", hidden_norm, features).unwrap();
    let vector = build.add("vector-sum", Op::Add, &[again, hidden_norm]).unwrap();
    build.linear("classes", vector, 5).unwrap();
    build.finish(5).unwrap()
}

/// As published.
fn network(number: usize, seed: u64) -> Graph {
    let (name, shortcut) = match NETWORKS[number] {
        "own" => return own(seed),
        "resnet a" => ("resnet", ShortcutOption::A),
        "resnet b" => ("resnet", ShortcutOption::B),
        name => (name, ShortcutOption::A),
    };
    let depth = if name == "resnetb" { 11 } else { 8 };
    let input =
        if name == "resnet-18" && seed.is_multiple_of(4) { Shape::Image(3, 64, 65) } else { Shape::Image(3, 32, 32) };
    build(&Choice { depth, width: 4, shortcut, ..Choice::named(name) }, input, 10).unwrap()
}

/// With an eighth of the channels where there are many: the same ways through the network, and hundreds of them in seconds.
fn narrow(number: usize, seed: u64) -> Graph {
    let graph = network(number, seed);
    if !["vgg-11", "conv-2", "lenet-300-100", "resnet-18"].contains(&NETWORKS[number]) {
        return graph;
    }
    let mut build = Builder::new(graph.input());
    for (id, node) in graph.nodes.iter().enumerate().skip(1) {
        let op = match node.op {
            op if Some(id) == graph.output_layer() => op,
            Op::Conv { out, window, groups, bias } => Op::Conv { out: out / 8, window, groups, bias },
            Op::Linear { out, bias } => Op::Linear { out: out / 8, bias },
            op => op,
        };
        assert_eq!(build.add(&node.name, op, &node.inputs).unwrap(), id);
    }
    build.finish(graph.classes()).unwrap()
}

/// Weights, shifts and statistics that are all different and none of them 0.
fn state(layout: &Layout, seed: u64) -> Snapshot {
    let mut state = initial(layout, NormStart::Uniform, seed, 0);
    let mut numbers = stream(seed, "test state", &[]);
    for parameter in layout.parameters.iter().filter(|parameter| !parameter.role.is_connection()) {
        for value in &mut state.parameters[parameter.range()] {
            *value += numbers.random_range(if parameter.role == Role::NormScale { 0.1..1.0 } else { -0.5..0.5 });
        }
    }
    for buffer in &layout.buffers {
        for value in &mut state.buffers[buffer.range()] {
            *value = if buffer.start == 0.0 { numbers.random_range(-0.5..0.5) } else { numbers.random_range(0.5..2.0) };
        }
    }
    state
}

fn outputs(graph: &Arc<Graph>, layout: &Arc<Layout>, state: &Snapshot, images: &Tensor) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    let mut arena = Arena::new(Arc::clone(layout), state, Device::Cpu).unwrap();
    Forward::new(Arc::clone(graph), layout).run(&mut arena, images, false)
}

/// Some gradients: what they are decides nothing here.
struct SomeGradients(u64, usize);

impl Scorer for SomeGradients {
    fn gradients(&mut self, _: Want, _: &Bits) -> tombola_words::error::Result<Vec<f32>> {
        let mut numbers = stream(self.0, "test gradients", &[]);
        Ok((0..self.1).map(|_| numbers.random_range(-1.0..1.0)).collect())
    }

    fn seconds(&mut self, small: &Compact, wanted: TimePrecision) -> tombola_words::error::Result<(f64, f64)> {
        NoGradients.seconds(small, wanted)
    }
}

fn random(channels: &Channels, seed: u64, share: f64) -> Bits {
    let mut numbers = stream(seed, "test mask", &[]);
    let mut mask =
        Bits::from_bools(&channels.units.iter().map(|_| numbers.random::<f64>() < share).collect::<Vec<_>>());
    for layer in 0..channels.layers.len() {
        let own: Vec<usize> = (0..channels.len()).filter(|unit| channels.units[*unit].layer == layer).collect();
        mask.set(own[numbers.random_range(0..own.len())], true);
    }
    mask
}

/// The largest difference between the outputs of the compact network (with and without channels to fill up) and of the masked
/// one, and that of the dense one.
fn difference(graph: Graph, mask: &Bits, streams: Streams, seed: u64) -> (f64, f64) {
    let layout = Arc::new(Layout::of(&graph));
    let graph = Arc::new(graph);
    let dense = state(&layout, seed);
    let mut masked = dense.clone();
    silence(&mut masked.parameters, mask);
    let compact = Compact::of(&graph, &layout, mask, streams).unwrap();
    let small = compact.gather(&masked);
    let filled =
        |whole_streams| Compact::filled(&graph, &layout, mask, streams, Fill { step: 8, whole_streams }).unwrap();
    let Shape::Image(channels, height, width) = graph.input() else { panic!() };
    let mut numbers = stream(seed, "test images", &[]);
    let pixels: Vec<f32> = (0..3 * channels * height * width).map(|_| numbers.random_range(-2.0..2.0)).collect();
    let images = Tensor::from_slice(&pixels).view([3, channels as i64, height as i64, width as i64]);
    let expected = outputs(&graph, &layout, &masked, &images);
    let found = outputs(&compact.graph, &compact.layout, &small, &images);
    let others =
        [false, true].map(filled).map(|other| outputs(&other.graph, &other.layout, &other.gather(&masked), &images));
    let whole = outputs(&graph, &layout, &dense, &images);
    // Outputs of untrained networks can be large: in parts of the largest of them where that is above 1.
    let scale = f64::try_from(expected.abs().max()).unwrap().max(1.0);
    let distance =
        |other: &Tensor| f64::try_from((other - &expected).abs().max().to_kind(Kind::Double)).unwrap() / scale;
    (others.iter().map(distance).fold(distance(&found), f64::max), distance(&whole))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 220, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pitfalls_19_and_20_a_compact_network_gives_the_outputs_of_the_masked_one(
        number in 0..NETWORKS.len(), seed in any::<u64>(), group in any::<bool>(), share in 0.0f64..1.0,
    ) {
        let graph = narrow(number, seed);
        let layout = Layout::of(&graph);
        let streams = if group { Streams::Group } else { Streams::Whole };
        let channels = Channels::of(&graph, &layout, streams);
        prop_assume!(!channels.is_empty());
        let mask = channels.weight_mask(&random(&channels, seed, share));
        let (found, _) = difference(graph, &mask, streams, seed);
        prop_assert!(found < 1e-4, "{} differs by {found}", NETWORKS[number]);
    }

    #[test]
    fn pitfalls_19_and_20_the_same_for_every_criterion(
        number in 0..NETWORKS.len(), seed in any::<u64>(), group in any::<bool>(), rate in 0.05f64..0.99,
        criterion in proptest::sample::select(vec![
            Criterion::NormScale, Criterion::L1, Criterion::L2, Criterion::GeometricMedian, Criterion::Taylor, Criterion::Random,
        ]),
        layer in any::<bool>(), round in proptest::sample::select(vec![1usize, 1, 8]),
    ) {
        let graph = Arc::new(narrow(number, seed));
        let layout = Arc::new(Layout::of(&graph));
        let streams = if group { Streams::Group } else { Streams::Whole };
        let settings = Settings { pruning_type: PruningType::Structured, ..Settings::default() };
        let scope = if layer { Scope::Layer } else { Scope::Global };
        let pruning = Pruning { criterion, scope, streams, round_channels: round, ..Pruning::of(&settings, rate) };
        let mut gradients = SomeGradients(seed, layout.len);
        let pruner = Pruner::new(&graph, &layout);
        let key = Key { seed, level: 1 };
        // LeNet has no batch norm, a gate no filter: what cannot be judged is refused (`prune/channels/tests.rs`).
        let Ok(ticket) = pruner.draw(&state(&layout, seed), &pruning, key, &mut gradients) else { return Ok(()) };
        let (found, _) = difference((*graph).clone(), &ticket.mask, streams, seed);
        prop_assert!(found < 1e-4, "{} differs by {found}", NETWORKS[number]);
    }
}

#[test]
fn what_is_pruned_matters() {
    // The comparison would not see much if masked and dense networks gave the same.
    for (number, name) in NETWORKS.iter().enumerate() {
        let graph = network(number, 1);
        let channels = Channels::of(&graph, &Layout::of(&graph), Streams::Group);
        let mask = channels.weight_mask(&random(&channels, 1, 0.5));
        let (found, dense) = difference(graph, &mask, Streams::Group, 1);
        assert!(dense > 0.01, "{name}: {dense}");
        assert!(found < 1e-4, "{name} differs by {found}");
    }
}

#[test]
fn a_compact_network_trains_as_the_masked_one() {
    // One step from the same state: weights, statistics and gradients of what is left are the same.
    let graph = Arc::new(network(2, 1));
    let layout = Arc::new(Layout::of(&graph));
    let channels = Channels::of(&graph, &layout, Streams::Whole);
    let mask = channels.weight_mask(&random(&channels, 5, 0.5));
    let mut masked = state(&layout, 5);
    silence(&mut masked.parameters, &mask);
    let compact = Compact::of(&graph, &layout, &mask, Streams::Whole).unwrap();
    let images = Tensor::from_slice(&(0..8 * 3072).map(|at| ((at % 97) as f32 / 48.0) - 1.0).collect::<Vec<_>>());
    let images = images.view([8, 3, 32, 32]);
    let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5, 6, 7]);
    let gradient = |graph: &Arc<Graph>, layout: &Arc<Layout>, state: &Snapshot| {
        let mut arena = Arena::new(Arc::clone(layout), state, Device::Cpu).unwrap();
        let loss =
            Forward::new(Arc::clone(graph), layout).run(&mut arena, &images, true).cross_entropy_for_logits(&labels);
        let gradients = Tensor::run_backward(&[loss], &[&arena.weights], false, false);
        (to_vec(&gradients[0]), to_vec(&arena.buffers))
    };
    let (dense_gradient, dense_buffers) = gradient(&graph, &layout, &masked);
    let (gradient, buffers) = gradient(&compact.graph, &compact.layout, &compact.gather(&masked));
    let close = |own: &[f32], other: &[f32], positions: &[usize]| {
        own.iter().zip(positions).all(|(value, at)| (value - other[*at]).abs() < 1e-4 * other[*at].abs().max(1.0))
    };
    assert!(close(&gradient, &dense_gradient, &compact.positions));
    let positions: Vec<usize> = compact.buffers.iter().map(|(position, _)| *position).collect();
    assert!(close(&buffers, &dense_buffers, &positions));
}
