use proptest::prelude::*;

use super::*;
use crate::net::zoo::{Choice, build};
use crate::net::{Graph, initial};
use crate::sweep::Settings;
use tombola_words::Shape;
use tombola_words::value::{NormStart, PruningType, Streams};

const KEY: Key = Key { seed: 1, level: 1 };

struct Network {
    layout: Layout,
    channels: Channels,
    values: Vec<f32>,
}

impl Network {
    fn of(name: &str, streams: Streams) -> Self {
        let choice = Choice { width: 4, depth: 11, ..Choice::named(name) };
        let choice = if name == "resnet" { Choice { depth: 14, ..choice } } else { choice };
        let graph: Graph = build(&choice, Shape::Image(3, 32, 32), 10).unwrap();
        let layout = Layout::of(&graph);
        let channels = Channels::of(&graph, &layout, streams);
        let values = initial(&layout, NormStart::Uniform, 1, 0).parameters;
        Self { layout, channels, values }
    }

    fn draw(&self, pruning: &Pruning) -> Draw {
        self.draw_from(&Bits::ones(self.channels.len()), pruning)
    }

    fn draw_from(&self, before: &Bits, pruning: &Pruning) -> Draw {
        // A gradient of 1 everywhere: the Taylor score is the sum of the filter's weights.
        let ones = vec![1.0; self.layout.len];
        draw(&self.layout, &self.channels, (&self.values, Some(&ones)), before, pruning, KEY, None).unwrap()
    }

    fn layer(&self, name: &str) -> Vec<usize> {
        let channels = &self.channels;
        (0..channels.len()).filter(|unit| channels.layers[channels.units[*unit].layer] == name).collect()
    }
}

fn pruning(rate: f64) -> Pruning {
    let settings = Settings { pruning_type: PruningType::Structured, ..Settings::default() };
    Pruning::of(&settings, rate)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pitfall_8_and_21_the_rounded_share_goes_and_no_layer_is_empty(
        rate in 0.0f64..1.0, layer in any::<bool>(), network in 0usize..3, group in any::<bool>(), same in any::<bool>(),
    ) {
        let streams = if group { Streams::Group } else { Streams::Whole };
        let mut network = Network::of(["resnet", "resnetb", "vgg-11"][network], streams);
        if same {
            network.values.fill(0.5);
        }
        let scope = if layer { Scope::Layer } else { Scope::Global };
        let draw = network.draw(&Pruning { scope, ..pruning(rate) });
        let counts = alive_by_layer(&network.channels, &draw.mask);
        prop_assert!(counts.iter().all(|count| *count > 0));
        let all = network.channels.len();
        let wanted = (rate * all as f64).round() as usize;
        if scope == Scope::Global {
            // Passed over, and still as many go, unless nothing but last channels is left.
            prop_assert_eq!(draw.mask.count(), (all - wanted).max(network.channels.layers.len()));
        }
    }
}

#[test]
fn pitfall_21_the_channel_that_stays_is_the_one_with_the_largest_score() {
    let mut network = Network::of("vgg-11", Streams::Whole);
    let first = network.layer("features.0");
    for (place, unit) in first.iter().enumerate() {
        network.values[network.channels.units[*unit].scales[0]] = if place == 5 { -0.002 } else { 0.001 };
    }
    let draw = network.draw(&pruning(0.5));
    let left: Vec<usize> = first.iter().copied().filter(|unit| draw.mask.get(*unit)).collect();
    assert_eq!((left, draw.forced), (vec![first[5]], 1));
    assert_eq!(draw.mask.count(), network.channels.len() / 2);
}

#[test]
fn equal_scores_go_in_the_order_of_their_positions() {
    let mut network = Network::of("vgg-11", Streams::Whole);
    network.values.fill(1.0);
    let draw = network.draw(&Pruning { scope: Scope::Layer, ..pruning(0.25) });
    let first: Vec<bool> = network.layer("features.0").iter().map(|unit| draw.mask.get(*unit)).collect();
    assert_eq!(first, (0..64).map(|place| place >= 16).collect::<Vec<_>>());
}

