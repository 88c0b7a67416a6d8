use proptest::prelude::*;
use rand::Rng;

use super::*;
use crate::net::zoo::{Choice, build};
use tombola_words::Shape;
use tombola_words::stream::stream;
use tombola_words::value::ShortcutOption;

const CIFAR: Shape = Shape::Image(3, 32, 32);

fn zoo(name: &str, depth: usize, shortcut: ShortcutOption) -> (Graph, Layout) {
    let choice = Choice { depth, width: 4, shortcut, ..Choice::named(name) };
    let graph = build(&choice, CIFAR, 10).unwrap();
    let layout = Layout::of(&graph);
    (graph, layout)
}

fn units(choice: &Choice, streams: Streams) -> usize {
    let graph = build(choice, CIFAR, 10).unwrap();
    Channels::of(&graph, &Layout::of(&graph), streams).len()
}

/// A mask that keeps about `share` of the channels and at least one of each layer.
fn random(channels: &Channels, seed: u64, share: f64) -> Bits {
    let mut numbers = stream(seed, "test", &[]);
    let mut mask =
        Bits::from_bools(&channels.units.iter().map(|_| numbers.random::<f64>() < share).collect::<Vec<_>>());
    for layer in 0..channels.layers.len() {
        let own: Vec<usize> = (0..channels.len()).filter(|unit| channels.units[*unit].layer == layer).collect();
        mask.set(own[numbers.random_range(0..own.len())], true);
    }
    mask
}

#[test]
fn channels_of_known_networks_are_counted_as_the_literature_does() {
    assert_eq!(units(&Choice::named("resnetb"), Streams::Whole), 1_360);
    // The first convolution of each of 9 blocks, 16, 32 and 64 channels.
    assert_eq!(units(&Choice::named("resnet"), Streams::Whole), 3 * (16 + 32 + 64));
    assert_eq!(units(&Choice::named("vgg-16"), Streams::Whole), 4_224);
    assert_eq!(units(&Choice::named("vgg-16"), Streams::Group), 4_224);
    assert_eq!(units(&Choice::named("lenet-300-100"), Streams::Whole), 400);
    // One stream of 64 channels holds those of 32 and 16 within it: zero padding joins them.
    assert_eq!(units(&Choice::named("resnet"), Streams::Group), 336 + 64);
    // With convolutions as shortcuts each stage has a stream of its own.
    let b = Choice { shortcut: ShortcutOption::B, ..Choice::named("resnet") };
    assert_eq!(units(&b, Streams::Group), 336 + 16 + 32 + 64);
    assert_eq!(units(&Choice::named("resnet-18"), Streams::Whole), 2 * (64 + 128 + 256 + 512));
    // Both inner convolutions of each bottleneck, and the stem, which only the first block reads.
    assert_eq!(units(&Choice::named("resnet-50"), Streams::Whole), 64 + 2 * (3 * 64 + 4 * 128 + 6 * 256 + 3 * 512));
}

#[test]
fn pitfall_22_what_an_addition_joins_has_one_index_set_everywhere() {
    for (name, depth, shortcut) in [
        ("resnet", 14, ShortcutOption::A),
        ("resnet", 14, ShortcutOption::B),
        ("resnetb", 20, ShortcutOption::A),
        ("resnet-18", 0, ShortcutOption::A),
        ("resnet-50", 0, ShortcutOption::A),
    ] {
        let (graph, layout) = zoo(name, depth, shortcut);
        for streams in [Streams::Whole, Streams::Group] {
            let channels = Channels::of(&graph, &layout, streams);
            let mask = random(&channels, 3, 0.5);
            for (id, node) in graph.nodes.iter().enumerate().filter(|(_, node)| node.op == Op::Add) {
                let own = channels.of_axes(id, &mask)[1].clone();
                for input in &node.inputs {
                    assert_eq!(channels.of_axes(*input, &mask)[1], own, "{name} {streams:?} {}", node.name);
                }
                assert_eq!(streams == Streams::Whole, own.iter().all(|alive| *alive), "{name} {streams:?}");
            }
        }
    }
}

