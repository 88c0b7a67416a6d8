//! Trainings of channel tickets, masks of every epoch, early birds, slimming and forks, on small synthetic data.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::place::{Place, Start, TRAIN, Trained, dense, device, settings, stage};
use tombola_core::mask::{Bits, hamming};
use tombola_core::net::compact::Compact;
use tombola_core::net::{Layout, Role, Snapshot, initial};
use tombola_core::plan::{Pruning, Stage, Track};
use tombola_core::prune::criterion::Key;
use tombola_core::prune::scorer::NoGradients;
use tombola_core::prune::starting_point;
use tombola_core::sweep::Settings;
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::training::evaluate::evaluate;
use tombola_words::value::{
    Budget, Control, Criterion, EarlyBirdRule, Moment, Optimizer as Rule, PruningType, Rewind, Streams,
};

/// Settings for channels of a network with batch norms that start at different scales.
fn channels() -> Settings {
    Settings {
        pruning_type: PruningType::Structured,
        norm_start: tombola_words::value::NormStart::Uniform,
        ..settings()
    }
}

fn ticket(settings: &Settings, rate: f64, rewind: Rewind) -> Stage {
    stage(settings, Some(Pruning { rewind, ..Pruning::of(settings, rate) }))
}

fn first_weights(place: &Place, settings: &Settings) -> Snapshot {
    initial(&place.layout, settings.norm_start, settings.seed, 0)
}

fn end(trained: &Trained) -> &Arc<Snapshot> {
    trained.snapshot(Moment::Last)
}

// ---- Channel tickets -------------------------------------------------------------------------------------------------

#[test]
fn pitfall_19_a_channel_ticket_starts_with_what_its_rewind_says_and_computes_as_the_masked_network() {
    for network in ["resnet", "resnetb", "vgg-11"] {
        let place = if network == "vgg-11" { Place::with_side(network, 32) } else { Place::new(network) };
        let settings = Settings { epochs: 2, network: network.to_string(), ..channels() };
        let before = place.run(&dense(&settings), Start::default()).unwrap();
        for rewind in [Rewind::LearningRate, Rewind::Init, Rewind::Random, Rewind::Epoch(1)] {
            let stage = ticket(&settings, 0.5, rewind);
            let epoch = if rewind == Rewind::Epoch(1) { Some(1) } else { None };
            let start = Start::after(&before, epoch);
            let sources = start.sources.clone();
            let after = place.run(&stage, start).unwrap();
            let drawn = &after.drawn[0];
            // The same mask by hand, the same start, evaluated compact.
            let pruning = stage.pruning.as_ref().unwrap();
            let key = Key { seed: settings.seed, level: 1 };
            let ticket = place.pruner.draw(end(&before), pruning, key, &mut NoGradients).unwrap();
            let mask = Arc::new(ticket.mask);
            let start = starting_point(rewind, &sources, &place.layout, &settings, 1, Arc::clone(&mask)).unwrap();
            let compact = Compact::of(&place.graph, &place.layout, &mask, Streams::Whole).unwrap();
            let mut arena = Arena::new(Arc::clone(&compact.layout), &compact.gather(&start), device()).unwrap();
            let forward = Forward::new(Arc::clone(&compact.graph), &compact.layout);
            let parts = place.parts();
            let own = [&parts.validation, &parts.test].map(|part| evaluate(&forward, &mut arena, part, 100));
            assert_eq!(own[0].correct, drawn.start.validation.correct, "{network} {rewind:?}");
            assert!((own[1].loss - drawn.start.test.loss).abs() < 1e-4 * own[1].loss.max(1.0), "{network} {rewind:?}");
            let counts = drawn.channels.unwrap();
            assert_eq!(counts.alive, counts.prunable - (counts.prunable as f64 * 0.5).round() as usize);
            // What is pruned stays so, in the weights and in the snapshot's own mask.
            for (_, _, snapshot) in &after.snapshots {
                assert_eq!(snapshot.mask.as_ref(), Some(&mask));
                let revived =
                    snapshot.parameters.iter().zip(mask.iter()).filter(|(value, alive)| !alive && **value != 0.0);
                assert_eq!(revived.count(), 0, "{network} {rewind:?}");
            }
        }
    }
}

