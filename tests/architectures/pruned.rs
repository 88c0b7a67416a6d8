//! Pruning of a network: by random weights, and by random channels, heads and hidden units.

use std::sync::Arc;

use rand::Rng;
use tombola_core::mask::Bits;
use tombola_core::net::channels::Channels;
use tombola_core::net::compact::Compact;
use tombola_core::net::connectivity::effective;
use tombola_core::net::{Graph, Layout, Role, Snapshot};
use tombola_core::sweep::Settings;
use tombola_exports::{Exported, Form};
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_train::tch::{Device, Kind, Tensor};
use tombola_train::training::evaluate::Tally;
use tombola_train::training::optimizer::mask_tensor;
use tombola_train::training::optimizer::{Optimizer, Rate};
use tombola_train::training::step;
use tombola_words::stream::stream;
use tombola_words::value::Streams;

use crate::case::{Case, exact, python};

/// How far a compact network may lie from the masked one, as a share of the largest output.
const CLOSE: f64 = 1e-9;

/// What was found.
pub(crate) struct Found {
    /// Channels, heads and hidden units that can be pruned, and their layers.
    pub(crate) units: usize,
    pub(crate) layers: usize,
    /// The same with those of residual streams.
    pub(crate) with_streams: usize,
}

/// Prunes it in all ways.
pub(crate) fn check(case: &Case) -> Result<Found, String> {
    let state = perturbed(case);
    connected(case)?;
    let [(units, layers), (with_streams, _)] = [Streams::Whole, Streams::Group].map(|streams| {
        let channels = Channels::of(&case.graph, &case.layout, streams);
        (channels.len(), channels.layers.len())
    });
    for (streams, share) in [(Streams::Whole, 0.5), (Streams::Group, 0.8)] {
        structured(case, &state, streams, share).map_err(|what| format!("{streams:?}, {share}: {what}"))?;
    }
    trained(case)?;
    exported(case, &state)?;
    Ok(Found { units, layers, with_streams })
}

/// Scales, shifts and statistics that are all different: what is masked wrongly shows.
fn perturbed(case: &Case) -> Snapshot {
    let (mut state, mut numbers) = (case.state.clone(), stream(1, "test state", &[]));
    for parameter in case.layout.parameters.iter().filter(|parameter| !parameter.role.is_connection()) {
        for value in &mut state.parameters[parameter.range()] {
            *value += match parameter.role {
                Role::NormScale | Role::Gain => numbers.random_range(-0.2..0.2),
                _ => numbers.random_range(-0.1..0.1),
            };
        }
    }
    for value in &mut state.buffers {
        *value += numbers.random_range(0.0..0.2);
    }
    state
}

/// Half of the weights go; the others still lie on paths.
fn connected(case: &Case) -> Result<(), String> {
    let mut numbers = stream(2, "test mask", &[]);
    let mut mask = Bits::ones(case.layout.len);
    for parameter in case.layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        for position in parameter.range().filter(|_| numbers.random::<bool>()) {
            mask.set(position, false);
        }
    }
    let all = effective(&case.graph, &case.layout, &Bits::ones(case.layout.len));
    if all.effective != all.prunable || all.disconnected {
        return Err(format!("of {} connections {} lie on a path", all.prunable, all.effective));
    }
    let half = effective(&case.graph, &case.layout, &mask);
    match half.disconnected || half.effective > half.alive || half.effective * 2 < half.alive {
        true => Err(format!("of {} alive connections {} lie on a path", half.alive, half.effective)),
        false => Ok(()),
    }
}

/// A random mask over units that leaves each layer one.
fn random(channels: &Channels, share: f64) -> Bits {
    let mut numbers = stream(3, "test channels", &[]);
    let mut mask =
        Bits::from_bools(&channels.units.iter().map(|_| numbers.random::<f64>() < share).collect::<Vec<_>>());
    for layer in 0..channels.layers.len() {
        let own: Vec<usize> = (0..channels.len()).filter(|unit| channels.units[*unit].layer == layer).collect();
        if own.iter().all(|unit| !mask.get(*unit)) {
            mask.set(own[numbers.random_range(0..own.len())], true);
        }
    }
    mask
}

