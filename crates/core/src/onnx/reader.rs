//! Makes a network of the operators of an ONNX file, one after the other.

use std::collections::HashMap;

use super::OnnxTensor;
use super::names::{is_of_pytorch, told};
use super::proto::{GraphProto, NodeProto, TensorProto};
use super::state::{OnnxWeight, state_of};
use super::tensors::{count_of, floats_of, integers_of, is_of_floats, sizes_of};
use super::values::{KnownSize, MOST_KNOWN, MOST_KNOWN_TOGETHER, OnnxValue};
use crate::net::op::{LearnedStart, Op, Real};
use crate::net::{Builder, Fixed, Graph, NodeId};
use tombola_words::error::{Error, Result as Told};
use tombola_words::{Axes, Shape};

/// What helps where an operator cannot be taken over.
const CURE: &str =
    "write the network from the model itself: `tombola.from_torch(model, (channels, height, width), \"network.toml\")`";
/// The most operators of a file.
const MOST_NODES: usize = 100_000;
/// The most values that one image may become between two operators.
const MOST_VALUES: usize = 1 << 36;

/// What is taken over of a file.
pub(super) type OnnxTaken<T> = Result<T, String>;

/// One node of the network.
struct OnnxStep {
    name: String,
    op: Op,
    inputs: Vec<NodeId>,
    parameters: Vec<String>,
}

/// A network in the making.
pub(super) struct OnnxReader<'a> {
    pub(super) opset: i64,
    nodes: &'a [NodeProto],
    tensors: Vec<&'a TensorProto>,
    build: Builder,
    steps: Vec<OnnxStep>,
    values: HashMap<&'a str, OnnxValue>,
    lists: Vec<Vec<usize>>,
    constants: Vec<Fixed>,
    /// The node of each tensor that is learned by itself.
    learned: HashMap<usize, NodeId>,
    /// The node of each product, by the position of its operator, to which no bias is added.
    products: HashMap<usize, NodeId>,
    pub(super) weights: Vec<OnnxWeight>,
}

