//! Which channels of a network can be pruned, and which of its weights each of them takes along.
//!
//! Found by following every channel through the graph: additions join channels, so a residual stream is pruned in all
//! layers that write or read it, or not at all ("DepGraph: Towards Any Structural Pruning", Fang et al. 2023, has the
//! general form). It knows no particular network, no scores and no torch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::flow::{Element, ElementFactor, ElementFlow, Origin};
use super::graph::{Graph, NodeId};
use super::layout::{Layout, Parameter, Role};
use super::op::{Op, Pairing};
use crate::mask::Bits;
use tombola_words::Axes;
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

/// The channels of a network that may be pruned: heads of attention and hidden units among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    /// In the order of the nodes that make them, then of the channels there.
    pub units: Vec<Unit>,
    /// Names of the layers whose channels they are. None of these may ever be empty.
    pub layers: Vec<String>,
    /// For what each node gives its axes, and the units along them; none for one that stays.
    values: Vec<(Axes, Vec<ElementFactor<Option<usize>>>)>,
    /// For each node with parameters the unit of each of its outputs; none for one that stays.
    makes: Vec<Vec<Option<usize>>>,
    /// For each node with a weight matrix the unit of each channel that it reads; none for one that stays.
    reads: Vec<Vec<Option<usize>>>,
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
        let flow = ElementFlow::of(graph);
        let joined = Classes::of(&flow, &BTreeSet::new());
        let gates = match streams {
            Streams::Whole => gates(graph, &flow, &joined),
            Streams::Group => BTreeSet::new(),
        };
        let classes = if gates.is_empty() { joined } else { Classes::of(&flow, &gates) };
        let mut kept = classes.kept(graph, &flow, streams);
        // What a gate reads is read by others too, past its scale.
        let behind = flow.origins.iter().filter_map(|origin| match origin {
            Origin::Norm(node, read) if gates.contains(node) => Some(classes.root(*read)),
            _ => None,
        });
        kept.extend(behind);
        let mut channels = Self {
            units: Vec::new(),
            layers: Vec::new(),
            values: Vec::new(),
            makes: Vec::new(),
            reads: Vec::new(),
            parameters: layout.parameters.clone(),
            len: layout.len,
        };
        let mut units: Vec<Option<usize>> = vec![None; classes.parents.len()];
        let parts = parts(graph, &flow, &classes);
        for (id, node) in graph.nodes.iter().enumerate() {
            let makes = gates.contains(&id) || node.op.has_connections();
            let mut layers: BTreeMap<&[NodeId], usize> = BTreeMap::new();
            for element in flow.makes[id].iter().filter(|_| makes) {
                let class = classes.root(*element);
                if !kept.contains(&class) && units[class].is_none() {
                    let (part, count) = (parts.get(&class).map_or(&[][..], Vec::as_slice), layers.len());
                    let layer = *layers.entry(part).or_insert_with(|| {
                        let name = &node.name;
                        channels.layers.push(if count == 0 { name.clone() } else { format!("{name} ({})", count + 1) });
                        channels.layers.len() - 1
                    });
                    units[class] = Some(channels.units.len());
                    channels.units.push(Unit { layer, scales: Vec::new(), filters: Vec::new() });
                }
            }
        }
        // Only now: zeros that pad a shortcut stand before the layer that makes the channel they are added to.
        let units_of =
            |elements: &[Element]| elements.iter().map(|element| units[classes.root(*element)]).collect::<Vec<_>>();
        channels.makes = flow.makes.iter().map(|elements| units_of(elements)).collect();
        channels.reads = flow.reads.iter().map(|elements| units_of(elements)).collect();
        // Nodes that share elements share their units.
        let mut known: BTreeMap<*const Element, Arc<[Option<usize>]>> = BTreeMap::new();
        for (node, value) in graph.nodes.iter().zip(&flow.values) {
            let lines = value.iter().map(|factor| ElementFactor {
                axes: factor.axes.clone(),
                sizes: factor.sizes.clone(),
                elements: known
                    .entry(factor.elements.as_ptr())
                    .or_insert_with(|| units_of(&factor.elements).into())
                    .clone(),
            });
            channels.values.push((node.shape.axes(), lines.collect()));
        }
        channels.find_weights();
        channels
    }

    fn find_weights(&mut self) {
        for (number, parameter) in self.parameters.iter().enumerate() {
            for (channel, unit) in self.makes[parameter.node].iter().enumerate() {
                let Some(unit) = unit.and_then(|unit| self.units.get_mut(unit)) else { continue };
                match parameter.role {
                    Role::NormScale => unit.scales.push(parameter.offset + channel),
                    role if role.is_connection() => unit.filters.push((number, channel)),
                    _ => {}
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

    /// How many units of each layer make a multiple of `step` channels: a head or a group has several channels.
    pub fn steps(&self, step: usize) -> Vec<usize> {
        let mut steps = vec![step.max(1); self.layers.len()];
        for unit in &self.units {
            let Some((first, _)) = unit.filters.first() else { continue };
            let rows = unit.filters.iter().filter(|(number, _)| number == first).count();
            let (mut common, mut rest) = (step.max(1), rows);
            while rest > 0 {
                (common, rest) = (rest, common % rest);
            }
            steps[unit.layer] = step.max(1) / common;
        }
        steps
    }

    /// Positions of all batch-norm scales of channels that may be pruned, in order.
    pub fn scales(&self) -> Vec<usize> {
        let mut scales: Vec<usize> = self.units.iter().flat_map(|unit| unit.scales.iter().copied()).collect();
        scales.sort_unstable();
        scales
    }

    /// For each output of a node with parameters whether `mask` (`[len]`) keeps it.
    pub fn of_output(&self, node: NodeId, mask: &Bits) -> Vec<bool> {
        self.makes[node].iter().map(|unit| unit.is_none_or(|unit| mask.get(unit))).collect()
    }

    /// For each channel that a node with a weight matrix reads whether `mask` keeps it.
    pub fn of_input(&self, node: NodeId, mask: &Bits) -> Vec<bool> {
        self.reads[node].iter().map(|unit| unit.is_none_or(|unit| mask.get(unit))).collect()
    }

    /// For each axis of what a node gives the places there that `mask` keeps.
    pub fn of_axes(&self, node: NodeId, mask: &Bits) -> Vec<Vec<bool>> {
        let (axes, factors) = &self.values[node];
        let mut alive: Vec<Vec<bool>> = axes.as_slice().iter().map(|size| vec![true; *size]).collect();
        for factor in factors {
            for (place, axis) in factor.axes.iter().enumerate() {
                let mut any = vec![false; factor.sizes[place]];
                for (index, unit) in factor.elements.iter().enumerate() {
                    any[factor.index(index, place)] |= unit.is_none_or(|unit| mask.get(unit));
                }
                alive[*axis] = any;
            }
        }
        alive
    }

    /// For each value of a parameter, in the order of the layout, whether a mask over channels (`[len]`) keeps it.
    pub fn of_parameter(&self, parameter: &Parameter, mask: &Bits) -> Vec<bool> {
        let mut alive = Vec::with_capacity(parameter.len);
        if let Role::Learned(_) = parameter.role {
            let axes = self.of_axes(parameter.node, mask);
            alive.resize(parameter.len, true);
            for (index, own) in alive.iter_mut().enumerate() {
                let mut rest = index;
                for flags in axes.iter().rev() {
                    *own &= flags[rest % flags.len()];
                    rest /= flags.len();
                }
            }
            return alive;
        }
        let outputs = self.of_output(parameter.node, mask);
        if !parameter.role.is_connection() {
            // Norms over places and lone slopes belong to no channel.
            let known = outputs.len() == parameter.len;
            alive.extend((0..parameter.len).map(|place| !known || outputs[place]));
            return alive;
        }
        let inputs = self.of_input(parameter.node, mask);
        for (row, output) in outputs.iter().enumerate() {
            let own = &inputs[parameter.inputs_of(row, inputs.len())];
            alive.extend(own.iter().cycle().take(parameter.fan_in()).map(|input| *output && *input));
        }
        alive
    }

    /// The weights (`[Layout::len]`) that a mask over channels (`[len]`) keeps: of a dead channel nothing stays, neither
    /// what makes it nor what reads it, scale and shift included (docs/pitfalls.md, number 20).
    pub fn weight_mask(&self, mask: &Bits) -> Bits {
        let mut weights = Bits::ones(self.len);
        for parameter in &self.parameters {
            let alive = self.of_parameter(parameter, mask);
            for (position, _) in parameter.range().zip(alive).filter(|(_, alive)| !alive) {
                weights.set(position, false);
            }
        }
        weights
    }

    /// The channels (`[len]`) that a mask over weights keeps, one that [`Channels::weight_mask`] made. Only connections
    /// are looked at, which files of masks hold: a channel lives if its filter does, or what reads it if it has none.
    pub fn alive(&self, weights: &Bits) -> Bits {
        let mut alive = Bits::zeros(self.len());
        for parameter in self.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
            let outputs = &self.makes[parameter.node];
            let inputs = &self.reads[parameter.node];
            let selected: Vec<Option<usize>> =
                inputs.iter().map(|unit| unit.filter(|unit| self.units[*unit].filters.is_empty())).collect();
            let selects = selected.iter().any(Option::is_some);
            for (number, (row, output)) in parameter.rows().zip(outputs).enumerate() {
                if let Some(unit) = output.filter(|_| weights.count_in(row.clone()) > 0) {
                    alive.set(unit, true);
                }
                let own = &selected[parameter.inputs_of(number, inputs.len())];
                for (position, input) in row.filter(|_| selects).zip(own.iter().cycle()) {
                    if let Some(unit) = input.filter(|_| weights.get(position)) {
                        alive.set(unit, true);
                    }
                }
            }
        }
        alive
    }
}

/// Elements in classes that share their fate.
struct Classes {
    /// Union-find: the smaller element leads.
    parents: Vec<Element>,
}

impl Classes {
    /// `gates` are batch norms whose channels are not bound to those that they read.
    fn of(flow: &ElementFlow, gates: &BTreeSet<NodeId>) -> Self {
        let mut classes = Self { parents: (0..flow.origins.len()).collect() };
        let is_gate = |element: Element, read: Element| match flow.origins[element] {
            Origin::Norm(node, from) => from == read && gates.contains(&node),
            _ => false,
        };
        for (a, b) in flow.ties.iter().filter(|(a, b)| !is_gate(*a, *b)) {
            classes.join(*a, *b);
        }
        classes
    }

    fn root(&self, element: Element) -> Element {
        let mut at = element;
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    fn join(&mut self, a: Element, b: Element) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// Classes that some addition of two values of images joined.
    fn streams(&self, graph: &Graph, flow: &ElementFlow) -> BTreeSet<Element> {
        let sums = (0..graph.nodes.len()).filter(|id| is_sum(graph, *id));
        sums.flat_map(|id| &flow.values[id]).flat_map(|factor| &*factor.elements).map(|e| self.root(*e)).collect()
    }

    /// Classes that must stay.
    fn kept(&self, graph: &Graph, flow: &ElementFlow, streams: Streams) -> BTreeSet<Element> {
        let mut kept: BTreeSet<Element> = flow.fixed.iter().map(|element| self.root(*element)).collect();
        let (mut made, mut unmade) = (BTreeSet::new(), BTreeSet::new());
        for (element, origin) in flow.origins.iter().enumerate() {
            let root = self.root(element);
            match origin {
                Origin::Image => {
                    kept.insert(root);
                }
                Origin::Zeros | Origin::Learned | Origin::Unknown => {
                    unmade.insert(root);
                }
                Origin::Filter(_) | Origin::Norm(..) | Origin::Mixed(_) => {
                    made.insert(root);
                }
            }
        }
        kept.extend(unmade.difference(&made));
        if streams == Streams::Whole {
            kept.extend(self.streams(graph, flow));
        }
        // What several axes share must be a box, whatever is pruned: it may depend on one of them alone.
        for factor in flow.values.iter().flatten().filter(|factor| factor.axes.len() > 1) {
            let roots: Vec<Element> = factor.elements.iter().map(|element| self.root(*element)).collect();
            let depends_on = |place: usize| {
                let mut first = vec![None; factor.sizes[place]];
                roots
                    .iter()
                    .enumerate()
                    .all(|(index, root)| *first[factor.index(index, place)].get_or_insert(*root) == *root)
            };
            if !(0..factor.axes.len()).any(depends_on) {
                kept.extend(roots);
            }
        }
        kept
    }
}

/// For each class the nodes that take a part of an axis and have it in it. None of these may ever be left with nothing, so what one
/// layer makes for several parts counts as several layers.
fn parts(graph: &Graph, flow: &ElementFlow, classes: &Classes) -> BTreeMap<Element, Vec<NodeId>> {
    let mut parts: BTreeMap<Element, Vec<NodeId>> = BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if !matches!(node.op, Op::Slice { .. } | Op::Take { .. } | Op::Select { .. }) {
            continue;
        }
        for element in flow.values[id].iter().flat_map(|factor| &*factor.elements) {
            let own = parts.entry(classes.root(*element)).or_default();
            if own.last() != Some(&id) {
                own.push(id);
            }
        }
    }
    parts
}

/// Whether a node adds two values of images.
fn is_sum(graph: &Graph, id: NodeId) -> bool {
    let node = &graph.nodes[id];
    let adds = match node.op {
        Op::Add => true,
        Op::Pair { function } => matches!(function, Pairing::Add | Pairing::Subtract),
        _ => false,
    };
    adds && node.inputs.iter().all(|input| graph.nodes[*input].shape.is_of_images())
}

/// Batch norms that read a residual stream, or what another layer reads too, and whose output reaches no sum or product: they can
/// leave channels out.
fn gates(graph: &Graph, flow: &ElementFlow, classes: &Classes) -> BTreeSet<NodeId> {
    let streams = classes.streams(graph, flow);
    // The last node keeps all its channels, and so does what is added to something.
    let mut bound = vec![false; graph.nodes.len()];
    if let Some(last) = bound.last_mut() {
        *last = true;
    }
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        let passes = !node.op.has_connections();
        let pairs = node.inputs.len() > 1 && !matches!(node.op, Op::Concat { .. });
        if pairs || (passes && bound[id]) {
            node.inputs.iter().for_each(|input| bound[*input] = true);
        }
    }
    let mut readers = vec![0; graph.nodes.len()];
    graph.nodes.iter().flat_map(|node| &node.inputs).for_each(|input| readers[*input] += 1);
    let shared = |id: NodeId| {
        let input = graph.nodes[id].inputs[0];
        let elements = flow.values[input].iter().flat_map(|factor| &*factor.elements);
        readers[input] > 1 || elements.into_iter().any(|element| streams.contains(&classes.root(*element)))
    };
    let norms = (0..graph.nodes.len()).filter(|id| graph.nodes[*id].op.is_batch_norm());
    norms.filter(|id| !bound[*id] && shared(*id)).collect()
}

#[cfg(test)]
mod tests;
