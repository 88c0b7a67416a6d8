//! What a network costs: parameters, multiply-adds, memory; of all its weights or of those that a mask keeps.
//!
//! Multiply-adds are those of convolutions, linear layers and products of matrices (attention) for one image forward, stem,
//! shortcuts and output layer included, positions of padding too; norms, activations, pooling and biases are not counted. One
//! multiply-add is two FLOPs. It may not know of torch.

use super::graph::{Graph, NodeId};
use super::layout::Layout;
use super::op::Op;
use crate::mask::bits::Bits;
use tombola_words::Shape;
use tombola_words::error::{Error, Result};

/// The most parameters that a network may have: 4 GB of weights, and as much again for gradient and each moment.
pub const MOST_PARAMETERS: usize = 1_000_000_000;
/// The most activation memory for one image, in bytes.
pub const MOST_ACTIVATION_BYTES: usize = 4_000_000_000;

/// What one network costs. Counts saturate instead of overflowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Trainable values: weights, biases, scales and shifts.
    pub parameters: usize,
    /// Weights of convolutions and linear layers, all that unstructured pruning can remove.
    pub prunable: usize,
    /// Those of them that belong to convolutions.
    pub convolution_weights: usize,
    /// Multiply-adds for one image, forward.
    pub macs: usize,
    /// Channels of all batch norms: what channel pruning counts.
    pub norm_channels: usize,
    /// Bytes that training keeps for one image from the forward to the backward pass: each node's output in f32,
    /// and the 64-bit position of each maximum of a max pooling. Flattening copies nothing. An upper estimate, since
    /// fused operations keep less.
    pub activation_bytes: usize,
}

impl Cost {
    /// The cost of the dense network.
    pub fn of(graph: &Graph) -> Self {
        let mut cost = Self::unmasked(graph);
        for id in 0..graph.nodes.len() {
            let weights = weights(graph, id);
            cost.add_weights(graph, id, weights);
            cost.parameters = cost.parameters.saturating_add(weights).saturating_add(others(graph, id));
        }
        cost
    }

    /// The cost of what `mask`, over the positions of `layout`, keeps. Only a program that skips masked weights has
    /// these multiply-adds; memory and batch norms are the dense network's.
    pub fn masked(graph: &Graph, layout: &Layout, mask: &Bits) -> Self {
        let mut cost = Self { parameters: mask.count(), ..Self::unmasked(graph) };
        for parameter in layout.parameters.iter().filter(|parameter| parameter.role.is_connection()) {
            cost.add_weights(graph, parameter.node, mask.count_in(parameter.range()));
        }
        cost
    }

    /// Floating-point operations for one image, forward: two a multiply-add.
    pub fn flops(&self) -> usize {
        self.macs.saturating_mul(2)
    }

    /// What does not depend on which weights are alive.
    fn unmasked(graph: &Graph) -> Self {
        let mut cost = Self::default();
        for (id, node) in graph.nodes.iter().enumerate() {
            cost.macs = cost.macs.saturating_add(products(graph, id));
            let bytes = match node.op {
                // These copy nothing, or nothing that grows with the images.
                Op::Flatten
                | Op::Reshape { .. }
                | Op::Permute { .. }
                | Op::Slice { .. }
                | Op::Expand { .. }
                | Op::Learned { .. }
                | Op::Constant { .. } => 0,
                Op::MaxPool { .. } => 4 + 8,
                _ => 4,
            };
            cost.activation_bytes = cost.activation_bytes.saturating_add(size(node.shape).saturating_mul(bytes));
            if node.op.is_batch_norm() {
                cost.norm_channels = cost.norm_channels.saturating_add(node.shape.channels());
            }
        }
        cost
    }

    fn add_weights(&mut self, graph: &Graph, id: NodeId, weights: usize) {
        let node = &graph.nodes[id];
        // Each weight is used once for each pixel or place of the output; one of a transposed convolution, of the input.
        let uses = match node.op {
            Op::Conv { out, .. } | Op::Linear { out, .. } => size(node.shape) / out.max(1),
            Op::ConvTransposed { .. } => size(graph.input_of(id)) / graph.input_of(id).channels().max(1),
            _ => 0,
        };
        self.macs = self.macs.saturating_add(weights.saturating_mul(uses));
        self.prunable = self.prunable.saturating_add(weights);
        if node.op.is_convolution() {
            self.convolution_weights = self.convolution_weights.saturating_add(weights);
        }
    }
}

/// Refuses a network that no machine could train, before its weights are laid out.
///
/// # Errors
/// When it has more than [`MOST_PARAMETERS`] or needs more than [`MOST_ACTIVATION_BYTES`] for one image.
pub fn check_size(graph: &Graph) -> Result<()> {
    let cost = Cost::of(graph);
    if cost.parameters > MOST_PARAMETERS {
        return Err(Error::input(format!(
            "the network has {} parameters, more than the {MOST_PARAMETERS} allowed",
            count(cost.parameters)
        ))
        .hint("choose a smaller width or depth, or pool the image before linear layers"));
    }
    if cost.activation_bytes > MOST_ACTIVATION_BYTES {
        return Err(Error::input(format!(
            "the network needs {} bytes of activations for one image, more than the {MOST_ACTIVATION_BYTES} allowed",
            count(cost.activation_bytes)
        ))
        .hint("choose a smaller width or depth, or larger strides"));
    }
    Ok(())
}

