//! Where each weight and each buffer of a network lies in one flat vector.
//!
//! All trainable weights of a network are one vector, all batch-norm statistics another. Everything that acts on a
//! whole network (optimiser, mask, rewind, snapshot, message) then is one operation on one vector. It may not know
//! of torch: `arena.rs` cuts real tensors by this plan.
//!
//! Convolution weights lie as `[out, kernel, kernel, in]`, so that PyTorch's `[out, in, kernel, kernel]` is a view of
//! them in channels-last memory format; files hold PyTorch's order.

use std::ops::Range;

use super::graph::{Graph, NodeId, Op};

/// What a parameter does, which decides how it starts and whether it may be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution, `[out, in, kernel, kernel]`.
    ConvWeight,
    /// Weight of a fully connected layer, `[out, in]`.
    LinearWeight,
    /// Bias of a convolution or a fully connected layer, `[out]`.
    Bias,
    /// Scale (γ) of a batch norm, `[channels]`.
    NormScale,
    /// Shift (β) of a batch norm, `[channels]`.
    NormShift,
}

impl Role {
    /// Whether weights of this role are connections, the only thing that unstructured pruning removes.
    pub fn is_connection(self) -> bool {
        matches!(self, Role::ConvWeight | Role::LinearWeight)
    }

    /// Whether weights of this role are scales or shifts of a batch norm, which stay float32 where other weights are rounded.
    pub fn is_norm(self) -> bool {
        matches!(self, Role::NormScale | Role::NormShift)
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
        (0..self.shape[0]).map(move |row| offset + row * length..offset + (row + 1) * length)
    }

    /// Number of inputs of one output unit: what initialisations scale by.
    pub fn fan_in(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Copies its values from the vector's order into PyTorch's.
    pub fn to_pytorch<T: Copy>(&self, stored: &[T]) -> Vec<T> {
        match *self.shape {
            [out, inputs, height, width] => permuted(stored, out, height * width, inputs),
            _ => stored.to_vec(),
        }
    }

    /// Copies its values from PyTorch's order into the vector's.
    pub fn from_pytorch<T: Copy>(&self, values: &[T]) -> Vec<T> {
        match *self.shape {
            [out, inputs, height, width] => permuted(values, out, inputs, height * width),
            _ => values.to_vec(),
        }
    }
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
            match node.op {
                Op::Conv { out, kernel, bias, .. } => {
                    let inputs = graph.input_of(id).channels();
                    layout.parameter(id, &node.name, "weight", Role::ConvWeight, &[out, inputs, kernel, kernel]);
                    if bias {
                        layout.parameter(id, &node.name, "bias", Role::Bias, &[out]);
                    }
                }
                Op::Linear { out, bias } => {
                    let inputs = graph.input_of(id).size();
                    layout.parameter(id, &node.name, "weight", Role::LinearWeight, &[out, inputs]);
                    if bias {
                        layout.parameter(id, &node.name, "bias", Role::Bias, &[out]);
                    }
                }
                Op::BatchNorm => {
                    let channels = node.shape.channels();
                    layout.parameter(id, &node.name, "weight", Role::NormScale, &[channels]);
                    layout.parameter(id, &node.name, "bias", Role::NormShift, &[channels]);
                    layout.buffer(id, &node.name, "running_mean", 0.0, channels);
                    layout.buffer(id, &node.name, "running_var", 1.0, channels);
                    layout.norms.push(node.name.clone());
                }
                _ => {}
            }
        }
        layout
    }

    fn parameter(&mut self, node: NodeId, prefix: &str, suffix: &str, role: Role, shape: &[usize]) {
        let len = shape.iter().product();
        let (name, shape, offset) = (format!("{prefix}.{suffix}"), shape.to_vec(), self.len);
        self.parameters.push(Parameter { name, node, role, shape, offset, len });
        self.len += len;
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