#[test]
fn a_channel_ticket_is_trained_as_the_masked_network_is() {
    // The same mask as one over weights: masked in the optimiser instead of left out. Statistics of dead channels apart,
    // both trainings are the same up to rounding.
    let place = Place::new("resnetb");
    for optimizer in [Rule::Sgd, Rule::Adam] {
        let settings = Settings { epochs: 2, optimizer, learning_rate: 0.003, ..channels() };
        let before = place.run(&dense(&settings), Start::default()).unwrap();
        let compact = place.run(&ticket(&settings, 0.4, Rewind::LearningRate), Start::after(&before, None)).unwrap();
        let mask = end(&compact).mask.clone().unwrap();
        // Nothing more is pruned at rate 0: the mask is the drawn snapshot's.
        let masked = Settings { pruning_type: PruningType::Unstructured, ..settings.clone() };
        let mut start = Start::after(&before, None);
        let mut drawn = (**end(&before)).clone();
        tombola_core::prune::rewind::silence(&mut drawn.parameters, &mask);
        drawn.mask = Some(mask);
        start.sources.drawn = Some(Arc::new(drawn));
        let masked = place.run(&ticket(&masked, 0.0, Rewind::LearningRate), start).unwrap();
        let (own, other) = (&end(&compact).parameters, &end(&masked).parameters);
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let distance = norm(&mut own.iter().zip(other).map(|(a, b)| a - b)) / norm(&mut own.iter().copied());
        assert!(distance < 1e-3, "{optimizer:?}: {distance}");
    }
}

#[test]
fn a_channel_training_that_is_interrupted_and_resumed_ends_as_if_it_never_was() {
    let place = Place::new("resnetb");
    let settings = Settings { optimizer: Rule::Adam, learning_rate: 0.003, slimming: 1e-3, ..channels() };
    let before = place.run(&dense(&settings), Start::default()).unwrap();
    for rewind in [Rewind::Init, Rewind::Epoch(1)] {
        let stage = ticket(&settings, 0.5, rewind);
        let start = || Start::after(&before, matches!(rewind, Rewind::Epoch(_)).then_some(1));
        let whole = place.run(&stage, start()).unwrap();
        for stop in 1..3 {
            let stopped = place.run_until(&stage, start(), stop).unwrap();
            let mut resume = stopped.progress.last().unwrap().clone();
            // As it comes from a file: the mask over connections only.
            let state = Arc::make_mut(&mut resume.state);
            state.mask = state.mask.as_ref().map(|mask| Arc::new(connections_only(mask, &place.layout)));
            let again = Start { resume: Some(resume), told: stopped, ..start() };
            let resumed = place.run(&stage, again).unwrap();
            assert_eq!(resumed.outcome, whole.outcome, "{rewind:?}, stopped after {stop}");
            assert_eq!(end(&resumed).parameters, end(&whole).parameters);
            assert_eq!(end(&resumed).buffers, end(&whole).buffers);
        }
    }
}

fn connections_only(mask: &Bits, layout: &Layout) -> Bits {
    let mut mask = mask.clone();
    for parameter in layout.parameters.iter().filter(|parameter| !parameter.role.is_connection()) {
        parameter.range().for_each(|position| mask.set(position, true));
    }
    mask
}

