//! What training may never get wrong: the pitfalls of docs/pitfalls.md that need a real training, on small synthetic data.
//!
//! One thread, so that every comparison can be exact. `TOMBOLA_TEST_DEVICE=cuda` trains on a GPU instead.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::place::{Place, Start, TRAIN, Trained, dense, device, pruned, settings};
use tch::Tensor;
use tombola_core::mask::Bits;
use tombola_core::net::{Layout, Role, Snapshot, initial};
use tombola_core::prune::{Sources, starting_point};
use tombola_core::sweep::Settings;
use tombola_train::batches::Parts;
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::training::evaluate::{Tally, evaluate};
use tombola_train::training::optimizer::{Optimizer, Rate, mask_tensor};
use tombola_train::training::step;
use tombola_words::error::{Error, Kind};
use tombola_words::record::{ClassCount, EpochRecord, Evaluation, Outcome};
use tombola_words::value::{
    Augment, Control, Criterion, Moment, Optimizer as Rule, Point, Precision, Rewind, Schedule, ScheduleBy, Select,
};

/// Every optimiser in every form, with strong weight decay.
fn rules() -> Vec<Settings> {
    let base = || Settings { weight_decay: 0.1, learning_rate: 0.005, ..settings() };
    let forms = [(Rule::Sgd, 0.0, false), (Rule::Sgd, 0.9, false), (Rule::Sgd, 0.9, true)];
    let sgd = forms.map(|(optimizer, momentum, nesterov)| Settings { optimizer, momentum, nesterov, ..base() });
    let others = [Rule::Adam, Rule::AdamW, Rule::Adadelta, Rule::RmsProp];
    sgd.into_iter().chain(others.map(|optimizer| Settings { optimizer, ..base() })).collect()
}

/// A network in the middle of a training, batch by batch.
struct Steps {
    forward: Forward,
    arena: Arena,
    optimizer: Optimizer,
    parts: Parts,
    rate: f64,
    taken: usize,
}

impl Steps {
    fn new(place: &Place, settings: &Settings, start: &Snapshot) -> Self {
        let mask = start.mask.as_ref().map(|mask| mask_tensor(mask, device()));
        let mut optimizer = Optimizer::new(settings, place.layout.len, mask, device());
        if let Some(state) = &start.optimizer {
            optimizer.restore(state).unwrap();
        }
        Self {
            forward: Forward::new(Arc::clone(&place.graph), &place.layout),
            arena: Arena::new(Arc::clone(&place.layout), start, device()).unwrap(),
            optimizer,
            parts: place.parts(),
            rate: settings.learning_rate,
            taken: 0,
        }
    }

    fn step(&mut self) {
        let first = self.taken * 20 % (TRAIN - 20);
        let (images, labels) = self.parts.train.range(first..first + 20);
        let mut tally = Tally::new(device());
        step(
            &self.forward,
            &mut self.arena,
            &mut self.optimizer,
            &images,
            &labels,
            Rate::Number(self.rate),
            None,
            &mut tally,
        );
        self.taken += 1;
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { optimizer: Some(self.optimizer.state()), ..self.arena.snapshot(0) }
    }
}

fn first_weights(place: &Place, settings: &Settings) -> Snapshot {
    initial(&place.layout, settings.norm_start, settings.seed, 0)
}

/// A mask that prunes every second connection.
fn half(layout: &Layout) -> Arc<Bits> {
    let mut mask = Bits::ones(layout.len);
    for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        parameter.range().step_by(2).for_each(|position| mask.set(position, false));
    }
    Arc::new(mask)
}

// ---- Snapshots and masks ---------------------------------------------------------------------------------------------

#[test]
fn pitfall_1_a_snapshot_stays_as_it_was_while_training_goes_on() {
    let place = Place::new("resnet");
    let trained = place.run(&dense(&settings()), Start::default()).unwrap();
    assert_eq!(trained.snapshots.len(), 5 + 4 + 2);
    for (moment, checksum, snapshot) in &trained.snapshots {
        assert_eq!(&snapshot.checksum(), checksum, "{moment}");
    }
    let states: BTreeSet<String> = (0..=4).map(|epoch| trained.snapshot(Moment::Epoch(epoch)).checksum()).collect();
    assert_eq!(states.len(), 5, "training changed nothing");
    assert_eq!(trained.snapshot(Moment::Epoch(4)).parameters, trained.snapshot(Moment::Last).parameters);
}

