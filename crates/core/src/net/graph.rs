//! A network as a list of nodes, and the builder that infers every shape while it grows.
//!
//! It may not know of torch, training or pruning. Whatever needs to know a network (running it, laying out its
//! weights, counting its cost, following its connections) walks this list, once, in one place.

use super::infer::{Listed, infer};
use super::op::Op;
use tombola_words::error::{Error, Result};
use tombola_words::{Axes, Shape};

/// The most values of what a node gives for one image.
const MOST_VALUES: usize = 1 << 31;

/// Position of a node in [`Graph::nodes`]. A node's inputs always stand before it.
pub type NodeId = usize;

/// One operation of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// PyTorch's module path ("layer1.0.conv1"): the prefix of the names of its parameters. Of a learned tensor its whole name.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// Names of its parameters in the order of the layout, where they are not `NAME.weight`, `NAME.bias`.
    pub parameters: Vec<String>,
    /// What comes out for one image.
    pub shape: Shape,
}

/// A whole network. The last node gives one value a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// In an order in which they can be run.
    pub nodes: Vec<Node>,
    /// The channels that each [`Op::Select`] takes, and the places that each [`Op::Take`] does.
    pub selections: Vec<Vec<usize>>,
    /// The tensors that stay as they are.
    pub constants: Vec<Fixed>,
}

/// A tensor that is the same for all images and is never learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Its axes.
    pub axes: Axes,
    /// The bits of its values (float32), in PyTorch's order: two are equal where these are.
    pub bits: Vec<u32>,
}

impl Fixed {
    /// A tensor of these values.
    pub fn of(axes: Axes, values: &[f32]) -> Self {
        Self { axes, bits: values.iter().map(|value| value.to_bits()).collect() }
    }

    /// Its values.
    pub fn values(&self) -> Vec<f32> {
        self.bits.iter().map(|bits| f32::from_bits(*bits)).collect()
    }
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

    /// A batch norm that sees one value a channel and image: of a batch of one image it has no variance, and the statistics that
    /// such a batch leaves are not those of any images.
    pub fn lone_norm(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.op.is_batch_norm() && node.shape.pixels() == 1)
    }

    /// The shape that node `id` reads (its first input's).
    pub fn input_of(&self, id: NodeId) -> Shape {
        self.nodes[self.nodes[id].inputs[0]].shape
    }

    /// The last node with weights: the output layer.
    pub fn output_layer(&self) -> Option<NodeId> {
        self.nodes.iter().rposition(|node| node.op.has_connections())
    }
}

/// Grows a [`Graph`] node by node and refuses what cannot work, naming the layer.
#[derive(Debug)]
pub struct Builder {
    nodes: Vec<Node>,
    selections: Vec<Vec<usize>>,
    constants: Vec<Fixed>,
}

impl Builder {
    /// Starts a network that reads images of this shape. The input is node 0.
    pub fn new(input: Shape) -> Self {
        let input =
            Node { name: String::new(), op: Op::Input, inputs: Vec::new(), parameters: Vec::new(), shape: input };
        Self { nodes: vec![input], selections: Vec::new(), constants: Vec::new() }
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
        self.add_named(name, op, inputs, &[])
    }

    /// As [`Builder::add`], with own names for its parameters; none for `NAME.weight`, `NAME.bias`.
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn add_named(&mut self, name: &str, op: Op, inputs: &[NodeId], parameters: &[String]) -> Result<NodeId> {
        let wrong = |reason: String| Error::input(format!("layer `{name}`: {reason}"));
        let shapes = inputs.iter().map(|&id| self.nodes.get(id).map(|node| node.shape));
        let shapes: Vec<Shape> =
            shapes.collect::<Option<_>>().ok_or_else(|| wrong("reads a layer that is not before it".to_string()))?;
        self.check_lists(op, &shapes).map_err(wrong)?;
        let mut listed = Listed::default();
        match op {
            Op::Take { list, .. } => listed.places = self.selections.get(list).map_or(0, Vec::len),
            Op::Constant { list } => listed.axes = self.constants.get(list).map(|fixed| fixed.axes).unwrap_or_default(),
            _ => {}
        }
        let shape = infer(op, &shapes, &listed).map_err(wrong)?;
        let axes = shape.axes();
        if axes.as_slice().contains(&0) {
            return Err(wrong(format!("gives nothing: {shape}")));
        }
        if axes.product() > MOST_VALUES {
            return Err(wrong(format!("gives more than the {MOST_VALUES} values allowed for one image")));
        }
        let (inputs, parameters) = (inputs.to_vec(), parameters.to_vec());
        self.nodes.push(Node { name: name.to_string(), op, inputs, parameters, shape });
        Ok(self.nodes.len() - 1)
    }