#[test]
fn pitfall_13_a_budget_of_multiply_adds_trains_longer_on_the_same_schedule() {
    let place = Place::new("resnet");
    let settings = Settings { budget: Budget::Flops, ..channels() };
    let before = place.run(&dense(&settings), Start::default()).unwrap();
    let same = Settings { budget: Budget::Epochs, ..settings.clone() };
    let scratch_e = place.run(&ticket(&same, 0.5, Rewind::Random), Start::after(&before, None)).unwrap();
    assert_eq!(scratch_e.epochs.len(), before.epochs.len(), "as many epochs as the dense network");
    let scratch_b = place.run(&ticket(&settings, 0.5, Rewind::Random), Start::after(&before, None)).unwrap();
    let (dense, alive) = scratch_b.drawn[0].sizes.unwrap();
    let epochs = (4.0 * dense.macs as f64 / alive.macs as f64).round() as usize;
    assert!(epochs > 4, "the ticket is smaller");
    assert_eq!((scratch_b.epochs.len(), scratch_b.drawn[0].span), (epochs, Some((0, epochs))));
}

// ---- Slimming --------------------------------------------------------------------------------------------------------

#[test]
fn pitfall_25_slimming_pulls_prunable_scales_by_its_strength_and_nothing_else() {
    let place = Place::new("resnet");
    let strength = 0.01;
    let settings = Settings {
        epochs: 1,
        learning_rate: 1.0,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        slimming: strength,
        batch_size: TRAIN,
        ..channels()
    };
    // With an output layer of zeros no gradient reaches anything below it.
    let mut first = first_weights(&place, &settings);
    let output = place.layout.parameters.iter().find(|parameter| parameter.name == "fc.weight").unwrap();
    first.parameters[output.range()].fill(0.0);
    let find = |name: &str| place.layout.parameters.iter().find(|parameter| parameter.name == name).unwrap().range();
    let inner = find("layer1.0.bn1.weight");
    first.parameters[inner.start] = 0.0;
    first.parameters[inner.start + 1] = -0.3;
    let first = Arc::new(first);
    let mut start = Start::default();
    start.sources.drawn = Some(Arc::clone(&first));
    let trained = place.run(&dense(&settings), start).unwrap();
    let after = end(&trained);
    for parameter in place.layout.parameters.iter().filter(|parameter| !parameter.name.starts_with("fc")) {
        // Inner batch norms alone are prunable: that of the stem and the last ones of the blocks write the stream.
        let prunable = parameter.role == Role::NormScale && parameter.name.ends_with(".bn1.weight");
        for position in parameter.range() {
            let (old, new) = (first.parameters[position], after.parameters[position]);
            let sign = if old == 0.0 { 0.0 } else { old.signum() };
            let expected = if prunable { old - strength as f32 * sign } else { old };
            assert_eq!(new, expected, "{} at {}", parameter.name, position - parameter.offset);
        }
    }
}

#[test]
fn slimming_pulls_the_scales_of_streams_where_streams_are_pruned() {
    let place = Place::new("resnet");
    let settings = Settings {
        epochs: 1,
        learning_rate: 1.0,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        slimming: 0.01,
        batch_size: TRAIN,
        ..channels()
    };
    let mut first = first_weights(&place, &settings);
    let output = place.layout.parameters.iter().find(|parameter| parameter.name == "fc.weight").unwrap();
    first.parameters[output.range()].fill(0.0);
    let first = Arc::new(first);
    let pulled = |settings: &Settings| -> Vec<usize> {
        let mut start = Start::default();
        start.sources.drawn = Some(Arc::clone(&first));
        let after = Arc::clone(end(&place.run(&dense(settings), start).unwrap()));
        let body = place.layout.parameters.iter().filter(|parameter| !parameter.name.starts_with("fc"));
        let moved = |position: &usize| first.parameters[*position] != after.parameters[*position];
        body.flat_map(|parameter| parameter.range().filter(moved).collect::<Vec<_>>()).collect()
    };
    let group = Settings { streams: Streams::Group, ..settings.clone() };
    let scales = |streams| place.pruner.channels(streams).scales();
    assert_eq!((pulled(&settings), pulled(&group)), (scales(Streams::Whole), scales(Streams::Group)));
    let all = place.layout.parameters.iter().filter(|parameter| parameter.role == Role::NormScale);
    assert_eq!(scales(Streams::Group), all.flat_map(|parameter| parameter.range()).collect::<Vec<_>>());
    // Weights are pruned: the channels of streams are not what is prunable.
    let weights = Settings { pruning_type: PruningType::Unstructured, ..group };
    assert_eq!(pulled(&weights), scales(Streams::Whole));
}

