//! How many of the weights that a mask keeps can matter at all.
//!
//! Unstructured pruning leaves alive weights that no path of alive weights joins to both the input and the output:
//! they read constants, or nothing reads them. They count in the density, but the network computes the same function
//! of the image without them. The effective density counts the others only. (Vysogorets and Kempe 2023,
//! "Connectivity Matters: Neural Network Pruning Through the Lens of Effective Sparsity".)
//!
//! Paths are followed channel by channel, after flattening feature by feature. Pixels are not told apart: a kernel
//! position that reads nothing but padding counts as a connection. It may not know of torch.

use super::graph::{Graph, NodeId, Op};
use super::layout::{Layout, Parameter, Role};
use crate::mask::bits::Bits;

/// What a mask leaves of a network's connections, the weights of its convolutions and linear layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connectivity {
    /// Connections that the mask keeps.
    pub alive: usize,
    /// Those of them that lie on a path from the input to the output.
    pub effective: usize,
    /// All connections.
    pub prunable: usize,
    /// The same counts for each layer, in the order of the layout.
    pub layers: Vec<LayerConnectivity>,
    /// Names of the layers that keep no weight at all.
    pub dead_layers: Vec<String>,
    /// Whether no path joins the input to the output: the network then gives the same answer for every image.
    pub disconnected: bool,
}

/// What a mask leaves of the connections of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerConnectivity {
    /// The layer's name ("layer1.0.conv1").
    pub name: String,
    /// Connections that the mask keeps.
    pub alive: usize,
    /// Those of them that lie on a path from the input to the output.
    pub effective: usize,
    /// All connections.
    pub prunable: usize,
}

/// Follows the alive weights of `mask`, which has one bit for each position of `layout`, from the input forward and
/// from the output backward.
///
/// Biases and batch-norm shifts are constants and join nothing. A batch-norm scale whose bit is 0 cuts its channel.
/// Takes a time proportional to the number of weights.
pub fn effective(graph: &Graph, layout: &Layout, mask: &Bits) -> Connectivity {
    let walk = Walk { graph, weights: weights_of_nodes(graph, layout), mask };
    let from_input = walk.forward();
    let to_output = walk.backward();
    let mut result = Connectivity {
        alive: 0,
        effective: 0,
        prunable: 0,
        layers: Vec::new(),
        dead_layers: Vec::new(),
        disconnected: !from_input.last().is_some_and(|flags| flags.contains(&true)),
    };
    for (id, node) in graph.nodes.iter().enumerate() {
        let Some(weight) = walk.weights[id].filter(|weight| weight.role.is_connection()) else { continue };
        let inputs = &from_input[node.inputs[0]];
        let mut layer = LayerConnectivity { name: node.name.clone(), alive: 0, effective: 0, prunable: weight.len };
        for (row, &read) in rows(weight, inputs.len()).zip(&to_output[id]) {
            for (position, written) in row.zip(inputs.iter().cycle()) {
                if mask.get(position) {
                    layer.alive += 1;
                    layer.effective += usize::from(read && *written);
                }
            }
        }
        result.alive += layer.alive;
        result.effective += layer.effective;
        result.prunable += layer.prunable;
        if layer.alive == 0 {
            result.dead_layers.push(layer.name.clone());
        }
        result.layers.push(layer);
    }
    result
}

/// One flag for each channel of a node's output: whether a path of alive weights reaches it.
type Flags = Vec<bool>;

struct Walk<'a> {
    graph: &'a Graph,
    /// For each node its connections or its batch-norm scales, if it has any.
    weights: Vec<Option<&'a Parameter>>,
    mask: &'a Bits,
}

