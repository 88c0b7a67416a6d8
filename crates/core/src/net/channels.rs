//! Which channels of a network can be pruned, and which of its weights each of them takes along.
//!
//! Found by following every channel through the graph: additions join channels, so a residual stream is pruned in all
//! layers that write or read it, or not at all ("DepGraph: Towards Any Structural Pruning", Fang et al. 2023, has the
//! general form). It knows no particular network, no scores and no torch.

use std::collections::BTreeSet;

use super::graph::{Graph, NodeId, Op};
use super::layout::{Layout, Parameter, Role};
use crate::mask::Bits;
use tombola_words::value::Streams;

/// One channel, or several that only go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its layer: a position in [`Channels::layers`].
    pub layer: usize,
    /// Positions of its batch-norm scales in the weight vector.
    pub scales: Vec<usize>,
    /// The filters that make it: a position in [`Layout::parameters`], and the row there. None for a channel that is
    /// only selected before a batch norm.
    pub filters: Vec<(usize, usize)>,
}

/// The channels of a network that may be pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    /// In the order of the nodes that make them, then of the channels there.
    pub units: Vec<Unit>,
    /// Names of the layers whose channels they are. None of these may ever be empty.
    pub layers: Vec<String>,
    /// For each node and each of its output channels the unit that it belongs to; none for one that stays.
    of_node: Vec<Vec<Option<usize>>>,
    /// Where each node's input comes from, to find the channels that it reads.
    inputs: Vec<Option<NodeId>>,
    parameters: Vec<Parameter>,
    len: usize,
}

impl Channels {
    /// Finds them in a network whose weights are laid out by `layout`.
    ///
    /// With [`Streams::Whole`] the channels that an addition joins stay, and so do those that a batch norm reads beside
    /// another layer; but the batch norm, on its way to a convolution or linear layer, can leave some out (network
    /// slimming's channel selection). With [`Streams::Group`]
    /// they are pruned everywhere at once.
    pub fn of(graph: &Graph, layout: &Layout, streams: Streams) -> Self {
        let joined = Classes::of(graph, &BTreeSet::new());
        let gates = match streams {
            Streams::Whole => gates(graph, &joined),
            Streams::Group => BTreeSet::new(),
        };
        let classes = if gates.is_empty() { joined } else { Classes::of(graph, &gates) };
        let mut kept = classes.kept(graph, streams);
        // What a gate reads is read by others too, past its scale.
        let behind = gates.iter().flat_map(|gate| &classes.of_node[graph.nodes[*gate].inputs[0]]);
        kept.extend(behind.map(|element| classes.root(*element)));
        let mut channels = Self {
            units: Vec::new(),
            layers: Vec::new(),
            of_node: vec![Vec::new(); graph.nodes.len()],
            inputs: graph.nodes.iter().map(|node| node.inputs.first().copied()).collect(),
            parameters: layout.parameters.clone(),
            len: layout.len,
        };
        let mut units: Vec<Option<usize>> = vec![None; classes.parents.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            let makes = gates.contains(&id) || matches!(node.op, Op::Conv { .. } | Op::Linear { .. });
            let mut layer = None;
            for element in classes.of_node[id].iter().filter(|_| makes) {
                let class = classes.root(*element);
                if !kept.contains(&class) && units[class].is_none() {
                    let layer = *layer.get_or_insert_with(|| {
                        channels.layers.push(node.name.clone());
                        channels.layers.len() - 1
                    });
                    units[class] = Some(channels.units.len());
                    channels.units.push(Unit { layer, scales: Vec::new(), filters: Vec::new() });
                }
            }
        }
        // Only now: zeros that pad a shortcut stand before the layer that makes the channel they are added to.
        for (own, elements) in channels.of_node.iter_mut().zip(&classes.of_node) {
            own.extend(elements.iter().map(|element| units[classes.root(*element)]));
        }
        channels.find_weights();
        channels
    }