#[test]
fn slimming_on_a_network_without_batch_norms_is_refused() {
    let place = Place::new("lenet-300-100");
    let settings = Settings { network: "lenet-300-100".to_string(), slimming: 1e-4, ..settings() };
    let error = place.run(&dense(&settings), Start::default()).unwrap_err();
    assert!(error.message.contains("`slimming`") && error.message.contains("lenet-300-100"), "{error}");
}

// ---- Masks of every epoch and early birds ----------------------------------------------------------------------------

/// A dense stage that tracks channels and weights, and draws early birds of the channels.
fn watched(settings: &Settings, rule: EarlyBirdRule, epsilon: f64) -> Stage {
    let mut stage = dense(settings);
    let mut pruning = Pruning::of(settings, 0.3);
    pruning.settling.rule = rule;
    pruning.settling.window = 3;
    pruning.settling.epsilon = epsilon;
    let moment = stage.bird(&pruning);
    for rate in [0.3, 0.7] {
        let unstructured = Settings { pruning_type: PruningType::Unstructured, ..settings.clone() };
        stage.tracks.push(Track::of(&Pruning::of(&unstructured, rate)));
    }
    stage.wanted = BTreeSet::from([moment]);
    stage.to_the_end = false;
    stage
}

#[test]
fn masks_of_every_epoch_are_those_that_a_ticket_would_have() {
    let place = Place::new("resnet");
    let settings = Settings { epochs: 5, ..channels() };
    let mut stage = watched(&settings, EarlyBirdRule::Paper, 0.0);
    stage.wanted.extend((1..=5).map(Moment::Epoch));
    let trained = place.run(&stage, Start::default()).unwrap();
    assert_eq!(trained.masks.len(), 3 * 5);
    for (track, epoch, mask) in &trained.masks {
        let track = stage.tracks.iter().find(|known| known.key == *track).unwrap();
        let snapshot = trained.snapshot(Moment::Epoch(*epoch));
        let key = Key { seed: settings.seed, level: 1 };
        let ticket = place.pruner.draw(snapshot, &track.pruning, key, &mut NoGradients).unwrap();
        assert_eq!(**mask, place.pruner.compared(ticket, &track.pruning), "epoch {epoch}");
    }
}

#[test]
fn pitfall_18_a_training_stops_at_the_early_bird_and_its_ticket_has_the_mask_that_settled() {
    let place = Place::new("resnet");
    let settings = Settings { epochs: 9, ..channels() };
    // Nothing is farther than all bits: each rule draws at the first epoch that it may.
    for (rule, first) in [(EarlyBirdRule::Paper, 4), (EarlyBirdRule::Code, 3)] {
        let stage = watched(&settings, rule, 1.0);
        let trained = place.run(&stage, Start::default()).unwrap();
        assert_eq!((trained.epochs.len(), trained.outcome.as_ref().unwrap().stopped_at), (first, Some(first)));
        let bird = trained.snapshot(stage.birds[0].moment());
        assert_eq!(bird.epoch, first);
        let last = trained.masks.iter().rfind(|(track, ..)| *track == stage.birds[0].track).unwrap();
        let settings = Settings { epochs: 1, ..settings.clone() };
        let mut start = Start::default();
        start.sources.drawn = Some(Arc::clone(bird));
        let after = place.run(&ticket(&settings, 0.3, Rewind::LearningRate), start).unwrap();
        let channels = place.pruner.channels(Streams::Whole);
        assert_eq!(channels.alive(end(&after).mask.as_ref().unwrap()), *last.2);
    }
    // Masks that move never settle at 0, and the training goes to its end.
    let stage = watched(&Settings { learning_rate: 0.5, ..settings.clone() }, EarlyBirdRule::Paper, 0.0);
    let trained = place.run(&stage, Start::default()).unwrap();
    assert_eq!((trained.epochs.len(), trained.outcome.unwrap().stopped_at), (9, None));
}

