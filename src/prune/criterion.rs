//! How connections are scored: the lowest scores are pruned first.

use rand_distr::{Distribution, StandardUniform};

use crate::net::Parameter;
use crate::stream::stream;
use crate::sweep::value::Criterion;

/// Scores of one parameter's values, in the order in which they are stored.
///
/// `magnitude` is |w| (Han et al. 2015). `random` is uniform, from a stream of its own for each seed, level and
/// parameter.
pub fn scores(criterion: Criterion, parameter: &Parameter, number: usize, values: &[f32], key: &Key) -> Vec<f32> {
    match criterion {
        Criterion::Magnitude => values.iter().map(|value| value.abs()).collect(),
        Criterion::Random => {
            let mut numbers = stream(key.seed, "random pruning", &[key.level, number as u64]);
            StandardUniform.sample_iter(&mut numbers).take(parameter.len).collect()
        }
    }
}

/// What names the random streams of one pruning.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The seed of the initialisation.
    pub seed: u64,
    /// The level that is being made.
    pub level: u64,
}