    fn find_weights(&mut self) {
        for (number, parameter) in self.parameters.iter().enumerate() {
            for (channel, unit) in self.of_node[parameter.node].iter().enumerate() {
                let Some(unit) = unit.and_then(|unit| self.units.get_mut(unit)) else { continue };
                match parameter.role {
                    Role::NormScale => unit.scales.push(parameter.offset + channel),
                    Role::ConvWeight | Role::LinearWeight => unit.filters.push((number, channel)),
                    Role::Bias | Role::NormShift => {}
                }
            }
        }
    }

    /// Number of channels that may be pruned: of units, whatever their number of filters.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether none may be pruned.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Positions of all batch-norm scales of channels that may be pruned, in order.
    pub fn scales(&self) -> Vec<usize> {
        let mut scales: Vec<usize> = self.units.iter().flat_map(|unit| unit.scales.iter().copied()).collect();
        scales.sort_unstable();
        scales
    }

    /// For each output channel of a node whether `mask` (`[len]`) keeps it.
    pub fn of_output(&self, node: NodeId, mask: &Bits) -> Vec<bool> {
        self.of_node[node].iter().map(|unit| unit.is_none_or(|unit| mask.get(unit))).collect()
    }

    /// For each channel that a node reads whether `mask` keeps it.
    pub fn of_input(&self, node: NodeId, mask: &Bits) -> Vec<bool> {
        self.inputs[node].map_or_else(Vec::new, |input| self.of_output(input, mask))
    }

    /// The weights (`[Layout::len]`) that a mask over channels (`[len]`) keeps: of a dead channel nothing stays, neither
    /// what makes it nor what reads it, scale and shift included (docs/pitfalls.md, number 20).
    pub fn weight_mask(&self, mask: &Bits) -> Bits {
        let mut weights = Bits::ones(self.len);
        for parameter in &self.parameters {
            let outputs = self.of_output(parameter.node, mask);
            let inputs = match parameter.role.is_connection() {
                true => self.of_input(parameter.node, mask),
                false => vec![true],
            };
            for (row, output) in parameter.rows().zip(&outputs) {
                for (position, input) in row.zip(inputs.iter().cycle()) {
                    if !(*output && *input) {
                        weights.set(position, false);
                    }
                }
            }
        }
        weights
    }

    /// The channels (`[len]`) that a mask over weights keeps, one that [`Channels::weight_mask`] made. Only connections
    /// are looked at, which files of masks hold: a channel lives if its filter does, or what reads it if it has none.
    pub fn alive(&self, weights: &Bits) -> Bits {
        let mut alive = Bits::zeros(self.len());
        for parameter in self.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
            let outputs = &self.of_node[parameter.node];
            let inputs = self.inputs[parameter.node].map_or(&[][..], |input| &self.of_node[input]);
            let selected: Vec<Option<usize>> =
                inputs.iter().map(|unit| unit.filter(|unit| self.units[*unit].filters.is_empty())).collect();
            let selects = selected.iter().any(Option::is_some);
            for (row, output) in parameter.rows().zip(outputs) {
                if let Some(unit) = output.filter(|_| weights.count_in(row.clone()) > 0) {
                    alive.set(unit, true);
                }
                for (position, input) in row.filter(|_| selects).zip(selected.iter().cycle()) {
                    if let Some(unit) = input.filter(|_| weights.get(position)) {
                        alive.set(unit, true);
                    }
                }
            }
        }
        alive
    }
}

/// Channels of all nodes in classes that share their fate.
struct Classes {
    /// For each node the element of each output channel; several nodes share one where channels only pass through.
    of_node: Vec<Vec<usize>>,
    /// Union-find: the smaller element leads.
    parents: Vec<usize>,
    /// Elements that no filter makes: the image, and zeros that pad a shortcut.
    without_filter: BTreeSet<usize>,
    image: BTreeSet<usize>,
}

