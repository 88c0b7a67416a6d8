//! A network without its dead channels: a smaller dense network that computes the same.
//!
//! Only the graph is walked, so it holds for any network. State goes there and back by positions, one for each value of
//! the smaller network: weights, batch-norm statistics, and whatever an optimiser keeps for each weight. It may not know
//! of torch.

use std::sync::Arc;

use super::channels::Channels;
use super::graph::{Builder, Graph, Node, NodeId};
use super::layout::Layout;
use super::op::Op;
use super::snapshot::{OptimizerState, Snapshot};
use crate::mask::Bits;
use tombola_words::Axes;
use tombola_words::error::Result;
use tombola_words::value::Streams;

/// The smaller network, and where its values lie in the dense one.
#[derive(Debug)]
pub struct Compact {
    /// Its nodes, under the names of the dense ones.
    pub graph: Arc<Graph>,
    /// Where its weights lie.
    pub layout: Arc<Layout>,
    /// For each of its weights the position in the dense weight vector.
    pub positions: Vec<usize>,
    /// For each of its batch-norm statistics the position in the dense buffer vector, and whether its channel is alive.
    pub buffers: Vec<(usize, bool)>,
    /// Which of its weights are alive (`[positions.len()]`), where it holds dead channels; else all of them are.
    pub mask: Option<Bits>,
    dense_len: usize,
}

/// Which dead channels a compact network keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Layers have a multiple of this many channels, where there are that many.
    pub step: usize,
    /// Batch norms that choose among the channels of a residual stream read all of them: choosing is copying.
    pub whole_streams: bool,
}

impl Compact {
    /// Leaves out the channels that `mask` (`[layout.len]`, from [`Channels::weight_mask`]) has pruned.
    ///
    /// # Errors
    /// When a layer would be left without channels.
    pub fn of(graph: &Graph, layout: &Layout, mask: &Bits, streams: Streams) -> Result<Self> {
        let channels = Channels::of(graph, layout, streams);
        let alive = channels.alive(mask);
        Self::with(graph, layout, &channels, &alive, &alive)
    }

    /// As [`Compact::of`], of `channels` that are known and those of them that are `alive` (`[channels.len()]`).
    ///
    /// # Errors
    /// When a layer would be left without channels.
    pub(crate) fn of_channels(graph: &Graph, layout: &Layout, channels: &Channels, alive: &Bits) -> Result<Self> {
        Self::with(graph, layout, channels, alive, alive)
    }

    /// The same, but some dead channels stay, as `fill` says, because processors are faster with them. They are 0, and
    /// [`Compact::mask`] keeps them so.
    ///
    /// # Errors
    /// As [`Compact::of`].
    pub fn filled(graph: &Graph, layout: &Layout, mask: &Bits, streams: Streams, fill: Fill) -> Result<Self> {
        let channels = Channels::of(graph, layout, streams);
        let alive = channels.alive(mask);
        let mut kept = alive.clone();
        let mut counts = vec![0usize; channels.layers.len()];
        channels
            .units
            .iter()
            .zip(alive.iter())
            .filter(|(_, alive)| *alive)
            .for_each(|(unit, _)| counts[unit.layer] += 1);
        let steps = channels.steps(fill.step);
        for (place, unit) in channels.units.iter().enumerate() {
            let fills = !counts[unit.layer].is_multiple_of(steps[unit.layer]);
            let read_anyway = fill.whole_streams && unit.filters.is_empty();
            if !kept.get(place) && (fills || read_anyway) {
                kept.set(place, true);
                counts[unit.layer] += 1;
            }
        }
        Self::with(graph, layout, &channels, &alive, &kept)
    }

