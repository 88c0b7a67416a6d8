//! A network as an ONNX model: the standard operators of opset 17, weights in PyTorch's shapes under PyTorch's names.

mod axes;
mod functions;
mod norms;
mod windows;
mod writer;

use prost::Message;

use super::Exported;
use tombola_core::onnx::proto::{
    Dimension, FLOAT, GraphProto, Metadata, Model, OperatorSet, TensorProto, TensorShape, TensorType, Type,
    ValueInfoProto,
};
use writer::GraphWriter;

/// Of the form, and of the operators.
const IR_VERSION: i64 = 8;
const OPERATORS: i64 = 17;

/// The bytes of the file. The input is `images`, `[N, C, H, W]`, of signals `[N, C, length]`, of rows `[N, features]`, the output
/// `scores`, `[N, classes]`.
pub(super) fn model(ticket: &Exported) -> Vec<u8> {
    let float = |name: &str, dimensions: &[usize]| ValueInfoProto {
        name: name.to_string(),
        value_type: Some(Type {
            tensor: Some(TensorType {
                kind: FLOAT,
                shape: Some(TensorShape {
                    dimensions: std::iter::once(Dimension { value: None, name: Some("N".to_string()) })
                        .chain(dimensions.iter().map(|size| Dimension { value: Some(*size as i64), name: None }))
                        .collect(),
                }),
            }),
        }),
    };
    let (nodes, constants) = GraphWriter::of(ticket.graph, ticket.layout).written();
    let graph = GraphProto {
        nodes,
        name: "network".to_string(),
        initializers: weights(ticket).into_iter().chain(constants).collect(),
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
        TensorProto::of_floats(&parameter.name, &parameter.shape, &values)
    });
    let buffers = layout
        .buffers
        .iter()
        .map(|buffer| TensorProto::of_floats(&buffer.name, &[buffer.len], &state.buffers[buffer.range()]));
    parameters.chain(buffers).collect()
}
