//! The line that computes each node.

use super::fixed::PythonFixed;
use super::layers::{PythonLayers, is_signal, more_of};
use super::literals::{number, quoted, sides, truth, tuple};
use tombola_core::net::op::{Dropped, Filling, Function, Interpolation, Pairing, Real, Reduction, Window};
use tombola_core::net::{Node, NodeId, Op};
use tombola_words::{Axes, Shape};

/// Writes the lines of `forward`.
pub(super) struct PythonSteps<'a> {
    pub(super) layers: &'a PythonLayers<'a>,
    pub(super) fixed: &'a PythonFixed<'a>,
}

impl PythonSteps<'_> {
    /// The line that computes a node.
    pub(super) fn step(&self, id: NodeId) -> String {
        format!("        x{id} = {}", self.value(id))
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.layers.graph.nodes[id]
    }

    fn x(&self, id: NodeId, number: usize) -> String {
        format!("x{}", self.node(id).inputs.get(number).copied().unwrap_or_default())
    }

    /// The parameters of a node that has no module of its own, as they are asked for.
    fn tensors(&self, id: NodeId) -> Vec<String> {
        self.layers.parameters(id).map(|parameter| format!("tensor({})", quoted(&parameter.name))).collect()
    }

    fn value(&self, id: NodeId) -> String {
        let node = self.node(id);
        let x = |number: usize| self.x(id, number);
        let one = || x(0);
        if self.layers.module(id).is_some() {
            return self.by_module(id);
        }
        match node.op {
            Op::Input => "x0".to_string(),
            Op::Conv { .. }
            | Op::ConvTransposed { .. }
            | Op::Linear { .. }
            | Op::BatchNorm { .. }
            | Op::LayerNorm { .. }
            | Op::RmsNorm { .. }
            | Op::GroupNorm { .. }
            | Op::Prelu { .. } => self.by_function(id),
            Op::Relu => format!("F.relu({})", one()),
            Op::Activation { function } => activation(&one(), function),
            Op::Softmax { axis } => format!("{}.softmax({axis})", one()),
            Op::Dropout { rate, of: Dropped::Values } => {
                format!("F.dropout({}, {}, self.training)", one(), number(rate.0))
            }
            Op::Dropout { rate, of: Dropped::Channels } => {
                format!("dropped({}, {}, self.training, 2)", one(), number(rate.0))
            }
            Op::Dropout { rate, of: Dropped::Images } => {
                format!("dropped({}, {}, self.training, 1)", one(), number(rate.0))
            }
            Op::Add => format!("{} + {}", x(0), x(1)),
            Op::Pair { function } => pair(&x(0), &x(1), function),
            Op::MatrixProduct => format!("{} @ {}", x(0), x(1)),
            Op::Attention { scale, causal } => self.attention(id, scale, causal),
            Op::MaxPool { window, ceil } => {
                let ceil = if ceil { ", ceil_mode=True" } else { "" };
                self.pool(id, "max_pool", window, &format!("{}{ceil}", more_of(window, is_signal(node.shape), 1)))
            }
            Op::AvgPool { window, ceil, counts_padding } => {
                let ceil = if ceil { ", ceil_mode=True" } else { "" };
                let counts = if counts_padding { "" } else { ", count_include_pad=False" };
                self.pool(id, "avg_pool", window, &format!("{ceil}{counts}"))
            }
            Op::AdaptivePool { reduction, to } => {
                let kind = if reduction == Reduction::Max { "max" } else { "avg" };
                format!("F.adaptive_{kind}_pool2d({}, {})", one(), tuple(to))
            }
            Op::GlobalAveragePool => format!("{}.mean((2, 3))", one()),
            Op::Flatten => format!("{}.flatten(1)", one()),
            Op::PadShortcut { stride, before, after } => {
                format!("F.pad({}[:, :, ::{stride}, ::{stride}], (0, 0, 0, 0, {before}, {after}))", one())
            }
            Op::Select { list, .. } => format!("{}[:, {}]", one(), self.fixed.places(list)),
            Op::Take { axis, list } => format!("{}[{}{}]", one(), ":, ".repeat(axis), self.fixed.places(list)),
            Op::Slice { axis, start, end, step } => {
                let step = if step == 1 { String::new() } else { format!(":{step}") };
                format!("{}[{}{start}:{end}{step}]", one(), ":, ".repeat(axis))
            }
            Op::Concat { axis } => {
                let inputs = (0..node.inputs.len()).map(x);
                format!("torch.cat({}, {axis})", tuple(inputs))
            }
            Op::Reshape { to } => format!("{}.reshape{}", one(), tuple(sizes(to, node.shape))),
            Op::Permute { order } => format!("{}.permute{}", one(), tuple(order.as_slice())),
            Op::Expand { to, images } => self.expand(id, to, images),
            Op::Reduce { reduction, axes, keep } => {
                let axes = tuple(axes.as_slice());
                let keep = if keep { ", keepdim=True" } else { "" };
                match reduction {
                    Reduction::Mean => format!("{}.mean({axes}{keep})", one()),
                    Reduction::Sum => format!("{}.sum({axes}{keep})", one()),
                    Reduction::Max => format!("{}.amax({axes}{keep})", one()),
                    Reduction::Norm => format!("torch.linalg.vector_norm({}, dim={axes}{keep})", one()),
                }
            }
            Op::Pad { around, filling } => {
                let how = match filling {
                    Filling::Constant(value) if value.0 == 0.0 => String::new(),
                    Filling::Constant(value) => format!(", value={}", number(value.0)),
                    Filling::Reflect => ", mode=\"reflect\"".to_string(),
                    Filling::Replicate => ", mode=\"replicate\"".to_string(),
                };
                format!("F.pad({}, {}{how})", one(), tuple(around))
            }
            Op::Roll { axis, by } => format!("{}.roll({by}, {axis})", one()),
            Op::Interpolate { mode, to, align_corners } => {
                let mode = match mode {
                    Interpolation::Nearest => "mode=\"nearest\"".to_string(),
                    Interpolation::Bilinear => format!("mode=\"bilinear\", align_corners={}", truth(align_corners)),
                    Interpolation::Bicubic => format!("mode=\"bicubic\", align_corners={}", truth(align_corners)),
                };
                format!("F.interpolate({}, {}, {mode})", one(), tuple(to))
            }
            Op::Learned { .. } => self.tensors(id).concat(),
            Op::Constant { list } => self.fixed.constant(list),
        }
    }

    /// By the module of the node.
    fn by_module(&self, id: NodeId) -> String {
        let (node, x) = (self.node(id), self.x(id, 0));
        let layer = format!("layer({})", quoted(&node.name));
        if !matches!(node.op, Op::BatchNorm { .. }) {
            return format!("{layer}({x})");
        }
        let axes = node.shape.axes().as_slice().len();
        let normed = if axes > 5 { format!("{layer}({x}.flatten(2)).view_as({x})") } else { format!("{layer}({x})") };
        match &*self.tensors(id) {
            [scale, shift] if self.layers.module(id).is_some_and(|module| module.ends_with("affine=False)")) => {
                let to = format!(".view{}", tuple(std::iter::once(-1).chain(std::iter::repeat_n(1, axes - 2))));
                format!("{normed} * {scale}{to} + {shift}{to}")
            }
            _ => normed,
        }
    }

    /// By a function, with parameters that have names of their own, or none.
    fn by_function(&self, id: NodeId) -> String {
        let (node, x) = (self.node(id), self.x(id, 0));
        let read = self.layers.graph.input_of(id);
        let tensors = self.tensors(id);
        let all = tensors.join(", ");
        let last = |axes: usize| {
            let sizes = Vec::from(read.axes());
            tuple(&sizes[sizes.len().saturating_sub(axes)..])
        };
        let tensor = |has: bool, place: usize| match tensors.get(place) {
            Some(tensor) if has => tensor.as_str(),
            _ => "None",
        };
        match node.op {
            Op::Conv { window, groups, bias, .. } => {
                let is_signal = is_signal(read);
                let kind = if is_signal { "conv1d" } else { "conv2d" };
                let more = more_of(window, is_signal, groups);
                let [stride, padding] = [window.stride, window.padding].map(|pair| sides(pair, is_signal));
                let bias = if bias { "" } else { ", None" };
                format!("F.{kind}({x}, {all}{bias}, {stride}, {padding}{more})")
            }
            Op::ConvTransposed { window, output_padding, groups, bias, .. } => {
                let more = more_of(window, false, groups);
                let [stride, padding, added] =
                    [window.stride, window.padding, output_padding].map(|pair| sides(pair, false));
                let bias = if bias { "" } else { ", None" };
                format!("F.conv_transpose2d({x}, {all}{bias}, {stride}, {padding}, {added}{more})")
            }
            Op::Linear { .. } => format!("F.linear({x}, {all})"),
            Op::LayerNorm { axes, eps, weight, bias } => {
                let (scale, shift) = (tensor(weight, 0), tensor(bias, usize::from(weight)));
                format!("F.layer_norm({x}, {}, {scale}, {shift}, {})", last(axes), number(eps.0))
            }
            Op::RmsNorm { axes, eps, weight } => {
                format!("F.rms_norm({x}, {}, {}, {})", last(axes), tensor(weight, 0), number(eps.0))
            }
            Op::GroupNorm { groups, eps, affine } => {
                format!("F.group_norm({x}, {groups}, {}, {}, {})", tensor(affine, 0), tensor(affine, 1), number(eps.0))
            }
            _ => format!("F.prelu({x}, {all})"),
        }
    }

    fn attention(&self, id: NodeId, scale: Real, causal: bool) -> String {
        let [q, k, v] = [0, 1, 2].map(|number| self.x(id, number));
        let scale = number(scale.0);
        let mask = (self.node(id).inputs.len() > 3).then(|| self.x(id, 3));
        match (mask, causal) {
            (None, false) => format!("F.scaled_dot_product_attention({q}, {k}, {v}, scale={scale})"),
            (None, true) => format!("F.scaled_dot_product_attention({q}, {k}, {v}, is_causal=True, scale={scale})"),
            (Some(mask), false) => format!("F.scaled_dot_product_attention({q}, {k}, {v}, {mask}, scale={scale})"),
            (Some(mask), true) => {
                let sizes = format!("{q}.shape[-2], {k}.shape[-2]");
                let later = format!("{q}.new_full(({sizes}), float(\"-inf\")).triu(1)");
                format!("F.scaled_dot_product_attention({q}, {k}, {v}, {mask} + {later}, scale={scale})")
            }
        }
    }

    fn pool(&self, id: NodeId, name: &str, window: Window, more: &str) -> String {
        let is_signal = is_signal(self.node(id).shape);
        let Window { kernel, stride, padding, .. } = window;
        let [kernel, stride, padding] = [kernel, stride, padding].map(|pair| sides(pair, is_signal));
        let kind = if is_signal { "1d" } else { "2d" };
        let padding = if padding == "0" { String::new() } else { format!(", padding={padding}") };
        format!("F.{name}{kind}({}, {kernel}, {stride}{padding}{more})", self.x(id, 0))
    }

    fn expand(&self, id: NodeId, to: Axes, images: bool) -> String {
        let mut wanted: Vec<String> = to.as_slice().iter().map(usize::to_string).collect();
        if let Some(first) = wanted.first_mut().filter(|_| images) {
            *first = match (self.layers.graph.input_of(id).is_of_images(), &**first) {
                (true, _) => "-1".to_string(),
                (false, "1") => "x0.shape[0]".to_string(),
                (false, places) => format!("{places} * x0.shape[0]"),
            };
        }
        format!("{}.expand{}", self.x(id, 0), tuple(wanted))
    }
}