impl<'a> OnnxReader<'a> {
    /// Starts with what goes in and the tensors of a file.
    ///
    /// # Errors
    /// When there is not one input of images.
    pub(super) fn of(file: &'a GraphProto, opset: i64) -> Told<Self> {
        let is_tensor = |name: &str| file.initializers.iter().any(|tensor| tensor.name == name);
        let mut inputs = file.inputs.iter().filter(|input| !is_tensor(&input.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            let names: Vec<&str> = file.inputs.iter().map(|input| input.name.as_str()).take(8).collect();
            return Err(Error::input(format!("the model reads {names:?}, expected one input of images")));
        };
        let dimensions =
            input.value_type.as_ref().and_then(|kind| kind.tensor.as_ref()).and_then(|kind| kind.shape.as_ref());
        let dimensions = dimensions.map(|shape| &*shape.dimensions).unwrap_or_default();
        let mut sizes = vec![1];
        for (axis, dimension) in dimensions.iter().enumerate().skip(1) {
            match dimension
                .value
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=1 << 16).contains(size))
            {
                Some(size) => sizes.push(size),
                None => {
                    return Err(Error::input(format!("axis {axis} of the input `{}` has no fixed size", input.name))
                        .hint("export the model with images of one size; only their number may differ"));
                }
            }
        }
        if let Some(count) = dimensions.first().and_then(|first| first.value).filter(|count| *count != 1) {
            return Err(Error::input(format!("the model is for {count} images at a time"))
                .hint("export it for any number (`dynamic_axes={\"input\": {0: \"N\"}}`), or with one image"));
        }
        let shape =
            Axes::of(&sizes).filter(|axes| sizes.len() > 1 && axes.product() <= MOST_VALUES).map(Shape::of_images);
        let shape = shape.ok_or_else(|| {
            Error::input(format!(
                "the input `{}` has {} axes, expected [images, channels, height, width]",
                input.name,
                dimensions.len()
            ))
        })?;
        let mut reader = Self {
            opset,
            nodes: &file.nodes,
            tensors: Vec::new(),
            build: Builder::new(shape),
            steps: Vec::new(),
            values: HashMap::new(),
            lists: Vec::new(),
            constants: Vec::new(),
            learned: HashMap::new(),
            products: HashMap::new(),
            weights: Vec::new(),
        };
        reader.values.insert(&input.name, OnnxValue::Node(0));
        for tensor in &file.initializers {
            let value = reader.tensor_value(tensor, &tensor.name).map_err(Error::input)?;
            reader.values.insert(&tensor.name, value);
        }
        Ok(reader)
    }

    /// A tensor of the file as a value: numbers that are known, or a weight.
    pub(super) fn tensor_value(&mut self, tensor: &'a TensorProto, name: &str) -> OnnxTaken<OnnxValue> {
        let sizes = sizes_of(tensor)?;
        let is_known = !is_of_pytorch(name) && count_of(&sizes) == 1;
        if !is_of_floats(tensor) {
            if count_of(&sizes) > MOST_KNOWN {
                return Err(format!(
                    "the tensor `{name}` has {} whole numbers, at most {MOST_KNOWN} are read",
                    count_of(&sizes)
                ));
            }
            return Ok(OnnxValue::Wholes(sizes, integers_of(tensor)?.into_iter().map(KnownSize::from).collect()));
        }
        if is_known {
            return Ok(OnnxValue::Floats(sizes, floats_of(tensor)?));
        }
        self.tensors.push(tensor);
        Ok(OnnxValue::Weight { tensor: self.tensors.len() - 1, turned: false })
    }

    /// Takes all operators over.
    ///
    /// # Errors
    /// When one cannot be taken over; the message names it.
    pub(super) fn read(&mut self) -> Told<()> {
        if self.nodes.len() > MOST_NODES {
            return Err(Error::input(format!("has {} nodes, at most {MOST_NODES} are read", self.nodes.len())));
        }
        let nodes = self.nodes;
        let mut known = 0;
        for (at, node) in nodes.iter().enumerate() {
            let outputs =
                self.operator(node, at).map_err(|what| Error::input(format!("{}: {what}", told(node))).hint(CURE))?;
            known += outputs.iter().map(OnnxValue::known).sum::<usize>();
            if known > MOST_KNOWN_TOGETHER {
                let what = format!("{}: more than {MOST_KNOWN_TOGETHER} numbers are known up to here", told(node));
                return Err(Error::input(what).hint(CURE));
            }
            for (name, value) in node.outputs.iter().zip(outputs) {
                self.values.insert(name, value);
            }
        }
        Ok(())
    }

    /// The network that ends in the value of this name, without what it does not need.
    ///
    /// # Errors
    /// When there is no such value, or it is no vector for each image.
    pub(super) fn graph(&mut self, output: &str) -> Told<Graph> {
        let last = self
            .values
            .get(output)
            .cloned()
            .ok_or_else(|| Error::input(format!("nothing gives the output `{output}`")))?;
        let last = self.node_of(&last).map_err(Error::input)?;
        let Shape::Vector(classes) = self.build.shape(last) else {
            return Err(Error::input(format!(
                "the output `{output}` is {}, expected one number for each class",
                self.build.shape(last)
            )));
        };
        let mut needed = vec![false; last + 1];
        needed[last] = true;
        for id in (1..=last).rev().filter(|id| *id <= self.steps.len()) {
            if needed[id] {
                self.steps[id - 1].inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        let mut build = Builder::new(self.build.shape(0));
        build.selections(self.lists.clone());
        build.constants(self.constants.clone());
        let mut places = vec![0; last + 1];
        for id in (1..=last).filter(|id| needed[*id]) {
            let step = &self.steps[id - 1];
            let inputs: Vec<NodeId> = step.inputs.iter().map(|input| places[*input]).collect();
            places[id] = build.add_named(&step.name, step.op, &inputs, &step.parameters)?;
        }
        build.finish(classes)
    }

    /// A weight or a statistic of this name, in PyTorch's order.
    ///
    /// # Errors
    /// When the file has none, or one that is cut off.
    pub(super) fn state_of(&self, name: &str) -> Told<OnnxTensor> {
        state_of(name, &self.weights, &self.tensors)
    }

    /// The operator at a position of the file.
    pub(super) fn operator_at(&self, at: usize) -> &'a NodeProto {
        &self.nodes[at]
    }

    /// The tensor at a position among all.
    pub(super) fn tensor(&self, place: usize) -> &'a TensorProto {
        self.tensors[place]
    }

    /// The values that an operator reads, without those that are left out at the end.
    pub(super) fn inputs(&self, node: &NodeProto) -> OnnxTaken<Vec<Option<OnnxValue>>> {
        let value = |name: &String| match (name.is_empty(), self.values.get(name.as_str())) {
            (true, _) => Ok(None),
            (false, Some(value)) => Ok(Some(value.clone())),
            (false, None) => Err(format!("nothing before it gives `{name}`")),
        };
        node.inputs.iter().map(value).collect()
    }

    /// The shape of what a node of the network gives.
    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.build.shape(id)
    }

    /// The sizes of what a node of the network gives, of which the first is counted for one image.
    pub(super) fn sizes(&self, id: NodeId) -> Vec<usize> {
        Vec::from(self.shape(id).axes())
    }

    /// What a node does, and what it reads.
    pub(super) fn step(&self, id: NodeId) -> Option<(Op, &[NodeId])> {
        self.steps.get(id.checked_sub(1)?).map(|step| (step.op, &*step.inputs))
    }

    /// Adds a node.
    pub(super) fn add(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> OnnxTaken<NodeId> {
        self.add_named(name, op, inputs, Vec::new())
    }

    /// Adds a node whose parameters have names of their own.
    pub(super) fn add_named(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[NodeId],
        parameters: Vec<String>,
    ) -> OnnxTaken<NodeId> {
        let id = self.build.add_named(name, op, inputs, &parameters).map_err(|error| error.message)?;
        if self.shape(id).axes().product() > MOST_VALUES {
            return Err(format!("gives {}, which is too large", self.shape(id)));
        }
        self.steps.push(OnnxStep { name: name.to_string(), op, inputs: inputs.to_vec(), parameters });
        Ok(id)
    }

    /// Takes places of an axis.
    pub(super) fn take(&mut self, name: &str, from: NodeId, axis: usize, places: Vec<usize>) -> OnnxTaken<NodeId> {
        let size = self.sizes(from).get(axis).copied().unwrap_or(0);
        let is_row = !places.is_empty() && places.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if let Some(place) = places.iter().find(|place| **place >= size) {
            return Err(format!("there is no place {place} among {size}"));
        }
        match &*places {
            _ if is_row && places.len() == size => Ok(from),
            [first, .., last] if is_row => {
                self.add(name, Op::Slice { axis, start: *first, end: last + 1, step: 1 }, &[from])
            }
            [one] => self.add(name, Op::Slice { axis, start: *one, end: one + 1, step: 1 }, &[from]),
            _ => {
                let (list, out) = (self.lists.len(), places.len());
                self.lists.push(places.clone());
                let is_of_channels = axis == 1 && self.shape(from).is_of_images();
                let (op, id) = match is_of_channels {
                    true => (Op::Select { list, out }, self.build.select(name, from, places)),
                    false => (Op::Take { axis, list }, self.build.take(name, from, axis, places)),
                };
                let id = id.map_err(|error| error.message)?;
                self.steps.push(OnnxStep { name: name.to_string(), op, inputs: vec![from], parameters: Vec::new() });
                Ok(id)
            }
        }
    }

    /// The node that gives a value: a weight that meets others becomes a tensor that is learned, or a constant.
    pub(super) fn node_of(&mut self, value: &OnnxValue) -> OnnxTaken<NodeId> {
        match value {
            OnnxValue::Node(id) => Ok(*id),
            OnnxValue::Weight { tensor, turned } => {
                let id = self.learned_or_constant(*tensor)?;
                let order = Axes::of(&[1, 0]).unwrap_or_default();
                if *turned { self.add("transpose", Op::Permute { order }, &[id]) } else { Ok(id) }
            }
            OnnxValue::Product { from, tensor, turned, at } => match self.products.get(at) {
                Some(id) => Ok(*id),
                None => {
                    let id = self.linear(*from, *tensor, *turned, None, *at)?;
                    self.products.insert(*at, id);
                    Ok(id)
                }
            },
            OnnxValue::Floats(sizes, values) => self.constant("constant", sizes, values),
            OnnxValue::Wholes(sizes, values) if values.iter().all(|whole| !whole.each) => {
                let values: Vec<f32> = values.iter().map(|whole| whole.value as f32).collect();
                self.constant("constant", sizes, &values)
            }
            OnnxValue::Wholes(..) => Err("reads the number of images as a value".to_string()),
            OnnxValue::Moved(..) => Err("reads a value whose images do not lie along the first axis".to_string()),
            OnnxValue::Large(..) => Err("is a condition, which has no counterpart here".to_string()),
            OnnxValue::Gelu(..) => Err("is a part of an error function that is no GELU".to_string()),
        }
    }

    /// A product that is read by something else than the sum with its bias is a node.
    pub(super) fn settled(&mut self, value: &OnnxValue) -> OnnxTaken<OnnxValue> {
        match value {
            OnnxValue::Product { .. } => self.node_of(value).map(OnnxValue::Node),
            _ => Ok(value.clone()),
        }
    }

    /// A tensor that stays as it is.
    fn constant(&mut self, name: &str, sizes: &[usize], values: &[f32]) -> OnnxTaken<NodeId> {
        let fixed = Fixed::of(Axes::of(sizes).ok_or("has too many axes")?, values);
        if fixed.axes.product() != values.len() {
            return Err(format!("has {} values, expected {}", values.len(), fixed.axes.product()));
        }
        let op = Op::Constant { list: self.constants.len() };
        self.constants.push(fixed.clone());
        let id = self.build.constant(name, fixed).map_err(|error| error.message)?;
        self.steps.push(OnnxStep { name: name.to_string(), op, inputs: Vec::new(), parameters: Vec::new() });
        Ok(id)
    }

    fn learned_or_constant(&mut self, tensor: usize) -> OnnxTaken<NodeId> {
        if let Some(id) = self.learned.get(&tensor) {
            return Ok(*id);
        }
        let proto = self.tensor(tensor);
        let (sizes, values) = (sizes_of(proto)?, floats_of(proto)?);
        let id = if is_of_pytorch(&proto.name) {
            let begins = beginning(&values);
            let shape = Axes::of(&sizes).ok_or("has too many axes")?;
            self.weights.push(OnnxWeight { name: proto.name.clone(), tensor, turned: false });
            self.add(&proto.name, Op::Learned { shape, begins }, &[])?
        } else {
            self.constant(&proto.name, &sizes, &values)?
        };
        self.learned.insert(tensor, id);
        Ok(id)
    }

    /// The tensor behind a value, if nothing but its axes was changed.
    pub(super) fn tensor_behind(&self, value: &OnnxValue) -> Option<usize> {
        match value {
            OnnxValue::Weight { tensor, turned: false } => Some(*tensor),
            OnnxValue::Node(id) => {
                let mut id = *id;
                while let Some((Op::Reshape { .. }, [from])) = self.step(id) {
                    id = *from;
                }
                self.learned.iter().find(|(_, node)| **node == id).map(|(tensor, _)| *tensor)
            }
            _ => None,
        }
    }
}

/// What a learned tensor held before training, as far as its values tell.
fn beginning(values: &[f32]) -> LearnedStart {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => {
            LearnedStart::Constant(Real(f64::from(*first)))
        }
        [] => LearnedStart::Constant(Real(0.0)),
        _ => {
            let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            LearnedStart::Normal(Real((square / values.len() as f64).sqrt()))
        }
    }
}