    /// With the channels `kept`, of which some may not be `alive`.
    fn with(graph: &Graph, layout: &Layout, channels: &Channels, alive: &Bits, kept: &Bits) -> Result<Self> {
        let small = Rebuilding { graph, channels, kept }.graph()?;
        let small_layout = Layout::of(&small);
        let mut positions = Vec::with_capacity(small_layout.len);
        for parameter in &layout.parameters {
            let left = parameter.range().zip(channels.of_parameter(parameter, kept)).filter(|(_, kept)| *kept);
            positions.extend(left.map(|(position, _)| position));
        }
        let mut buffers = Vec::with_capacity(small_layout.buffer_len);
        for buffer in &layout.buffers {
            let [alive, kept] = [alive, kept].map(|mask| channels.of_output(buffer.node, mask));
            let left = buffer.range().zip(alive).zip(kept).filter(|(_, kept)| *kept);
            buffers.extend(left.map(|(position, _)| position));
        }
        debug_assert_eq!((positions.len(), buffers.len()), (small_layout.len, small_layout.buffer_len));
        let mask = (alive != kept).then(|| {
            let weights = channels.weight_mask(alive);
            Bits::from_bools(&positions.iter().map(|position| weights.get(*position)).collect::<Vec<_>>())
        });
        let (graph, layout, dense_len) = (Arc::new(small), Arc::new(small_layout), layout.len);
        Ok(Self { graph, layout, positions, buffers, mask, dense_len })
    }

    /// A state of the dense network, masked, as one of this network, the optimiser's included. Its mask is [`Compact::mask`].
    pub fn gather(&self, dense: &Snapshot) -> Snapshot {
        let statistics = |all: &[f32]| self.buffers.iter().map(|(position, _)| all[*position]).collect();
        let optimizer = dense.optimizer.as_ref().map(|state| OptimizerState {
            steps: state.steps,
            vectors: state
                .vectors
                .iter()
                .map(|(name, all)| match name == OptimizerState::STATISTICS {
                    true => (name.clone(), statistics(all)),
                    false => (name.clone(), taken(all, &self.positions)),
                })
                .collect(),
        });
        Snapshot {
            epoch: dense.epoch,
            step: dense.step,
            batches: dense.batches,
            parameters: taken(&dense.parameters, &self.positions),
            buffers: statistics(&dense.buffers),
            optimizer,
            mask: self.mask.clone().map(Arc::new),
        }
    }

    /// A state of this network as one of the dense network: pruned weights are 0, statistics of dead channels those of
    /// `base`, which must be of the dense network.
    pub fn scatter(&self, base: &Snapshot, small: &Snapshot) -> Snapshot {
        let spread = |values: &[f32]| {
            let mut onto = vec![0.0; self.dense_len];
            values.iter().zip(&self.positions).for_each(|(value, position)| onto[*position] = *value);
            onto
        };
        let statistics = |values: &[f32]| {
            let mut buffers = base.buffers.clone();
            for (value, (position, _)) in values.iter().zip(&self.buffers).filter(|(_, (_, alive))| *alive) {
                buffers[*position] = *value;
            }
            buffers
        };
        let optimizer = small.optimizer.as_ref().map(|state| OptimizerState {
            steps: state.steps,
            vectors: state
                .vectors
                .iter()
                .map(|(name, values)| match name == OptimizerState::STATISTICS {
                    true => (name.clone(), statistics(values)),
                    false => (name.clone(), spread(values)),
                })
                .collect(),
        });
        Snapshot {
            epoch: small.epoch,
            step: small.step,
            batches: small.batches,
            parameters: spread(&small.parameters),
            buffers: statistics(&small.buffers),
            optimizer,
            mask: base.mask.clone(),
        }
    }
}

fn taken(values: &[f32], positions: &[usize]) -> Vec<f32> {
    positions.iter().map(|position| values[*position]).collect()
}

fn count(flags: &[bool]) -> usize {
    flags.iter().filter(|alive| **alive).count()
}

/// A graph whose nodes give what is left of their outputs.
struct Rebuilding<'a> {
    graph: &'a Graph,
    channels: &'a Channels,
    kept: &'a Bits,
}