#[test]
fn pitfall_1_restoring_a_snapshot_gives_back_every_bit_of_the_state() {
    let place = Place::new("resnet");
    let mut steps = Steps::new(&place, &settings(), &first_weights(&place, &settings()));
    (0..3).for_each(|_| steps.step());
    let kept = steps.snapshot();
    let checksum = kept.checksum();
    (0..10).for_each(|_| steps.step());
    assert_ne!(steps.snapshot().checksum(), checksum);
    assert_eq!(kept.checksum(), checksum);
    steps.arena.restore(&kept);
    steps.optimizer.restore(kept.optimizer.as_ref().unwrap()).unwrap();
    assert_eq!(steps.snapshot().checksum(), checksum);
}

#[test]
fn pitfalls_2_and_3_nothing_revives_a_pruned_weight_in_any_step_of_any_optimizer() {
    let place = Place::new("resnet");
    let mask = half(&place.layout);
    let alive: Vec<bool> = mask.iter().collect();
    for settings in rules() {
        let name = format!("{:?}, momentum {}", settings.optimizer, settings.momentum);
        // Momentum and moments of a dense training are kept, as a rewind to its middle does.
        let mut before = Steps::new(&place, &settings, &first_weights(&place, &settings));
        (0..5).for_each(|_| before.step());
        let sources = Sources { rewound: Some(Arc::new(before.snapshot())), ..Sources::default() };
        let start = starting_point(Rewind::Epoch(1), &sources, &place.layout, &settings, 1, Arc::clone(&mask)).unwrap();
        let mut steps = Steps::new(&place, &settings, &start);
        for taken in 1..=25 {
            steps.step();
            let state = steps.snapshot();
            let vectors = state.optimizer.iter().flat_map(|state| &state.vectors);
            let vectors = vectors.map(|(name, values)| (name.as_str(), values)).chain([("weights", &state.parameters)]);
            for (vector, values) in vectors {
                let revived = values.iter().zip(&alive).filter(|(value, alive)| !**alive && **value != 0.0).count();
                assert_eq!(revived, 0, "{name}: {vector} after step {taken}");
                assert!(values.iter().all(|value| value.is_finite()), "{name}: {vector} after step {taken}");
            }
        }
        let moved = steps.snapshot().parameters.iter().zip(&start.parameters).filter(|(a, b)| a != b).count();
        assert!(moved * 10 > mask.count() * 9, "{name}: only {moved} weights moved");
    }
}

#[test]
fn pitfalls_2_and_3_a_whole_pruned_training_keeps_its_mask_in_every_snapshot() {
    let place = Place::new("resnet");
    for optimizer in [Rule::Sgd, Rule::AdamW] {
        let settings = Settings { optimizer, weight_decay: 0.1, learning_rate: 0.01, ..settings() };
        let first = place.run(&dense(&settings), Start::default()).unwrap();
        let stage = pruned(&settings, 0.7, Rewind::Epoch(1));
        let trained = place.run(&stage, Start::after(&first, Some(1))).unwrap();
        let drawn = &trained.drawn[0];
        assert_eq!(drawn.alive, drawn.prunable - (0.7 * drawn.prunable as f64).round() as usize);
        for (moment, _, snapshot) in &trained.snapshots {
            let mask = snapshot.mask.as_ref().unwrap();
            assert_eq!(place.layout.len - mask.count(), drawn.prunable - drawn.alive);
            let optimizer = snapshot.optimizer.iter().flat_map(|state| &state.vectors).map(|(_, values)| values);
            for values in optimizer.chain([&snapshot.parameters]) {
                assert!(values.iter().zip(mask.iter()).all(|(value, alive)| alive || *value == 0.0), "{moment}");
            }
        }
    }
}

#[test]
fn pitfall_4_an_alive_weight_that_is_zero_or_negative_keeps_training() {
    let place = Place::new("resnet");
    let output = place.layout.parameters.iter().rfind(|parameter| parameter.role == Role::LinearWeight).unwrap();
    for settings in rules() {
        let mut start = Snapshot { mask: Some(half(&place.layout)), ..first_weights(&place, &settings) };
        let mask = Arc::clone(start.mask.as_ref().unwrap());
        for position in output.range() {
            start.parameters[position] = match (mask.get(position), (position - output.offset) % 4) {
                (true, 1) => -0.01,
                _ => 0.0,
            };
        }
        let mut steps = Steps::new(&place, &settings, &start);
        (0..5).for_each(|_| steps.step());
        let after = steps.snapshot().parameters;
        let alive = output.range().filter(|position| mask.get(*position));
        let (zero, negative): (Vec<usize>, Vec<usize>) = alive.partition(|position| start.parameters[*position] == 0.0);
        assert!(zero.len() > 30 && negative.len() > 30);
        for position in zero.into_iter().chain(negative) {
            assert_ne!(after[position], start.parameters[position], "{:?}: weight {position}", settings.optimizer);
        }
    }
}