#[test]
fn filters_are_scored_as_by_plain_loops() {
    let network = Network::of("vgg-11", Streams::Whole);
    let parameter = network.layout.parameters.iter().find(|p| p.name == "features.4.weight").unwrap();
    let length = parameter.fan_in();
    let filter = |row: usize| &network.values[parameter.offset + row * length..][..length];
    let norms = |of: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..parameter.shape[0]).map(of).collect() };
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let cases: [(Criterion, Vec<f64>); 4] = [
        (Criterion::L1, norms(&|row| filter(row).iter().map(|w| f64::from(w.abs())).sum::<f64>() / length as f64)),
        (
            Criterion::L2,
            norms(&|row| (filter(row).iter().map(|w| f64::from(w * w)).sum::<f64>() / length as f64).sqrt()),
        ),
        (Criterion::Taylor, norms(&|row| filter(row).iter().map(|w| f64::from(*w)).sum::<f64>().abs())),
        (
            Criterion::GeometricMedian,
            norms(&|row| (0..parameter.shape[0]).map(|other| distance(filter(row), filter(other))).sum()),
        ),
    ];
    let ones = vec![1.0; network.layout.len];
    for (criterion, expected) in cases {
        let weights = Bits::ones(network.layout.len);
        let (layout, channels) = (&network.layout, &network.channels);
        let values = &network.values;
        let scoring = Scoring { layout, channels, values, gradients: Some(&ones), weights, across: false };
        let scores = scoring.scores(criterion, &Bits::ones(channels.len()), KEY).unwrap();
        for (unit, expected) in network.layer("features.4").into_iter().zip(expected) {
            let score = f64::from(scores[unit].unwrap());
            assert!((score - expected).abs() < 1e-4 * expected.max(1.0), "{criterion:?}: {score}, {expected}");
        }
    }
}

/// How many channels of each layer stay when the geometric median prunes `rate` of all.
fn kept_by_median(network: &Network, rate: f64, scope: Scope) -> Vec<usize> {
    let draw = network.draw(&Pruning { criterion: Criterion::GeometricMedian, scope, ..pruning(rate) });
    alive_by_layer(&network.channels, &draw.mask)
}

#[test]
fn the_geometric_median_prunes_no_layer_for_its_width() {
    let network = Network::of("vgg-11", Streams::Whole);
    let all = alive_by_layer(&network.channels, &Bits::ones(network.channels.len()));
    for (kept, all) in kept_by_median(&network, 0.5, Scope::Global).into_iter().zip(&all) {
        let share = kept as f64 / *all as f64;
        assert!((0.3..=0.7).contains(&share), "{kept} of {all}");
    }
}

#[test]
fn the_geometric_median_is_blind_to_the_scale_of_a_layer() {
    let mut network = Network::of("vgg-11", Streams::Whole);
    let before = kept_by_median(&network, 0.4, Scope::Global);
    // A batch norm behind a convolution undoes this.
    let range = network.layout.parameters.iter().find(|p| p.name == "features.4.weight").unwrap().range();
    network.values[range].iter_mut().for_each(|weight| *weight *= 0.25);
    assert_eq!(kept_by_median(&network, 0.4, Scope::Global), before);
}

#[test]
fn equal_filters_are_the_first_that_the_geometric_median_prunes() {
    let mut network = Network::of("vgg-11", Streams::Whole);
    let range = network.layout.parameters.iter().find(|p| p.name == "features.4.weight").unwrap().range();
    network.values[range].fill(0.1);
    let layer = network.channels.units[network.layer("features.4")[0]].layer;
    assert_eq!(kept_by_median(&network, 0.5, Scope::Global)[layer], 1);
}

