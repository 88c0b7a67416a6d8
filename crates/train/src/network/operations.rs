//! One operation of a network by the functions of libtorch. It may not know of graphs: shapes, inputs and weights in, a tensor out.

use tch::{Kind, Tensor};

use super::noise::Noise;
use super::strided::conv;
use crate::cuda::trials::is_contiguous;
use tombola_core::net::op::{Filling, Function, Interpolation, Op, Pairing, Real, Reduction, Window};
use tombola_words::{Axes, Shape};

/// An operation that is about to run.
pub(super) struct Operation<'a> {
    /// What is done.
    pub(super) op: Op,
    /// What comes out for one image.
    pub(super) shape: Shape,
    /// What goes in.
    pub(super) inputs: &'a [Tensor],
    /// Its parameters.
    pub(super) weights: &'a [Tensor],
    /// One number of each image, `[images, 1]`, where something is the same for all of them.
    pub(super) each: Option<&'a Tensor>,
    /// The places that are taken (int64), or the values of a constant (float32).
    pub(super) list: Option<&'a Tensor>,
    /// Whether functions may run that cannot be differentiated twice.
    pub(super) fused: bool,
}

fn long(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|size| *size as i64).collect()
}

fn pair(sizes: [usize; 2]) -> [i64; 2] {
    sizes.map(|size| size as i64)
}

impl Operation<'_> {
    fn x(&self) -> &Tensor {
        &self.inputs[0]
    }

    /// Sizes of a tensor; the first axis of one that is there for each image is what the others leave.
    fn sizes(&self, axes: Axes) -> Vec<i64> {
        let mut sizes = long(axes.as_slice());
        if let Some(first) = sizes.first_mut().filter(|_| self.shape.is_of_images()) {
            *first = -1;
        }
        sizes
    }

    /// Runs it; with noise in training only.
    pub(super) fn run(&self, noise: Option<Noise>) -> Tensor {
        match self.op {
            Op::Conv { window, groups, bias, .. } => self.flat(|x| {
                let weight = self.window_weight();
                let weight = if is_contiguous(x.device()) { weight.contiguous() } else { weight };
                conv(x, &weight, bias.then(|| &self.weights[1]), window, groups as i64)
            }),
            Op::ConvTransposed { window, output_padding, groups, bias, .. } => self.x().conv_transpose2d(
                &self.weights[0],
                bias.then(|| &self.weights[1]),
                pair(window.stride),
                pair(window.padding),
                pair(output_padding),
                groups as i64,
                pair(window.dilation),
            ),
            Op::Linear { bias, .. } => self.x().linear(&self.weights[0], bias.then(|| &self.weights[1])),
            Op::LayerNorm { axes, eps, weight, bias } => self.in_float(|x| {
                let (gain, offset) =
                    (weight.then(|| &self.weights[0]), bias.then(|| &self.weights[usize::from(weight)]));
                x.layer_norm(last(x, axes), gain, offset, eps.0, true)
            }),
            Op::RmsNorm { axes, eps, weight } => {
                self.in_float(|x| x.rms_norm(last(x, axes), weight.then(|| &self.weights[0]), eps.0))
            }
            Op::GroupNorm { groups, eps, affine } => self.in_float(|x| {
                let [gain, offset] = [0, 1].map(|number| affine.then(|| &self.weights[number]));
                x.group_norm(groups as i64, gain, offset, eps.0, true)
            }),
            Op::Activation { function } => activated(self.x(), function, self.fused),
            Op::Prelu { .. } => self.x().prelu(&self.weights[0]),
            Op::Softmax { axis } => self.x().softmax(axis as i64, None::<Kind>),
            Op::Dropout { rate, of } => match noise.filter(|_| rate.0 > 0.0) {
                Some(noise) => noise.dropped(self.x(), rate.0, of),
                None => self.x().shallow_clone(),
            },
            Op::Pair { function } => {
                let (a, b) = (self.x(), &self.inputs[1]);
                match function {
                    Pairing::Add => a + b,
                    Pairing::Subtract => a - b,
                    Pairing::Multiply => a * b,
                    Pairing::Divide => a / b,
                    Pairing::Maximum => a.maximum(b),
                }
            }
            Op::MatrixProduct => self.x().matmul(&self.inputs[1]),
            Op::Attention { scale, causal } => self.attention(scale, causal),
            Op::MaxPool { window, ceil } => self.flat(|x| {
                let Window { kernel, stride, padding, dilation } = window;
                x.max_pool2d(pair(kernel), pair(stride), pair(padding), pair(dilation), ceil)
            }),
            Op::AvgPool { window, ceil, counts_padding } => self.flat(|x| {
                let Window { kernel, stride, padding, .. } = window;
                x.avg_pool2d(pair(kernel), pair(stride), pair(padding), ceil, counts_padding, None)
            }),
            Op::AdaptivePool { reduction: Reduction::Max, to } => self.x().adaptive_max_pool2d(pair(to)).0,
            Op::AdaptivePool { to, .. } => self.x().adaptive_avg_pool2d(pair(to)),
            Op::Take { axis, .. } => {
                self.list.map(|places| self.x().index_select(axis as i64, places)).unwrap_or_default()
            }
            Op::Slice { axis, start, end, step } => {
                self.x().slice(axis as i64, start as i64, Some(end as i64), step as i64)
            }
            Op::Concat { axis } => Tensor::cat(self.inputs, axis as i64),
            Op::Reshape { to } => self.x().reshape(self.sizes(to)),
            Op::Permute { order } => self.x().permute(long(order.as_slice())),
            Op::Expand { to, images } => self.expanded(to, images),
            Op::Reduce { reduction, axes, keep } => reduced(self.x(), reduction, &long(axes.as_slice()), keep),
            Op::Pad { around, filling } => {
                let around = around.map(|size| size as i64);
                match filling {
                    Filling::Constant(number) => self.x().pad(around, "constant", number.0),
                    Filling::Reflect => self.x().pad(around, "reflect", None),
                    Filling::Replicate => self.x().pad(around, "replicate", None),
                }
            }
            Op::Roll { axis, by } => self.x().roll(by as i64, axis as i64),
            Op::Interpolate { mode, to, align_corners } => match mode {
                Interpolation::Nearest => self.x().upsample_nearest2d(pair(to), None, None),
                Interpolation::Bilinear => self.x().upsample_bilinear2d(pair(to), align_corners, None, None),
                Interpolation::Bicubic => self.x().upsample_bicubic2d(pair(to), align_corners, None, None),
            },
            Op::Learned { .. } => self.weights[0].shallow_clone(),
            Op::Constant { .. } => {
                let kind = self.each.map_or(Kind::Float, Tensor::kind);
                self.list.map(|values| values.to_kind(kind)).unwrap_or_default()
            }
            // These run where the graph is walked.
            Op::Input
            | Op::BatchNorm { .. }
            | Op::Relu
            | Op::Add
            | Op::GlobalAveragePool
            | Op::Flatten
            | Op::PadShortcut { .. }
            | Op::Select { .. } => self.x().shallow_clone(),
        }
    }

    /// Runs something over rows and columns; a signal has one row.
    fn flat(&self, run: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        match self.x().dim() {
            3 => run(&self.x().unsqueeze(2)).squeeze_dim(2),
            _ => run(self.x()),
        }
    }

    /// The weight of a convolution with height and width.
    fn window_weight(&self) -> Tensor {
        match self.weights[0].dim() {
            3 => self.weights[0].unsqueeze(2),
            _ => self.weights[0].shallow_clone(),
        }
    }

    /// Runs a norm in float32, as its weights are.
    fn in_float(&self, run: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        match self.x().kind() {
            kind @ Kind::BFloat16 => run(&self.x().to_kind(Kind::Float)).to_kind(kind),
            _ => run(self.x()),
        }
    }

    fn attention(&self, scale: Real, causal: bool) -> Tensor {
        let [q, k, v] = [0, 1, 2].map(|number| &self.inputs[number]);
        let mask = self.inputs.get(3);
        // Those take a mask or look at no later places, not both.
        if self.fused && !(causal && mask.is_some()) {
            return Tensor::scaled_dot_product_attention(q, k, v, mask, 0.0, causal, scale.0, false);
        }
        // The functions that are faster cannot be differentiated twice.
        let mut scores = q.matmul(&k.transpose(-2, -1)) * scale.0;
        if let Some(mask) = mask {
            scores += mask;
        }
        if causal {
            let sizes = scores.size();
            let later = Tensor::ones(&sizes[sizes.len() - 2..], (Kind::Bool, scores.device())).triu(1);
            scores = scores.masked_fill(&later, f64::NEG_INFINITY);
        }
        scores.softmax(-1, None::<Kind>).matmul(v)
    }

    fn expanded(&self, to: Axes, images: bool) -> Tensor {
        let mut sizes = long(to.as_slice());
        match self.each.filter(|_| images) {
            // By a tensor that has as many images, not by their number: what is recorded of this holds for others.
            Some(each) => {
                let ones = vec![1i64; sizes.len() - 1];
                let each = each.reshape([&[-1], &*ones].concat());
                sizes[0] = -1;
                self.x().expand_as(&each.expand(sizes, false))
            }
            None => self.x().expand(sizes, false),
        }
    }
}

