//! What a node of a network can do: the operations of PyTorch that networks of images are made of.
//!
//! Axes are counted as PyTorch counts those of the tensor, from 0, which is that of the images. It may not know of weights in
//! memory, training or torch. Files of networks (`custom/nodes.rs`) hold these operations as they stand here.

mod parts;

use serde::{Deserialize, Serialize};

use tombola_words::Axes;

pub use parts::{Dropped, Filling, Function, Interpolation, LearnedStart, Pairing, Real, Reduction, Window};

/// What a node does to its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// The normalised image. Always node 0.
    Input,
    /// Convolution; weight `[out, in / groups, height, width]`, of signals `[out, in / groups, width]`.
    Conv {
        /// Output channels.
        out: usize,
        /// Where it reads.
        window: Window,
        /// Parts that the channels fall into, each of which reads its own.
        #[serde(default = "one")]
        groups: usize,
        /// Whether a bias `[out]` is added.
        bias: bool,
    },
    /// Transposed convolution; weight `[in, out / groups, height, width]`.
    ConvTransposed {
        /// Output channels.
        out: usize,
        /// Where it writes.
        window: Window,
        /// Positions added on one side of the output.
        #[serde(default)]
        output_padding: [usize; 2],
        /// Parts that the channels fall into.
        #[serde(default = "one")]
        groups: usize,
        /// Whether a bias `[out]` is added.
        bias: bool,
    },
    /// Fully connected layer over the last axis; weight `[out, in]`.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias `[out]` is added.
        bias: bool,
    },
    /// Batch norm over the second axis; scale and shift `[channels]`.
    BatchNorm {
        /// Added to the variance.
        eps: Real,
        /// How far each batch moves the running statistics.
        momentum: Real,
        /// Whether it has scale and shift.
        affine: bool,
    },
    /// Layer norm over the last axes; scale and shift of their sizes.
    LayerNorm {
        /// How many axes.
        axes: usize,
        /// Added to the variance.
        eps: Real,
        /// Whether it has a scale.
        weight: bool,
        /// Whether it has a shift.
        bias: bool,
    },
    /// Root mean square norm over the last axes; scale of their sizes (Zhang and Sennrich 2019).
    RmsNorm {
        /// How many axes.
        axes: usize,
        /// Added to the mean of squares.
        eps: Real,
        /// Whether it has a scale.
        weight: bool,
    },
    /// Group norm over the second axis; scale and shift `[channels]`. With as many groups as channels, instance norm.
    GroupNorm {
        /// Parts of the channels that are normalised together.
        groups: usize,
        /// Added to the variance.
        eps: Real,
        /// Whether it has scale and shift.
        affine: bool,
    },
    /// max(x, 0).
    Relu,
    /// A function of each value by itself.
    Activation {
        /// Which one.
        function: Function,
    },
    /// x, or a learned share of it below 0; weight `[slopes]`.
    Prelu {
        /// 1, or one for each channel.
        slopes: usize,
    },
    /// Shares that add up to 1 along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// Leaves out values in training, and scales the others so that the mean stays (Srivastava et al. 2014).
    Dropout {
        /// The share that is left out.
        rate: Real,
        /// What is left out at a time.
        of: Dropped,
    },
    /// Sum of two inputs of the same shape.
    Add,
    /// A function of two inputs, whose axes are matched from the last on; an axis of 1 is repeated.
    Pair {
        /// Which one.
        function: Pairing,
    },
    /// Product of the last two axes of two inputs as matrices; the axes before them are matched.
    MatrixProduct,
    /// softmax(q kᵀ · scale + mask) v of queries, keys, values `[…, places, features]` and perhaps a mask (Vaswani et al. 2017).
    Attention {
        /// What the products are multiplied by.
        scale: Real,
        /// Whether no place looks at later ones.
        #[serde(default)]
        causal: bool,
    },
    /// Largest value of each window.
    MaxPool {
        /// Where it reads; padding is never the largest, and at most half a window.
        window: Window,
        /// Whether windows that reach over the edge count.
        #[serde(default)]
        ceil: bool,
    },
    /// Mean of each window.
    AvgPool {
        /// Where it reads; its dilation is 1.
        window: Window,
        /// Whether windows that reach over the edge count.
        #[serde(default)]
        ceil: bool,
        /// Whether padding counts in the mean.
        #[serde(default)]
        counts_padding: bool,
    },
    /// Mean or maximum of as many windows as the output has positions, whatever the size of the image.
    AdaptivePool {
        /// What is left of a window.
        reduction: Reduction,
        /// Height and width that come out.
        to: [usize; 2],
    },
    /// Mean over height and width: an image becomes a vector of its channels.
    GlobalAveragePool,
    /// An image becomes a vector, channel by channel, then row by row (PyTorch's order).
    Flatten,
    /// Shortcut "option A" of He et al. 2016: every `stride`-th pixel, and zero channels added on both sides.
    PadShortcut {
        /// Step between two kept pixels.
        stride: usize,
        /// Zero channels before the kept ones.
        before: usize,
        /// Zero channels after the kept ones.
        after: usize,
    },
    /// Some of the channels, in a given order.
    Select {
        /// Which ones: a position in [`Graph::selections`](super::Graph::selections).
        list: usize,
        /// How many they are.
        out: usize,
    },
    /// Some of the places of an axis, in a given order.
    Take {
        /// The axis.
        axis: usize,
        /// Which ones: a position in [`Graph::selections`](super::Graph::selections).
        list: usize,
    },
    /// Some of the places of an axis that follow each other.
    Slice {
        /// The axis.
        axis: usize,
        /// The first one.
        start: usize,
        /// The one after the last.
        end: usize,
        /// Step between two.
        #[serde(default = "one")]
        step: usize,
    },
    /// Inputs one behind the other along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// The same values in the same order, with other axes.
    Reshape {
        /// The axes; the first is counted for one image where there is one for each image.
        to: Axes,
    },
    /// The axes in another order.
    Permute {
        /// For each axis that comes out the one that goes in.
        order: Axes,
    },
    /// Axes of 1 repeated.
    Expand {
        /// The axes; the first is counted for one image where there is one for each image.
        to: Axes,
        /// Whether what was the same for all images is there for each image now.
        images: bool,
    },
    /// What is left of the values along some axes.
    Reduce {
        /// What is left of them.
        reduction: Reduction,
        /// The axes.
        axes: Axes,
        /// Whether they stay, with a size of 1.
        keep: bool,
    },
    /// Rows and columns added around an image.
    Pad {
        /// Left, right, top and bottom.
        around: [usize; 4],
        /// What they hold.
        filling: Filling,
    },
    /// The places of an axis moved on; what leaves at the end comes in at the beginning.
    Roll {
        /// The axis.
        axis: usize,
        /// By how many places.
        by: usize,
    },
    /// An image of another size.
    Interpolate {
        /// How.
        mode: Interpolation,
        /// Height and width that come out.
        to: [usize; 2],
        /// Whether the corners stay where they are.
        #[serde(default)]
        align_corners: bool,
    },
    /// A tensor that is learned: no input, one parameter of the node's own name.
    Learned {
        /// Its axes.
        shape: Axes,
        /// What it holds before training.
        begins: LearnedStart,
    },
    /// A tensor that stays as it is: no input, no parameter.
    Constant {
        /// Which one: a position in [`Graph::constants`](super::Graph::constants).
        list: usize,
    },
}

