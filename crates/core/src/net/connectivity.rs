//! How many of the weights that a mask keeps can matter at all.
//!
//! Unstructured pruning leaves alive weights that no path of alive weights joins to both the input and the output:
//! they read constants, or nothing reads them. They count in the density, but the network computes the same function
//! of the image without them. The effective density counts the others only. (Vysogorets and Kempe 2023,
//! "Connectivity Matters: Neural Network Pruning Through the Lens of Effective Sparsity".)
//!
//! Paths are followed channel by channel, after flattening feature by feature. Pixels are not told apart: a kernel
//! position that reads nothing but padding counts as a connection; and so does what reads places that cannot be followed one by one,
//! such as queries and keys. It may not know of torch.

use super::flow::{Element, ElementFlow, Origin};
use super::graph::{Graph, NodeId};
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
    let walk = Walk { flow: ElementFlow::of(graph), weights: weights_of_nodes(graph, layout), mask };
    let from_input = walk.forward();
    let to_output = walk.backward();
    let last = walk.flow.values.last().into_iter().flatten().flat_map(|factor| &*factor.elements);
    let mut result = Connectivity {
        alive: 0,
        effective: 0,
        prunable: 0,
        layers: Vec::new(),
        dead_layers: Vec::new(),
        disconnected: !last.into_iter().any(|element| from_input[*element]),
    };
    for (id, node) in graph.nodes.iter().enumerate() {
        let Some(weight) = walk.weights[id].filter(|weight| weight.role.is_connection()) else { continue };
        let (reads, makes) = (&walk.flow.reads[id], &walk.flow.makes[id]);
        let written: Vec<bool> = reads.iter().map(|element| from_input[*element]).collect();
        let mut layer = LayerConnectivity { name: node.name.clone(), alive: 0, effective: 0, prunable: weight.len };
        for (number, (row, made)) in weight.rows().zip(makes).enumerate() {
            let read = to_output[*made];
            let own = &written[weight.inputs_of(number, written.len())];
            for (position, written) in row.zip(own.iter().cycle()) {
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

/// One flag for each element of the flow: whether a path of alive weights reaches it.
type Flags = Vec<bool>;

struct Walk<'a> {
    flow: ElementFlow,
    /// For each node its connections or its batch-norm scales, if it has any.
    weights: Vec<Option<&'a Parameter>>,
    mask: &'a Bits,
}

impl Walk<'_> {
    /// The elements that some channel of the image reaches.
    fn forward(&self) -> Flags {
        let mut reached = vec![false; self.flow.origins.len()];
        let mut place = 0;
        while place < reached.len() {
            let origin = &self.flow.origins[place];
            if let Origin::Filter(node) = *origin {
                let flags = self.through_weights(node, &reached);
                let start = place;
                place += flags.len().max(1);
                for (own, flag) in reached[start..].iter_mut().zip(flags) {
                    *own = flag;
                }
                continue;
            }
            reached[place] = match origin {
                Origin::Image | Origin::Unknown => true,
                Origin::Zeros | Origin::Learned | Origin::Filter(_) => false,
                Origin::Norm(node, read) => reached[*read] && self.scale_is_alive(*node, place),
                Origin::Mixed(sources) => sources.iter().any(|source| reached[*source]),
            };
            place += 1;
        }
        reached
    }

    /// The elements that reach some output.
    fn backward(&self) -> Flags {
        let mut needed = vec![false; self.flow.origins.len()];
        let last = self.flow.values.last().into_iter().flatten().flat_map(|factor| &*factor.elements);
        last.chain(&self.flow.lost).for_each(|element| needed[*element] = true);
        for place in (0..needed.len()).rev() {
            match &self.flow.origins[place] {
                // All rows of a node stand together, and their elements after those that they read: the first row does the work.
                Origin::Filter(node) if self.flow.makes[*node].first() == Some(&place) => {
                    self.back_through_weights(*node, &mut needed);
                }
                Origin::Norm(node, read) => {
                    needed[*read] |= needed[place] && self.scale_is_alive(*node, place);
                }
                Origin::Mixed(sources) => sources.iter().for_each(|source| needed[*source] |= needed[place]),
                _ => {}
            }
        }
        needed
    }

    /// Outputs of node `id` that an alive weight joins to one of the inputs that are reached.
    fn through_weights(&self, id: NodeId, reached: &[bool]) -> Flags {
        let Some(weight) = self.weights[id] else { return Vec::new() };
        let inputs: Vec<bool> = self.flow.reads[id].iter().map(|element| reached[*element]).collect();
        weight
            .rows()
            .enumerate()
            .map(|(number, mut row)| {
                let mut flags = inputs[weight.inputs_of(number, inputs.len())].iter().cycle();
                row.any(|position| flags.next() == Some(&true) && self.mask.get(position))
            })
            .collect()
    }

    /// Marks the inputs of node `id` that an alive weight joins to one of the outputs that are needed.
    fn back_through_weights(&self, id: NodeId, needed: &mut [bool]) {
        let Some(weight) = self.weights[id] else { return };
        let (reads, makes) = (&self.flow.reads[id], &self.flow.makes[id]);
        let rows: Vec<bool> = makes.iter().map(|element| needed[*element]).collect();
        for (number, (row, _)) in weight.rows().zip(rows).enumerate().filter(|(_, (_, needed))| *needed) {
            let own = &reads[weight.inputs_of(number, reads.len())];
            for (position, element) in row.zip(own.iter().cycle()) {
                if self.mask.get(position) {
                    needed[*element] = true;
                }
            }
        }
    }

    /// Whether the batch-norm scale that makes an element is alive.
    fn scale_is_alive(&self, id: NodeId, element: Element) -> bool {
        let (Some(scale), Some(first)) = (self.weights[id], self.flow.makes[id].first()) else { return true };
        self.mask.get(scale.offset + (element - first))
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

#[cfg(test)]
mod tests;
