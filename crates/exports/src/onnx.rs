//! A network as an ONNX model: the standard operators of opset 17, weights in PyTorch's shapes under PyTorch's names.

mod proto;

use prost::Message;

use super::Exported;
use proto::{
    Attribute, Dimension, GraphProto, Metadata, Model, NodeProto, OperatorSet, TensorProto, TensorShape, TensorType,
    Type, ValueInfoProto,
};
use tombola_core::net::Op;
use tombola_words::Shape;

/// Of the form, and of the operators.
const IR_VERSION: i64 = 8;
const OPERATORS: i64 = 17;

/// The bytes of the file. The input is `images`, `[N, C, H, W]`, the output `scores`, `[N, classes]`.
pub(super) fn model(ticket: &Exported) -> Vec<u8> {
    let mut parts = GraphWriter { ticket, nodes: Vec::new(), constants: weights(ticket) };
    (1..ticket.graph.nodes.len()).for_each(|id| parts.node(id));
    let float = |name: &str, dimensions: &[usize]| ValueInfoProto {
        name: name.to_string(),
        value_type: Some(Type {
            tensor: Some(TensorType {
                kind: proto::FLOAT,
                shape: Some(TensorShape {
                    dimensions: std::iter::once(Dimension { value: None, name: Some("N".to_string()) })
                        .chain(dimensions.iter().map(|size| Dimension { value: Some(*size as i64), name: None }))
                        .collect(),
                }),
            }),
        }),
    };
    let graph = GraphProto {
        nodes: parts.nodes,
        name: "network".to_string(),
        initializers: parts.constants,
        inputs: vec![float("images", &ticket.graph.input().dimensions().collect::<Vec<_>>())],
        outputs: vec![float("scores", &[ticket.graph.classes()])],
    };
    let facts = ticket.all_facts().into_iter().filter(|(key, _)| !key.starts_with("select."));
    Model {
        ir_version: IR_VERSION,
        producer_name: "tombola".to_string(),
        producer_version: env!("CARGO_PKG_VERSION").to_string(),
        graph: Some(graph),
        operators: vec![OperatorSet { domain: String::new(), version: OPERATORS }],
        metadata: facts.map(|(key, value)| Metadata { key: key.to_string(), value }).collect(),
    }
    .encode_to_vec()
}

/// Weights and statistics by name.
fn weights(ticket: &Exported) -> Vec<TensorProto> {
    let (layout, state) = (ticket.layout, ticket.state);
    let parameters = layout.parameters.iter().map(|parameter| {
        let values = parameter.to_pytorch(&state.parameters[parameter.range()]);
        TensorProto::floats(&parameter.name, &parameter.shape, &values)
    });
    let buffers = layout
        .buffers
        .iter()
        .map(|buffer| TensorProto::floats(&buffer.name, &[buffer.len], &state.buffers[buffer.range()]));
    parameters.chain(buffers).collect()
}

/// A graph in the making.
struct GraphWriter<'a> {
    ticket: &'a Exported<'a>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl GraphWriter<'_> {
    /// The name of what node `id` of the network gives.
    fn output(&self, id: usize) -> String {
        match id {
            0 => "images".to_string(),
            id if id + 1 == self.ticket.graph.nodes.len() => "scores".to_string(),
            id => format!("x{id}"),
        }
    }

    fn add(&mut self, operator: &str, inputs: Vec<String>, output: String, attributes: Vec<Attribute>) {
        let name = format!("{operator}_{output}");
        self.nodes.push(NodeProto { inputs, outputs: vec![output], name, operator: operator.to_string(), attributes });
    }

    /// A constant list of whole numbers, and its name.
    fn list(&mut self, name: String, values: &[i64]) -> String {
        self.constants.push(TensorProto::integers(&name, values));
        name
    }

    /// The operators of one node.
    fn node(&mut self, id: usize) {
        let graph = self.ticket.graph;
        let node = &graph.nodes[id];
        let mut inputs: Vec<String> = node.inputs.iter().map(|input| self.output(*input)).collect();
        let output = self.output(id);
        let of = |what: &str| format!("{}.{what}", node.name);
        let pair = |name: &str, value: usize| Attribute::of_integers(name, &[value as i64; 2]);
        match node.op {
            Op::Input => {}
            Op::Conv { kernel, stride, padding, bias, .. } => {
                inputs.push(of("weight"));
                inputs.extend(bias.then(|| of("bias")));
                let attributes = vec![
                    pair("kernel_shape", kernel),
                    pair("strides", stride),
                    Attribute::of_integers("pads", &[padding as i64; 4]),
                ];
                self.add("Conv", inputs, output, attributes);
            }
            Op::Linear { bias, .. } => {
                inputs.push(of("weight"));
                inputs.extend(bias.then(|| of("bias")));
                self.add("Gemm", inputs, output, vec![Attribute::of_integer("transB", 1)]);
            }
            Op::BatchNorm => {
                inputs.extend(["weight", "bias", "running_mean", "running_var"].map(of));
                self.add("BatchNormalization", inputs, output, vec![Attribute::of_float("epsilon", 1e-5)]);
            }
            Op::Relu => self.add("Relu", inputs, output, Vec::new()),
            Op::Add => self.add("Add", inputs, output, Vec::new()),
            Op::MaxPool { kernel, stride, padding } => {
                let pads = Attribute::of_integers("pads", &[padding as i64; 4]);
                self.add("MaxPool", inputs, output, vec![pair("kernel_shape", kernel), pair("strides", stride), pads]);
            }
            Op::AvgPool { kernel, stride } => {
                self.add("AveragePool", inputs, output, vec![pair("kernel_shape", kernel), pair("strides", stride)]);
            }
            Op::GlobalAveragePool => {
                let pooled = format!("{output}_pooled");
                self.add("GlobalAveragePool", inputs, pooled.clone(), Vec::new());
                self.add("Flatten", vec![pooled], output, vec![Attribute::of_integer("axis", 1)]);
            }
            Op::Flatten => self.add("Flatten", inputs, output, vec![Attribute::of_integer("axis", 1)]),
            Op::Select { list, .. } => {
                let channels: Vec<i64> = graph.selections[list].iter().map(|channel| *channel as i64).collect();
                inputs.push(self.list(format!("{output}_channels"), &channels));
                self.add("Gather", inputs, output, vec![Attribute::of_integer("axis", 1)]);
            }
            Op::PadShortcut { stride, before, after } => {
                let Shape::Image(_, height, width) = graph.input_of(id) else { return };
                let kept = format!("{output}_kept");
                for (name, values) in [
                    ("starts", [0, 0]),
                    ("ends", [height as i64, width as i64]),
                    ("axes", [2, 3]),
                    ("steps", [stride as i64; 2]),
                ] {
                    inputs.push(self.list(format!("{output}_{name}"), &values));
                }
                self.add("Slice", inputs, kept.clone(), Vec::new());
                let pads = [0, before as i64, 0, 0, 0, after as i64, 0, 0];
                let pads = self.list(format!("{output}_pads"), &pads);
                self.add("Pad", vec![kept, pads], output, Vec::new());
            }
        }
    }
}
