//! Where each weight and each buffer of a network lies in one flat vector.
//!
//! All trainable weights of a network are one vector, all batch-norm statistics another. Everything that acts on a
//! whole network (optimiser, mask, rewind, snapshot, message) then is one operation on one vector. It may not know
//! of torch: `arena.rs` cuts real tensors by this plan.
//!
//! Convolution weights lie as `[out, kernel, kernel, in]`, so that PyTorch's `[out, in, kernel, kernel]` is a view of
//! them in channels-last memory format; files hold PyTorch's order.

use std::ops::Range;

use super::graph::{Graph, Node, NodeId};
use super::op::{LearnedStart, Op, Window};

/// What a parameter does, which decides how it starts and whether it may be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution, `[out, in / groups, height, width]`; of signals `[out, in / groups, width]`.
    ConvWeight,
    /// Weight of a transposed convolution of this many groups, `[in, out / groups, height, width]`.
    TransposedWeight(usize),
    /// Weight of a fully connected layer, `[out, in]`.
    LinearWeight,
    /// Bias of a convolution or a fully connected layer, `[out]`.
    Bias,
    /// Scale (γ) of a batch norm, `[channels]`.
    NormScale,
    /// Shift (β) of a batch norm, `[channels]`.
    NormShift,
    /// Scale of a layer, group or root mean square norm.
    Gain,
    /// Shift of a layer or group norm.
    Offset,
    /// Slopes of a PReLU below 0, `[1]` or `[channels]`.
    Slope,
    /// A tensor that is learned by itself, and what it holds before training.
    Learned(LearnedStart),
}

impl Role {
    /// Whether weights of this role are connections, the only thing that unstructured pruning removes.
    pub fn is_connection(self) -> bool {
        self.is_convolution() || self == Role::LinearWeight
    }

    /// Whether weights of this role are those of a convolution, transposed or not.
    pub fn is_convolution(self) -> bool {
        matches!(self, Role::ConvWeight | Role::TransposedWeight(_))
    }

    /// Whether weights of this role are scales or shifts of a norm, which stay float32 where other weights are rounded.
    pub fn is_norm(self) -> bool {
        matches!(self, Role::NormScale | Role::NormShift | Role::Gain | Role::Offset)
    }
}

/// One named piece of the weight vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// PyTorch's name: "layer1.0.conv1.weight".
    pub name: String,
    /// The node that uses it.
    pub node: NodeId,
    /// What it does there.
    pub role: Role,
    /// Shape in PyTorch's order.
    pub shape: Vec<usize>,
    /// Position of its first value in the vector.
    pub offset: usize,
    /// Number of its values.
    pub len: usize,
}

impl Parameter {
    /// Its positions in the vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }

    /// For each output the positions of its weights, over which the inputs go round: a convolution stores
    /// `[out, kernel, kernel, in]`, a linear layer `[out, in]`.
    pub fn rows(&self) -> impl Iterator<Item = Range<usize>> {
        let (offset, length) = (self.offset, self.fan_in());
        (0..self.outputs()).map(move |row| offset + row * length..offset + (row + 1) * length)
    }

    /// Number of output units.
    pub fn outputs(&self) -> usize {
        match (self.role, &*self.shape) {
            (Role::TransposedWeight(groups), [_, out, ..]) => out * groups,
            (_, [out, ..]) => *out,
            (_, []) => 1,
        }
    }

    /// Number of inputs of one output unit: what initialisations scale by.
    pub fn fan_in(&self) -> usize {
        self.len / self.outputs().max(1)
    }

    /// The inputs of an output unit among `all` of the layer: those of its group.
    pub fn inputs_of(&self, output: usize, all: usize) -> Range<usize> {
        let own = match (self.role, &*self.shape) {
            (Role::ConvWeight, [_, own, ..]) => *own,
            (Role::TransposedWeight(groups), [own, ..]) => own / groups.max(1),
            _ => all,
        };
        let groups = (all / own.max(1)).max(1);
        let group = output / (self.outputs() / groups).max(1);
        group * own..(group + 1) * own
    }

