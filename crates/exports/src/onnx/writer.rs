//! A graph of ONNX in the making, and what each operation of a network becomes in it.

use std::collections::{HashMap, HashSet};

use tombola_core::net::op::Pairing;
use tombola_core::net::{Graph, Layout, Node, NodeId, Op};
use tombola_core::onnx::proto::{Attribute, NodeProto, TensorProto};
use tombola_words::Shape;

/// A graph in the making.
pub(super) struct GraphWriter<'a> {
    pub(super) graph: &'a Graph,
    layout: &'a Layout,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// What each node of the network gives is called.
    outputs: Vec<String>,
    /// Names that are taken.
    taken: HashSet<String>,
    /// Constants of the network that are written already.
    written: HashMap<usize, String>,
    /// What names of steps within a node begin with.
    place: String,
}

impl<'a> GraphWriter<'a> {
    /// The operators of a network.
    pub(super) fn of(graph: &'a Graph, layout: &'a Layout) -> Self {
        let names = layout.parameters.iter().map(|parameter| &parameter.name);
        let names = names.chain(layout.buffers.iter().map(|buffer| &buffer.name));
        let taken = names.cloned().chain(["images", "scores"].map(str::to_string)).collect();
        let outputs = vec!["images".to_string()];
        let (place, written) = (String::new(), HashMap::new());
        let (nodes, constants) = (Vec::new(), Vec::new());
        let mut writer = Self { graph, layout, nodes, constants, outputs, taken, written, place };
        (1..graph.nodes.len()).for_each(|id| writer.node(id));
        writer
    }

    /// Its operators and constants.
    pub(super) fn written(self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        (self.nodes, self.constants)
    }

    /// A name that nothing has yet.
    fn fresh(&mut self, name: &str) -> String {
        let mut name = name.to_string();
        while self.taken.contains(&name) {
            name.push('_');
        }
        self.taken.insert(name.clone());
        name
    }

    /// One operator; gives the name of what comes out.
    pub(super) fn add(&mut self, operator: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.fresh(&format!("{}_{operator}", self.place));
        self.nodes.push(NodeProto {
            inputs: inputs.iter().map(|input| input.to_string()).collect(),
            outputs: vec![output.clone()],
            name: format!("{operator}_{output}"),
            operator: operator.to_string(),
            attributes,
            ..NodeProto::default()
        });
        output
    }

    /// A constant list of whole numbers, and its name.
    pub(super) fn list(&mut self, what: &str, values: &[i64]) -> String {
        let name = self.fresh(&format!("{}_{what}", self.place));
        self.constants.push(TensorProto::of_integers(&name, values));
        name
    }

    /// A constant tensor, and its name.
    pub(super) fn floats(&mut self, what: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.fresh(&format!("{}_{what}", self.place));
        self.constants.push(TensorProto::of_floats(&name, shape, values));
        name
    }

    /// A constant number, and its name.
    pub(super) fn number(&mut self, what: &str, value: f64) -> String {
        self.floats(what, &[], &[value as f32])
    }

    /// What goes into a node, by name.
    pub(super) fn inputs(&self, id: NodeId) -> Vec<String> {
        self.graph.nodes[id].inputs.iter().map(|input| self.outputs[*input].clone()).collect()
    }

    /// The names of the parameters of a node, in the order of the layout.
    pub(super) fn parameters(&self, id: NodeId) -> Vec<String> {
        let own = self.layout.parameters.iter().filter(|parameter| parameter.node == id);
        own.map(|parameter| parameter.name.clone()).collect()
    }

    /// The sizes that node `id` reads.
    pub(super) fn sizes(&self, id: NodeId) -> Vec<usize> {
        Vec::from(self.graph.input_of(id).axes())
    }