/// A count that may have saturated.
fn count(value: usize) -> String {
    if value == usize::MAX { format!("at least {value}") } else { value.to_string() }
}

/// [`Shape::size`], saturating.
fn size(shape: Shape) -> usize {
    match shape {
        Shape::Image(channels, height, width) => channels.saturating_mul(height).saturating_mul(width),
        Shape::Vector(features) => features,
        Shape::Block(axes) | Shape::Shared(axes) => axes.product(),
    }
}

/// Multiply-adds of a product of two values.
fn products(graph: &Graph, id: NodeId) -> usize {
    let node = &graph.nodes[id];
    let last = |number: usize| graph.nodes[node.inputs[number]].shape.axes().as_slice().last().copied().unwrap_or(1);
    match node.op {
        Op::MatrixProduct => size(node.shape).saturating_mul(last(0)),
        Op::Attention { .. } => {
            // Each query with each key, and each share of a value.
            let (features, values) = (last(0).max(1), last(2).max(1));
            let keys = graph.nodes[node.inputs[1]].shape.axes();
            let places = keys.as_slice().iter().rev().nth(1).copied().unwrap_or(1);
            (size(node.shape) / values).saturating_mul(places).saturating_mul(features.saturating_add(values))
        }
        _ => 0,
    }
}

/// Connections of a node.
fn weights(graph: &Graph, id: NodeId) -> usize {
    match graph.nodes[id].op {
        Op::Conv { out, window, groups, .. } | Op::ConvTransposed { out, window, groups, .. } => {
            let inputs = graph.input_of(id).channels() / groups.max(1);
            let positions =
                if graph.input_of(id).axes().as_slice().len() == 3 { window.kernel[1] } else { window.size() };
            out.saturating_mul(inputs).saturating_mul(positions)
        }
        Op::Linear { out, .. } => out.saturating_mul(graph.input_of(id).axes().as_slice().last().copied().unwrap_or(0)),
        _ => 0,
    }
}

/// Parameters of a node that are no connections: biases, scales, shifts, learned tensors.
fn others(graph: &Graph, id: NodeId) -> usize {
    let node = &graph.nodes[id];
    let channels = node.shape.channels();
    let last = |axes: usize| {
        let all = node.shape.axes();
        all.as_slice().iter().rev().take(axes).fold(1usize, |product, size| product.saturating_mul(*size))
    };
    match node.op {
        Op::Conv { out, bias: true, .. }
        | Op::ConvTransposed { out, bias: true, .. }
        | Op::Linear { out, bias: true } => out,
        Op::BatchNorm { affine: true, .. } | Op::GroupNorm { affine: true, .. } => channels.saturating_mul(2),
        Op::LayerNorm { axes, weight, bias, .. } => last(axes).saturating_mul(usize::from(weight) + usize::from(bias)),
        Op::RmsNorm { axes, weight: true, .. } => last(axes),
        Op::Prelu { slopes } => slopes,
        Op::Learned { shape, .. } => shape.product(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Builder;

    fn small() -> Graph {
        let mut build = Builder::new(Shape::Image(2, 8, 8));
        let conv = build.conv("conv", 0, 3, 3, 2).unwrap();
        let norm = build.batch_norm("bn", conv).unwrap();
        let pool = build.add("pool", Op::max_pool(2, 2, 0), &[norm]).unwrap();
        let flat = build.add("flatten", Op::Flatten, &[pool]).unwrap();
        build.linear("fc", flat, 5).unwrap();
        build.finish(5).unwrap()
    }

    #[test]
    fn a_small_network_costs_what_one_counts_by_hand() {
        let cost = Cost::of(&small());
        assert_eq!((cost.convolution_weights, cost.prunable), (54, 54 + 60));
        assert_eq!(cost.parameters, 54 + 6 + 60 + 5);
        assert_eq!(cost.parameters, Layout::of(&small()).len);
        assert_eq!((cost.macs, cost.flops()), (54 * 16 + 60, 2 * (54 * 16 + 60)));
        assert_eq!(cost.norm_channels, 3);
        // Input, convolution, batch norm, pooling with positions, output.
        assert_eq!(cost.activation_bytes, 4 * (128 + 48 + 48 + 12 + 5) + 8 * 12);
    }

    #[test]
    fn a_mask_removes_a_weight_from_every_position_that_uses_it() {
        let (graph, layout) = (small(), Layout::of(&small()));
        let dense = Cost::of(&graph);
        let mut mask = Bits::ones(layout.len);
        assert_eq!(Cost::masked(&graph, &layout, &mask), dense);
        mask.set(0, false);
        let fc = layout.parameters.iter().find(|parameter| parameter.name == "fc.weight").unwrap();
        mask.set(fc.offset, false);
        let cost = Cost::masked(&graph, &layout, &mask);
        assert_eq!((cost.parameters, cost.prunable), (dense.parameters - 2, dense.prunable - 2));
        assert_eq!((cost.convolution_weights, cost.macs), (53, dense.macs - 16 - 1));
    }

    #[test]
    fn a_network_beyond_any_machine_is_refused() {
        let mut build = Builder::new(Shape::Vector(usize::MAX));
        build.linear("fc", 0, 10).unwrap();
        let error = check_size(&build.finish(10).unwrap()).unwrap_err();
        assert!(error.message.contains("at least"), "{error}");
    }
}