// ---- Rewinding -------------------------------------------------------------------------------------------------------

#[test]
fn pitfalls_5_and_7_rewinding_an_unpruned_network_repeats_the_dense_training_to_the_bit() {
    let place = Place::new("resnet");
    let plateau = Settings { schedule: Schedule::Plateau, patience: 0, gamma: 0.5, learning_rate: 0.3, ..settings() };
    let variants = [
        Settings { schedule: Schedule::Cosine, ..settings() },
        Settings { optimizer: Rule::Adam, learning_rate: 0.003, ..settings() },
        Settings { optimizer: Rule::RmsProp, learning_rate: 0.001, ..settings() },
        Settings {
            schedule: Schedule::Cyclic,
            cycle_epochs: Point::epoch(3),
            warmup_epochs: Point::epoch(2),
            ..settings()
        },
        Settings { epochs: 8, ..plateau },
    ];
    for settings in variants {
        let name = format!("{:?}, {:?}", settings.optimizer, settings.schedule);
        let dense = place.run(&dense(&settings), Start::default()).unwrap();
        let end = settings.epochs;
        if settings.schedule == Schedule::Plateau {
            let rates: Vec<f64> = dense.epochs.iter().map(|epoch| epoch.learning_rate).collect();
            assert!(
                rates[2] < rates[0] && rates[end - 1] < rates[2],
                "the plateau must drop before and after: {rates:?}"
            );
        }
        for epoch in 1..end {
            let stage = pruned(&settings, 0.0, Rewind::Epoch(epoch));
            let again = place.run(&stage, Start::after(&dense, Some(epoch))).unwrap();
            assert_eq!(again.epochs, dense.epochs[epoch..], "{name}, from epoch {epoch}");
            let state = |trained: &Trained| {
                Snapshot { mask: None, ..(**trained.snapshot(Moment::Epoch(end))).clone() }.checksum()
            };
            assert_eq!(state(&again), state(&dense), "{name}, from epoch {epoch}");
            // What it starts from does exactly what the dense network did then.
            assert_eq!(again.drawn[0].start.validation, dense.epochs[epoch - 1].validation, "{name}");
            assert_eq!(again.outcome.unwrap().last, dense.outcome.clone().unwrap().last, "{name}");
        }
    }
}

/// A training on the data of `Place`, which settings that count steps have to know.
fn counted() -> Settings {
    let (dataset, synthetic_size, validation_size) = ("synthetic".to_string(), TRAIN + 60, Some(60));
    Settings { dataset, synthetic_size, validation_size, ..settings() }
}

/// A dense stage that takes snapshots at steps too.
fn dense_at(settings: &Settings, steps: &[usize]) -> tombola_core::plan::Stage {
    let mut stage = dense(settings);
    let moments = steps.iter().map(|step| Moment::At(Point::iteration(*step)));
    stage.wanted.extend(moments.filter(|moment| stage.passes(*moment)).collect::<Vec<_>>());
    stage
}

#[test]
fn pitfalls_5_and_7_rewinding_an_unpruned_network_to_any_step_repeats_the_dense_training_to_the_bit() {
    // Five steps an epoch, the last of 44 images.
    let steps = [1, 3, 6, 9, 14];
    let plateau = Settings { schedule: Schedule::Plateau, patience: 0, gamma: 0.5, learning_rate: 0.3, ..counted() };
    let variants = [
        ("resnet", Settings { schedule: Schedule::Cosine, schedule_by: ScheduleBy::Iteration, ..counted() }),
        (
            "resnet",
            Settings { optimizer: Rule::Adam, learning_rate: 0.003, warmup_epochs: Point::iteration(7), ..counted() },
        ),
        ("resnet", Settings { milestones: vec![Point::iteration(8)], schedule: Schedule::Manual, ..counted() }),
        ("resnet", Settings { epochs: 5, ..plateau }),
        ("resnet", Settings { slimming: 1e-3, ..counted() }),
        ("alexnet", Settings { network: "alexnet".to_string(), learning_rate: 0.005, epochs: 2, ..counted() }),
    ];
    for (network, settings) in variants {
        let name = format!("{network}, {:?}, {:?}", settings.optimizer, settings.schedule);
        let place = if network == "alexnet" { Place::with_side(network, 32) } else { Place::new(network) };
        let whole = place.run(&dense(&settings), Start::default()).unwrap();
        let dense = place.run(&dense_at(&settings, &steps), Start::default()).unwrap();
        // Taking snapshots changes nothing.
        assert_eq!((&dense.epochs, &dense.outcome), (&whole.epochs, &whole.outcome), "{name}");
        for step in steps.into_iter().filter(|step| step / 5 < settings.epochs) {
            let point = Point::iteration(step);
            let stage = pruned(&settings, 0.0, Rewind::At(point));
            let (first, behind) = (step / 5, step % 5);
            assert_eq!(stage.epochs(), first..settings.epochs, "{name}");
            let source = dense.snapshot(Moment::At(point));
            assert_eq!((source.epoch, source.step, source.batches), (first, behind, step as u64), "{name}");
            let again = place.run(&stage, Start::back_to(&dense, Some(Moment::At(point)))).unwrap();
            // Its first epoch is what was left of it.
            let left = TRAIN as u64 - 64 * behind as u64;
            assert_eq!(
                (again.epochs[0].epoch, again.epochs[0].train.images),
                (first + 1, left),
                "{name}, from step {step}"
            );
            let same = |epoch: &EpochRecord| EpochRecord { train: Evaluation::default(), ..epoch.clone() };
            assert_eq!(same(&again.epochs[0]), same(&dense.epochs[first]), "{name}, from step {step}");
            assert_eq!(again.epochs[1..], dense.epochs[first + 1..], "{name}, from step {step}");
            let state = |trained: &Trained| {
                Snapshot { mask: None, ..(**trained.snapshot(Moment::Epoch(settings.epochs))).clone() }.checksum()
            };
            assert_eq!(state(&again), state(&dense), "{name}, from step {step}");
        }
    }
}

