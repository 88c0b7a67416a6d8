//! Norms as operators of ONNX.

use super::writer::GraphWriter;
use tombola_core::net::op::Real;
use tombola_core::net::{NodeId, Op};
use tombola_core::onnx::proto::Attribute;

impl GraphWriter<'_> {
    pub(super) fn norm(&mut self, id: NodeId) -> String {
        let (x, sizes, parameters) = (self.inputs(id).concat(), self.sizes(id), self.parameters(id));
        let last = |axes: usize| sizes[sizes.len().saturating_sub(axes)..].to_vec();
        match self.graph.nodes[id].op {
            Op::BatchNorm { eps, momentum, affine } => {
                let (channels, name) = (self.graph.nodes[id].shape.channels(), &self.graph.nodes[id].name);
                let [scale, shift] = [("scale", 1.0), ("shift", 0.0)].map(|(what, value)| match affine {
                    true => parameters[usize::from(what == "shift")].clone(),
                    false => self.floats(what, &[channels], &vec![value; channels]),
                });
                let (mean, variance) = (format!("{name}.running_mean"), format!("{name}.running_var"));
                let attributes = vec![
                    Attribute::of_float("epsilon", eps.0 as f32),
                    // ONNX says what is kept, PyTorch what is taken.
                    Attribute::of_float("momentum", (1.0 - momentum.0) as f32),
                ];
                self.add("BatchNormalization", &[&x, &scale, &shift, &mean, &variance], attributes)
            }
            Op::LayerNorm { axes, eps, weight, bias } => {
                let shape = last(axes);
                let ones = vec![1.0; shape.iter().product()];
                let scale = if weight { parameters[0].clone() } else { self.floats("scale", &shape, &ones) };
                let mut inputs = vec![x.as_str(), &scale];
                if bias {
                    inputs.push(&parameters[usize::from(weight)]);
                }
                let attributes =
                    vec![Attribute::of_integer("axis", -(axes as i64)), Attribute::of_float("epsilon", eps.0 as f32)];
                self.add("LayerNormalization", &inputs, attributes)
            }
            Op::RmsNorm { axes, eps, .. } => self.by_root_mean_square(&x, axes, eps, parameters.first()),
            Op::GroupNorm { groups, eps, affine } => {
                let normed = self.by_groups(&x, &sizes, groups, eps);
                if !affine {
                    return normed;
                }
                let [scale, shift] = [0, 1].map(|place| self.along_channels(&parameters[place], &sizes));
                let scaled = self.add("Mul", &[&normed, &scale], Vec::new());
                self.add("Add", &[&scaled, &shift], Vec::new())
            }
            _ => x,
        }
    }

    /// One number for each channel, with axes of 1 behind it.
    pub(super) fn along_channels(&mut self, values: &str, sizes: &[usize]) -> String {
        if sizes.len() <= 2 {
            return values.to_string();
        }
        let mut shape = vec![1; sizes.len() - 1];
        shape[0] = -1;
        let shape = self.list("each", &shape);
        self.add("Reshape", &[values, &shape], Vec::new())
    }

    /// x / root(mean(x²) + eps), times the scale.
    fn by_root_mean_square(&mut self, x: &str, axes: usize, eps: Real, scale: Option<&String>) -> String {
        let squares = self.add("Mul", &[x, x], Vec::new());
        let axes: Vec<i64> = (1..=axes as i64).rev().map(|axis| -axis).collect();
        let mean = self.add("ReduceMean", &[&squares], vec![Attribute::of_integers("axes", &axes)]);
        let eps = self.number("eps", eps.0);
        let sum = self.add("Add", &[&mean, &eps], Vec::new());
        let root = self.add("Sqrt", &[&sum], Vec::new());
        let normed = self.add("Div", &[x, &root], Vec::new());
        match scale {
            Some(scale) => self.add("Mul", &[&normed, scale], Vec::new()),
            None => normed,
        }
    }

    /// Opset 17 has no group norm: groups become channels of an instance norm.
    fn by_groups(&mut self, x: &str, sizes: &[usize], groups: usize, eps: Real) -> String {
        let together = self.list("groups", &[0, groups as i64, -1]);
        let cut = self.add("Reshape", &[x, &together], Vec::new());
        let ones = self.floats("ones", &[groups], &vec![1.0; groups]);
        let zeros = self.floats("zeros", &[groups], &vec![0.0; groups]);
        let eps = Attribute::of_float("epsilon", eps.0 as f32);
        let normed = self.add("InstanceNormalization", &[&cut, &ones, &zeros], vec![eps]);
        let mut apart: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
        apart[0] = -1;
        let apart = self.list("sizes", &apart);
        self.add("Reshape", &[&normed, &apart], Vec::new())
    }
}