    /// Refuses an operation that asks for a list, a constant or a place that is not there.
    fn check_lists(&self, op: Op, inputs: &[Shape]) -> Result<(), String> {
        let (axis, list) = match op {
            Op::Select { list, .. } => (1, list),
            Op::Take { axis, list } => (axis, list),
            Op::Constant { list } if list >= self.constants.len() => {
                return Err(format!("there is no constant {list}"));
            }
            _ => return Ok(()),
        };
        let places = self.selections.get(list).ok_or_else(|| format!("there is no list {list}"))?;
        if let Op::Select { out, .. } = op
            && out != places.len()
        {
            return Err(format!("list {list} has not {out} channels"));
        }
        let there = inputs.first().and_then(|shape| shape.axes().as_slice().get(axis).copied());
        // What has no such axis is refused with its shape.
        let Some(there) = there else { return Ok(()) };
        match places.iter().find(|place| **place >= there) {
            Some(place) => Err(format!("there is no place {place} among {there}")),
            None => Ok(()),
        }
    }

    /// Convolution without bias, padded so that stride 1 keeps the size (odd kernels).
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn conv(&mut self, name: &str, from: NodeId, out: usize, kernel: usize, stride: usize) -> Result<NodeId> {
        self.add(name, Op::conv(out, kernel, stride, kernel / 2, false), &[from])
    }

    /// Batch norm.
    ///
    /// # Errors
    /// As [`Builder::add`].
    pub fn batch_norm(&mut self, name: &str, from: NodeId) -> Result<NodeId> {
        self.add(name, Op::BATCH_NORM, &[from])
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
        let op = Op::Select { list: self.selections.len(), out: channels.len() };
        self.selections.push(channels);
        self.add(name, op, &[from])
    }

    /// Takes some of the places of an axis of node `from`.
    ///
    /// # Errors
    /// As [`Builder::add`], and when the axis has no such place.
    pub fn take(&mut self, name: &str, from: NodeId, axis: usize, places: Vec<usize>) -> Result<NodeId> {
        let op = Op::Take { axis, list: self.selections.len() };
        self.selections.push(places);
        self.add(name, op, &[from])
    }

    /// The tensors that nodes of a network that was there before stand for, in the same places.
    pub fn constants(&mut self, constants: Vec<Fixed>) {
        self.constants = constants;
    }

    /// The lists that nodes of a network that was there before stand for, in the same places.
    pub fn selections(&mut self, selections: Vec<Vec<usize>>) {
        self.selections = selections;
    }

    /// A tensor that stays as it is.
    ///
    /// # Errors
    /// As [`Builder::add`], and when it has more or fewer values than its axes say.
    pub fn constant(&mut self, name: &str, fixed: Fixed) -> Result<NodeId> {
        if fixed.axes.product() != fixed.bits.len() {
            let (found, expected) = (fixed.bits.len(), fixed.axes.product());
            return Err(Error::input(format!("layer `{name}`: has {found} values, expected {expected}")));
        }
        let op = Op::Constant { list: self.constants.len() };
        self.constants.push(fixed);
        self.add(name, op, &[])
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
        Ok(Graph { nodes: self.nodes, selections: self.selections, constants: self.constants })
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
        let pool = build.add("pool", Op::max_pool(2, 2, 0), &[conv]).unwrap();
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
        let error = build.add("pool", Op::max_pool(5, 1, 0), &[0]).unwrap_err();
        assert!(error.message.contains("`pool`") && error.message.contains("window of 5"), "{error}");
        let small = build.add("conv", Op::conv(3, 3, 1, 0, false), &[0]).unwrap();
        let error = build.add("sum", Op::Add, &[0, small]).unwrap_err();
        assert!(error.message.contains("3x4x4") && error.message.contains("3x2x2"), "{error}");
        assert!(build.finish(10).unwrap_err().message.contains("10 classes"));
    }
}