    /// Copies its values from the vector's order into PyTorch's.
    pub fn to_pytorch<T: Copy>(&self, stored: &[T]) -> Vec<T> {
        match (self.role, &*self.shape) {
            (Role::ConvWeight, [out, inputs, window @ ..]) => permuted(stored, *out, window.iter().product(), *inputs),
            // Stored as [groups, out, window, in], there as [groups, in, out, window].
            (Role::TransposedWeight(groups), &[inputs, out, ref window @ ..]) => {
                permuted(stored, groups, out * window.iter().product::<usize>(), inputs / groups.max(1))
            }
            _ => stored.to_vec(),
        }
    }

    /// Copies its values from PyTorch's order into the vector's.
    pub fn from_pytorch<T: Copy>(&self, values: &[T]) -> Vec<T> {
        match (self.role, &*self.shape) {
            (Role::ConvWeight, [out, inputs, window @ ..]) => permuted(values, *out, *inputs, window.iter().product()),
            (Role::TransposedWeight(groups), &[inputs, out, ref window @ ..]) => {
                permuted(values, groups, inputs / groups.max(1), out * window.iter().product::<usize>())
            }
            _ => values.to_vec(),
        }
    }
}

/// Height and width of a weight, or its width where a value has `axes` axes and no rows.
fn window_of(axes: usize, window: Window) -> Vec<usize> {
    if axes == 3 { vec![window.kernel[1]] } else { window.kernel.to_vec() }
}

/// Transposes the inner two axes of `[out, rows, columns]`.
fn permuted<T: Copy>(values: &[T], out: usize, rows: usize, columns: usize) -> Vec<T> {
    let mut result = Vec::with_capacity(values.len());
    for matrix in values.chunks_exact((rows * columns).max(1)).take(out) {
        for column in 0..columns {
            result.extend((0..rows).map(|row| matrix[row * columns + column]));
        }
    }
    result
}

/// One named piece of the buffer vector: running mean or running variance of a batch norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// PyTorch's name: "bn1.running_mean".
    pub name: String,
    /// The batch norm it belongs to.
    pub node: NodeId,
    /// Value before the first batch: 0 for means, 1 for variances.
    pub start: f32,
    /// Position of its first value in the buffer vector.
    pub offset: usize,
    /// Number of channels.
    pub len: usize,
}

impl Buffer {
    /// Its positions in the buffer vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// The plan of both vectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// Pieces of the weight vector, in order, without gaps.
    pub parameters: Vec<Parameter>,
    /// Length of the weight vector.
    pub len: usize,
    /// Pieces of the buffer vector, in order, without gaps: for each batch norm its mean, then its variance.
    pub buffers: Vec<Buffer>,
    /// Length of the buffer vector.
    pub buffer_len: usize,
    /// Names of the batch norms ("bn1"), for PyTorch's `num_batches_tracked`.
    pub norms: Vec<String>,
}