#[test]
fn a_ticket_that_goes_back_within_an_epoch_keeps_its_mask_and_is_resumed_to_the_bit() {
    let place = Place::new("resnet");
    let settings = counted();
    let at = Moment::At(Point::iteration(7));
    let first = place.run(&dense_at(&settings, &[7]), Start::default()).unwrap();
    for (control, channels) in [(Control::None, false), (Control::RandomMask, false), (Control::None, true)] {
        let mut stage = pruned(&settings, 0.6, Rewind::At(Point::iteration(7)));
        let pruning = stage.pruning.as_mut().unwrap();
        (pruning.control, pruning.channels) = (control, channels);
        if channels {
            pruning.criterion = Criterion::L1;
        }
        stage.wanted.insert(Moment::At(Point::iteration(13)));
        let start = || Start::back_to(&first, Some(at));
        let whole = place.run(&stage, start()).unwrap();
        let numbers: Vec<usize> = whole.epochs.iter().map(|epoch| epoch.epoch).collect();
        assert_eq!(numbers, [2, 3, 4]);
        let within = whole.snapshot(Moment::At(Point::iteration(13)));
        assert_eq!((within.epoch, within.step, within.batches), (2, 3, 13));
        for (moment, _, snapshot) in &whole.snapshots {
            let mask = snapshot.mask.as_ref().unwrap();
            let vectors = snapshot.optimizer.iter().flat_map(|state| &state.vectors).map(|(_, values)| values);
            for values in vectors.chain([&snapshot.parameters]) {
                assert!(values.iter().zip(mask.iter()).all(|(value, alive)| alive || *value == 0.0), "{moment}");
            }
        }
        for stop in 1..3 {
            let told = place.run_until(&stage, start(), stop).unwrap();
            let resume = told.progress.last().cloned();
            let resumed = place.run(&stage, Start { resume, told, ..start() }).unwrap();
            assert_eq!(resumed.fingerprint(), whole.fingerprint(), "{control:?}, stopped after {stop} epochs");
        }
    }
}

#[test]
fn a_fork_within_an_epoch_takes_the_other_images_from_there_on() {
    let place = Place::new("resnet");
    let settings = counted();
    let first = place.run(&dense_at(&settings, &[7]), Start::default()).unwrap();
    let stage = pruned(&settings, 0.5, Rewind::At(Point::iteration(7)));
    let mut forked = stage.clone();
    forked.pruning.as_mut().unwrap().control = Control::Fork;
    let start = || Start::back_to(&first, Some(Moment::At(Point::iteration(7))));
    let ticket = place.run(&stage, start()).unwrap();
    let mut beginning = start();
    beginning.sources.sibling = Some(Arc::clone(ticket.snapshot(Moment::Last)));
    let fork = place.run(&forked, beginning).unwrap();
    assert_eq!(fork.drawn[0].start, ticket.drawn[0].start);
    assert_ne!(fork.snapshot(Moment::Last).checksum(), ticket.snapshot(Moment::Last).checksum());
    assert_eq!(fork.outcome.unwrap().barrier.len(), 11);
}