/// The sizes of the last axes.
fn last(x: &Tensor, axes: usize) -> Vec<i64> {
    let sizes = x.size();
    sizes[sizes.len().saturating_sub(axes)..].to_vec()
}

fn reduced(x: &Tensor, reduction: Reduction, axes: &[i64], keep: bool) -> Tensor {
    match reduction {
        Reduction::Mean => x.mean_dim(axes, keep, None::<Kind>),
        Reduction::Sum => x.sum_dim_intlist(axes, keep, None::<Kind>),
        Reduction::Max => x.amax(axes, keep),
        Reduction::Norm => x.norm_scalaropt_dim(2.0, axes, keep),
    }
}

fn activated(x: &Tensor, function: Function, fused: bool) -> Tensor {
    match function {
        Function::Relu6 => x.relu6(),
        // A tensor that is made here would be recorded without what it holds.
        Function::LeakyRelu(slope) if !fused => x.relu() + x.clamp_max(0.0) * slope.0,
        Function::LeakyRelu(slope) => {
            x.prelu(&Tensor::from_slice(&[slope.0 as f32]).to_device(x.device()).to_kind(x.kind()))
        }
        Function::Elu(scale) if scale.0 == 1.0 => x.elu(),
        Function::Elu(scale) => x.relu() + x.clamp_max(0.0).expm1() * scale.0,
        Function::Gelu => x.gelu("none"),
        Function::GeluTanh => x.gelu("tanh"),
        Function::Silu => x.silu(),
        Function::Tanh => x.tanh(),
        Function::Sigmoid => x.sigmoid(),
        Function::HardSigmoid => x.hardsigmoid(),
        Function::HardSwish => x.hardswish(),
        Function::Clamp(low, high) => x.clamp(low.0, high.0),
        Function::Softplus => x.softplus(),
        Function::Mish => x.mish(),
        Function::Exp => x.exp(),
        Function::Abs => x.abs(),
        Function::Power(exponent) => x.pow_tensor_scalar(exponent.0),
        Function::Linear(factor, added) => x * factor.0 + added.0,
    }
}
