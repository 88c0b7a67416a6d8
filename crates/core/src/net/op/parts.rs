//! What operations are made of: windows, functions, and words for what is done. It may not know of graphs.

use serde::{Deserialize, Serialize};

/// A number that decides what is computed; two are equal where their bits are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Real(pub f64);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Real {}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// A window that moves over rows and columns. Over signals a window has one row without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Step between two windows.
    #[serde(default = "ones")]
    pub stride: [usize; 2],
    /// Positions added on each side.
    #[serde(default)]
    pub padding: [usize; 2],
    /// Distance between two positions that a window reads.
    #[serde(default = "ones")]
    pub dilation: [usize; 2],
}

fn ones() -> [usize; 2] {
    [1; 2]
}

impl Window {
    /// A square one that leaves out nothing.
    pub const fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [1; 2] }
    }

    /// Positions that it reads.
    pub fn size(self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }
}

/// A function of each value by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// min(max(x, 0), 6).
    Relu6,
    /// x, or this share of it below 0.
    LeakyRelu(Real),
    /// x, or α (exp(x) - 1) below 0.
    Elu(Real),
    /// x Φ(x), by the error function.
    Gelu,
    /// The approximation of [`Function::Gelu`] by tanh.
    GeluTanh,
    /// x · sigmoid(x).
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// min(max(x + 3, 0), 6) / 6.
    HardSigmoid,
    /// x · hard-sigmoid(x).
    HardSwish,
    /// min(max(x, first), second).
    Clamp(Real, Real),
    /// ln(1 + exp(x)).
    Softplus,
    /// x · tanh(softplus(x)).
    Mish,
    /// eˣ.
    Exp,
    /// The absolute value.
    Abs,
    /// x to this power.
    Power(Real),
    /// x · first + second.
    Linear(Real, Real),
}

impl Function {
    /// Whether 0 stays 0: then what is dead before it is 0 after it.
    pub fn keeps_zero(self) -> bool {
        match self {
            Function::Sigmoid | Function::HardSigmoid | Function::Softplus | Function::Exp => false,
            Function::Clamp(low, high) => low.0 <= 0.0 && high.0 >= 0.0,
            Function::Power(exponent) => exponent.0 > 0.0,
            Function::Linear(_, added) => added.0 == 0.0,
            _ => true,
        }
    }
}

/// A function of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// First + second.
    Add,
    /// First - second.
    Subtract,
    /// First · second.
    Multiply,
    /// First / second.
    Divide,
    /// The larger one.
    Maximum,
}

/// What is left of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// Their sum.
    Sum,
    /// The root of the sum of their squares.
    Norm,
}

/// What dropout leaves out at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dropped {
    /// Single values.
    Values,
    /// Whole channels of an image.
    Channels,
    /// All of an image: stochastic depth (Huang et al. 2016).
    Images,
}

/// What padding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// This number.
    Constant(Real),
    /// What lies as far on the other side of the edge.
    Reflect,
    /// What lies at the edge.
    Replicate,
}

/// How an image is brought to another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The pixel at that place.
    Nearest,
    /// Between four pixels.
    Bilinear,
    /// Between sixteen pixels.
    Bicubic,
}

/// What a learned tensor holds before training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnedStart {
    /// This number everywhere.
    Constant(Real),
    /// Normal numbers of this deviation.
    Normal(Real),
}