/// The compact network computes what the masked one does, in evaluation and in training.
fn structured(case: &Case, state: &Snapshot, streams: Streams, share: f64) -> Result<(), String> {
    let channels = Channels::of(&case.graph, &case.layout, streams);
    if channels.is_empty() {
        return Ok(());
    }
    let mask = random(&channels, share);
    let weights = channels.weight_mask(&mask);
    if channels.alive(&weights) != mask {
        return Err("the channels are not those of their weights".to_string());
    }
    let mut masked = state.clone();
    for position in (0..case.layout.len).filter(|position| !weights.get(*position)) {
        masked.parameters[position] = 0.0;
    }
    let compact = Compact::of(&case.graph, &case.layout, &weights, streams).map_err(|error| error.to_string())?;
    if compact.layout.len >= case.layout.len {
        return Err("the compact network is no smaller".to_string());
    }
    let small = compact.gather(&masked);
    for training in [false, true] {
        let wide = outputs(&case.graph, &case.layout, &masked, &case.images, training);
        let narrow = outputs(&compact.graph, &compact.layout, &small, &case.images, training);
        let scale = wide.abs().max().double_value(&[]).max(1e-6);
        let away = (&wide - &narrow).abs().max().double_value(&[]) / scale;
        if away.is_nan() || away > CLOSE {
            return Err(format!("compact and masked are {away:.1e} apart, training {training}"));
        }
    }
    let back = compact.scatter(&masked, &small);
    match back.parameters == masked.parameters {
        true => Ok(()),
        false => Err("weights do not come back from the compact network".to_string()),
    }
}

/// A few steps of a ticket over weights: what is pruned stays 0, and the loss falls.
fn trained(case: &Case) -> Result<(), String> {
    let mut numbers = stream(4, "test mask", &[]);
    let mut mask = Bits::ones(case.layout.len);
    for parameter in case.layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
        parameter.range().filter(|_| numbers.random::<f64>() < 0.3).for_each(|position| mask.set(position, false));
    }
    let mut state = case.state.clone();
    (0..case.layout.len).filter(|position| !mask.get(*position)).for_each(|position| state.parameters[position] = 0.0);
    let settings = Settings { momentum: 0.0, weight_decay: 0.0, ..Settings::default() };
    let mut arena = Arena::new(Arc::clone(&case.layout), &state, Device::Cpu).unwrap();
    let mut optimizer = Optimizer::new(&settings, case.layout.len, Some(mask_tensor(&mask, Device::Cpu)), Device::Cpu);
    let forward = Forward::new(Arc::clone(&case.graph), &case.layout);
    let images = case.images.to_kind(Kind::Float);
    let mut losses = Vec::new();
    for _ in 0..3 {
        let mut tally = Tally::new(Device::Cpu);
        let rate = Rate::Number(1e-3);
        step(&forward, &mut arena, &mut optimizer, &images, &case.labels, rate, None, &mut tally);
        losses.push(tally.finish().loss);
    }
    let after = arena.snapshot(0).parameters;
    if (0..case.layout.len).any(|position| !mask.get(position) && after[position] != 0.0) {
        return Err("a pruned weight has moved".to_string());
    }
    match after != state.parameters && losses.iter().all(|loss| loss.is_finite()) {
        true => Ok(()),
        false => Err(format!("three steps of training gave the losses {losses:?}")),
    }
}

/// Without half of its channels, heads and hidden units, or of its weights where it has none: PyTorch and ONNX Runtime give what is
/// given here.
fn exported(case: &Case, state: &Snapshot) -> Result<(), String> {
    let streams = Streams::Whole;
    let channels = Channels::of(&case.graph, &case.layout, streams);
    let mask = channels.weight_mask(&random(&channels, 0.5));
    let mut masked = state.clone();
    (0..case.layout.len).filter(|position| !mask.get(*position)).for_each(|position| masked.parameters[position] = 0.0);
    let compact = Compact::of(&case.graph, &case.layout, &mask, streams).map_err(|error| error.to_string())?;
    let small = compact.gather(&masked);
    let written = Exported { graph: &compact.graph, layout: &compact.layout, state: &small, pixels: None, facts: &[] };
    for (form, name) in [(Form::Python, "exported.py"), (Form::Onnx, "exported.onnx")] {
        written.write(form, &case.folder.join(name), |_, _| Ok(())).map_err(|error| error.to_string())?;
    }
    let scores = outputs(&compact.graph, &compact.layout, &small, &case.images, false);
    let values: Vec<f64> = Vec::try_from(scores.flatten(0, -1)).unwrap();
    let lines: Vec<String> = values.iter().map(|value| format!("{value:e}")).collect();
    std::fs::write(case.folder.join("exported.txt"), lines.join("\n")).unwrap();
    let said = python(&["exported", &case.folder.to_string_lossy()]).unwrap_or_default();
    if said.trim() == "equal" { Ok(()) } else { Err(format!("exported: {}", said.trim())) }
}

fn outputs(graph: &Arc<Graph>, layout: &Arc<Layout>, state: &Snapshot, images: &Tensor, training: bool) -> Tensor {
    let mut arena = exact(layout, state);
    let forward = Forward::new(Arc::clone(graph), layout);
    tombola_train::tch::no_grad(|| forward.run(&mut arena, images, training))
}
