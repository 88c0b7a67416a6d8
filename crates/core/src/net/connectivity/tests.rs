use super::*;
use crate::net::Builder;
use crate::net::Op;
use crate::net::zoo::{self, Choice};
use proptest::prelude::*;
use tombola_words::Shape;
use tombola_words::error::Result;

fn position(layout: &Layout, name: &str, index: &[usize]) -> usize {
    let parameter = layout.parameters.iter().find(|parameter| parameter.name == name).unwrap();
    let mut numbered = vec![0; parameter.len];
    let mut flat = 0;
    for (axis, at) in index.iter().enumerate() {
        flat = flat * parameter.shape[axis] + at;
    }
    numbered[flat] = 1;
    parameter.offset + parameter.from_pytorch(&numbered).iter().position(|v| *v == 1).unwrap()
}

/// Two convolutions of 2 channels and a linear layer over 2x2 pixels.
fn chain() -> (Graph, Layout) {
    let mut build = Builder::new(Shape::Image(1, 2, 2));
    let one = build.conv("one", 0, 2, 3, 1).unwrap();
    let norm = build.batch_norm("norm", one).unwrap();
    let two = build.conv("two", norm, 2, 1, 1).unwrap();
    let flat = build.add("flatten", Op::Flatten, &[two]).unwrap();
    build.linear("fc", flat, 3).unwrap();
    let graph = build.finish(3).unwrap();
    let layout = Layout::of(&graph);
    (graph, layout)
}

fn only(layout: &Layout, kept: &[(&str, &[usize])]) -> Bits {
    let mut mask = Bits::ones(layout.len);
    for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        parameter.range().for_each(|position| mask.set(position, false));
    }
    for (name, index) in kept {
        mask.set(position(layout, name, index), true);
    }
    mask
}

#[test]
fn every_weight_of_a_dense_network_is_effective() {
    for name in zoo::names() {
        let choice = Choice { depth: zoo::least_depth(name), ..Choice::named(name) };
        let graph = zoo::build(&choice, Shape::Image(1, 28, 28), 10).unwrap();
        let layout = Layout::of(&graph);
        let found = effective(&graph, &layout, &Bits::ones(layout.len));
        assert_eq!((found.alive, found.effective), (found.prunable, found.prunable), "{name}");
        assert!(!found.disconnected && found.dead_layers.is_empty());
    }
}

#[test]
fn pitfall_21_a_weight_that_reads_a_dead_channel_or_that_nothing_reads_is_alive_but_not_effective() {
    let (graph, layout) = chain();
    let path: [(&str, &[usize]); 3] =
        [("one.weight", &[1, 0, 2, 0]), ("two.weight", &[0, 1, 0, 0]), ("fc.weight", &[2, 3])];
    let found = effective(&graph, &layout, &only(&layout, &path));
    assert_eq!((found.alive, found.effective, found.prunable), (3, 3, 18 + 4 + 24));
    // Reads channel 0 of `one`, which is constant; feature 4 belongs to channel 1 of `two`, which is constant too.
    let stray: [(&str, &[usize]); 2] = [("two.weight", &[0, 0, 0, 0]), ("fc.weight", &[0, 4])];
    let found = effective(&graph, &layout, &only(&layout, &[&path[..], &stray[..]].concat()));
    assert_eq!((found.alive, found.effective), (5, 3));
    let counts: Vec<_> = found.layers.iter().map(|layer| (&*layer.name, layer.alive, layer.effective)).collect();
    assert_eq!(counts, [("one", 1, 1), ("two", 2, 1), ("fc", 2, 1)]);
}

#[test]
fn a_layer_without_weights_disconnects_a_chain_but_not_a_residual_block() {
    let (graph, layout) = chain();
    let found = effective(&graph, &layout, &only(&layout, &[("one.weight", &[0, 0, 0, 0]), ("fc.weight", &[0, 0])]));
    assert_eq!((found.alive, found.effective), (2, 0));
    assert!(found.disconnected);
    assert_eq!(found.dead_layers, ["two"]);

    let graph = zoo::build(&Choice { depth: 8, ..Choice::named("resnet") }, Shape::Image(3, 8, 8), 10).unwrap();
    let layout = Layout::of(&graph);
    let mut mask = Bits::ones(layout.len);
    let dead = layout.parameters.iter().find(|parameter| parameter.name == "layer2.0.conv1.weight").unwrap();
    dead.range().for_each(|position| mask.set(position, false));
    let found = effective(&graph, &layout, &mask);
    assert!(!found.disconnected);
    assert_eq!(found.dead_layers, ["layer2.0.conv1"]);
    // `layer2.0.conv2` reads constants only. Of the 16 to 32 channels of the padded shortcut the outer ones are then
    // constant, and so is what `layer2`'s end passes on of them.
    let layer = |name: &str| found.layers.iter().find(|layer| layer.name == name).unwrap();
    assert_eq!(layer("layer2.0.conv2").effective, 0);
    assert_eq!(layer("layer3.0.conv1").effective, layer("layer3.0.conv1").alive / 2);
}

#[test]
fn a_dead_batch_norm_scale_cuts_its_channel() {
    let (graph, layout) = chain();
    let mut mask = Bits::ones(layout.len);
    mask.set(position(&layout, "norm.weight", &[0]), false);
    let found = effective(&graph, &layout, &mask);
    assert_eq!((found.alive, found.effective), (found.prunable, 9 + 2 + 24));
}

