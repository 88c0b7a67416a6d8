//! A network as a list of nodes, and the builder that infers every shape while it grows.
//!
//! It may not know of torch, training or pruning. Whatever needs to know a network (running it, laying out its
//! weights, counting its cost, following its connections) walks this list, once, in one place.

use tombola_words::Shape;
use tombola_words::error::{Error, Result};

/// Position of a node in [`Graph::nodes`]. A node's inputs always stand before it.
pub type NodeId = usize;

/// What a node does to its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The normalised image. Always node 0.
    Input,
    /// Convolution with a square kernel; weight `[out, in, kernel, kernel]`.
    Conv {
        /// Output channels.
        out: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Step between two windows.
        stride: usize,
        /// Zeros added on each side.
        padding: usize,
        /// Whether a bias `[out]` is added.
        bias: bool,
    },
    /// Fully connected layer; weight `[out, in]`.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias `[out]` is added.
        bias: bool,
    },
    /// Batch norm over channels, eps 1e-5, running statistics moved by 0.1 each batch.
    BatchNorm,
    /// max(x, 0).
    Relu,
    /// Sum of two inputs of the same shape.
    Add,
    /// Largest value of each window.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// Step between two windows.
        stride: usize,
        /// Positions added on each side that are never the largest; at most half a window.
        padding: usize,
    },
    /// Mean of each window.
    AvgPool {
        /// Side of the window.
        kernel: usize,
        /// Step between two windows.
        stride: usize,
    },
    /// Mean over height and width: an image becomes a vector of its channels.
    GlobalAveragePool,
    /// An image becomes a vector, channel by channel, then row by row (PyTorch's order).
    Flatten,
    /// Shortcut "option A" of He et al. 2016: every `stride`-th pixel, and zero channels added on both sides.
    PadShortcut {
        /// Step between two kept pixels.
        stride: usize,
        /// Zero channels before the kept ones.
        before: usize,
        /// Zero channels after the kept ones.
        after: usize,
    },
    /// Some of the channels, in a given order.
    Select {
        /// Which ones: a position in [`Graph::selections`].
        list: usize,
        /// How many they are.
        out: usize,
    },
}

/// One operation of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// PyTorch's module path ("layer1.0.conv1"): the prefix of the names of its parameters.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Where its inputs come from; two for [`Op::Add`], none for [`Op::Input`], one otherwise.
    pub inputs: Vec<NodeId>,
    /// What comes out for one image.
    pub shape: Shape,
}

/// A whole network. The last node gives one value a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// In an order in which they can be run.
    pub nodes: Vec<Node>,
    /// The channels that each [`Op::Select`] takes.
    pub selections: Vec<Vec<usize>>,
}

impl Graph {
    /// What goes in.
    pub fn input(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Values that come out: the number of classes.
    pub fn classes(&self) -> usize {
        self.nodes[self.nodes.len() - 1].shape.size()
    }

    /// The shape that node `id` reads (its first input's).
    pub fn input_of(&self, id: NodeId) -> Shape {
        self.nodes[self.nodes[id].inputs[0]].shape
    }

    /// The last node with weights: the output layer.
    pub fn output_layer(&self) -> Option<NodeId> {
        self.nodes.iter().rposition(|node| matches!(node.op, Op::Conv { .. } | Op::Linear { .. }))
    }
}

/// Grows a [`Graph`] node by node and refuses what cannot work, naming the layer.
#[derive(Debug)]
pub struct Builder {
    nodes: Vec<Node>,
    selections: Vec<Vec<usize>>,
}

impl Builder {
    /// Starts a network that reads images of this shape. The input is node 0.
    pub fn new(input: Shape) -> Self {
        let input = Node { name: String::new(), op: Op::Input, inputs: Vec::new(), shape: input };
        Self { nodes: vec![input], selections: Vec::new() }
    }

    /// The shape that node `id` gives.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id].shape
    }