#[test]
fn an_early_bird_does_not_depend_on_where_its_training_was_interrupted() {
    let place = Place::new("resnet");
    let settings = Settings { epochs: 9, ..channels() };
    // A threshold between the distances that come up, so that the epoch is neither the first nor none.
    let stage = watched(&settings, EarlyBirdRule::Paper, 0.0);
    let whole = place.run(&stage, Start::default()).unwrap();
    let masks: Vec<&Arc<Bits>> =
        whole.masks.iter().filter(|(track, ..)| *track == stage.birds[0].track).map(|(.., mask)| mask).collect();
    let distances: Vec<f64> =
        masks.windows(2).map(|pair| hamming::distance(pair[0], pair[1]) as f64 / pair[0].len() as f64).collect();
    let worst = |end: usize| distances[end - 3..end].iter().copied().fold(0.0, f64::max);
    let smallest = (3..=distances.len()).map(worst).fold(f64::INFINITY, f64::min);
    let stage = watched(&settings, EarlyBirdRule::Paper, smallest + 1e-9);
    let whole = place.run(&stage, Start::default()).unwrap();
    let drawn = whole.snapshot(stage.birds[0].moment()).epoch;
    for stop in 1..whole.epochs.len() {
        let stopped = place.run_until(&stage, Start::default(), stop).unwrap();
        let resume = stopped.progress.last().cloned();
        let resumed = place.run(&stage, Start { resume, told: stopped, ..Start::default() }).unwrap();
        assert_eq!(resumed.fingerprint(), whole.fingerprint(), "drawn at {drawn}, stopped after {stop}");
    }
}

#[test]
fn tracking_masks_changes_nothing_of_the_training() {
    let place = Place::new("resnet");
    let settings = Settings { epochs: 3, ..channels() };
    let mut watched = watched(&settings, EarlyBirdRule::Paper, 0.0);
    watched.to_the_end = true;
    watched.wanted = BTreeSet::from([Moment::Last]);
    let plain = place.run(&dense(&settings), Start::default()).unwrap();
    let tracked = place.run(&watched, Start::default()).unwrap();
    assert_eq!(end(&plain).checksum(), end(&tracked).checksum());
    assert_eq!(plain.epochs, tracked.epochs);
}

// ---- Forks and their barrier -----------------------------------------------------------------------------------------

/// A fork and the ticket that it is measured against, from one dense training.
fn fork(place: &Place, settings: &Settings, sibling: Option<Arc<Snapshot>>) -> (Trained, Trained) {
    let before = place.run(&dense(settings), Start::default()).unwrap();
    let ticket = place.run(&ticket(settings, 0.5, Rewind::Init), Start::after(&before, None)).unwrap();
    let pruning = Pruning { rewind: Rewind::Init, control: Control::Fork, ..Pruning::of(settings, 0.5) };
    let mut start = Start::after(&before, None);
    start.sources.sibling = Some(sibling.unwrap_or_else(|| Arc::clone(end(&ticket))));
    let fork = place.run(&stage(settings, Some(pruning)), start).unwrap();
    (ticket, fork)
}