#[test]
fn what_a_shortcut_reads_past_a_batch_norm_stays() {
    let (graph, layout) = zoo("resnetb", 11, ShortcutOption::A);
    let channels = Channels::of(&graph, &layout, Streams::Whole);
    // The stem is read by the first batch norm and by the first shortcut: the batch norm alone leaves channels out.
    assert!(!channels.layers.iter().any(|layer| layer == "conv1"));
    assert!(channels.layers.iter().any(|layer| layer == "layer1.0.bn1"));
    assert!(Channels::of(&graph, &layout, Streams::Group).layers.iter().any(|layer| layer == "conv1"));
}

#[test]
fn a_gate_cuts_what_reads_the_batch_norm_but_not_the_stream() {
    let (graph, layout) = zoo("resnetb", 11, ShortcutOption::A);
    let channels = Channels::of(&graph, &layout, Streams::Whole);
    let gate = channels.units.iter().position(|unit| channels.layers[unit.layer] == "layer2.0.bn1").unwrap();
    assert!(channels.units[gate].filters.is_empty());
    let mut mask = Bits::ones(channels.len());
    mask.set(gate, false);
    let weights = channels.weight_mask(&mask);
    let dead = |name: &str| {
        let parameter = layout.parameters.iter().find(|parameter| parameter.name == name).unwrap();
        parameter.len - weights.count_in(parameter.range())
    };
    assert_eq!((dead("layer2.0.bn1.weight"), dead("layer2.0.bn1.bias"), dead("layer2.0.conv1.weight")), (1, 1, 8));
    assert_eq!(layout.len - weights.count(), 10, "shortcut and stream are untouched");
}

#[test]
fn pitfall_20_of_a_dead_channel_nothing_is_left() {
    let (graph, layout) = zoo("vgg-11", 0, ShortcutOption::A);
    let channels = Channels::of(&graph, &layout, Streams::Whole);
    let mut mask = Bits::ones(channels.len());
    let dead = channels.units.iter().position(|unit| channels.layers[unit.layer] == "features.4").unwrap() + 7;
    mask.set(dead, false);
    let weights = channels.weight_mask(&mask);
    let counts: Vec<(&str, usize)> = layout
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), parameter.len - weights.count_in(parameter.range())))
        .filter(|(_, dead)| *dead > 0)
        .collect();
    // Filter, scale, shift, and what the next layer reads of it.
    assert_eq!(
        counts,
        [
            ("features.4.weight", 64 * 9),
            ("features.5.weight", 1),
            ("features.5.bias", 1),
            ("features.8.weight", 256 * 9)
        ]
    );
}

#[test]
fn features_of_a_flattened_channel_go_together() {
    let (graph, layout) = zoo("lenet-5", 0, ShortcutOption::A);
    let channels = Channels::of(&graph, &layout, Streams::Whole);
    let last = channels.units.iter().rposition(|unit| layout.parameters[unit.filters[0].0].role == Role::ConvWeight);
    let mut mask = Bits::ones(channels.len());
    mask.set(last.unwrap(), false);
    let weights = channels.weight_mask(&mask);
    let first_linear = layout.parameters.iter().find(|parameter| parameter.role == Role::LinearWeight).unwrap();
    let [out, inputs] = *first_linear.shape else { panic!() };
    let pixels = inputs / 16;
    assert_eq!(first_linear.len - weights.count_in(first_linear.range()), out * pixels);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn channels_are_found_again_in_the_mask_over_connections(
        network in 0usize..7, group in any::<bool>(), seed in any::<u64>(), share in 0.0f64..1.0,
    ) {
        let name = ["resnet", "resnet", "resnetb", "vgg-11", "lenet-5", "conv-4", "lenet-300-100"][network];
        let depth = if name == "resnetb" { 11 } else { 8 };
        let shortcut = if network == 0 { ShortcutOption::A } else { ShortcutOption::B };
        let (graph, layout) = zoo(name, depth, shortcut);
        let streams = if group { Streams::Group } else { Streams::Whole };
        let channels = Channels::of(&graph, &layout, streams);
        let mask = random(&channels, seed, share);
        let mut weights = channels.weight_mask(&mask);
        prop_assert_eq!(&channels.alive(&weights), &mask);
        // As a file gives it back, with connections only.
        for parameter in layout.parameters.iter().filter(|parameter| !parameter.role.is_connection()) {
            parameter.range().for_each(|position| weights.set(position, true));
        }
        prop_assert_eq!(channels.alive(&weights), mask);
    }
}
