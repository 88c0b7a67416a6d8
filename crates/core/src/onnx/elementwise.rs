//! Functions of one and of two values.

use super::attributes::axis_of;
use super::folding;
use super::operators::{OnnxInputs, shortest};
use super::proto::NodeProto;
use super::reader::{OnnxReader, OnnxTaken};
use super::values::{GeluPart, OnnxValue};
use crate::net::NodeId;
use crate::net::op::{Function, Op, Pairing, Real};

/// From where on PyTorch's softplus is x itself.
const SOFTPLUS_LIMIT: f64 = 20.0;

impl OnnxReader<'_> {
    /// One of two values where a condition holds, the other elsewhere.
    pub(super) fn chosen(&self, inputs: &OnnxInputs) -> OnnxTaken<OnnxValue> {
        let (condition, yes, no) = (inputs.at(0)?, inputs.at(1)?, inputs.at(2)?);
        if let (OnnxValue::Large(large), OnnxValue::Node(x)) = (condition, yes)
            && large == x
            && self.function_of(no) == Some((Function::Softplus, *x))
        {
            return Ok(no.clone());
        }
        let known = folding::chosen(condition, yes, no);
        known.ok_or_else(|| "chooses between values, which has no counterpart here".to_string())
    }

    fn function(&mut self, name: &str, x: NodeId, function: Function) -> OnnxTaken<OnnxValue> {
        self.add(name, Op::Activation { function }, &[x]).map(OnnxValue::Node)
    }

    /// The function that a node is, and of what.
    fn function_of(&self, value: &OnnxValue) -> Option<(Function, NodeId)> {
        match value {
            OnnxValue::Node(id) => match self.step(*id)? {
                (Op::Activation { function }, [from]) => Some((function, *from)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn of_each(&mut self, node: &NodeProto, x: &OnnxValue, name: &str) -> OnnxTaken<OnnxValue> {
        if let Some(known) = folding::of_one(&node.operator, x) {
            return Ok(known);
        }
        if let ("Erf", Some((Function::Linear(factor, added), from))) = (&*node.operator, self.function_of(x))
            && (factor.0 - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-5
            && added.0 == 0.0
        {
            return Ok(OnnxValue::Gelu(from, GeluPart::Error));
        }
        let function = match &*node.operator {
            "Neg" => Function::Linear(Real(-1.0), Real(0.0)),
            "Sqrt" => Function::Power(Real(0.5)),
            "Reciprocal" => Function::Power(Real(-1.0)),
            "Exp" => Function::Exp,
            other => return Err(format!("`{other}` has no counterpart here")),
        };
        let x = self.node_of(x)?;
        self.function(name, x, function)
    }

    pub(super) fn paired(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let mut values = inputs.all();
        let mut sum = values.next().ok_or("has no input")?.clone();
        for value in values {
            sum = self.pair(&node.operator, &sum, value, name)?;
        }
        Ok(sum)
    }

    fn pair(&mut self, operator: &str, a: &OnnxValue, b: &OnnxValue, name: &str) -> OnnxTaken<OnnxValue> {
        if let Some(known) = folding::of_two(operator, a, b) {
            return Ok(known);
        }
        let operator = if operator == "Sum" { "Add" } else { operator };
        if operator == "Add"
            && let Some(biased) = self.biased(a, b)?
        {
            return Ok(biased);
        }
        let (a, b) = (&self.settled(a)?, &self.settled(b)?);
        if let ("Greater", OnnxValue::Node(id), Some(SOFTPLUS_LIMIT)) = (operator, a, b.number()) {
            return Ok(OnnxValue::Large(*id));
        }
        if let Some(part) = self.gelu(operator, a, b, name)? {
            return Ok(part);
        }
        if operator == "Mul"
            && let Some(product) = self.gated(a, b, name)?
        {
            return Ok(product);
        }
        match (a.number(), b.number()) {
            (None, Some(number)) => {
                let x = self.node_of(a)?;
                self.with_number(operator, x, shortest(number), name)
            }
            (Some(number), None) => {
                let x = self.node_of(b)?;
                self.number_with(operator, shortest(number), x, name)
            }
            _ => self.of_nodes(operator, a, b, name),
        }
    }

    fn of_nodes(&mut self, operator: &str, a: &OnnxValue, b: &OnnxValue, name: &str) -> OnnxTaken<OnnxValue> {
        let (first, second) = (self.node_of(a)?, self.node_of(b)?);
        let function = match operator {
            "Add" if self.shape(first) == self.shape(second) && self.shape(first).is_of_images() => {
                return self.add(name, Op::Add, &[first, second]).map(OnnxValue::Node);
            }
            "Add" => Pairing::Add,
            "Sub" => Pairing::Subtract,
            "Mul" => Pairing::Multiply,
            "Div" => Pairing::Divide,
            "Max" => Pairing::Maximum,
            other => return Err(format!("`{other}` of two values has no counterpart here")),
        };
        self.add(name, Op::Pair { function }, &[first, second]).map(OnnxValue::Node)
    }

    fn with_number(&mut self, operator: &str, x: NodeId, number: f64, name: &str) -> OnnxTaken<OnnxValue> {
        let linear = |factor: f64, added: f64| Function::Linear(Real(factor), Real(added));
        let function = match operator {
            "Add" => linear(1.0, number),
            "Sub" => linear(1.0, -number),
            "Mul" => linear(number, 0.0),
            "Div" => linear(1.0 / number, 0.0),
            "Pow" => Function::Power(Real(number)),
            "Max" => Function::Clamp(Real(number), Real(f64::INFINITY)),
            "Min" => Function::Clamp(Real(f64::NEG_INFINITY), Real(number)),
            other => return Err(format!("`{other}` of a value has no counterpart here")),
        };
        match function {
            Function::Linear(Real(1.0), Real(0.0)) => Ok(OnnxValue::Node(x)),
            function => self.function(name, x, function),
        }
    }

    fn number_with(&mut self, operator: &str, number: f64, x: NodeId, name: &str) -> OnnxTaken<OnnxValue> {
        match operator {
            "Sub" => self.function(name, x, Function::Linear(Real(-1.0), Real(number))),
            "Div" => {
                let one = self.add(name, Op::Activation { function: Function::Power(Real(-1.0)) }, &[x])?;
                self.with_number("Mul", one, number, name)
            }
            "Pow" => Err("a power whose exponent is computed has no counterpart here".to_string()),
            _ => self.with_number(operator, x, number, name),
        }
    }

    /// A product with a weight, and the bias of the layer.
    fn biased(&mut self, a: &OnnxValue, b: &OnnxValue) -> OnnxTaken<Option<OnnxValue>> {
        for (product, bias) in [(a, b), (b, a)] {
            if let (
                OnnxValue::Product { from, tensor, turned, at },
                OnnxValue::Weight { tensor: bias, turned: false },
            ) = (product, bias)
            {
                let sizes = &self.tensor(*tensor).dimensions;
                let out = sizes.get(usize::from(!*turned)).and_then(|size| usize::try_from(*size).ok());
                if out.is_some_and(|out| self.fits_as_bias(*bias, out)) {
                    return self.linear(*from, *tensor, *turned, Some(*bias), *at).map(|id| Some(OnnxValue::Node(id)));
                }
            }
        }
        Ok(None)
    }

    /// The next part of x · Φ(x), in the orders in which exporters write it.
    fn gelu(&mut self, operator: &str, a: &OnnxValue, b: &OnnxValue, name: &str) -> OnnxTaken<Option<OnnxValue>> {
        for (part, other) in [(a, b), (b, a)] {
            let OnnxValue::Gelu(x, part) = *part else { continue };
            let number = other.number();
            let is_x = matches!(other, OnnxValue::Node(id) if *id == x);
            let half = Function::Linear(Real(0.5), Real(0.0));
            let is_half_x = self.function_of(other) == Some((half, x));
            let next = match (operator, part) {
                ("Add", GeluPart::Error) if number == Some(1.0) => OnnxValue::Gelu(x, GeluPart::More),
                ("Mul", GeluPart::More) if number == Some(0.5) => OnnxValue::Gelu(x, GeluPart::Share),
                ("Mul", GeluPart::More) if is_x => OnnxValue::Gelu(x, GeluPart::Double),
                ("Mul", GeluPart::More) if is_half_x => self.function(name, x, Function::Gelu)?,
                ("Mul", GeluPart::Share) if is_x => self.function(name, x, Function::Gelu)?,
                ("Mul", GeluPart::Double) if number == Some(0.5) => self.function(name, x, Function::Gelu)?,
                _ => continue,
            };
            return Ok(Some(next));
        }
        Ok(None)
    }

    /// x · f(x), where that has a name of its own.
    fn gated(&mut self, a: &OnnxValue, b: &OnnxValue, name: &str) -> OnnxTaken<Option<OnnxValue>> {
        for (x, gate) in [(a, b), (b, a)] {
            let (OnnxValue::Node(x), Some((function, from))) = (x, self.function_of(gate)) else { continue };
            let whole = match function {
                Function::Sigmoid if from == *x => Function::Silu,
                Function::HardSigmoid if from == *x => Function::HardSwish,
                Function::Tanh if self.function_of(&OnnxValue::Node(from)) == Some((Function::Softplus, *x)) => {
                    Function::Mish
                }
                _ => continue,
            };
            return self.function(name, *x, whole).map(Some);
        }
        Ok(None)
    }

    pub(super) fn softmax(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let count = self.sizes(x).len();
        let axis = axis_of(node.integer("axis").unwrap_or(if self.opset < 13 { 1 } else { -1 }), count)?;
        if self.opset < 13 && axis + 1 != count {
            return Err("is over several axes, as before opset 13".to_string());
        }
        self.add(name, Op::Softmax { axis }, &[x])
    }
}