    /// Adds a node that reads `inputs`.
    ///
    /// # Errors
    /// When the operation cannot read those shapes; the message names the layer and both shapes.
    pub fn add(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.nodes[id].shape).collect();
        let shape = infer(op, &shapes).map_err(|reason| Error::input(format!("layer `{name}`: {reason}")))?;
        self.nodes.push(Node { name: name.to_string(), op, inputs: inputs.to_vec(), shape });
        Ok(self.nodes.len() - 1)
    }

    /// Convolution without bias, padded so that stride 1 keeps the size (odd kernels).
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn conv(&mut self, name: &str, from: NodeId, out: usize, kernel: usize, stride: usize) -> Result<NodeId> {
        self.add(name, Op::Conv { out, kernel, stride, padding: kernel / 2, bias: false }, &[from])
    }

    /// Batch norm.
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn batch_norm(&mut self, name: &str, from: NodeId) -> Result<NodeId> {
        self.add(name, Op::BatchNorm, &[from])
    }

    /// ReLU.
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn relu(&mut self, from: NodeId) -> Result<NodeId> {
        self.add("relu", Op::Relu, &[from])
    }

    /// Fully connected layer with bias.
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn linear(&mut self, name: &str, from: NodeId, out: usize) -> Result<NodeId> {
        self.add(name, Op::Linear { out, bias: true }, &[from])
    }

    /// Takes some of the channels of node `from`.
    ///
    /// # Errors
    /// As [`Builder::add`], and when `from` has no such channel.
    pub fn select(&mut self, name: &str, from: NodeId, channels: Vec<usize>) -> Result<NodeId> {
        let there = self.shape(from).channels();
        if let Some(channel) = channels.iter().find(|channel| **channel >= there) {
            return Err(Error::input(format!("layer `{name}`: there is no channel {channel} among {there}")));
        }
        let op = Op::Select { list: self.selections.len(), out: channels.len() };
        self.selections.push(channels);
        self.add(name, op, &[from])
    }

    /// Ends the network at its last node, which must give one value for each of `classes`.
    ///
    /// # Errors
    /// When the last node gives something else.
    pub fn finish(self, classes: usize) -> Result<Graph> {
        let last = &self.nodes[self.nodes.len() - 1];
        if last.shape != Shape::Vector(classes) {
            return Err(Error::input(format!(
                "the network ends in `{}` with shape {}, but the data has {classes} classes",
                last.name, last.shape
            ))
            .hint(format!("end the network with a linear layer of {classes} outputs (`linear = \"classes\"`)")));
        }
        Ok(Graph { nodes: self.nodes, selections: self.selections })
    }
}

