//! A model of ONNX. What is read is written as a list of nodes and read again as the same; its weights fit the network.

use prost::Message;

use crate::form::{Grammar, WHOLE};
use crate::{FuzzTarget, MOST_MEMORY};
use tombola_core::net::Layout;
use tombola_core::net::custom::NodeList;
use tombola_core::onnx::proto::{
    Attribute, Dimension, FLOAT, GraphProto, Model, NodeProto, OperatorSet, TensorProto, TensorShape, TensorType, Type,
    ValueInfoProto,
};
use tombola_core::onnx::{self, network};
use tombola_words::Shape;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "onnx",
    run,
    seeds,
    form: WHOLE,
    grammar: Grammar::Bytes,
    words,
    longest: 4096,
    memory: |_| MOST_MEMORY,
};

fn run(bytes: &[u8]) {
    let Ok(read) = network(bytes, false) else { return };
    let text = read.nodes.to_toml();
    let table = text.parse::<toml::Table>();
    let again = table.ok().and_then(|table| NodeList::read(&table, "again").ok());
    assert!(again.is_some_and(|again| again.canonical() == read.nodes.canonical()), "it reads differently");
    let Ok(state) = onnx::onnx_state(bytes) else { return };
    let (input, classes) = read.nodes.form();
    let Ok(graph) = read.nodes.build(Shape::of_images(input), classes) else { return };
    let layout = Layout::of(&graph);
    for (parameter, tensor) in layout.parameters.iter().zip(&state) {
        assert!(parameter.name == tensor.name, "weights in another order");
    }
}

/// Operators in a row, with the weights that they read.
fn model(operators: Vec<(&str, Vec<&str>, Vec<Attribute>)>, weights: Vec<TensorProto>) -> Vec<u8> {
    let dimension = |value: Option<i64>| Dimension { value, name: None };
    let shape = [None, Some(2), Some(4), Some(4)].map(dimension).to_vec();
    let shape = Some(TensorShape { dimensions: shape });
    let input = ValueInfoProto {
        name: "0".to_string(),
        value_type: Some(Type { tensor: Some(TensorType { kind: FLOAT, shape }) }),
    };
    let last = operators.len();
    let nodes = operators.into_iter().enumerate().map(|(place, (operator, inputs, attributes))| NodeProto {
        inputs: inputs.into_iter().map(str::to_string).collect(),
        outputs: vec![(place + 1).to_string()],
        name: format!("/a/{operator}"),
        operator: operator.to_string(),
        attributes,
        ..NodeProto::default()
    });
    let graph = GraphProto {
        nodes: nodes.collect(),
        initializers: weights,
        inputs: vec![input],
        outputs: vec![ValueInfoProto { name: last.to_string(), value_type: None }],
        ..GraphProto::default()
    };
    let operators = vec![OperatorSet { domain: String::new(), version: 17 }];
    Model { ir_version: 8, graph: Some(graph), operators, ..Model::default() }.encode_to_vec()
}

fn seeds() -> Vec<Vec<u8>> {
    let floats = |name: &str, shape: &[usize]| TensorProto::of_floats(name, shape, &vec![0.5; shape.iter().product()]);
    let of = |name: &str, values: &[i64]| Attribute::of_integers(name, values);
    let integer = |name: &str, value: i64| vec![Attribute::of_integer(name, value)];
    let weights = ["b.weight", "b.bias", "b.running_mean", "b.running_var"].map(|name| floats(name, &[4]));
    let convolution = model(
        vec![
            ("Conv", vec!["0", "c.weight"], vec![of("pads", &[1; 4]), of("strides", &[1; 2])]),
            ("BatchNormalization", vec!["1", "b.weight", "b.bias", "b.running_mean", "b.running_var"], Vec::new()),
            ("Relu", vec!["2"], Vec::new()),
            ("MaxPool", vec!["3"], vec![of("kernel_shape", &[2; 2]), of("strides", &[2; 2])]),
            ("Sigmoid", vec!["4"], Vec::new()),
            ("Mul", vec!["4", "5"], Vec::new()),
            ("GlobalAveragePool", vec!["6"], Vec::new()),
            ("Flatten", vec!["7"], integer("axis", 1)),
            ("Gemm", vec!["8", "f.weight", "f.bias"], integer("transB", 1)),
        ],
        [
            vec![floats("c.weight", &[4, 2, 3, 3]), floats("f.weight", &[3, 4]), floats("f.bias", &[3])],
            weights.to_vec(),
        ]
        .concat(),
    );
    let list = TensorProto::of_integers;
    let places = model(
        vec![
            ("Shape", vec!["0"], Vec::new()),
            ("Gather", vec!["1", "zero"], integer("axis", 0)),
            ("Concat", vec!["2", "sizes"], integer("axis", 0)),
            ("Reshape", vec!["0", "3"], Vec::new()),
            ("Transpose", vec!["4"], vec![of("perm", &[2, 0, 1])]),
            ("Gather", vec!["5", "one"], integer("axis", 0)),
            ("Squeeze", vec!["6", "zero"], Vec::new()),
            ("Expand", vec!["token", "3"], Vec::new()),
            ("Slice", vec!["8", "zero", "one", "one"], Vec::new()),
            ("Concat", vec!["4", "9"], integer("axis", 1)),
            ("MatMul", vec!["10", "f.weight"], Vec::new()),
            ("Add", vec!["11", "f.bias"], Vec::new()),
            ("ReduceMean", vec!["12"], vec![of("axes", &[1]), Attribute::of_integer("keepdims", 0)]),
        ],
        vec![
            list("zero", &[0]),
            list("one", &[1]),
            list("sizes", &[4, 8]),
            floats("token", &[1, 1, 8]),
            floats("f.weight", &[8, 3]),
            floats("f.bias", &[3]),
        ],
    );
    vec![convolution, places]
}

/// Operators and attributes.
fn words() -> Vec<String> {
    let words = [
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "Add",
        "Mul",
        "Div",
        "Pow",
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Split",
        "Slice",
        "Gather",
        "Concat",
        "Expand",
        "Tile",
        "Range",
        "Where",
        "Equal",
        "Shape",
        "ConstantOfShape",
        "Constant",
        "Cast",
        "Pad",
        "Resize",
        "AveragePool",
        "MaxPool",
        "ReduceSum",
        "Erf",
        "Softmax",
        "LayerNormalization",
        "InstanceNormalization",
        "PRelu",
        "Clip",
        "Dropout",
        "kernel_shape",
        "strides",
        "pads",
        "dilations",
        "group",
        "axis",
        "axes",
        "perm",
        "value",
        "keepdims",
        "auto_pad",
        "SAME_UPPER",
    ];
    words.map(str::to_string).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_models_are_read() {
        for seed in seeds() {
            let read = network(&seed, true).unwrap_or_else(|error| panic!("{error}"));
            assert!(!read.state.is_empty());
        }
    }
}