fn one() -> usize {
    1
}

/// What PyTorch adds to a variance if nothing else is said, and how far its batch norms move.
pub const NORM_NUMBERS: (Real, Real) = (Real(1e-5), Real(0.1));

impl Op {
    /// A batch norm with PyTorch's numbers.
    pub const BATCH_NORM: Op = Op::BatchNorm { eps: NORM_NUMBERS.0, momentum: NORM_NUMBERS.1, affine: true };

    /// A convolution with a square kernel, of one group.
    pub const fn conv(out: usize, kernel: usize, stride: usize, padding: usize, bias: bool) -> Self {
        Op::Conv { out, window: Window::square(kernel, stride, padding), groups: 1, bias }
    }

    /// The largest of each square window.
    pub const fn max_pool(kernel: usize, stride: usize, padding: usize) -> Self {
        Op::MaxPool { window: Window::square(kernel, stride, padding), ceil: false }
    }

    /// The mean of each square window.
    pub const fn avg_pool(kernel: usize, stride: usize) -> Self {
        Op::AvgPool { window: Window::square(kernel, stride, 0), ceil: false, counts_padding: true }
    }

    /// Whether it has a weight matrix.
    pub fn has_connections(self) -> bool {
        matches!(self, Op::Conv { .. } | Op::ConvTransposed { .. } | Op::Linear { .. })
    }

    /// Whether it is a convolution, transposed or not.
    pub fn is_convolution(self) -> bool {
        matches!(self, Op::Conv { .. } | Op::ConvTransposed { .. })
    }

    /// Whether it is a batch norm.
    pub fn is_batch_norm(self) -> bool {
        matches!(self, Op::BatchNorm { .. })
    }
}