impl Layout {
    /// Lays out a network in the order of its nodes.
    pub fn of(graph: &Graph) -> Self {
        let mut layout = Self::default();
        for (id, node) in graph.nodes.iter().enumerate() {
            let read = || graph.input_of(id).axes();
            let channels = node.shape.channels();
            match node.op {
                Op::Conv { out, window, groups, bias } => {
                    let mut shape = vec![out, graph.input_of(id).channels() / groups.max(1)];
                    shape.extend(window_of(read().as_slice().len(), window));
                    layout.parameter(id, node, "weight", Role::ConvWeight, &shape);
                    layout.bias(id, node, bias, out);
                }
                Op::ConvTransposed { out, window, groups, bias, .. } => {
                    let mut shape = vec![graph.input_of(id).channels(), out / groups.max(1)];
                    shape.extend(window_of(read().as_slice().len(), window));
                    layout.parameter(id, node, "weight", Role::TransposedWeight(groups), &shape);
                    layout.bias(id, node, bias, out);
                }
                Op::Linear { out, bias } => {
                    let inputs = read().as_slice().last().copied().unwrap_or(0);
                    layout.parameter(id, node, "weight", Role::LinearWeight, &[out, inputs]);
                    layout.bias(id, node, bias, out);
                }
                Op::BatchNorm { affine, .. } => {
                    if affine {
                        layout.parameter(id, node, "weight", Role::NormScale, &[channels]);
                        layout.parameter(id, node, "bias", Role::NormShift, &[channels]);
                    }
                    layout.buffer(id, &node.name, "running_mean", 0.0, channels);
                    layout.buffer(id, &node.name, "running_var", 1.0, channels);
                    layout.norms.push(node.name.clone());
                }
                Op::LayerNorm { axes, weight, bias, .. } => {
                    let all = read();
                    let shape = &all.as_slice()[all.as_slice().len().saturating_sub(axes)..];
                    if weight {
                        layout.parameter(id, node, "weight", Role::Gain, shape);
                    }
                    if bias {
                        layout.parameter(id, node, "bias", Role::Offset, shape);
                    }
                }
                Op::RmsNorm { axes, weight: true, .. } => {
                    let all = read();
                    let shape = &all.as_slice()[all.as_slice().len().saturating_sub(axes)..];
                    layout.parameter(id, node, "weight", Role::Gain, shape);
                }
                Op::GroupNorm { affine: true, .. } => {
                    layout.parameter(id, node, "weight", Role::Gain, &[channels]);
                    layout.parameter(id, node, "bias", Role::Offset, &[channels]);
                }
                Op::Prelu { slopes } => layout.parameter(id, node, "weight", Role::Slope, &[slopes]),
                Op::Learned { shape, begins } => {
                    layout.parameter(id, node, "", Role::Learned(begins), shape.as_slice());
                }
                _ => {}
            }
        }
        layout
    }

    fn parameter(&mut self, id: NodeId, node: &Node, suffix: &str, role: Role, shape: &[usize]) {
        let len = shape.iter().product();
        let before = self.parameters.iter().rev().take_while(|parameter| parameter.node == id).count();
        let name = match node.parameters.get(before) {
            Some(own) => own.clone(),
            None if suffix.is_empty() => node.name.clone(),
            None => format!("{}.{suffix}", node.name),
        };
        self.parameters.push(Parameter { name, node: id, role, shape: shape.to_vec(), offset: self.len, len });
        self.len += len;
    }

    fn bias(&mut self, id: NodeId, node: &Node, bias: bool, out: usize) {
        if bias {
            self.parameter(id, node, "bias", Role::Bias, &[out]);
        }
    }

    fn buffer(&mut self, node: NodeId, prefix: &str, suffix: &str, start: f32, len: usize) {
        let (name, offset) = (format!("{prefix}.{suffix}"), self.buffer_len);
        self.buffers.push(Buffer { name, node, start, offset, len });
        self.buffer_len += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Builder;
    use tombola_words::Shape;

    fn small() -> Graph {
        let mut build = Builder::new(Shape::Image(2, 4, 4));
        let conv = build.conv("conv", 0, 3, 3, 1).unwrap();
        let norm = build.batch_norm("bn", conv).unwrap();
        let pool = build.add("pool", Op::GlobalAveragePool, &[norm]).unwrap();
        build.linear("fc", pool, 5).unwrap();
        build.finish(5).unwrap()
    }

    #[test]
    fn pieces_follow_each_other_without_gaps_under_pytorch_names() {
        let layout = Layout::of(&small());
        let names: Vec<&str> = layout.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias"]);
        let mut end = 0;
        for parameter in &layout.parameters {
            assert_eq!(parameter.offset, end);
            assert_eq!(parameter.len, parameter.shape.iter().product::<usize>());
            end += parameter.len;
        }
        assert_eq!((layout.len, layout.buffer_len), (end, 6));
        assert_eq!(layout.len, 2 * 3 * 9 + 6 + 3 * 5 + 5);
    }

    #[test]
    fn convolution_weights_change_order_there_and_back() {
        let layout = Layout::of(&small());
        let weight = &layout.parameters[0];
        let pytorch: Vec<usize> = (0..weight.len).collect();
        let stored = weight.from_pytorch(&pytorch);
        // [out=1, y=2, x=0, in=1] is PyTorch's [out=1, in=1, y=2, x=0].
        assert_eq!(stored[((3 + 2) * 3) * 2 + 1], (2 + 1) * 9 + 2 * 3);
        assert_eq!(weight.to_pytorch(&stored), pytorch);
    }
}