#[test]
fn a_snapshot_of_another_step_than_the_plan_names_is_refused() {
    let place = Place::new("resnet");
    let settings = counted();
    let first = place.run(&dense_at(&settings, &[7]), Start::default()).unwrap();
    let stage = pruned(&settings, 0.5, Rewind::At(Point::iteration(6)));
    let error = place.run(&stage, Start::back_to(&first, Some(Moment::At(Point::iteration(7))))).unwrap_err();
    assert!(error.message.contains("step 7 of the training, expected step 6 (5 in an epoch)"), "{error}");
}

#[test]
fn pitfall_15_every_rewind_starts_from_the_weights_and_the_learning_rate_that_it_names() {
    let place = Place::new("resnet");
    let schedule = |learning_rate| Settings {
        schedule: Schedule::Manual,
        milestones: [1, 3].map(Point::epoch).to_vec(),
        learning_rate,
        weight_decay: 0.0,
        ..settings()
    };
    let dense = place.run(&dense(&schedule(0.05)), Start::default()).unwrap();
    // With next to no learning rate a training ends where it starts.
    let settings = schedule(1e-12);
    let (layout, norms, seed) = (&place.layout, settings.norm_start, settings.seed);
    let last = || (**dense.snapshot(Moment::Last)).clone();
    let cases = [
        (Rewind::None, last(), 0, vec![1e-14; 2]),
        (Rewind::LearningRate, last(), 0, vec![1e-12, 1e-13, 1e-13, 1e-14]),
        (Rewind::Init, initial(layout, norms, seed, 0), 0, vec![1e-12, 1e-13, 1e-13, 1e-14]),
        (Rewind::Random, initial(layout, norms, seed, 1), 0, vec![1e-12, 1e-13, 1e-13, 1e-14]),
        (Rewind::Epoch(2), (**dense.snapshot(Moment::Epoch(2))).clone(), 2, vec![1e-13, 1e-14]),
    ];
    for (rewind, source, first, rates) in cases {
        let stage = pruned(&settings, 0.4, rewind);
        let trained = place.run(&stage, Start::back_to(&dense, stage.goes_back_to())).unwrap();
        let found: Vec<(usize, f64)> = trained.epochs.iter().map(|epoch| (epoch.epoch, epoch.learning_rate)).collect();
        assert_eq!(found.len(), rates.len(), "{rewind:?}");
        for (number, ((epoch, rate), expected)) in found.into_iter().zip(rates).enumerate() {
            assert_eq!(epoch, first + number + 1, "{rewind:?}");
            assert!((rate / expected - 1.0).abs() < 1e-9, "{rewind:?}: epoch {epoch} at {rate}");
        }
        let end = trained.snapshot(Moment::Last);
        for (position, alive) in end.mask.as_ref().unwrap().iter().enumerate() {
            let expected = if alive { source.parameters[position] } else { 0.0 };
            assert!((end.parameters[position] - expected).abs() < 1e-8, "{rewind:?}: weight {position}");
        }
        // The mask is that of the drawn weights, whatever they are rewound to.
        let smallest_kept = |snapshot: &Snapshot, kept: bool| {
            let connections = layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
            let mask = end.mask.as_ref().unwrap();
            let positions = connections.flat_map(|parameter| parameter.range()).filter(|p| mask.get(*p) == kept);
            positions.map(|position| snapshot.parameters[position].abs()).collect::<Vec<f32>>()
        };
        let kept = smallest_kept(&last(), true).into_iter().fold(f32::INFINITY, f32::min);
        let gone = smallest_kept(&last(), false).into_iter().fold(0.0, f32::max);
        assert!(gone <= kept, "{rewind:?}: {gone} was pruned, {kept} kept");
        // Statistics go on from those of the same moment.
        assert_eq!(end.batches, source.batches + 5 * trained.epochs.len() as u64, "{rewind:?}");
    }
}

// ---- Repeatable ------------------------------------------------------------------------------------------------------

#[test]
fn pitfall_16_the_same_seeds_repeat_a_training_and_each_seed_changes_it() {
    let place = Place::new("resnet");
    let train = |settings: Settings| place.run(&dense(&settings), Start::default()).unwrap().fingerprint();
    let base = Settings { epochs: 2, ..settings() };
    let first = train(base.clone());
    assert_eq!(train(base.clone()), first);
    let same = Settings { init_seed: Some(1), order_seed: Some(1), augment_seed: Some(1), ..base.clone() };
    assert_eq!(train(Settings { seed: 9, ..same }), first);
    let others = [
        Settings { seed: 2, ..base.clone() },
        Settings { init_seed: Some(2), ..base.clone() },
        Settings { order_seed: Some(2), ..base.clone() },
        Settings { augment_seed: Some(2), ..base.clone() },
    ];
    let others: Vec<_> = others.into_iter().map(train).collect();
    for (index, other) in others.iter().enumerate() {
        assert_ne!(other.2, first.2, "seed {index} changes nothing");
        assert!(others[..index].iter().all(|earlier| earlier.2 != other.2));
        // Order and augmentation leave the first weights alone.
        assert_eq!(other.3[0] == first.3[0], index >= 2, "seed {index}");
    }
    let plain = |augment_seed| train(Settings { augment: Some(Augment::None), augment_seed, ..base.clone() });
    assert_eq!(plain(None), plain(Some(2)));
}