/// Sizes; the first one is what the others leave where there is one for each image.
fn sizes(axes: Axes, shape: Shape) -> Vec<String> {
    let mut sizes: Vec<String> = axes.as_slice().iter().map(usize::to_string).collect();
    if let Some(first) = sizes.first_mut().filter(|_| shape.is_of_images()) {
        *first = "-1".to_string();
    }
    sizes
}

fn pair(a: &str, b: &str, function: Pairing) -> String {
    match function {
        Pairing::Add => format!("{a} + {b}"),
        Pairing::Subtract => format!("{a} - {b}"),
        Pairing::Multiply => format!("{a} * {b}"),
        Pairing::Divide => format!("{a} / {b}"),
        Pairing::Maximum => format!("torch.maximum({a}, {b})"),
    }
}

fn activation(x: &str, function: Function) -> String {
    let by = |name: &str| format!("F.{name}({x})");
    match function {
        Function::Relu6 => by("relu6"),
        Function::LeakyRelu(slope) => format!("F.leaky_relu({x}, {})", number(slope.0)),
        Function::Elu(scale) => format!("F.elu({x}, {})", number(scale.0)),
        Function::Gelu => by("gelu"),
        Function::GeluTanh => format!("F.gelu({x}, approximate=\"tanh\")"),
        Function::Silu => by("silu"),
        Function::Tanh => format!("{x}.tanh()"),
        Function::Sigmoid => format!("{x}.sigmoid()"),
        Function::HardSigmoid => by("hardsigmoid"),
        Function::HardSwish => by("hardswish"),
        Function::Clamp(low, high) => format!("{x}.clamp({}, {})", number(low.0), number(high.0)),
        Function::Softplus => by("softplus"),
        Function::Mish => by("mish"),
        Function::Exp => format!("{x}.exp()"),
        Function::Abs => format!("{x}.abs()"),
        Function::Power(exponent) => format!("{x}.pow({})", number(exponent.0)),
        Function::Linear(factor, added) if added.0 == 0.0 => format!("{x} * {}", number(factor.0)),
        Function::Linear(factor, added) if factor.0 == 1.0 => format!("{x} + {}", number(added.0)),
        Function::Linear(factor, added) => format!("{x} * {} + {}", number(factor.0), number(added.0)),
    }
}
