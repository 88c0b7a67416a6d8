//! From a list of layers to the nodes of a network.

use super::layer::Layer;
use crate::net::cost::MOST_ACTIVATION_BYTES;
use crate::net::graph::{Builder, NodeId};
use crate::net::op::{Filling, Interpolation, LearnedStart, NORM_NUMBERS, Op, Pairing, Real, Reduction};
use tombola_words::error::{Error, Result};
use tombola_words::{Axes, Shape};

/// More values than any machine could hold, four bytes each.
const MOST_VALUES: usize = MOST_ACTIVATION_BYTES / 4;
/// The most channels that are dealt out.
const MOST_DEALT: usize = 1 << 20;
/// Added to the mean of squares of an RMS norm.
const RMS_EPS: Real = Real(1e-6);
/// Deviation of learned places before training.
const POSITIONS: Real = Real(0.02);

/// A network that grows layer by layer.
pub(super) struct Grower {
    pub(super) build: Builder,
    pub(super) classes: usize,
}

impl Grower {
    /// Adds a list of layers, the first of which reads `from`. The last node is what they give.
    pub(super) fn grow(&mut self, layers: &[Layer], prefix: &str, from: NodeId) -> Result<NodeId> {
        let mut last = from;
        for (index, layer) in layers.iter().enumerate() {
            let name = format!("{prefix}.{index}");
            last = self.layer(layer, &name, last)?;
            // Layers that multiply sizes, one after the other, come to more than can be counted.
            let values = self.build.shape(last).axes().product();
            if values > MOST_VALUES {
                return Err(Error::input(format!(
                    "layer `{name}`: gives {values} values for one image, more than the {MOST_VALUES} allowed"
                ))
                .hint("use larger strides, or make images larger less often"));
            }
        }
        Ok(last)
    }

    fn layer(&mut self, layer: &Layer, name: &str, from: NodeId) -> Result<NodeId> {
        let shape = self.build.shape(from);
        if matches!(shape, Shape::Block(_)) && reads_images(layer) {
            let input = self.build.shape(0);
            if !matches!(input, Shape::Image(..)) {
                let (examples, _) = input.called();
                return Err(Error::input(format!(
                    "layer `{name}`: `{layer}` needs images, and the data are {examples}"
                )));
            }
            return Err(Error::input(format!("layer `{name}`: `{layer}` cannot read tokens, {shape}")).hint(
                "put it before `\"tokens\"`; tokens are read by `linear`, `attention`, `layer-norm` and activations",
            ));
        }
        let channels = shape.channels();
        let op = match *layer {
            Layer::Conv { out, window, groups, bias, transposed } => {
                let (out, groups) = (out.count(self.classes), groups.count(channels));
                match transposed {
                    None => Op::Conv { out, window, groups, bias },
                    Some(output_padding) => Op::ConvTransposed { out, window, output_padding, groups, bias },
                }
            }
            Layer::Linear { out, bias } => Op::Linear { out: out.count(self.classes), bias },
            Layer::BatchNorm => Op::BATCH_NORM,
            Layer::LayerNorm => {
                let op = Op::LayerNorm { axes: 1, eps: NORM_NUMBERS.0, weight: true, bias: true };
                return self.over_channels(name, op, from);
            }
            Layer::RmsNorm => {
                return self.over_channels(name, Op::RmsNorm { axes: 1, eps: RMS_EPS, weight: true }, from);
            }
            Layer::GroupNorm(groups) => Op::GroupNorm { groups, eps: NORM_NUMBERS.0, affine: true },
            Layer::InstanceNorm => Op::GroupNorm { groups: channels, eps: NORM_NUMBERS.0, affine: false },
            Layer::Relu => Op::Relu,
            Layer::Activation(function) => Op::Activation { function },
            Layer::Prelu => Op::Prelu { slopes: 1 },
            Layer::Softmax => Op::Softmax { axis: if matches!(shape, Shape::Block(_)) { 2 } else { 1 } },
            Layer::Dropout(rate, of) => Op::Dropout { rate, of },
            Layer::MaxPool(window) => Op::MaxPool { window, ceil: false },
            Layer::AveragePool(window) => Op::AvgPool { window, ceil: false, counts_padding: true },
            Layer::GlobalAveragePool if matches!(shape, Shape::Block(_)) => {
                Op::Reduce { reduction: Reduction::Mean, axes: axes(&[1])?, keep: false }
            }
            Layer::GlobalAveragePool => Op::GlobalAveragePool,
            Layer::Flatten => Op::Flatten,
            Layer::Pad([rows, columns]) => {
                Op::Pad { around: [columns, columns, rows, rows], filling: Filling::Constant(Real(0.0)) }
            }
            Layer::Upsample { factor, bilinear } => {
                let Shape::Image(_, height, width) = shape else { return Err(needs_image(name, shape)) };
                let mode = if bilinear { Interpolation::Bilinear } else { Interpolation::Nearest };
                Op::Interpolate { mode, to: [height * factor, width * factor], align_corners: false }
            }
            Layer::ChannelShuffle(groups) => return self.shuffled(name, from, groups),
            Layer::Tokens => return self.tokens(name, from),
            Layer::Positions => return self.positions(name, from),
            Layer::Attention { heads, bias } => return self.attention(name, from, heads, bias),
            Layer::Residual { ref branch, ref shortcut } => {
                let added = self.grow(branch, &format!("{name}.residual"), from)?;
                let kept = self.grow(shortcut, &format!("{name}.shortcut"), from)?;
                return self.build.add(name, Op::Add, &[added, kept]).map_err(|error| needs_shortcut(error, shortcut));
            }
            Layer::Concat(ref branches) => {
                let grown = branches.iter().enumerate();
                let grown = grown.map(|(number, branch)| self.grow(branch, &format!("{name}.concat.{number}"), from));
                let grown: Vec<NodeId> = grown.collect::<Result<_>>()?;
                let axis = if matches!(self.build.shape(grown[0]), Shape::Block(_)) { 2 } else { 1 };
                return self.build.add(name, Op::Concat { axis }, &grown).map_err(|error| {
                    error.hint("the branches must end in images of one height and width, or all in vectors; compare their strides")
                });
            }
            Layer::Scale(ref branch) => return self.scaled(name, from, branch),
        };
        self.build.add(name, op, &[from])
    }