impl Rebuilding<'_> {
    fn graph(&self) -> Result<Graph> {
        let mut build = Builder::new(self.graph.input());
        build.constants(self.graph.constants.clone());
        let mut places: Vec<NodeId> = vec![0];
        for (id, node) in self.graph.nodes.iter().enumerate().skip(1) {
            let mut inputs: Vec<NodeId> = node.inputs.iter().map(|input| places[*input]).collect();
            let op = match node.op {
                Op::Select { list, .. } => {
                    places.push(build.select(&node.name, inputs[0], self.chosen(node, 1, list))?);
                    continue;
                }
                Op::Take { axis, list } => {
                    places.push(build.take(&node.name, inputs[0], axis, self.chosen(node, axis, list))?);
                    continue;
                }
                Op::BatchNorm { .. } => {
                    // A batch norm that leaves out channels of the stream that it reads.
                    let own = self.channels.of_output(id, self.kept);
                    let input = self.along(node.inputs[0], 1);
                    if count(&own) < count(&input) {
                        let left = input.iter().zip(&own).filter(|(alive, _)| **alive);
                        let chosen = left.enumerate().filter(|(_, (_, own))| **own).map(|(place, _)| place).collect();
                        inputs[0] = build.select(&format!("{}.select", node.name), inputs[0], chosen)?;
                    }
                    node.op
                }
                op => self.smaller(id, op),
            };
            places.push(build.add_named(&node.name, op, &inputs, &node.parameters)?);
        }
        build.finish(self.graph.classes())
    }

    /// The places that stay along an axis of what a node gives.
    fn along(&self, id: NodeId, axis: usize) -> Vec<bool> {
        self.channels.of_axes(id, self.kept).into_iter().nth(axis).unwrap_or_default()
    }

    /// Places of what is chosen among those that are left.
    fn chosen(&self, node: &Node, axis: usize, list: usize) -> Vec<usize> {
        let input = self.along(node.inputs[0], axis);
        let chosen = self.graph.selections[list].iter().filter(|place| input[**place]);
        chosen.map(|place| count(&input[..*place])).collect()
    }

    /// How many places each axis of a node keeps.
    fn sizes(&self, id: NodeId) -> Axes {
        let sizes: Vec<usize> = self.channels.of_axes(id, self.kept).iter().map(|flags| count(flags)).collect();
        Axes::of(&sizes).unwrap_or_default()
    }

    /// How many of some groups of channels are left, of which each goes as a whole.
    fn groups(&self, id: NodeId, groups: usize) -> usize {
        let own = self.channels.of_output(id, self.kept);
        let each = (own.len() / groups.max(1)).max(1);
        own.chunks(each).filter(|group| group.contains(&true)).count()
    }

    /// The operation over what is left of its inputs and outputs.
    fn smaller(&self, id: NodeId, op: Op) -> Op {
        let node = &self.graph.nodes[id];
        let out = || count(&self.channels.of_output(id, self.kept));
        match op {
            Op::Conv { window, groups, bias, .. } => {
                Op::Conv { out: out(), window, groups: self.groups(id, groups), bias }
            }
            Op::ConvTransposed { window, output_padding, groups, bias, .. } => {
                Op::ConvTransposed { out: out(), window, output_padding, groups: self.groups(id, groups), bias }
            }
            Op::Linear { bias, .. } => Op::Linear { out: out(), bias },
            Op::GroupNorm { groups, eps, affine } => Op::GroupNorm { groups: self.groups(id, groups), eps, affine },
            Op::Prelu { slopes } if slopes > 1 => Op::Prelu { slopes: out() },
            Op::PadShortcut { stride, before, after } => {
                let own = self.along(id, 1);
                let kept = own.len() - after;
                Op::PadShortcut { stride, before: count(&own[..before]), after: count(&own[kept..]) }
            }
            Op::Slice { axis, start, end, step } => {
                let input = self.along(node.inputs[0], axis);
                Op::Slice { axis, start: count(&input[..start]), end: count(&input[..end]), step }
            }
            Op::Reshape { .. } => Op::Reshape { to: self.sizes(id) },
            Op::Expand { images, .. } => Op::Expand { to: self.sizes(id), images },
            Op::Learned { begins, .. } => Op::Learned { shape: self.sizes(id), begins },
            op => op,
        }
    }
}

#[cfg(test)]
mod tests;