#[test]
fn pitfall_17_trainings_in_two_threads_are_those_that_run_alone() {
    let place = Place::new("resnet");
    let settings = [1, 2].map(|seed| Settings { seed, optimizer: Rule::Adam, learning_rate: 0.003, ..settings() });
    let train = |settings: &Settings| place.run(&dense(settings), Start::default()).unwrap().fingerprint();
    let alone = settings.each_ref().map(&train);
    for _ in 0..3 {
        let together = std::thread::scope(|scope| {
            let threads = settings.each_ref().map(|settings| scope.spawn(|| train(settings)));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(together, alone);
    }
}

#[test]
fn a_training_that_is_interrupted_after_any_epoch_and_resumed_ends_as_if_it_never_was() {
    let place = Place::new("resnet");
    let variants = [
        Settings { epochs: 5, ..settings() },
        Settings {
            epochs: 5,
            optimizer: Rule::AdamW,
            learning_rate: 0.005,
            schedule: Schedule::Plateau,
            patience: 0,
            gamma: 0.5,
            ..settings()
        },
    ];
    for settings in variants {
        let first = place.run(&dense(&settings), Start::default()).unwrap();
        let fine_tuned = pruned(&settings, 0.6, Rewind::None);
        let stages = [
            (dense(&settings), None),
            (pruned(&settings, 0.6, Rewind::Epoch(1)), Some(1)),
            (pruned(&settings, 0.6, Rewind::Init), None),
            (fine_tuned, None),
        ];
        for (stage, rewound) in stages {
            let start = || match stage.level {
                0 => Start::default(),
                _ => Start::after(&first, rewound),
            };
            let whole = place.run(&stage, start()).unwrap();
            assert_eq!(whole.progress.len(), stage.epochs().len() - 1);
            for stop in 1..stage.epochs().len() {
                let told = place.run_until(&stage, start(), stop).unwrap();
                assert_eq!((told.outcome.is_none(), told.epochs.len()), (true, stop));
                let resume = told.progress.last().cloned();
                assert_eq!(resume.as_ref().unwrap().state.epoch, stage.epochs().start + stop);
                let resumed = place.run(&stage, Start { resume, told, ..start() }).unwrap();
                assert_eq!(
                    resumed.fingerprint(),
                    whole.fingerprint(),
                    "{:?}, stopped after {stop} epochs",
                    stage.pruning.as_ref().map(|pruning| pruning.rewind)
                );
            }
        }
    }
}

// ---- What is measured ------------------------------------------------------------------------------------------------

#[test]
fn pitfall_23_an_evaluation_does_not_depend_on_the_size_of_its_batches() {
    let place = Place::new("resnet");
    let trained = place.run(&dense(&settings()), Start::default()).unwrap();
    let state = trained.snapshot(Moment::Last);
    let mut arena = Arena::new(Arc::clone(&place.layout), state, device()).unwrap();
    let forward = Forward::new(Arc::clone(&place.graph), &place.layout);
    let parts = place.parts();
    for part in [&parts.train, &parts.validation, &parts.test] {
        let all = evaluate(&forward, &mut arena, part, 10_000);
        assert_eq!(all.images, part.len() as u64);
        for batch in [1, 7, 64] {
            let found = evaluate(&forward, &mut arena, part, batch);
            assert_eq!((found.correct, found.images), (all.correct, all.images), "batch {batch}");
            // Convolutions may add in another order for another number of images: some units in the last place.
            assert!((found.loss / all.loss - 1.0).abs() < 1e-5, "batch {batch}: {} and {}", found.loss, all.loss);
        }
    }
    // Evaluating changes nothing.
    assert_eq!(arena.snapshot(0).checksum(), Snapshot { optimizer: None, ..(**state).clone() }.checksum());
    assert_eq!(trained.outcome.unwrap().last.test, evaluate(&forward, &mut arena, &parts.test, 500));
}

#[test]
fn test_images_by_class_add_up_to_the_accuracies_and_change_nothing_else() {
    let place = Place::new("resnet");
    let counted = |settings: &Settings| {
        let mut stage = dense(settings);
        stage.counts_classes = true;
        place.run(&stage, Start::default()).unwrap()
    };
    for select in [Select::Validation, Select::Test] {
        let settings = Settings { select, learning_rate: 0.3, ..settings() };
        let (plain, counted) = (place.run(&dense(&settings), Start::default()).unwrap(), counted(&settings));
        let outcome = counted.outcome.clone().unwrap();
        assert_eq!(outcome.classes.len(), 10);
        let sum = |of: fn(&ClassCount) -> u64| outcome.classes.iter().map(of).sum::<u64>();
        let sums = (sum(|count| count.images), sum(|count| count.best), sum(|count| count.last));
        assert_eq!(sums, (outcome.best.test.images, outcome.best.test.correct, outcome.last.test.correct));
        assert!(outcome.classes.iter().all(|count| count.images > 0));
        let same = Outcome { classes: Vec::new(), ..outcome };
        assert_eq!(Trained { outcome: Some(same), ..counted }.fingerprint(), plain.fingerprint());
    }
}

#[test]
fn half_precision_changes_numbers_a_little_and_nothing_else() {
    // Each number is rounded by up to 2^-8, and L roundings in a row come to some sqrt(L) / 512 (30 nodes: 1 %). By as much a ReLU
    // is wrong about where 0 is: it decides 0.4 times that share of its values otherwise, each a whole value, so that with R of
    // them a gradient is off by up to sqrt(0.4 R sqrt(L) / 512): 0.17, 0.22 and 0.11 here. With batch norms losses hardly move;
    // without, trainings go apart. The bounds are half as much again as is measured with AVX2 and AVX-512.
    for (network, off, apart) in [("resnet", 0.15, 0.002), ("resnetb", 0.09, 0.002), ("lenet-5", 0.025, 0.05)] {
        let place = if network == "lenet-5" { Place::with_side(network, 16) } else { Place::new(network) };
        let exact = Settings { network: network.to_string(), learning_rate: 0.005, ..settings() };
        let half = Settings { precision: Precision::Bf16, ..exact.clone() };
        let first = first_weights(&place, &exact);
        let gradient = |precision| {
            let mut arena = Arena::new(Arc::clone(&place.layout), &first, device()).unwrap();
            arena.precision = precision;
            let (images, labels) = place.parts().train.range(0..100);
            let scores = Forward::new(Arc::clone(&place.graph), &place.layout).run(&mut arena, &images, true);
            assert_eq!(scores.kind(), tch::Kind::Float, "losses are taken in float32");
            let loss = scores.cross_entropy_for_logits(&labels);
            let gradients = Tensor::run_backward(&[loss], &[&arena.weights], false, false);
            assert_eq!((gradients[0].kind(), arena.buffers.kind()), (tch::Kind::Float, tch::Kind::Float));
            tombola_train::network::arena::to_vec(&gradients[0])
        };
        let (own, rounded) = (gradient(Precision::Fp32), gradient(Precision::Bf16));
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let error = norm(&mut own.iter().zip(&rounded).map(|(a, b)| a - b)) / norm(&mut own.iter().copied());
        // As in PyTorch's autocast (`crates/train/tests/train/reference.rs`).
        assert!(error > 1e-3 && error < off, "{network}: {error}");
        let (exact, half) = (place.run(&dense(&exact), Start::default()), place.run(&dense(&half), Start::default()));
        let (exact, half) = (exact.unwrap(), half.unwrap());
        let losses = |trained: &Trained| trained.epochs.iter().map(|epoch| epoch.validation.loss).collect::<Vec<_>>();
        for (a, b) in losses(&exact).iter().zip(losses(&half)) {
            assert!(a != &b && (a - b).abs() < apart * a, "{network}: {a}, {b}");
        }
    }
}

#[test]
fn pitfall_11_the_test_set_decides_nothing() {
    let settings = settings();
    let trained = |place: Place| place.run(&dense(&settings), Start::default()).unwrap();
    let right = trained(Place::new("resnet"));
    let wrong = trained(Place::with_test_labels("resnet", |label| (label + 1) % 10));
    // Every epoch, the choice among them and every weight are the same; only what is reported of the test set differs.
    assert_eq!((&right.epochs, right.fingerprint().3), (&wrong.epochs, wrong.fingerprint().3));
    let (right, wrong) = (right.outcome.unwrap(), wrong.outcome.unwrap());
    assert_eq!((right.best_epoch, right.best.validation), (wrong.best_epoch, wrong.best.validation));
    assert_ne!(right.best.test.correct, wrong.best.test.correct);
}

#[test]
fn pitfall_24_training_metrics_are_those_of_all_images_of_the_epoch() {
    let place = Place::new("lenet-300-100");
    // Weights stay as they are, so every batch sees the same network as an evaluation.
    let settings = Settings {
        network: "lenet-300-100".to_string(),
        learning_rate: 1e-12,
        epochs: 1,
        augment: Some(Augment::None),
        ..settings()
    };
    let trained = place.run(&dense(&settings), Start::default()).unwrap();
    let start = first_weights(&place, &settings);
    let mut arena = Arena::new(Arc::clone(&place.layout), &start, device()).unwrap();
    let forward = Forward::new(Arc::clone(&place.graph), &place.layout);
    let expected = evaluate(&forward, &mut arena, &place.parts().train, 10_000);
    let found = trained.epochs[0].train;
    assert_eq!((found.images, found.correct), (TRAIN as u64, expected.correct));
    assert!((found.loss / expected.loss - 1.0).abs() < 1e-5, "{} and {}", found.loss, expected.loss);
    // The last batch alone, which is what other programs report, is something else.
    let images = place.parts().train.range(256..TRAIN);
    let scores = tch::no_grad(|| forward.run(&mut arena, &images.0, false));
    let last = scores.cross_entropy_for_logits(&images.1).double_value(&[]);
    assert!((last / expected.loss - 1.0).abs() > 1e-3);
}

#[test]
fn the_best_epoch_is_the_first_with_the_most_correct_validation_images() {
    let place = Place::new("resnet");
    let trained = place.run(&dense(&Settings { epochs: 6, ..settings() }), Start::default()).unwrap();
    let correct: Vec<u64> = trained.epochs.iter().map(|epoch| epoch.validation.correct).collect();
    let best = 1 + correct.iter().position(|count| Some(count) == correct.iter().max()).unwrap();
    let outcome = trained.outcome.clone().unwrap();
    assert_eq!((outcome.best_epoch, outcome.best.validation), (best, trained.epochs[best - 1].validation));
    let weights = |moment| trained.snapshot(moment).parameters.clone();
    assert_eq!(weights(Moment::Best), weights(Moment::Epoch(best)));
    for until in 1..=6 {
        let best = 1 + correct.iter().position(|count| Some(count) == correct[..until].iter().max()).unwrap();
        assert_eq!(weights(Moment::BestUntil(until)), weights(Moment::Epoch(best)), "until {until}");
    }
}

// ---- Failures --------------------------------------------------------------------------------------------------------

fn failure(network: &str, settings: &Settings) -> Error {
    let result = Place::new(network).run(&dense(settings), Start::default());
    result.map(|trained| trained.epochs).expect_err("this cannot be trained")
}

#[test]
fn a_training_that_diverges_is_an_error_that_names_the_epoch_and_the_cure() {
    let settings = Settings { learning_rate: 1e6, ..settings() };
    let error = failure("lenet-300-100", &settings);
    assert_eq!(error.kind, Kind::Training);
    assert!(error.message.contains("diverged") && error.message.contains("epoch"), "{error}");
    assert!(error.hint.unwrap().contains("learning rate"));
}

#[test]
fn a_training_that_diverges_in_its_very_last_step_is_an_error_too() {
    // One batch an epoch: its loss is taken before the step that ruins the weights.
    for (learning_rate, weight_decay) in [(1e6, 1e6), (1e38, 1e6)] {
        let settings = Settings { learning_rate, weight_decay, batch_size: TRAIN, epochs: 1, ..settings() };
        let error = failure("lenet-300-100", &settings);
        assert!(error.kind == Kind::Training && error.message.contains("diverged"), "{error}");
    }
}

#[test]
fn a_snapshot_of_another_network_is_refused() {
    let (place, other) = (Place::new("resnet"), Place::new("lenet-300-100"));
    let snapshot = first_weights(&other, &settings());
    let sources = Sources { drawn: Some(Arc::new(snapshot)), ..Sources::default() };
    let error = place.run(&dense(&settings()), Start { sources, ..Start::default() }).unwrap_err();
    assert!(error.kind == Kind::Input && error.message.contains("weights"), "{error}");
    let mut steps = Steps::new(&place, &settings(), &first_weights(&place, &settings()));
    steps.step();
    let state = steps.optimizer.state();
    let adam = Settings { optimizer: Rule::Adam, ..settings() };
    let error = Optimizer::new(&adam, place.layout.len, None, device()).restore(&state).unwrap_err();
    assert!(error.message.contains("momentum") && error.message.contains("square"), "{error}");
    let mask: Option<Tensor> = None;
    let error = Optimizer::new(&settings(), 3, mask, device()).restore(&state).unwrap_err();
    assert!(error.message.contains("expected 3"), "{error}");
}
