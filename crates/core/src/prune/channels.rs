//! Draws a mask over channels.
//!
//! Of the alive channels that compete with each other, exactly `round(rate · alive)` with the lowest scores are pruned,
//! equal scores in the order of their positions, as with single weights. No layer ever loses its last channel: that one
//! is passed over, so the channel with the largest score stays, and the next lowest goes instead (docs/pitfalls.md,
//! number 21). It may not know of torch.

use std::collections::{BTreeSet, HashMap};

use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardUniform};

use super::criterion::Key;
use super::goal::{Goal, least_share};
use super::layers::{first_for, places};
use super::scorer::Scorer;
use crate::mask::Bits;
use crate::net::Layout;
use crate::net::channels::{Channels, Unit};
use crate::plan::Pruning;
use tombola_words::error::{Error, Result};
use tombola_words::stream::stream;
use tombola_words::value::{Control, Criterion, Scope};

/// What was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// The channels that stay, `[channels.len()]`.
    pub mask: Bits,
    /// Channels that were passed over because they were the last of their layer.
    pub forced: usize,
    /// The share of the channels that went, where a goal decided it.
    pub share: Option<f64>,
}

/// Draws the next mask over `channels` from the weights `values` and, for [`Criterion::Taylor`], their `gradients`
/// (`[layout.len]` both), and from the channels that are alive `before` (`[channels.len()]`).
///
/// With a `goal`, as few channels go as meet it, in the order of their scores; the scorer measures those of time.
///
/// # Errors
/// When a weight is not a number, gradients are missing, no channel has a score, or the goal is beyond reach or cannot be measured.
pub fn draw(
    layout: &Layout,
    channels: &Channels,
    (values, gradients): (&[f32], Option<&[f32]>),
    before: &Bits,
    pruning: &Pruning,
    key: Key,
    goal: Option<(&Goal, &mut dyn Scorer)>,
) -> Result<Draw> {
    let weights = channels.weight_mask(before);
    let scoring = Scoring { layout, channels, values, gradients, weights, across: pruning.compares_layers() };
    let scores = scoring.scores(pruning.criterion, before, key)?;
    let spared = spared(layout, channels, pruning);
    let scored = scores.iter().enumerate().filter(|(unit, _)| !spared[*unit]);
    let mut candidates: Vec<(f32, usize)> = scored.filter_map(|(unit, score)| Some(((*score)?, unit))).collect();
    if candidates.is_empty() {
        return Err(nothing_scored(channels));
    }
    candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let own_rates = own_rates(layout, channels, pruning);
    let layer = |unit: usize| channels.units[unit].layer;
    let units = |of: &dyn Fn(usize) -> bool| -> Vec<usize> {
        candidates.iter().map(|(_, unit)| *unit).filter(|unit| of(layer(*unit))).collect()
    };
    let together = |layer: usize| pruning.scope != Scope::Layer && own_rates[layer].is_none();
    let mut groups = vec![(units(&together), pruning.rate)];
    let apart = (0..channels.layers.len()).filter(|layer| !together(*layer));
    groups.extend(apart.map(|own| (units(&|layer| layer == own), own_rates[own].unwrap_or(pruning.rate))));
    // What is left where each group loses its own rate, or all that have none this share.
    let taken = |share: Option<f64>| {
        let mut left = alive_by_layer(channels, before);
        let mut draw = Draw { mask: before.clone(), forced: 0, share };
        for (group, rate) in &groups {
            let rate = if group.first().is_some_and(|unit| own_rates[layer(*unit)].is_some()) {
                *rate
            } else {
                share.unwrap_or(*rate)
            };
            let mut wanted = (rate * group.len() as f64).round() as usize;
            for &unit in group {
                if wanted == 0 {
                    break;
                }
                if left[layer(unit)] == 1 {
                    draw.forced += 1;
                    continue;
                }
                left[layer(unit)] -= 1;
                draw.mask.set(unit, false);
                wanted -= 1;
            }
        }
        round_up(&mut draw.mask, channels, &candidates, &mut left, pruning.round_channels);
        (draw, left)
    };
    let share = goal.map(|(goal, scorer)| {
        least_share(candidates.len(), |share| goal.is_met(channels, &taken(Some(share)).0.mask, scorer))
    });
    let (mut draw, left) = taken(share.transpose()?);
    if pruning.control == Control::RandomMask {
        draw.mask = shuffled(channels, &left, key);
    }
    Ok(draw)
}