/// Grows a random network; steps that do not fit are left out.
fn random_graph(input: Shape, steps: &[(u8, usize)], flatten: bool) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = 0;
    for (index, &(kind, out)) in steps.iter().enumerate() {
        let name = format!("n{index}");
        let channels = build.shape(last).channels();
        let next = match kind {
            0 => build.conv(&name, last, out, 3, 1),
            1 => build.conv(&name, last, out, 1, 2),
            2 => build.batch_norm(&name, last),
            3 => build.relu(last),
            4 => build.add(&name, Op::max_pool(2, 2, 0), &[last]),
            5 => build.add(&name, Op::avg_pool(2, 1), &[last]),
            6 => build.conv(&name, last, channels, 3, 1).and_then(|conv| build.add("add", Op::Add, &[conv, last])),
            _ => build.conv(&name, last, channels + out, 3, 2).and_then(|conv| {
                let pad =
                    build.add("pad", Op::PadShortcut { stride: 2, before: out / 2, after: out - out / 2 }, &[last])?;
                build.add("add", Op::Add, &[pad, conv])
            }),
        };
        last = next.unwrap_or(last);
    }
    let end = if flatten { Op::Flatten } else { Op::GlobalAveragePool };
    last = build.add("end", end, &[last])?;
    last = build.linear("hidden", last, 3)?;
    build.linear("out", last, 2)?;
    build.finish(2)
}

/// Counts effective weights by searching a path for each: units are channels (features of vectors), edges single
/// weights in PyTorch's order.
fn by_search(graph: &Graph, layout: &Layout, mask: &Bits) -> (usize, usize) {
    let mut first = vec![0];
    for node in &graph.nodes {
        first.push(first[first.len() - 1] + node.shape.channels());
    }
    let units = first[first.len() - 1];
    let (mut above, mut below) = (vec![Vec::new(); units], vec![Vec::new(); units]);
    let mut weights = Vec::new();
    let bits: Vec<bool> = mask.iter().collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut edges = Vec::new();
        let kept = layout
            .parameters
            .iter()
            .find(|weight| weight.node == id)
            .map(|weight| (weight, weight.to_pytorch(&bits[weight.range()])));
        match (node.op, kept) {
            (Op::Input, _) => {}
            (Op::Conv { out, window, .. }, Some((weight, alive))) => {
                for o in 0..out {
                    for i in 0..weight.shape[1] {
                        for k in 0..window.size() {
                            if alive[(o * weight.shape[1] + i) * window.size() + k] {
                                edges.push((first[node.inputs[0]] + i, first[id] + o));
                            }
                        }
                    }
                }
                weights.extend(edges.iter().copied());
            }
            (Op::Linear { out, .. }, Some((weight, alive))) => {
                for o in 0..out {
                    for i in (0..weight.shape[1]).filter(|i| alive[o * weight.shape[1] + i]) {
                        edges.push((first[node.inputs[0]] + i, first[id] + o));
                    }
                }
                weights.extend(edges.iter().copied());
            }
            (Op::BatchNorm { .. }, Some((_, alive))) => {
                let channels = (0..node.shape.channels()).filter(|c| alive[*c]);
                edges.extend(channels.map(|c| (first[node.inputs[0]] + c, first[id] + c)));
            }
            (Op::Flatten, _) => {
                let input = graph.input_of(id);
                let pixels = input.size() / input.channels();
                edges.extend((0..input.size()).map(|f| (first[node.inputs[0]] + f / pixels, first[id] + f)));
            }
            (Op::PadShortcut { before, .. }, _) => {
                let channels = graph.input_of(id).channels();
                edges.extend((0..channels).map(|c| (first[node.inputs[0]] + c, first[id] + before + c)));
            }
            _ => {
                for &from in &node.inputs {
                    edges.extend((0..node.shape.channels()).map(|c| (first[from] + c, first[id] + c)));
                }
            }
        }
        for (from, to) in edges {
            above[from].push(to);
            below[to].push(from);
        }
    }
    let reaches = |start: usize, next: &[Vec<usize>], goal: std::ops::Range<usize>| {
        let (mut seen, mut open) = (vec![false; units], vec![start]);
        while let Some(unit) = open.pop() {
            if goal.contains(&unit) {
                return true;
            }
            if !std::mem::replace(&mut seen[unit], true) {
                open.extend(&next[unit]);
            }
        }
        false
    };
    let last = graph.nodes.len() - 1;
    let on_path = |(from, to): &&(usize, usize)| {
        reaches(*from, &below, first[0]..first[1]) && reaches(*to, &above, first[last]..first[last + 1])
    };
    (weights.len(), weights.iter().filter(on_path).count())
}

proptest! {
    #[test]
    fn pitfall_21_counts_agree_with_a_search_for_paths(
        channels in 1usize..3,
        side in 1usize..6,
        steps in proptest::collection::vec((0u8..8, 1usize..4), 0..7),
        flatten in any::<bool>(),
        density in 5u64..100,
        seed in any::<u64>(),
    ) {
        let graph = random_graph(Shape::Image(channels, side, side), &steps, flatten).unwrap();
        let layout = Layout::of(&graph);
        let mut state = seed;
        let bits: Vec<bool> = (0..layout.len).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 100 < density
        }).collect();
        let mask = Bits::from_bools(&bits);
        let found = effective(&graph, &layout, &mask);
        prop_assert_eq!((found.alive, found.effective), by_search(&graph, &layout, &mask));
        // Every input channel reaches an output only over weights, since the last two layers have them.
        prop_assert_eq!(found.disconnected, found.effective == 0);
    }
}