#[test]
fn a_stream_channel_has_the_mean_score_of_its_batch_norms() {
    let mut network = Network::of("resnet", Streams::Group);
    let unit = network.layer("conv1")[2];
    let scales = network.channels.units[unit].scales.clone();
    // The stem and the second batch norm of every block of all three stages, joined by zero padding.
    assert_eq!(scales.len(), 1 + 2 + 2 + 2);
    for (place, scale) in scales.iter().enumerate() {
        network.values[*scale] = if place % 2 == 0 { 0.1 } else { -0.3 };
    }
    let (layout, channels) = (&network.layout, &network.channels);
    let weights = Bits::ones(layout.len);
    let scoring = Scoring { layout, channels, values: &network.values, gradients: None, weights, across: true };
    let scores = scoring.scores(Criterion::NormScale, &Bits::ones(channels.len()), KEY).unwrap();
    assert!((scores[unit].unwrap() - (4.0 * 0.1 + 3.0 * 0.3) / 7.0).abs() < 1e-6);
}

#[test]
fn gates_have_no_filter_and_stay_when_filters_are_judged() {
    let network = Network::of("resnetb", Streams::Whole);
    let gates: Vec<usize> =
        (0..network.channels.len()).filter(|unit| network.channels.units[*unit].filters.is_empty()).collect();
    assert!(!gates.is_empty());
    let draw = network.draw(&Pruning { criterion: Criterion::L1, ..pruning(0.7) });
    assert!(gates.iter().all(|unit| draw.mask.get(*unit)));
    let judged = network.channels.len() - gates.len();
    assert_eq!(network.channels.len() - draw.mask.count(), (judged as f64 * 0.7).round() as usize);
}

#[test]
fn counts_are_rounded_up_to_a_multiple_where_there_are_enough() {
    let network = Network::of("vgg-11", Streams::Whole);
    let plain = network.draw(&pruning(0.6));
    let rounded = network.draw(&Pruning { round_channels: 8, ..pruning(0.6) });
    assert!(plain.mask.is_within(&rounded.mask));
    for (before, after) in
        alive_by_layer(&network.channels, &plain.mask).into_iter().zip(alive_by_layer(&network.channels, &rounded.mask))
    {
        assert_eq!(after, before.next_multiple_of(8));
    }
    // What earlier levels left is all there is.
    let few = network.draw_from(&plain.mask, &Pruning { round_channels: 1000, ..pruning(0.5) });
    assert_eq!(few.mask, plain.mask);
}

#[test]
fn later_levels_prune_among_what_is_alive() {
    let network = Network::of("resnetb", Streams::Whole);
    let one = network.draw(&pruning(0.3));
    let two = network.draw_from(&one.mask, &pruning(0.3));
    assert!(two.mask.is_within(&one.mask));
    let alive = one.mask.count();
    assert_eq!(two.mask.count(), alive - (alive as f64 * 0.3).round() as usize);
}

#[test]
fn the_random_twin_keeps_as_many_of_each_layer_and_nothing_else() {
    let network = Network::of("resnetb", Streams::Whole);
    let ticket = network.draw(&pruning(0.5));
    let twin = network.draw(&Pruning { control: Control::RandomMask, ..pruning(0.5) });
    assert_ne!(ticket.mask, twin.mask);
    let counts = |mask| alive_by_layer(&network.channels, mask);
    assert_eq!(counts(&ticket.mask), counts(&twin.mask));
}

#[test]
fn scales_that_are_not_numbers_and_networks_without_channels_are_errors() {
    let mut network = Network::of("vgg-11", Streams::Whole);
    network.values[network.channels.units[3].scales[0]] = f32::NAN;
    let all = Bits::ones(network.channels.len());
    let error =
        draw(&network.layout, &network.channels, (&network.values, None), &all, &pruning(0.5), KEY, None).unwrap_err();
    assert!(error.message.contains("features.0"), "{error}");
    // LeNet has channels, but no batch norm to judge them by.
    let network = Network::of("lenet-5", Streams::Whole);
    let all = Bits::ones(network.channels.len());
    let error =
        draw(&network.layout, &network.channels, (&network.values, None), &all, &pruning(0.5), KEY, None).unwrap_err();
    assert!(error.message.contains("score") && error.hint.unwrap().contains("criterion"));
}
