//! Pruning of a network: by random weights, and by random channels, heads and hidden units.

use std::sync::Arc;

use rand::Rng;
use tch::Tensor;
use tombola_core::mask::Bits;
use tombola_core::net::channels::Channels;
use tombola_core::net::compact::Compact;
use tombola_core::net::connectivity::effective;
use tombola_core::net::{Graph, Layout, Role, Snapshot};
use tombola_train::network::forward::Forward;
use tombola_words::stream::stream;
use tombola_words::value::Streams;

use crate::case::{Case, exact};

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
    for streams in [Streams::Whole, Streams::Group] {
        for share in [0.5, 0.9] {
            structured(case, &state, streams, share).map_err(|what| format!("{streams:?}, {share}: {what}"))?;
        }
    }
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

fn outputs(graph: &Arc<Graph>, layout: &Arc<Layout>, state: &Snapshot, images: &Tensor, training: bool) -> Tensor {
    let mut arena = exact(layout, state);
    let forward = Forward::new(Arc::clone(graph), layout);
    tch::no_grad(|| forward.run(&mut arena, images, training))
}
