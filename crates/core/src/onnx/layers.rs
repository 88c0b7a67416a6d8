//! Layers with weights: convolutions, products and norms.

use super::attributes::{MOST, axis_of};
use super::names::{LayerNames, is_of_pytorch, module_of};
use super::operators::{OnnxInputs, shortest};
use super::proto::NodeProto;
use super::reader::{OnnxReader, OnnxTaken};
use super::state::OnnxWeight;
use super::tensors::{floats_of, sizes_of};
use super::values::OnnxValue;
use crate::net::op::{Op, Real, Window};
use crate::net::{NodeId, op::Filling};
use tombola_words::{Axes, Shape};

impl OnnxReader<'_> {
    /// The tensor that a layer reads as a weight.
    fn weight(&self, value: Option<&OnnxValue>) -> OnnxTaken<Option<usize>> {
        match value {
            None => Ok(None),
            Some(OnnxValue::Weight { tensor, turned: false }) => Ok(Some(*tensor)),
            Some(value) => {
                self.tensor_behind(value).map(Some).ok_or_else(|| "its weight is no tensor of the file".to_string())
            }
        }
    }

    fn held(&mut self, name: &str, tensor: usize, turned: bool) {
        self.weights.push(OnnxWeight { name: name.to_string(), tensor, turned });
    }

    /// The weight and the bias of a layer, and their names.
    fn layer(&mut self, node: &NodeProto, inputs: &OnnxInputs, turned: bool) -> OnnxTaken<(usize, LayerNames)> {
        let weight = self.weight(Some(inputs.at(1)?))?.unwrap_or_default();
        let bias = self.weight(inputs.get(2))?;
        let (first, second) = (&self.tensor(weight).name, bias.map(|bias| &*self.tensor(bias).name));
        let names = LayerNames::of(node, first, second);
        self.held(&names.weight, weight, turned);
        if let (Some(name), Some(bias)) = (&names.bias, bias) {
            self.held(name, bias, false);
        }
        Ok((weight, names))
    }

    pub(super) fn convolution(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<NodeId> {
        let mut x = self.node_of(inputs.at(0)?)?;
        let (weight, names) = self.layer(node, inputs, false)?;
        let sizes = sizes_of(self.tensor(weight))?;
        let is_transposed = node.operator == "ConvTranspose";
        let groups = usize::try_from(node.integer("group").unwrap_or(1)).map_err(|_| "has negative groups")?;
        let kernel = match *sizes {
            [_, _, width] => [1, width],
            [_, _, height, width] => [height, width],
            _ => {
                return Err(format!(
                    "its weight has {} axes; convolutions of images and signals are read",
                    sizes.len()
                ));
            }
        };
        if kernel.iter().any(|side| *side > MOST) {
            return Err(format!("has a window of {kernel:?}"));
        }
        let is_signal = sizes.len() == 3;
        let stride = node.sides("strides", 1)?;
        let dilation = node.sides("dilations", 1)?;
        let (padding, around) = self.padding(node, kernel, is_signal)?;
        if around != [0; 4] {
            x = self.add("pad", Op::Pad { around, filling: Filling::Constant(Real(0.0)) }, &[x])?;
        }
        let window = Window { kernel, stride, padding, dilation };
        let bias = names.bias.is_some();
        let op = if is_transposed {
            if around != [0; 4] {
                return Err("has other padding on one side than on the other".to_string());
            }
            let out = sizes[1].saturating_mul(groups);
            Op::ConvTransposed { out, window, output_padding: node.sides("output_padding", 0)?, groups, bias }
        } else {
            Op::Conv { out: sizes[0], window, groups, bias }
        };
        let channels = if is_transposed { sizes[0] } else { sizes[1].saturating_mul(groups) };
        if self.shape(x).channels() != channels {
            return Err(format!("reads {channels} channels, and its input has {}", self.shape(x).channels()));
        }
        self.add_named(&names.layer, op, &[x], names.parameters())
    }

    /// Padding that is the same on both sides, or what is put around the image before: left, right, top, bottom.
    pub(super) fn padding(
        &self,
        node: &NodeProto,
        kernel: [usize; 2],
        is_signal: bool,
    ) -> OnnxTaken<([usize; 2], [usize; 4])> {
        let same = matches!(node.text("auto_pad"), Some("SAME_UPPER" | "SAME_LOWER"));
        if same && node.integers("strides").is_none_or(|strides| strides.iter().all(|stride| *stride == 1)) {
            let whole = node.sides("dilations", 1)?;
            let all = [0, 1].map(|axis| whole[axis] * (kernel[axis] - 1));
            if all.iter().all(|size| size.is_multiple_of(2)) {
                return Ok((all.map(|size| size / 2), [0; 4]));
            }
        }
        if same {
            return Err("has `auto_pad`, which is read for odd windows with a stride of 1".to_string());
        }
        let Some(pads) = node.integers("pads") else { return Ok(([0; 2], [0; 4])) };
        let pads: Option<Vec<usize>> =
            pads.iter().map(|pad| usize::try_from(*pad).ok().filter(|pad| *pad <= MOST)).collect();
        match pads.as_deref() {
            Some(&[left, right]) if is_signal && left == right => Ok(([0, left], [0; 4])),
            Some(&[top, left, bottom, right]) if top == bottom && left == right => Ok(([top, left], [0; 4])),
            Some(&[top, left, bottom, right]) => Ok(([0; 2], [left, right, top, bottom])),
            other => Err(format!("its padding has {} numbers that are read", other.map_or(0, <[usize]>::len))),
        }
    }

    /// Of known values whether all are this one; otherwise a weight.
    fn is_constant(&self, value: &OnnxValue, number: f32) -> OnnxTaken<bool> {
        match value {
            OnnxValue::Floats(_, values) => Ok(values.iter().all(|value| *value == number)),
            OnnxValue::Weight { tensor, .. } if !is_of_pytorch(&self.tensor(*tensor).name) => {
                Ok(floats_of(self.tensor(*tensor))?.iter().all(|value| *value == number))
            }
            _ => Ok(false),
        }
    }

    pub(super) fn gemm(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<NodeId> {
        let factors = [node.float("alpha").unwrap_or(1.0), node.float("beta").unwrap_or(1.0)];
        if factors != [1.0; 2] || node.integer("transA").unwrap_or(0) != 0 {
            return Err(format!("multiplies by {factors:?} or turns its input"));
        }
        let from = self.node_of(inputs.at(0)?)?;
        let is_turned = node.integer("transB").unwrap_or(0) != 0;
        let OnnxValue::Weight { tensor, turned } = *inputs.at(1)? else {
            return Err("its weight is no tensor of the file".to_string());
        };
        let bias = self.weight(inputs.get(2))?;
        self.linear_of(node, from, tensor, turned != is_turned, bias)
    }

    /// A product: with a weight it waits for a bias.
    pub(super) fn product(&mut self, inputs: &OnnxInputs, at: usize) -> OnnxTaken<OnnxValue> {
        // A tensor without a name, in no module, is one that is multiplied by, not a layer's.
        let is_layer = |name: &str| is_of_pytorch(name) || !module_of(self.operator_at(at)).is_empty();
        if let OnnxValue::Weight { tensor, turned } = *inputs.at(1)?
            && is_layer(&self.tensor(tensor).name)
            && sizes_of(self.tensor(tensor))?.len() == 2
            && !matches!(inputs.at(0)?, OnnxValue::Weight { .. })
        {
            let from = self.node_of(inputs.at(0)?)?;
            return Ok(OnnxValue::Product { from, tensor, turned, at });
        }
        let (a, b) = (self.node_of(inputs.at(0)?)?, self.node_of(inputs.at(1)?)?);
        self.add("matmul", Op::MatrixProduct, &[a, b]).map(OnnxValue::Node)
    }

    /// A linear layer of the operator at a position. `turned` says whether the file holds `[out, in]`.
    pub(super) fn linear(
        &mut self,
        from: NodeId,
        tensor: usize,
        turned: bool,
        bias: Option<usize>,
        at: usize,
    ) -> OnnxTaken<NodeId> {
        let node = self.operator_at(at);
        self.linear_of(node, from, tensor, turned, bias)
    }

    fn linear_of(
        &mut self,
        node: &NodeProto,
        from: NodeId,
        tensor: usize,
        turned: bool,
        bias: Option<usize>,
    ) -> OnnxTaken<NodeId> {
        let sizes = sizes_of(self.tensor(tensor))?;
        let &[rows, columns] = &*sizes else { return Err(format!("its weight has {} axes", sizes.len())) };
        let (out, read) = if turned { (rows, columns) } else { (columns, rows) };
        let there = self.sizes(from).last().copied().unwrap_or(0);
        if read != there {
            return Err(format!("reads {read} features, and its input has {there}"));
        }
        if let Some(bias) = bias {
            let found = sizes_of(self.tensor(bias))?;
            if found != [out] {
                return Err(format!("its bias has the sizes {found:?}, expected [{out}]"));
            }
        }
        let names = LayerNames::of(node, &self.tensor(tensor).name, bias.map(|bias| &*self.tensor(bias).name));
        self.held(&names.weight, tensor, !turned);
        if let (Some(name), Some(bias)) = (&names.bias, bias) {
            self.held(name, bias, false);
        }
        let op = Op::Linear { out, bias: bias.is_some() };
        // Features that lie behind rows and columns: for the layer those are one axis of places.
        if let (Shape::Image(..), &[images, rows, columns, features]) = (self.shape(from), &*self.sizes(from)) {
            let whole = Axes::of(&[images, rows * columns, features]).unwrap_or_default();
            let flat = self.add(&names.layer, Op::Reshape { to: whole }, &[from])?;
            let given = self.add_named(&names.layer, op, &[flat], names.parameters())?;
            let to = Axes::of(&[images, rows, columns, out]).unwrap_or_default();
            return self.add(&names.layer, Op::Reshape { to }, &[given]);
        }
        self.add_named(&names.layer, op, &[from], names.parameters())
    }

    /// Whether a tensor has one number for each of `out` features, and nothing else.
    pub(super) fn fits_as_bias(&self, tensor: usize, out: usize) -> bool {
        sizes_of(self.tensor(tensor)).is_ok_and(|sizes| sizes == [out])
    }

    pub(super) fn batch_norm(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let eps = Real(shortest(node.float("epsilon").unwrap_or(1e-5)));
        // ONNX says what is kept, PyTorch what is taken.
        let momentum = Real(shortest(f64::from(1.0 - node.float("momentum").unwrap_or(0.9) as f32)));
        let momentum = Real((momentum.0 * 1e6).round() / 1e6);
        let affine = !(self.is_constant(inputs.at(1)?, 1.0)? && self.is_constant(inputs.at(2)?, 0.0)?);
        let buffers = [3, 4].map(|place| inputs.at(place).and_then(|value| self.weight(Some(value))));
        let [mean, variance] = buffers;
        let (mean, variance) = (mean?.unwrap_or_default(), variance?.unwrap_or_default());
        for tensor in [mean, variance] {
            let (found, channels) = (sizes_of(self.tensor(tensor))?, self.shape(x).channels());
            if found != [channels] {
                return Err(format!("its statistics have the sizes {found:?}, expected [{channels}]"));
            }
        }
        let known = self.tensor(mean).name.strip_suffix(".running_mean").map(str::to_string);
        let (layer, parameters) = if affine {
            let (_, names) = self.layer(node, inputs, false)?;
            let layer = known.unwrap_or_else(|| names.layer.clone());
            let parameters = LayerNames { layer: layer.clone(), ..names }.parameters();
            (layer, parameters)
        } else {
            (known.unwrap_or_else(|| LayerNames::of(node, "", None).layer), Vec::new())
        };
        self.held(&format!("{layer}.running_mean"), mean, false);
        self.held(&format!("{layer}.running_var"), variance, false);
        self.add_named(&layer, Op::BatchNorm { eps, momentum, affine }, &[x], parameters)
    }

    pub(super) fn layer_norm(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let count = self.sizes(x).len();
        let axes = count - axis_of(node.integer("axis").unwrap_or(-1), count)?;
        let eps = Real(shortest(node.float("epsilon").unwrap_or(1e-5)));
        let weight = !self.is_constant(inputs.at(1)?, 1.0)?;
        let bias = match inputs.get(2) {
            Some(bias) => !self.is_constant(bias, 0.0)?,
            None => false,
        };
        let names = match (weight, bias) {
            (true, true) => self.layer(node, inputs, false)?.1,
            (true, false) => {
                let tensor = self.weight(Some(inputs.at(1)?))?.unwrap_or_default();
                let names = LayerNames::of(node, &self.tensor(tensor).name, None);
                self.held(&names.weight, tensor, false);
                names
            }
            (false, true) => {
                let tensor = self.weight(inputs.get(2))?.unwrap_or_default();
                let names = LayerNames::of(node, "", Some(&self.tensor(tensor).name));
                let bias = names.bias.clone().unwrap_or_default();
                self.held(&bias, tensor, false);
                LayerNames { weight: bias, bias: None, layer: names.layer }
            }
            (false, false) => LayerNames::of(node, "", None),
        };
        let parameters = if weight || bias { names.parameters() } else { Vec::new() };
        let op = match &*node.operator {
            "RMSNormalization" => Op::RmsNorm { axes, eps, weight },
            _ => Op::LayerNorm { axes, eps, weight, bias },
        };
        self.add_named(&names.layer, op, &[x], parameters)
    }

    pub(super) fn group_norm(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let eps = Real(shortest(node.float("epsilon").unwrap_or(1e-5)));
        let channels = self.shape(x).channels();
        let groups = match &*node.operator {
            "GroupNormalization" => usize::try_from(node.integer("num_groups").unwrap_or(0)).unwrap_or(0),
            _ => channels,
        };
        let affine = !(self.is_constant(inputs.at(1)?, 1.0)? && self.is_constant(inputs.at(2)?, 0.0)?);
        if !affine {
            let name = LayerNames::of(node, "", None).layer;
            return self.add(&name, Op::GroupNorm { groups, eps, affine }, &[x]);
        }
        let (weight, names) = self.layer(node, inputs, false)?;
        if sizes_of(self.tensor(weight))? != [channels] {
            return Err(format!("has not one scale for each of {channels} channels"));
        }
        self.add_named(&names.layer, Op::GroupNorm { groups, eps, affine }, &[x], names.parameters())
    }

    pub(super) fn prelu(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let tensor = self.weight(Some(inputs.at(1)?))?.unwrap_or_default();
        let slopes = sizes_of(self.tensor(tensor))?.iter().product();
        let names = LayerNames::of(node, &self.tensor(tensor).name, None);
        self.held(&names.weight, tensor, false);
        self.add_named(&names.layer, Op::Prelu { slopes }, &[x], names.parameters())
    }
}