    /// A norm over the last axis, which the channels of an image are not.
    fn over_channels(&mut self, name: &str, op: Op, from: NodeId) -> Result<NodeId> {
        if !matches!(self.build.shape(from), Shape::Image(..)) {
            return self.build.add(name, op, &[from]);
        }
        let last = self.build.add(name, Op::Permute { order: axes(&[0, 2, 3, 1])? }, &[from])?;
        let last = self.build.add(name, op, &[last])?;
        self.build.add(name, Op::Permute { order: axes(&[0, 3, 1, 2])? }, &[last])
    }

    fn shuffled(&mut self, name: &str, from: NodeId, groups: usize) -> Result<NodeId> {
        let channels = self.build.shape(from).channels();
        if !channels.is_multiple_of(groups) || channels > MOST_DEALT {
            return Err(Error::input(format!(
                "layer `{name}`: cannot deal out {channels} channels among {groups} groups"
            ))
            .hint(format!("give it a number that divides the channels, which are at most {MOST_DEALT}")));
        }
        let inner = channels / groups;
        let dealt = (0..channels).map(|place| place % groups * inner + place / groups).collect();
        self.build.select(name, from, dealt)
    }

    fn tokens(&mut self, name: &str, from: NodeId) -> Result<NodeId> {
        let Shape::Image(channels, height, width) = self.build.shape(from) else {
            return Err(needs_image(name, self.build.shape(from)));
        };
        let flat = self.build.add(name, Op::Reshape { to: axes(&[1, channels, height * width])? }, &[from])?;
        self.build.add(name, Op::Permute { order: axes(&[0, 2, 1])? }, &[flat])
    }

    fn positions(&mut self, name: &str, from: NodeId) -> Result<NodeId> {
        let Shape::Block(shape) = self.build.shape(from) else {
            return Err(needs_tokens(name, self.build.shape(from)));
        };
        let learned = Op::Learned { shape, begins: LearnedStart::Normal(POSITIONS) };
        let learned = self.build.add(&format!("{name}.positions"), learned, &[])?;
        self.build.add(name, Op::Pair { function: Pairing::Add }, &[from, learned])
    }

