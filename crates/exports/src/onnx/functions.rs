//! Functions of each value, and attention, as operators of ONNX.

use super::writer::GraphWriter;
use tombola_core::net::NodeId;
use tombola_core::net::op::{Function, Real};
use tombola_core::onnx::proto::Attribute;

impl GraphWriter<'_> {
    fn plain(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.add(operator, inputs, Vec::new())
    }

    /// x · number.
    fn times(&mut self, x: &str, what: &str, number: f64) -> String {
        let number = self.number(what, number);
        self.plain("Mul", &[x, &number])
    }

    /// x + number.
    fn plus(&mut self, x: &str, what: &str, number: f64) -> String {
        let number = self.number(what, number);
        self.plain("Add", &[x, &number])
    }

    fn clipped(&mut self, x: &str, low: f64, high: f64) -> String {
        let (low, high) = (self.number("low", low), self.number("high", high));
        self.plain("Clip", &[x, &low, &high])
    }

    pub(super) fn function(&mut self, x: &str, function: Function) -> String {
        let alpha = |value: f64| vec![Attribute::of_float("alpha", value as f32)];
        match function {
            Function::Relu6 => self.clipped(x, 0.0, 6.0),
            Function::LeakyRelu(slope) => self.add("LeakyRelu", &[x], alpha(slope.0)),
            Function::Elu(scale) => self.add("Elu", &[x], alpha(scale.0)),
            Function::Gelu => {
                let scaled = self.times(x, "root", std::f64::consts::FRAC_1_SQRT_2);
                let error = self.plain("Erf", &[&scaled]);
                self.half_of_one_more(x, &error)
            }
            Function::GeluTanh => {
                // x + 0.044715 x³, times the root of 2 / π.
                let square = self.plain("Mul", &[x, x]);
                let cube = self.plain("Mul", &[&square, x]);
                let share = self.times(&cube, "share", 0.044_715);
                let sum = self.plain("Add", &[x, &share]);
                let inner = self.times(&sum, "root", (2.0 / std::f64::consts::PI).sqrt());
                let tanh = self.plain("Tanh", &[&inner]);
                self.half_of_one_more(x, &tanh)
            }
            Function::Silu => {
                let sigmoid = self.plain("Sigmoid", &[x]);
                self.plain("Mul", &[x, &sigmoid])
            }
            Function::Tanh => self.plain("Tanh", &[x]),
            Function::Sigmoid => self.plain("Sigmoid", &[x]),
            Function::HardSigmoid => {
                let beta = Attribute::of_float("beta", 0.5);
                self.add("HardSigmoid", &[x], [alpha(1.0 / 6.0), vec![beta]].concat())
            }
            Function::HardSwish => self.plain("HardSwish", &[x]),
            Function::Clamp(low, high) => self.clipped(x, low.0, high.0),
            Function::Softplus => self.plain("Softplus", &[x]),
            Function::Mish => {
                let soft = self.plain("Softplus", &[x]);
                let tanh = self.plain("Tanh", &[&soft]);
                self.plain("Mul", &[x, &tanh])
            }
            Function::Exp => self.plain("Exp", &[x]),
            Function::Abs => self.plain("Abs", &[x]),
            Function::Power(exponent) => {
                let exponent = self.number("exponent", exponent.0);
                self.plain("Pow", &[x, &exponent])
            }
            Function::Linear(factor, added) if added.0 == 0.0 => self.times(x, "factor", factor.0),
            Function::Linear(factor, added) if factor.0 == 1.0 => self.plus(x, "added", added.0),
            Function::Linear(factor, added) => {
                let scaled = self.times(x, "factor", factor.0);
                self.plus(&scaled, "added", added.0)
            }
        }
    }

    /// x · (1 + y) / 2.
    fn half_of_one_more(&mut self, x: &str, y: &str) -> String {
        let more = self.plus(y, "one", 1.0);
        let product = self.plain("Mul", &[x, &more]);
        self.times(&product, "half", 0.5)
    }

    pub(super) fn prelu(&mut self, id: NodeId, slopes: usize) -> String {
        let (x, sizes, weight) = (self.inputs(id).concat(), self.sizes(id), self.parameters(id).concat());
        let weight = if slopes == 1 { weight } else { self.along_channels(&weight, &sizes) };
        self.plain("PRelu", &[&x, &weight])
    }

    pub(super) fn attention(&mut self, id: NodeId, scale: Real, causal: bool) -> String {
        let inputs = self.inputs(id);
        let sizes = |place: usize| Vec::from(self.graph.nodes[self.graph.nodes[id].inputs[place]].shape.axes());
        let (queries, keys) = (sizes(0), sizes(1));
        let count = keys.len();
        let mut order: Vec<i64> = (0..count as i64).collect();
        order.swap(count - 1, count - 2);
        let turned = self.add("Transpose", &[&inputs[1]], vec![Attribute::of_integers("perm", &order)]);
        let scaled = self.times(&inputs[0], "scale", scale.0);
        let mut scores = self.plain("MatMul", &[&scaled, &turned]);
        if let Some(mask) = inputs.get(3) {
            scores = self.plain("Add", &[&scores, mask]);
        }
        if causal {
            let (rows, columns) = (queries[queries.len() - 2], keys[count - 2]);
            let later = |place: usize| if place % columns > place / columns { f32::NEG_INFINITY } else { 0.0 };
            let later: Vec<f32> = (0..rows * columns).map(later).collect();
            let later = self.floats("later", &[rows, columns], &later);
            scores = self.plain("Add", &[&scores, &later]);
        }
        let shares = self.add("Softmax", &[&scores], vec![Attribute::of_integer("axis", -1)]);
        self.plain("MatMul", &[&shares, &inputs[2]])
    }
}