fn infer(op: Op, inputs: &[Shape]) -> Result<Shape, String> {
    let window = |size: usize, kernel: usize, stride: usize, padding: usize, axis: &str| {
        if kernel == 0 || stride == 0 {
            Err("kernel and stride must be at least 1".to_string())
        } else if size + 2 * padding < kernel {
            Err(format!("a window of {kernel} does not fit into a {axis} of {}", size + 2 * padding))
        } else {
            Ok((size + 2 * padding - kernel) / stride + 1)
        }
    };
    let windows = |shape: Shape, channels: Option<usize>, kernel, stride, padding| match shape {
        Shape::Image(c, h, w) => Ok(Shape::Image(
            channels.unwrap_or(c),
            window(h, kernel, stride, padding, "height")?,
            window(w, kernel, stride, padding, "width")?,
        )),
        Shape::Vector(n) => Err(format!("needs an image, but its input is a vector of {n}")),
    };
    let one = match (op, inputs) {
        (Op::Add, [a, b]) if a == b => return Ok(*a),
        (Op::Add, [a, b]) => return Err(format!("cannot add {a} and {b}: both sides must have the same shape")),
        (Op::Input | Op::Add, _) => return Err("has the wrong number of inputs".to_string()),
        (_, [one]) => *one,
        _ => return Err("has the wrong number of inputs".to_string()),
    };
    match op {
        Op::Conv { out: 0, .. } | Op::Linear { out: 0, .. } => Err("needs at least one output".to_string()),
        Op::Conv { out, kernel, stride, padding, .. } => windows(one, Some(out), kernel, stride, padding),
        Op::MaxPool { kernel, padding, .. } if 2 * padding > kernel => {
            Err(format!("a padding of {padding} is more than half a window of {kernel}"))
        }
        Op::MaxPool { kernel, stride, padding } => windows(one, None, kernel, stride, padding),
        Op::AvgPool { kernel, stride } => windows(one, None, kernel, stride, 0),
        Op::Linear { out, .. } => match one {
            Shape::Vector(_) => Ok(Shape::Vector(out)),
            Shape::Image(..) => {
                Err(format!("needs a vector, but its input is an image of {one}; flatten or pool it first"))
            }
        },
        Op::GlobalAveragePool => match one {
            Shape::Image(channels, ..) => Ok(Shape::Vector(channels)),
            Shape::Vector(n) => Err(format!("needs an image, but its input is a vector of {n}")),
        },
        Op::PadShortcut { stride, before, after } => match one {
            Shape::Image(channels, h, w) if stride > 0 => {
                Ok(Shape::Image(before + channels + after, h.div_ceil(stride), w.div_ceil(stride)))
            }
            _ => Err(format!("cannot pad {one} by {before} and {after} channels at a stride of {stride}")),
        },
        Op::Select { out: 0, .. } => Err("needs at least one channel".to_string()),
        Op::Select { out, .. } => Ok(match one {
            Shape::Image(_, h, w) => Shape::Image(out, h, w),
            Shape::Vector(_) => Shape::Vector(out),
        }),
        Op::Flatten => Ok(Shape::Vector(one.size())),
        Op::BatchNorm | Op::Relu => Ok(one),
        Op::Input | Op::Add => Err("has the wrong number of inputs".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_inferred_as_pytorch_does() {
        let mut build = Builder::new(Shape::Image(3, 33, 32));
        let conv = build.conv("conv", 0, 16, 3, 2).unwrap();
        assert_eq!(build.shape(conv), Shape::Image(16, 17, 16));
        let pool = build.add("pool", Op::MaxPool { kernel: 2, stride: 2, padding: 0 }, &[conv]).unwrap();
        assert_eq!(build.shape(pool), Shape::Image(16, 8, 8));
        let pad = build.add("pad", Op::PadShortcut { stride: 2, before: 8, after: 8 }, &[pool]).unwrap();
        assert_eq!(build.shape(pad), Shape::Image(32, 4, 4));
        let flat = build.add("flatten", Op::Flatten, &[pad]).unwrap();
        assert_eq!(build.shape(flat), Shape::Vector(512));
    }

    #[test]
    fn a_layer_that_cannot_work_is_refused_by_name() {
        let mut build = Builder::new(Shape::Image(3, 4, 4));
        let error = build.add("fc", Op::Linear { out: 10, bias: true }, &[0]).unwrap_err();
        assert!(error.message.contains("`fc`") && error.message.contains("3x4x4"), "{error}");
        let error = build.add("pool", Op::MaxPool { kernel: 5, stride: 1, padding: 0 }, &[0]).unwrap_err();
        assert!(error.message.contains("`pool`") && error.message.contains("window of 5"), "{error}");
        let small =
            build.add("conv", Op::Conv { out: 3, kernel: 3, stride: 1, padding: 0, bias: false }, &[0]).unwrap();
        let error = build.add("sum", Op::Add, &[0, small]).unwrap_err();
        assert!(error.message.contains("3x4x4") && error.message.contains("3x2x2"), "{error}");
        assert!(build.finish(10).unwrap_err().message.contains("10 classes"));
    }
}
