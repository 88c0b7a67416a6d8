//! One layer of a user's list, with nothing left to default, and the one way to write it down.

use serde::{Deserialize, Serialize};

use crate::net::op::{Dropped, Function, Real, Window};

/// Number of outputs of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outputs {
    /// This many.
    Count(usize),
    /// One for each class of the data.
    Classes,
}

impl Outputs {
    pub(super) fn count(self, classes: usize) -> usize {
        match self {
            Outputs::Count(count) => count,
            Outputs::Classes => classes,
        }
    }
}

impl std::fmt::Display for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outputs::Count(count) => write!(f, "{count}"),
            Outputs::Classes => f.write_str("classes"),
        }
    }
}

/// Parts that the channels of a convolution fall into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupCount {
    /// This many.
    Count(usize),
    /// One for each channel that goes in.
    Depthwise,
}

impl GroupCount {
    pub(super) fn count(self, channels: usize) -> usize {
        match self {
            GroupCount::Count(count) => count,
            GroupCount::Depthwise => channels,
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// Convolution.
    Conv {
        /// Output channels.
        out: Outputs,
        /// Where it reads, or writes if it is transposed.
        window: Window,
        /// Parts of the channels.
        groups: GroupCount,
        /// Whether it has a bias.
        bias: bool,
        /// Positions added on one side of the output of a transposed one.
        transposed: Option<[usize; 2]>,
    },
    /// Fully connected layer.
    Linear {
        /// Output features.
        out: Outputs,
        /// Whether it has a bias.
        bias: bool,
    },
    /// Batch norm over channels or features.
    BatchNorm,
    /// Layer norm over the channels of each pixel, or over features.
    LayerNorm,
    /// Root mean square norm over the same.
    RmsNorm,
    /// Group norm with so many groups.
    GroupNorm(usize),
    /// Each channel of each image by itself, without scale and shift.
    InstanceNorm,
    /// max(x, 0).
    Relu,
    /// A function of each value by itself.
    Activation(Function),
    /// ReLU with one learned slope below 0.
    Prelu,
    /// Shares of the channels or features.
    Softmax,
    /// Leaves something out in training.
    Dropout(Real, Dropped),
    /// Largest value of each window.
    MaxPool(Window),
    /// Mean of each window.
    AveragePool(Window),
    /// Mean of all pixels of each channel, or of all tokens.
    GlobalAveragePool,
    /// All pixels of all channels as one vector.
    Flatten,
    /// Zeros above and below, left and right.
    Pad([usize; 2]),
    /// An image so many times larger, by the nearest pixel or between four.
    Upsample {
        /// How many times.
        factor: usize,
        /// Whether between four pixels.
        bilinear: bool,
    },
    /// Channels dealt out among so many groups.
    ChannelShuffle(usize),
    /// Pixels as tokens of their channels.
    Tokens,
    /// A learned place of each token, added to it.
    Positions,
    /// Each token looks at all.
    Attention {
        /// Parts of the features.
        heads: usize,
        /// Whether its linear layers have biases.
        bias: bool,
    },
    /// The sum of a branch and a shortcut, both of which read the layer's input.
    Residual {
        /// The branch; never empty.
        branch: Vec<Layer>,
        /// The shortcut; empty when it is the input itself.
        shortcut: Vec<Layer>,
    },
    /// Branches, all of which read the layer's input, joined along the channels; an empty one is the input itself.
    Concat(Vec<Vec<Layer>>),
    /// The product of the input and a branch that reads it.
    Scale(Vec<Layer>),
}

/// Layers written as a word.
pub(super) static WORDS: [(&str, Layer); 20] = [
    ("batch-norm", Layer::BatchNorm),
    ("relu", Layer::Relu),
    ("global-average-pool", Layer::GlobalAveragePool),
    ("flatten", Layer::Flatten),
    ("layer-norm", Layer::LayerNorm),
    ("rms-norm", Layer::RmsNorm),
    ("instance-norm", Layer::InstanceNorm),
    ("relu6", Layer::Activation(Function::Relu6)),
    ("leaky-relu", Layer::Activation(Function::LeakyRelu(Real(0.01)))),
    ("prelu", Layer::Prelu),
    ("elu", Layer::Activation(Function::Elu(Real(1.0)))),
    ("gelu", Layer::Activation(Function::Gelu)),
    ("silu", Layer::Activation(Function::Silu)),
    ("tanh", Layer::Activation(Function::Tanh)),
    ("sigmoid", Layer::Activation(Function::Sigmoid)),
    ("hard-sigmoid", Layer::Activation(Function::HardSigmoid)),
    ("hard-swish", Layer::Activation(Function::HardSwish)),
    ("softmax", Layer::Softmax),
    ("tokens", Layer::Tokens),
    ("positions", Layer::Positions),
];

impl Layer {
    /// The layer and those within it.
    pub(super) fn count(&self) -> usize {
        let all = |layers: &[Layer]| layers.iter().map(Layer::count).sum::<usize>();
        match self {
            Layer::Residual { branch, shortcut } => 1 + all(branch) + all(shortcut),
            Layer::Concat(branches) => 1 + branches.iter().map(|branch| all(branch)).sum::<usize>(),
            Layer::Scale(branch) => 1 + all(branch),
            _ => 1,
        }
    }
}

/// One number where both are the same.
struct PairText([usize; 2]);

impl std::fmt::Display for PairText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [height, width] if height == width => write!(f, "{height}"),
            [height, width] => write!(f, "{height}x{width}"),
        }
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pool = |f: &mut std::fmt::Formatter<'_>, name: &str, window: &Window| {
            write!(f, "{name}({},stride={}", PairText(window.kernel), PairText(window.stride))?;
            optional(f, "padding", window.padding, 0)?;
            f.write_str(")")
        };
        match self {
            Layer::Conv { out, window, groups, bias, transposed } => {
                let Window { kernel, stride, padding, dilation } = *window;
                let [kernel, stride, padding] = [kernel, stride, padding].map(PairText);
                write!(f, "conv({out},kernel={kernel},stride={stride},padding={padding},bias={bias}")?;
                // What came later is written only where it is not what it was before.
                optional(f, "dilation", dilation, 1)?;
                match groups {
                    GroupCount::Count(1) => {}
                    GroupCount::Count(count) => write!(f, ",groups={count}")?,
                    GroupCount::Depthwise => f.write_str(",groups=depthwise")?,
                }
                if let Some(added) = transposed {
                    f.write_str(",transposed")?;
                    optional(f, "output-padding", *added, 0)?;
                }
                f.write_str(")")
            }
            Layer::Linear { out, bias } => write!(f, "linear({out},bias={bias})"),
            Layer::GroupNorm(groups) => write!(f, "group-norm({groups})"),
            Layer::Dropout(rate, Dropped::Images) => write!(f, "drop-path({:?})", rate.0),
            Layer::Dropout(rate, _) => write!(f, "dropout({:?})", rate.0),
            Layer::MaxPool(window) => pool(f, "max-pool", window),
            Layer::AveragePool(window) => pool(f, "average-pool", window),
            Layer::Pad(sizes) => write!(f, "pad({})", PairText(*sizes)),
            Layer::Upsample { factor, bilinear } => write!(f, "upsample({factor},bilinear={bilinear})"),
            Layer::ChannelShuffle(groups) => write!(f, "channel-shuffle({groups})"),
            Layer::Attention { heads, bias } => write!(f, "attention({heads},bias={bias})"),
            Layer::Residual { branch, shortcut } => {
                write!(f, "residual({}|{})", text_of(branch), text_of(shortcut))
            }
            Layer::Concat(branches) => {
                let branches: Vec<String> = branches.iter().map(|branch| text_of(branch)).collect();
                write!(f, "concat({})", branches.join("|"))
            }
            Layer::Scale(branch) => write!(f, "scale({})", text_of(branch)),
            word => f.write_str(WORDS.iter().find(|(_, layer)| layer == word).map_or("", |(word, _)| word)),
        }
    }
}

fn optional(f: &mut std::fmt::Formatter<'_>, key: &str, pair: [usize; 2], usual: usize) -> std::fmt::Result {
    if pair == [usual; 2] { Ok(()) } else { write!(f, ",{key}={}", PairText(pair)) }
}

pub(super) fn text_of(layers: &[Layer]) -> String {
    layers.iter().map(Layer::to_string).collect::<Vec<_>>().join(" ")
}
