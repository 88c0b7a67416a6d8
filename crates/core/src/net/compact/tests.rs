use super::*;
use crate::net::cost::Cost;
use crate::net::zoo::{Choice, build};
use crate::net::{OptimizerState, Role};
use tombola_words::Shape;

fn zoo(name: &str) -> (Graph, Layout) {
    let graph = build(&Choice { width: 4, ..Choice::named(name) }, Shape::Image(3, 32, 32), 10).unwrap();
    let layout = Layout::of(&graph);
    (graph, layout)
}

/// Every third channel stays.
fn thinned(graph: &Graph, layout: &Layout, streams: Streams) -> Bits {
    let channels = Channels::of(graph, layout, streams);
    let alive: Vec<bool> = (0..channels.len()).map(|unit| unit % 3 == 0).collect();
    channels.weight_mask(&Bits::from_bools(&alive))
}

#[test]
fn nothing_pruned_leaves_the_network_as_it_is() {
    for name in ["resnet", "resnetb", "vgg-16", "resnet-18", "lenet-5"] {
        let (graph, layout) = zoo(name);
        let compact = Compact::of(&graph, &layout, &Bits::ones(layout.len), Streams::Group).unwrap();
        assert_eq!((&*compact.graph, &*compact.layout), (&graph, &layout), "{name}");
        assert_eq!(compact.positions, (0..layout.len).collect::<Vec<_>>());
    }
}

#[test]
fn pitfall_26_the_compact_network_costs_what_the_mask_leaves() {
    for name in ["resnet", "resnetb", "vgg-16", "resnet-18", "resnet-50", "lenet-5", "lenet-300-100", "conv-4"] {
        let (graph, layout) = zoo(name);
        for streams in [Streams::Whole, Streams::Group] {
            let mask = thinned(&graph, &layout, streams);
            let compact = Compact::of(&graph, &layout, &mask, streams).unwrap();
            let (small, masked) = (Cost::of(&compact.graph), Cost::masked(&graph, &layout, &mask));
            assert_eq!((small.parameters, small.macs), (masked.parameters, masked.macs), "{name} {streams:?}");
            assert!(small.activation_bytes < masked.activation_bytes, "{name}");
            // Every weight of the compact network is one that the mask keeps, and each of those is there once.
            assert!(compact.positions.iter().all(|position| mask.get(*position)));
            assert!(compact.positions.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}

#[test]
fn state_goes_there_and_back_with_the_optimisers() {
    let (graph, layout) = zoo("resnetb");
    let mask = thinned(&graph, &layout, Streams::Whole);
    let compact = Compact::of(&graph, &layout, &mask, Streams::Whole).unwrap();
    let numbers = |scale: f32, len: usize| (0..len).map(|at| at as f32 * scale).collect::<Vec<f32>>();
    let mut dense = Snapshot {
        epoch: 7,
        step: 0,
        batches: 70,
        parameters: numbers(0.5, layout.len),
        buffers: numbers(0.25, layout.buffer_len),
        optimizer: Some(OptimizerState { steps: 70, vectors: vec![("momentum".into(), numbers(2.0, layout.len))] }),
        mask: Some(Arc::new(mask.clone())),
    };
    crate::prune::rewind::silence(&mut dense.parameters, &mask);
    if let Some(state) = &mut dense.optimizer {
        crate::prune::rewind::silence(&mut state.vectors[0].1, &mask);
    }
    let small = compact.gather(&dense);
    assert_eq!((small.parameters.len(), small.buffers.len()), (compact.layout.len, compact.layout.buffer_len));
    assert_eq!((small.epoch, small.batches, &small.mask), (7, 70, &None));
    assert_eq!(compact.scatter(&dense, &small), dense);
}

#[test]
fn layers_are_filled_up_with_dead_channels_that_stay_dead() {
    for (name, streams, whole_streams) in [
        ("resnetb", Streams::Whole, false),
        ("resnetb", Streams::Whole, true),
        ("resnetb", Streams::Group, true),
        ("vgg-16", Streams::Whole, false),
    ] {
        let (graph, layout) = zoo(name);
        let mask = thinned(&graph, &layout, streams);
        let exact = Compact::of(&graph, &layout, &mask, streams).unwrap();
        let aligned = Compact::filled(&graph, &layout, &mask, streams, Fill { step: 8, whole_streams }).unwrap();
        let channels = |compact: &Compact| -> Vec<usize> {
            let norms = compact.graph.nodes.iter().filter(|node| node.op.is_batch_norm());
            norms.map(|node| node.shape.channels()).collect()
        };
        let all = Compact::of(&graph, &layout, &Bits::ones(layout.len), streams).unwrap();
        for ((exact, aligned), all) in channels(&exact).into_iter().zip(channels(&aligned)).zip(channels(&all)) {
            let filled = exact.next_multiple_of(8).min(all);
            assert!(aligned == filled || (whole_streams && aligned == all), "{name} {streams:?}: {aligned}");
        }
        let chooses = |compact: &Compact| compact.graph.nodes.iter().any(|node| matches!(node.op, Op::Select { .. }));
        let gated = name == "resnetb" && streams == Streams::Whole;
        assert_eq!((chooses(&exact), chooses(&aligned)), (gated, gated && !whole_streams), "{name} {streams:?}");
        let own = aligned.mask.as_ref().unwrap();
        assert_eq!(own.count(), exact.layout.len, "the same weights are alive");
        assert!(aligned.positions.iter().zip(own.iter()).all(|(position, alive)| mask.get(*position) == alive));
        // Statistics of dead channels come from nowhere: those of the base stay.
        let base = crate::net::initial(&layout, tombola_words::value::NormStart::One, 1, 0);
        let mut small = aligned.gather(&base);
        small.buffers.fill(7.0);
        let back = aligned.scatter(&base, &small);
        let changed = back.buffers.iter().filter(|value| **value == 7.0).count();
        assert_eq!(changed, exact.layout.buffer_len);
    }
}

#[test]
fn a_filter_keeps_its_alive_inputs_in_order() {
    let (graph, layout) = zoo("vgg-16");
    let mask = thinned(&graph, &layout, Streams::Whole);
    let compact = Compact::of(&graph, &layout, &mask, Streams::Whole).unwrap();
    let find = |layout: &Layout, name: &str| layout.parameters.iter().find(|p| p.name == name).unwrap().clone();
    let (large, small) = (find(&layout, "features.3.weight"), find(&compact.layout, "features.3.weight"));
    assert_eq!(small.role, Role::ConvWeight);
    // [out, y, x, in] as stored: units 0, 3, 6 … of the first layer's 64 are its alive inputs.
    let [_, inputs, height, width] = *small.shape else { panic!() };
    for row in 0..small.shape[0] {
        for window in 0..height * width {
            for input in 0..inputs {
                let position = compact.positions[small.offset + (row * height * width + window) * inputs + input];
                let within = position - large.offset;
                assert_eq!((within / large.shape[1] % 9, within % large.shape[1]), (window, 3 * input));
            }
        }
    }
}

#[test]
fn pitfall_21_a_layer_without_channels_is_an_error_and_no_crash() {
    let (graph, layout) = zoo("vgg-11");
    let channels = Channels::of(&graph, &layout, Streams::Whole);
    let mut alive = Bits::ones(channels.len());
    (0..64).for_each(|unit| alive.set(unit, false));
    let error = Compact::of(&graph, &layout, &channels.weight_mask(&alive), Streams::Whole).unwrap_err();
    assert!(error.message.contains("features.0"), "{error}");
}
