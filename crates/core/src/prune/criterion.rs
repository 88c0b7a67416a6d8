//! How single weights are scored: the lowest scores are pruned first. It may not know of torch: gradients are given.

use rand_distr::{Distribution, StandardUniform};

use super::Want;
use crate::mask::Bits;
use crate::net::Parameter;
use tombola_words::stream::stream;
use tombola_words::value::Criterion;

/// What names the random streams of one pruning.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The seed of the initialisation.
    pub seed: u64,
    /// The level that is being made.
    pub level: u64,
}

/// The gradients that a criterion for single weights takes; nothing if it looks at weights only.
pub fn wanted(criterion: Criterion) -> Option<Want> {
    match criterion {
        Criterion::Snip => Some(Want::Gradient),
        Criterion::Grasp => Some(Want::HessianGradient),
        Criterion::SynFlow => Some(Want::SynapticFlow),
        _ => None,
    }
}

/// Scores of the alive weights of one parameter, with their positions in the weight vector, in order.
///
/// `values` are all weights of the network and `gradients` what [`wanted`] says (`[Layout::len]` both).
///
/// | criterion | score |
/// | --- | --- |
/// | `magnitude` | \|w\| (Han et al. 2015) |
/// | `random` | uniform, from a stream of its own for each seed, level and parameter |
/// | `lamp` | w² / Σ v² over the weights v of the layer with \|v\| ≥ \|w\| (Lee et al. 2021, "Layer-Adaptive Sparsity for the Magnitude-based Pruning", equation 5) |
/// | `snip` | \|w · g\| (Lee et al. 2019, "SNIP", equation 6) |
/// | `grasp` | w · Hg, negative where removing w raises the norm of the gradient's flow most (Wang et al. 2020, "Picking Winning Tickets Before Training by Preserving Gradient Flow", equation 8, sign changed) |
/// | `synflow` | \|w\| · ∂R/∂\|w\| (Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow", equation 2) |
pub fn scores(
    criterion: Criterion,
    parameter: &Parameter,
    number: usize,
    (values, gradients): (&[f32], Option<&[f32]>),
    mask: &Bits,
    key: Key,
) -> Vec<(f32, usize)> {
    let alive = || parameter.range().filter(|position| mask.get(*position));
    let by_gradient = |score: fn(f64, f64) -> f64| {
        let gradients = gradients.unwrap_or_default();
        let product = |at: usize| score(f64::from(values[at]), gradients.get(at).map_or(f64::NAN, |g| f64::from(*g)));
        alive().map(|position| (product(position) as f32, position)).collect()
    };
    match criterion {
        Criterion::Random => {
            let mut numbers = stream(key.seed, "random pruning", &[key.level, number as u64]);
            // Drawn for dead weights too: what is alive changes no other's number.
            let drawn: Vec<f32> = StandardUniform.sample_iter(&mut numbers).take(parameter.len).collect();
            alive().map(|position| (drawn[position - parameter.offset], position)).collect()
        }
        Criterion::Lamp => lamp(values, alive().collect()),
        Criterion::Snip => by_gradient(|weight, gradient| (weight * gradient).abs()),
        Criterion::Grasp => by_gradient(|weight, gradient| weight * gradient),
        Criterion::SynFlow => by_gradient(|weight, gradient| weight.abs() * gradient),
        // The others score channels; settings that mix them up are refused before anything starts.
        _ => alive().map(|position| (values[position].abs(), position)).collect(),
    }
}

fn lamp(values: &[f32], mut positions: Vec<usize>) -> Vec<(f32, usize)> {
    positions.sort_unstable_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()).then(b.cmp(a)));
    let mut larger = 0.0;
    let mut scores: Vec<(f32, usize)> = Vec::with_capacity(positions.len());
    for position in positions {
        let square = f64::from(values[position]).powi(2);
        larger += square;
        // A layer of zeros has nothing to lose, and next to an infinite weight no other counts.
        let score = match (square == 0.0, square.is_infinite()) {
            (true, _) => 0.0,
            (_, true) => 1.0,
            _ => square / larger,
        };
        scores.push((score as f32, position));
    }
    scores.sort_unstable_by_key(|(_, position)| *position);
    scores
}
