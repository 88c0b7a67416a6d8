//! The messages of ONNX that a network needs, with the field numbers of `onnx.proto` (version 1.12 of the specification).

use prost::Message;

/// The kinds of values: `TensorProto.DataType`.
pub const FLOAT: i32 = 1;
/// KnownSize numbers of 32 bits.
pub const INT32: i32 = 6;
/// KnownSize numbers of 64 bits.
pub const INT64: i32 = 7;
/// Truth values of one byte.
pub const BOOL: i32 = 9;
/// Floats of 16 bits.
pub const FLOAT16: i32 = 10;
/// Floats of 64 bits.
pub const DOUBLE: i32 = 11;
/// The kinds of attributes: `AttributeProto.AttributeType`.
const ONE_FLOAT: i32 = 1;
const ONE_INTEGER: i32 = 2;
const ONE_TEXT: i32 = 3;
const INTEGERS: i32 = 7;

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// Version of the form.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The program that wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Versions of the operators.
    #[prost(message, repeated, tag = "8")]
    pub operators: Vec<OperatorSet>,
    /// Anything else.
    #[prost(message, repeated, tag = "14")]
    pub metadata: Vec<Metadata>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    /// Whose operators; empty for those of ONNX.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Their version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub key: String,
    /// What it says.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// In an order in which they can be run.
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<NodeProto>,
    /// What it is called.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Weights and constants.
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<TensorProto>,
    /// What goes in.
    #[prost(message, repeated, tag = "11")]
    pub inputs: Vec<ValueInfoProto>,
    /// What comes out.
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<ValueInfoProto>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of the values that it reads; empty where one is left out.
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    /// Names of the values that it gives.
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    /// Its own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// What it does.
    #[prost(string, tag = "4")]
    pub operator: String,
    /// How.
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
    /// Whose operator; empty for those of ONNX.
    #[prost(string, tag = "7")]
    pub domain: String,
    /// Anything else.
    #[prost(message, repeated, tag = "9")]
    pub metadata: Vec<Metadata>,
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A number with a point.
    #[prost(float, optional, tag = "2")]
    pub float: Option<f32>,
    /// A whole number.
    #[prost(int64, optional, tag = "3")]
    pub integer: Option<i64>,
    /// A text.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub text: Option<Vec<u8>>,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<TensorProto>,
    /// Numbers with points.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// KnownSize numbers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub integers: Vec<i64>,
    /// Which of them it is.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

impl Attribute {
    /// A number with a point.
    pub fn of_float(name: &str, value: f32) -> Self {
        Self { name: name.to_string(), float: Some(value), kind: ONE_FLOAT, ..Self::default() }
    }

    /// A whole number.
    pub fn of_integer(name: &str, value: i64) -> Self {
        Self { name: name.to_string(), integer: Some(value), kind: ONE_INTEGER, ..Self::default() }
    }

    /// A text.
    pub fn of_text(name: &str, value: &str) -> Self {
        Self { name: name.to_string(), text: Some(value.as_bytes().to_vec()), kind: ONE_TEXT, ..Self::default() }
    }

    /// KnownSize numbers.
    pub fn of_integers(name: &str, values: &[i64]) -> Self {
        Self { name: name.to_string(), integers: values.to_vec(), kind: INTEGERS, ..Self::default() }
    }
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Its sizes.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dimensions: Vec<i64>,
    /// What its values are.
    #[prost(int32, tag = "2")]
    pub kind: i32,
    /// Values where they are float32 and not in `raw`.
    #[prost(float, repeated, tag = "4")]
    pub floats: Vec<f32>,
    /// Values where they are smaller whole numbers and not in `raw`.
    #[prost(int32, repeated, tag = "5")]
    pub smaller: Vec<i32>,
    /// Values where they are int64 and not in `raw`.
    #[prost(int64, repeated, tag = "7")]
    pub integers: Vec<i64>,
    /// What it is called.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Values, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw: Vec<u8>,
    /// Values where they are float64 and not in `raw`.
    #[prost(double, repeated, tag = "10")]
    pub doubles: Vec<f64>,
    /// Where its values lie outside of the file.
    #[prost(message, repeated, tag = "13")]
    pub outside: Vec<Metadata>,
    /// 1 where its values lie outside of the file.
    #[prost(int32, tag = "14")]
    pub location: i32,
}

impl TensorProto {
    /// A tensor of float32.
    pub fn of_floats(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self {
            dimensions: shape.iter().map(|size| *size as i64).collect(),
            kind: FLOAT,
            name: name.to_string(),
            raw: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// A list of whole numbers.
    pub fn of_integers(name: &str, values: &[i64]) -> Self {
        Self {
            dimensions: vec![values.len() as i64],
            kind: INT64,
            name: name.to_string(),
            raw: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// What it is called.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub value_type: Option<Type>,
}

/// `TypeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// A tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// What its values are.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Its sizes.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShape {
    /// Its sizes.
    #[prost(message, repeated, tag = "1")]
    pub dimensions: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// A size.
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    /// The name of a size that differs.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}