/// Whether each channel stays because a layer that makes it is spared, `[channels.len()]`.
pub fn spared(layout: &Layout, channels: &Channels, pruning: &Pruning) -> Vec<bool> {
    let patterns = pruning.layers.spared.patterns();
    let places = places(layout, patterns);
    let is_spared = |unit: &Unit| {
        let name = &channels.layers[unit.layer];
        unit.filters.iter().any(|(number, _)| places.contains(number))
            || patterns.iter().any(|pattern| pattern.names(name))
    };
    channels.units.iter().map(is_spared).collect()
}

/// The channels that stay whatever is asked of the others: in layers with a rate of their own as many as it leaves, though maybe
/// others.
pub fn left_by_own_rates(layout: &Layout, channels: &Channels, pruning: &Pruning) -> Bits {
    let (rates, spared) = (own_rates(layout, channels, pruning), spared(layout, channels, pruning));
    let mut mask = Bits::ones(channels.len());
    for (layer, rate) in rates.iter().enumerate().filter_map(|(layer, rate)| Some((layer, (*rate)?))) {
        let units: Vec<usize> =
            (0..channels.len()).filter(|unit| channels.units[*unit].layer == layer && !spared[*unit]).collect();
        let gone = ((rate * units.len() as f64).round() as usize).min(units.len().saturating_sub(1));
        units[..gone].iter().for_each(|unit| mask.set(*unit, false));
    }
    mask
}

/// The rate of its own of each layer of channels that has one.
fn own_rates(layout: &Layout, channels: &Channels, pruning: &Pruning) -> Vec<Option<f64>> {
    let mut rates: Vec<Option<f64>> = vec![None; channels.layers.len()];
    if pruning.layer_rates.is_empty() {
        return rates;
    }
    for unit in &channels.units {
        let by_filter = || unit.filters.iter().find_map(|(number, _)| first_for(layout, &pruning.layer_rates, *number));
        let name = &channels.layers[unit.layer];
        let by_name = || pruning.layer_rates.iter().find(|(pattern, _)| pattern.names(name)).map(|(_, rate)| rate);
        if rates[unit.layer].is_none() {
            rates[unit.layer] = by_filter().or_else(by_name).copied();
        }
    }
    rates
}

/// Whether a criterion has a score for a channel.
pub fn is_scored(criterion: Criterion, unit: &Unit) -> bool {
    match criterion {
        Criterion::Random => true,
        Criterion::NormScale => !unit.scales.is_empty(),
        _ => !unit.filters.is_empty(),
    }
}

/// What is said where no channel has a score.
pub fn nothing_scored(channels: &Channels) -> Error {
    let text = match channels.is_empty() {
        true => "no channel of this network may be pruned",
        false => "no channel that may be pruned has such a score",
    };
    Error::input(text).hint(
        "take a network with channels inside of blocks or without blocks, `streams = \"group\"`, or another `criterion` (`l2` needs no batch norm)",
    )
}

/// Brings back the highest scores of each layer until its number of channels is a multiple of `step`, or as near to the
/// next one as it was before.
fn round_up(mask: &mut Bits, channels: &Channels, sorted: &[(f32, usize)], left: &mut [usize], step: usize) {
    let steps = channels.steps(step);
    for (_, unit) in sorted.iter().rev() {
        let layer = channels.units[*unit].layer;
        if !mask.get(*unit) && !left[layer].is_multiple_of(steps[layer]) {
            mask.set(*unit, true);
            left[layer] += 1;
        }
    }
}

/// As many channels of each layer, but random ones.
fn shuffled(channels: &Channels, counts: &[usize], key: Key) -> Bits {
    let mut mask = Bits::zeros(channels.len());
    for (layer, count) in counts.iter().enumerate() {
        let mut units: Vec<usize> = (0..channels.len()).filter(|unit| channels.units[*unit].layer == layer).collect();
        units.shuffle(&mut stream(key.seed, "random channels", &[key.level, layer as u64]));
        units.into_iter().take(*count).for_each(|unit| mask.set(unit, true));
    }
    mask
}

fn alive_by_layer(channels: &Channels, mask: &Bits) -> Vec<usize> {
    let mut counts = vec![0; channels.layers.len()];
    let alive = channels.units.iter().zip(mask.iter()).filter(|(_, alive)| *alive);
    alive.for_each(|(unit, _)| counts[unit.layer] += 1);
    counts
}

/// What scores are taken from.
struct Scoring<'a> {
    layout: &'a Layout,
    channels: &'a Channels,
    values: &'a [f32],
    gradients: Option<&'a [f32]>,
    /// Weights that are alive: what is gone counts in no mean.
    weights: Bits,
    /// Whether layers are compared with each other.
    across: bool,
}