#[test]
fn pitfall_28_both_ends_of_a_barrier_are_the_networks_themselves() {
    // Without batch norm nothing is taken anew: the ends are exactly what both trainings reported.
    let place = Place::new("lenet-300-100");
    let settings = Settings { network: "lenet-300-100".to_string(), epochs: 2, barrier_points: 5, ..settings() };
    let (ticket, fork) = fork(&place, &settings, None);
    let outcome = fork.outcome.as_ref().unwrap();
    assert_eq!(outcome.barrier.iter().map(|point| point.alpha).collect::<Vec<_>>(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    assert_eq!(outcome.barrier[0].scores, ticket.outcome.as_ref().unwrap().last);
    assert_eq!(outcome.barrier[4].scores, outcome.last);
    assert_ne!(end(&ticket).parameters, end(&fork).parameters, "the data order is another");
}

#[test]
fn pitfall_28_batch_norm_statistics_are_taken_anew_and_identical_networks_have_no_barrier() {
    let place = Place::new("resnetb");
    for pruning_type in [PruningType::Structured, PruningType::Unstructured] {
        let settings = Settings { epochs: 2, barrier_points: 4, pruning_type, ..channels() };
        let own = end(&fork(&place, &settings, None).1).clone();
        // The other network is the same but for statistics that no data gave.
        let mut other = (*own).clone();
        other.buffers.iter_mut().for_each(|value| *value = 100.0);
        let (_, twin) = fork(&place, &settings, Some(Arc::new(other)));
        let barrier = &twin.outcome.as_ref().unwrap().barrier;
        assert!(barrier.windows(2).all(|pair| pair[0].scores == pair[1].scores), "{barrier:?}");
        // Statistics of the training images are close to the running ones, so the ends are close to the network's own.
        let (found, expected) = (barrier[0].scores.test, twin.outcome.as_ref().unwrap().last.test);
        assert!(found.correct.abs_diff(expected.correct) <= expected.images / 5, "{found:?}, {expected:?}");
    }
}

#[test]
fn pitfall_14_the_twins_of_a_channel_ticket_share_its_layer_counts() {
    let place = Place::new("resnetb");
    let settings = Settings { epochs: 1, ..channels() };
    let before = place.run(&dense(&settings), Start::default()).unwrap();
    let channels = place.pruner.channels(Streams::Whole);
    let mask = |control| {
        let pruning = Pruning { rewind: Rewind::Init, control, ..Pruning::of(&settings, 0.5) };
        let trained = place.run(&stage(&settings, Some(pruning)), Start::after(&before, None)).unwrap();
        channels.alive(end(&trained).mask.as_ref().unwrap())
    };
    let counts = |mask: &Bits| {
        let mut counts = vec![0; channels.layers.len()];
        channels
            .units
            .iter()
            .zip(mask.iter())
            .filter(|(_, alive)| *alive)
            .for_each(|(unit, _)| counts[unit.layer] += 1);
        counts
    };
    let [ticket, reinit, random] = [Control::None, Control::Reinit, Control::RandomMask].map(mask);
    assert_eq!(ticket, reinit);
    assert_ne!(ticket, random);
    assert_eq!(counts(&ticket), counts(&random));
}

// ---- Criteria that take gradients ------------------------------------------------------------------------------------

#[test]
fn criteria_before_training_prune_what_they_say_and_move_no_statistics() {
    let place = Place::new("resnet");
    let settings = Settings { epochs: 1, ..settings() };
    for criterion in [Criterion::Snip, Criterion::Grasp, Criterion::SynFlow] {
        let before = Arc::new(first_weights(&place, &settings));
        let checksum = before.checksum();
        let settings = Settings { criterion: Some(criterion), score_images: 300, ..settings.clone() };
        let mut start = Start::default();
        start.sources.drawn = Some(Arc::clone(&before));
        let trained = place.run(&ticket(&settings, 0.9, Rewind::Init), start).unwrap();
        let drawn = &trained.drawn[0];
        assert_eq!(drawn.alive, drawn.prunable - (drawn.prunable as f64 * 0.9).round() as usize, "{criterion:?}");
        assert_eq!(before.checksum(), checksum);
        // Rewound to init, statistics are those before the first batch.
        assert!(trained.drawn[0].start.validation.loss.is_finite());
        if criterion == Criterion::SynFlow {
            assert!(drawn.dead_layers.is_empty(), "synaptic flow never cuts a layer off: {:?}", drawn.dead_layers);
        }
    }
}