impl Walk<'_> {
    /// For each node the channels that some input channel reaches.
    fn forward(&self) -> Vec<Flags> {
        let mut reached: Vec<Flags> = Vec::with_capacity(self.graph.nodes.len());
        for (id, node) in self.graph.nodes.iter().enumerate() {
            let channels = node.shape.channels();
            let flags = match (node.op, &*node.inputs) {
                (Op::Input, _) => vec![true; channels],
                (Op::Conv { .. } | Op::Linear { .. }, &[from]) => self.through_weights(id, &reached[from]),
                (Op::BatchNorm, &[from]) => self.through_scales(id, &reached[from]),
                (Op::Add, &[a, b]) => reached[a].iter().zip(&reached[b]).map(|(a, b)| *a || *b).collect(),
                (Op::Flatten, &[from]) => {
                    let pixels = self.graph.nodes[from].shape.pixels();
                    reached[from].iter().flat_map(|&flag| std::iter::repeat_n(flag, pixels)).collect()
                }
                (Op::PadShortcut { before, after, .. }, &[from]) => {
                    [vec![false; before], reached[from].clone(), vec![false; after]].concat()
                }
                (Op::Select { list, .. }, &[from]) => {
                    self.graph.selections[list].iter().map(|channel| reached[from][*channel]).collect()
                }
                (_, &[from, ..]) => reached[from].clone(),
                (_, &[]) => vec![false; channels],
            };
            reached.push(flags);
        }
        reached
    }

    /// For each node the channels that reach some output.
    fn backward(&self) -> Vec<Flags> {
        let mut needed: Vec<Flags> = self.graph.nodes.iter().map(|node| vec![false; node.shape.channels()]).collect();
        if let Some(last) = needed.last_mut() {
            last.fill(true);
        }
        for (id, node) in self.graph.nodes.iter().enumerate().rev() {
            let own = std::mem::take(&mut needed[id]);
            for &from in &node.inputs {
                let below = &mut needed[from];
                match node.op {
                    Op::Conv { .. } | Op::Linear { .. } => self.back_through_weights(id, &own, below),
                    Op::BatchNorm => join(below, &self.through_scales(id, &own)),
                    Op::Flatten => {
                        let pixels = self.graph.nodes[from].shape.pixels().max(1);
                        for (flag, features) in below.iter_mut().zip(own.chunks(pixels)) {
                            *flag |= features.contains(&true);
                        }
                    }
                    Op::PadShortcut { before, .. } => join(below, &own[before..]),
                    Op::Select { list, .. } => {
                        let chosen = self.graph.selections[list].iter().zip(&own);
                        chosen.for_each(|(channel, flag)| below[*channel] |= flag);
                    }
                    _ => join(below, &own),
                }
            }
            needed[id] = own;
        }
        needed
    }

    /// Outputs of layer `id` that an alive weight joins to one of the inputs in `from`.
    fn through_weights(&self, id: NodeId, from: &[bool]) -> Flags {
        let Some(weight) = self.weights[id] else { return Vec::new() };
        rows(weight, from.len())
            .map(|mut row| {
                let mut flags = from.iter().cycle();
                row.any(|position| flags.next() == Some(&true) && self.mask.get(position))
            })
            .collect()
    }

    /// Adds to `below` the inputs of layer `id` that an alive weight joins to one of the outputs in `own`.
    fn back_through_weights(&self, id: NodeId, own: &[bool], below: &mut [bool]) {
        let Some(weight) = self.weights[id] else { return };
        let inputs = below.len();
        for (row, _) in rows(weight, inputs).zip(own).filter(|(_, needed)| **needed) {
            for (index, position) in row.enumerate() {
                if self.mask.get(position) {
                    below[index % inputs] = true;
                }
            }
        }
    }

    /// The channels in `flags` whose batch-norm scale is alive.
    fn through_scales(&self, id: NodeId, flags: &[bool]) -> Flags {
        let Some(scale) = self.weights[id] else { return flags.to_vec() };
        scale.range().zip(flags).map(|(position, flag)| *flag && self.mask.get(position)).collect()
    }
}

/// For each node the parameter that its input is multiplied by.
fn weights_of_nodes<'a>(graph: &Graph, layout: &'a Layout) -> Vec<Option<&'a Parameter>> {
    let mut weights = vec![None; graph.nodes.len()];
    for parameter in &layout.parameters {
        if parameter.role.is_connection() || parameter.role == Role::NormScale {
            weights[parameter.node] = Some(parameter);
        }
    }
    weights
}

/// [`Parameter::rows`] of a layer that reads `inputs` channels or features.
fn rows(weight: &Parameter, inputs: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    debug_assert!(inputs > 0 && weight.fan_in().is_multiple_of(inputs));
    weight.rows()
}

fn join(flags: &mut [bool], others: &[bool]) {
    for (flag, other) in flags.iter_mut().zip(others) {
        *flag |= other;
    }
}

#[cfg(test)]
mod tests;