impl Scoring<'_> {
    /// A score for each alive channel that the criterion can judge.
    fn scores(&self, criterion: Criterion, before: &Bits, key: Key) -> Result<Vec<Option<f32>>> {
        if criterion == Criterion::Taylor && self.gradients.is_none() {
            return Err(Error::training("the criterion `taylor` needs gradients, and there are none"));
        }
        let mut numbers = stream(key.seed, "random channel pruning", &[key.level]);
        let layers: BTreeSet<usize> =
            self.channels.units.iter().flat_map(|unit| unit.filters.iter().map(|(number, _)| *number)).collect();
        let compared = layers.into_iter().filter(|_| criterion == Criterion::GeometricMedian);
        let median: HashMap<usize, Vec<f64>> = compared.map(|number| (number, self.distances(number))).collect();
        let mut scores = Vec::with_capacity(self.channels.len());
        for (number, unit) in self.channels.units.iter().enumerate() {
            // Drawn for dead ones too: what is alive changes no other's number.
            let random: f32 = StandardUniform.sample(&mut numbers);
            let score = match criterion {
                _ if !before.get(number) => None,
                Criterion::Random => Some(random),
                Criterion::NormScale => {
                    mean(unit.scales.iter().map(|scale| f64::from(self.values[*scale].abs()))).map(|mean| mean as f32)
                }
                _ => self.filters(criterion, unit, &median).map(|score| score as f32),
            };
            if score.is_some_and(f32::is_nan) {
                let layer = &self.channels.layers[unit.layer];
                return Err(Error::training(format!("`{layer}` holds weights that are not numbers"))
                    .hint("the training diverged: lower the learning rate"));
            }
            scores.push(score);
        }
        Ok(scores)
    }

    /// A score taken from the filters of a channel; nothing if it has none.
    fn filters(&self, criterion: Criterion, unit: &Unit, median: &HashMap<usize, Vec<f64>>) -> Option<f64> {
        if criterion == Criterion::Taylor {
            let gradients = self.gradients?;
            let parts = unit.filters.iter().flat_map(|filter| self.positions(filter));
            let sum: f64 = parts.map(|at| f64::from(gradients[at]) * f64::from(self.values[at])).sum();
            return (!unit.filters.is_empty()).then_some(sum.abs());
        }
        mean(unit.filters.iter().map(|filter| {
            let weights = || self.positions(filter).map(|position| f64::from(self.values[position]));
            match criterion {
                Criterion::L1 => mean(weights().map(f64::abs)).unwrap_or(0.0),
                Criterion::L2 => mean(weights().map(|weight| weight * weight)).unwrap_or(0.0).sqrt(),
                _ => median.get(&filter.0).map_or(0.0, |distances| distances[filter.1]),
            }
        }))
    }

    /// For each filter of a layer the sum of its Euclidean distances from all alive ones (He et al. 2019, "Filter Pruning
    /// via Geometric Median", equation 8). A dead input counts in no distance, whatever stands there.
    ///
    /// The paper compares filters of one layer. A sum grows with the number of filters, with their length and with the
    /// scale of the weights, so across layers it is taken as a share of the mean sum of its layer, as Torch-Pruning does
    /// (docs/channels.md). Filters that are all equal are perfectly redundant: 0.
    fn distances(&self, number: usize) -> Vec<f64> {
        let filters: Vec<Vec<f32>> = (0..self.layout.parameters[number].shape[0])
            .map(|row| self.positions(&(number, row)).map(|position| self.values[position]).collect())
            .collect();
        let mut sums = vec![0.0; filters.len()];
        for (row, filter) in filters.iter().enumerate().filter(|(_, filter)| !filter.is_empty()) {
            for (other_row, other) in filters[..row].iter().enumerate().filter(|(_, filter)| !filter.is_empty()) {
                let squares = filter.iter().zip(other).map(|(a, b)| f64::from(a - b) * f64::from(a - b));
                let distance = squares.sum::<f64>().sqrt();
                sums[row] += distance;
                sums[other_row] += distance;
            }
        }
        if self.across {
            let alive = filters.iter().filter(|filter| !filter.is_empty()).count();
            let typical = sums.iter().sum::<f64>() / alive.max(1) as f64;
            sums.iter_mut().filter(|sum| **sum != 0.0).for_each(|sum| *sum /= typical);
        }
        sums
    }

    /// Alive positions of a filter.
    fn positions(&self, filter: &(usize, usize)) -> impl Iterator<Item = usize> {
        let (number, row) = *filter;
        let parameter = &self.layout.parameters[number];
        let start = parameter.offset + row * parameter.fan_in();
        (start..start + parameter.fan_in()).filter(|position| self.weights.get(*position))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests;