impl Classes {
    /// `gates` are batch norms whose output channels are not bound to their input's.
    fn of(graph: &Graph, gates: &BTreeSet<NodeId>) -> Self {
        let mut classes =
            Self { of_node: Vec::new(), parents: Vec::new(), without_filter: BTreeSet::new(), image: BTreeSet::new() };
        for (id, node) in graph.nodes.iter().enumerate() {
            let read = node.inputs.first().map_or_else(Vec::new, |input| classes.of_node[*input].clone());
            let elements = match node.op {
                Op::Input => {
                    let elements = classes.fresh(node.shape.channels());
                    classes.without_filter.extend(&elements);
                    classes.image.extend(&elements);
                    elements
                }
                Op::Conv { out, .. } | Op::Linear { out, .. } => classes.fresh(out),
                Op::BatchNorm if gates.contains(&id) => classes.fresh(read.len()),
                Op::Add => {
                    let other = node.inputs.get(1).map_or_else(Vec::new, |input| classes.of_node[*input].clone());
                    read.iter().zip(&other).for_each(|(a, b)| classes.join(*a, *b));
                    read
                }
                Op::Flatten => {
                    let pixels = graph.input_of(id).pixels();
                    read.into_iter().flat_map(|element| std::iter::repeat_n(element, pixels)).collect()
                }
                Op::PadShortcut { before, after, .. } => {
                    let zeros = classes.fresh(before + after);
                    classes.without_filter.extend(&zeros);
                    [&zeros[..before], &read, &zeros[before..]].concat()
                }
                Op::Select { list, .. } => graph.selections[list].iter().map(|channel| read[*channel]).collect(),
                Op::BatchNorm | Op::Relu | Op::MaxPool { .. } | Op::AvgPool { .. } | Op::GlobalAveragePool => read,
            };
            classes.of_node.push(elements);
        }
        classes
    }

    fn fresh(&mut self, count: usize) -> Vec<usize> {
        let start = self.parents.len();
        self.parents.extend(start..start + count);
        (start..start + count).collect()
    }

    fn root(&self, element: usize) -> usize {
        let mut at = element;
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// Classes that some addition joined.
    fn streams(&self, graph: &Graph) -> BTreeSet<usize> {
        let sums = graph.nodes.iter().zip(&self.of_node).filter(|(node, _)| node.op == Op::Add);
        sums.flat_map(|(_, elements)| elements).map(|element| self.root(*element)).collect()
    }

    /// Classes that must stay.
    fn kept(&self, graph: &Graph, streams: Streams) -> BTreeSet<usize> {
        let mut kept: BTreeSet<usize> = self.image.iter().map(|element| self.root(*element)).collect();
        kept.extend(self.of_node.last().into_iter().flatten().map(|element| self.root(*element)));
        let made: BTreeSet<usize> = (0..self.parents.len())
            .filter(|element| !self.without_filter.contains(element))
            .map(|element| self.root(element))
            .collect();
        kept.extend(self.without_filter.iter().map(|element| self.root(*element)).filter(|root| !made.contains(root)));
        if streams == Streams::Whole {
            kept.extend(self.streams(graph));
        }
        kept
    }
}

/// Batch norms that read a residual stream, or what another layer reads too, and whose output reaches no addition: they can
/// leave channels out.
fn gates(graph: &Graph, classes: &Classes) -> BTreeSet<NodeId> {
    let streams = classes.streams(graph);
    // The last node keeps all its channels, and so does what is added to something.
    let mut bound = vec![false; graph.nodes.len()];
    if let Some(last) = bound.last_mut() {
        *last = true;
    }
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        let passes = !matches!(node.op, Op::Conv { .. } | Op::Linear { .. });
        if node.op == Op::Add || (passes && bound[id]) {
            node.inputs.iter().for_each(|input| bound[*input] = true);
        }
    }
    let mut readers = vec![0; graph.nodes.len()];
    graph.nodes.iter().flat_map(|node| &node.inputs).for_each(|input| readers[*input] += 1);
    let shared = |id: NodeId| {
        let input = graph.nodes[id].inputs[0];
        readers[input] > 1 || classes.of_node[input].iter().any(|element| streams.contains(&classes.root(*element)))
    };
    let norms = (0..graph.nodes.len()).filter(|id| graph.nodes[*id].op == Op::BatchNorm);
    norms.filter(|id| !bound[*id] && shared(*id)).collect()
}

#[cfg(test)]
mod tests;