    /// The operators of one node.
    fn node(&mut self, id: NodeId) {
        self.place = format!("x{id}");
        let before = self.nodes.len();
        let mut output = self.operators(id);
        let is_last = id + 1 == self.graph.nodes.len();
        let name = if is_last { "scores".to_string() } else { self.fresh(&format!("x{id}")) };
        let has_own = self.nodes.len() > before;
        if is_last && !has_own {
            output = self.add("Identity", &[&output], Vec::new());
        }
        if has_own || is_last {
            // What the last operator of a node gives is called as the node is.
            if let Some(last) = self.nodes.last_mut() {
                last.name = format!("{}_{name}", last.operator);
                last.outputs = vec![name.clone()];
                output = name;
            }
        }
        self.outputs.push(output);
    }

    /// Gives the name of what comes out of the last operator.
    fn operators(&mut self, id: NodeId) -> String {
        let node: &Node = &self.graph.nodes[id];
        let names = self.inputs(id);
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        match node.op {
            Op::Conv { .. } | Op::ConvTransposed { .. } => self.convolution(id),
            Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::AdaptivePool { .. }
            | Op::GlobalAveragePool
            | Op::Interpolate { .. } => self.window(id),
            Op::Linear { bias, .. } => self.linear(id, bias),
            Op::BatchNorm { .. } | Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::GroupNorm { .. } => self.norm(id),
            Op::Relu => self.add("Relu", &inputs, Vec::new()),
            Op::Activation { function } => self.function(inputs[0], function),
            Op::Prelu { slopes } => self.prelu(id, slopes),
            Op::Softmax { axis } => self.add("Softmax", &inputs, vec![Attribute::of_integer("axis", axis as i64)]),
            // Of images and channels ONNX has none; in evaluation nothing is dropped.
            Op::Dropout { rate, .. } => {
                let rate = self.number("ratio", rate.0);
                self.add("Dropout", &[inputs[0], &rate], Vec::new())
            }
            Op::Add => self.add("Add", &inputs, Vec::new()),
            Op::Pair { function } => {
                let operator = match function {
                    Pairing::Add => "Add",
                    Pairing::Subtract => "Sub",
                    Pairing::Multiply => "Mul",
                    Pairing::Divide => "Div",
                    Pairing::Maximum => "Max",
                };
                self.add(operator, &inputs, Vec::new())
            }
            Op::MatrixProduct => self.add("MatMul", &inputs, Vec::new()),
            Op::Attention { scale, causal } => self.attention(id, scale, causal),
            Op::Learned { .. } => self.parameters(id).concat(),
            Op::Constant { list } => self.constant(list),
            Op::Input
            | Op::Flatten
            | Op::PadShortcut { .. }
            | Op::Select { .. }
            | Op::Take { .. }
            | Op::Slice { .. }
            | Op::Concat { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Expand { .. }
            | Op::Reduce { .. }
            | Op::Pad { .. }
            | Op::Roll { .. } => self.moved(id),
        }
    }

    fn constant(&mut self, list: usize) -> String {
        if let Some(name) = self.written.get(&list) {
            return name.clone();
        }
        let fixed = &self.graph.constants[list];
        let name = self.fresh(&format!("constant{list}"));
        self.constants.push(TensorProto::of_floats(&name, fixed.axes.as_slice(), &fixed.values()));
        self.written.insert(list, name.clone());
        name
    }

    fn linear(&mut self, id: NodeId, bias: bool) -> String {
        let inputs = self.inputs(id);
        let parameters = self.parameters(id);
        if matches!(self.graph.input_of(id), Shape::Vector(_)) {
            let all: Vec<&str> = inputs.iter().chain(&parameters).map(String::as_str).collect();
            return self.add("Gemm", &all, vec![Attribute::of_integer("transB", 1)]);
        }
        let turned = self.add("Transpose", &[&parameters[0]], vec![Attribute::of_integers("perm", &[1, 0])]);
        let product = self.add("MatMul", &[&inputs[0], &turned], Vec::new());
        if bias { self.add("Add", &[&product, &parameters[1]], Vec::new()) } else { product }
    }
}
