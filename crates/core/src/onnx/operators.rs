//! What each operator of ONNX becomes.

use super::names::module_of;
use super::proto::NodeProto;
use super::reader::{OnnxReader, OnnxTaken};
use super::values::OnnxValue;
use crate::net::op::{Function, Op};
use crate::net::{NodeId, op::Dropped, op::Real};

/// What an operator reads, without those that it leaves out.
pub(super) struct OnnxInputs {
    values: Vec<Option<OnnxValue>>,
}

impl OnnxInputs {
    /// An input that must be there.
    pub(super) fn at(&self, place: usize) -> OnnxTaken<&OnnxValue> {
        self.get(place).ok_or_else(|| format!("has no input {place}"))
    }

    /// An input that may be there.
    pub(super) fn get(&self, place: usize) -> Option<&OnnxValue> {
        self.values.get(place).and_then(Option::as_ref)
    }

    /// Those that are there.
    pub(super) fn all(&self) -> impl Iterator<Item = &OnnxValue> {
        self.values.iter().flatten()
    }
}

impl<'a> OnnxReader<'a> {
    /// The values that an operator gives.
    pub(super) fn operator(&mut self, node: &'a NodeProto, at: usize) -> OnnxTaken<Vec<OnnxValue>> {
        if !matches!(&*node.domain, "" | "ai.onnx") {
            return Err(format!("is an operator of `{}`, expected those of ONNX", node.domain));
        }
        let mut inputs = OnnxInputs { values: self.inputs(node)? };
        if node.operator != "Add" {
            for value in inputs.values.iter_mut().flatten() {
                *value = self.settled(value)?;
            }
        }
        let name = &*module_of(node);
        let one = |value: OnnxValue| Ok(vec![value]);
        match &*node.operator {
            "Split" => return self.split(node, &inputs, name),
            "Constant" => return one(self.constant_of(node)?),
            "Identity" => return one(inputs.at(0)?.clone()),
            "Cast" => return one(self.cast(node, inputs.at(0)?)?),
            "Shape" | "Gather" | "Slice" | "Concat" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "Transpose"
            | "Expand" | "Tile" | "ConstantOfShape" | "Range" | "Where" | "Size" => {
                return one(self.moved(node, &inputs, name)?);
            }
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Sum" | "Mod" | "Equal" | "Greater" | "Less"
            | "And" | "Or" => return one(self.paired(node, &inputs, name)?),
            "Neg" | "Sqrt" | "Reciprocal" | "Erf" | "Not" | "Log" | "Floor" | "Ceil" | "Exp" => {
                return one(self.of_each(node, inputs.at(0)?, name)?);
            }
            "MatMul" => return one(self.product(&inputs, at)?),
            _ => {}
        }
        let id = match &*node.operator {
            "Conv" | "ConvTranspose" => self.convolution(node, &inputs)?,
            "Gemm" => self.gemm(node, &inputs)?,
            "BatchNormalization" => self.batch_norm(node, &inputs)?,
            "LayerNormalization" | "RMSNormalization" => self.layer_norm(node, &inputs)?,
            "GroupNormalization" | "InstanceNormalization" => self.group_norm(node, &inputs)?,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => self.pool(node, &inputs, name)?,
            "ReduceMean" | "ReduceMax" | "ReduceSum" | "ReduceL2" => self.reduced(node, &inputs, name)?,
            "Pad" => self.padded(node, &inputs, name)?,
            "Resize" => self.resized(node, &inputs, name)?,
            "PRelu" => self.prelu(node, &inputs)?,
            "Softmax" => self.softmax(node, &inputs, name)?,
            "Dropout" => self.dropout(node, &inputs, name)?,
            _ => self.activation(node, &inputs, name)?,
        };
        one(OnnxValue::Node(id))
    }

    fn dropout(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let known = inputs.get(1).and_then(OnnxValue::number);
        let rate = known.or(node.float("ratio")).map_or(0.5, shortest);
        self.add(name, Op::Dropout { rate: Real(rate), of: Dropped::Values }, &[x])
    }

    fn activation(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let alpha = |default: f64| Real(node.float("alpha").map_or(default, shortest));
        let function = match &*node.operator {
            "Relu" => None,
            "LeakyRelu" => Some(Function::LeakyRelu(alpha(0.01))),
            "Elu" => Some(Function::Elu(alpha(1.0))),
            "Gelu" if node.text("approximate") == Some("tanh") => Some(Function::GeluTanh),
            "Gelu" => Some(Function::Gelu),
            "Sigmoid" => Some(Function::Sigmoid),
            "Tanh" => Some(Function::Tanh),
            "HardSwish" => Some(Function::HardSwish),
            "Swish" if node.float("alpha").is_none_or(|alpha| alpha == 1.0) => Some(Function::Silu),
            "Softplus" => Some(Function::Softplus),
            "Mish" => Some(Function::Mish),
            "Abs" => Some(Function::Abs),
            "HardSigmoid" => {
                let (alpha, beta) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
                if (alpha - 1.0 / 6.0).abs() > 1e-6 || beta != 0.5 {
                    return Err(format!("has the slope {alpha}, expected that of PyTorch, 1/6"));
                }
                Some(Function::HardSigmoid)
            }
            "Clip" => {
                let bound = |place: usize, attribute: &str, none: f64| {
                    let known = inputs.get(place).map(|value| value.number().ok_or("its bounds are no numbers"));
                    known.transpose().map(|known| known.or(node.float(attribute)).map_or(none, shortest))
                };
                let low = bound(1, "min", f64::NEG_INFINITY)?;
                let high = bound(2, "max", f64::INFINITY)?;
                Some(if (low, high) == (0.0, 6.0) { Function::Relu6 } else { Function::Clamp(Real(low), Real(high)) })
            }
            other => return Err(format!("`{other}` has no counterpart here")),
        };
        let x = self.node_of(inputs.at(0)?)?;
        self.add(name, function.map_or(Op::Relu, |function| Op::Activation { function }), &[x])
    }
}

/// The number that a float32 was written for: 0.1, not 0.10000000149.
pub(super) fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}