    fn attention(&mut self, name: &str, from: NodeId, heads: usize, bias: bool) -> Result<NodeId> {
        let shape = self.build.shape(from);
        let all = shape.axes();
        let (Shape::Block(_), &[_, tokens, width]) = (shape, all.as_slice()) else {
            return Err(needs_tokens(name, shape));
        };
        if !width.is_multiple_of(heads) {
            return Err(Error::input(format!("layer `{name}`: cannot divide {width} features into {heads} heads"))
                .hint("give it a number of heads that divides the features of a token"));
        }
        let features = width / heads;
        let build = &mut self.build;
        let all = build.add(&format!("{name}.qkv"), Op::Linear { out: 3 * width, bias }, &[from])?;
        let all = build.add(name, Op::Reshape { to: axes(&[1, tokens, 3, heads, features])? }, &[all])?;
        let mut parts = [0; 3];
        for (place, part) in parts.iter_mut().enumerate() {
            let one = build.add(name, Op::Slice { axis: 2, start: place, end: place + 1, step: 1 }, &[all])?;
            let one = build.add(name, Op::Reshape { to: axes(&[1, tokens, heads, features])? }, &[one])?;
            *part = build.add(name, Op::Permute { order: axes(&[0, 2, 1, 3])? }, &[one])?;
        }
        let scale = Real(1.0 / (features as f64).sqrt());
        let looked = build.add(name, Op::Attention { scale, causal: false }, &parts)?;
        let looked = build.add(name, Op::Permute { order: axes(&[0, 2, 1, 3])? }, &[looked])?;
        let looked = build.add(name, Op::Reshape { to: axes(&[1, tokens, width])? }, &[looked])?;
        build.add(&format!("{name}.proj"), Op::Linear { out: width, bias }, &[looked])
    }

    /// The input times what the branch makes of it; one value a channel is for all its pixels.
    fn scaled(&mut self, name: &str, from: NodeId, branch: &[Layer]) -> Result<NodeId> {
        let mut factor = self.grow(branch, &format!("{name}.scale"), from)?;
        if let (Shape::Image(..), Shape::Vector(values)) = (self.build.shape(from), self.build.shape(factor)) {
            factor = self.build.add(name, Op::Reshape { to: axes(&[1, values, 1, 1])? }, &[factor])?;
        }
        let (shape, own) = (self.build.shape(from), self.build.shape(factor));
        let hint = "end the branch in one value a channel, such as \
                    `\"global-average-pool\", { linear = 16 }, \"sigmoid\"`, or in the shape of its input";
        let product = self.build.add(name, Op::Pair { function: Pairing::Multiply }, &[from, factor]);
        match product.map_err(|error| error.hint(hint))? {
            product if self.build.shape(product) == shape => Ok(product),
            _ => Err(Error::input(format!("layer `{name}`: a branch of {own} is larger than its input of {shape}"))
                .hint(hint)),
        }
    }
}

fn axes(sizes: &[usize]) -> Result<Axes> {
    Axes::of(sizes).ok_or_else(|| Error::input(format!("{} axes are too many", sizes.len())))
}

/// Whether a layer knows channels by their place, which tokens have elsewhere.
fn reads_images(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::Conv { .. }
            | Layer::BatchNorm
            | Layer::GroupNorm(_)
            | Layer::InstanceNorm
            | Layer::MaxPool(_)
            | Layer::AveragePool(_)
            | Layer::Pad(_)
            | Layer::Upsample { .. }
            | Layer::ChannelShuffle(_)
            | Layer::Tokens
    )
}

fn needs_image(name: &str, shape: Shape) -> Error {
    Error::input(format!("layer `{name}`: needs an image, but its input is {shape}"))
}

fn needs_tokens(name: &str, shape: Shape) -> Error {
    Error::input(format!("layer `{name}`: needs tokens, but its input is {shape}"))
        .hint("make tokens of the pixels of an image with `\"tokens\"`")
}

fn needs_shortcut(error: Error, shortcut: &[Layer]) -> Error {
    error.hint(if shortcut.is_empty() {
        "give the block a shortcut that changes its input's shape as the branch does, such as \
         `shortcut = [{ conv = 32, kernel = 1, stride = 2 }, \"batch-norm\"]`"
    } else {
        "the branch and the `shortcut` of a block must end in the same shape; compare their channels and strides"
    })
}
