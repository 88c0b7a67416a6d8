//! What flows between the operators of an ONNX file while it is read: some values are nodes of the network, others numbers that
//! are known when it is read, such as sizes.

use super::tensors::count_of;
use crate::net::NodeId;

/// A whole number, or as many for each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownSize {
    pub(super) value: i64,
    /// Whether it is multiplied by the number of images.
    pub(super) each: bool,
}

impl From<i64> for KnownSize {
    fn from(value: i64) -> Self {
        Self { value, each: false }
    }
}

/// A value with a name.
#[derive(Debug, Clone)]
pub(super) enum OnnxValue {
    /// What a node of the network gives.
    Node(NodeId),
    /// A weight: a tensor of the file, perhaps with its two axes changed over.
    Weight {
        /// Its position among the tensors.
        tensor: usize,
        /// Whether its rows are its columns now.
        turned: bool,
    },
    /// A product with a weight `[in, out]`, to which a bias may be added.
    Product {
        /// What is multiplied.
        from: NodeId,
        /// The weight's position among the tensors.
        tensor: usize,
        /// Whether the file holds `[out, in]`.
        turned: bool,
        /// The operator, for its name.
        at: usize,
    },
    /// Sizes, places and the like: sizes of a tensor and its values.
    Wholes(Vec<usize>, Vec<KnownSize>),
    /// Numbers with points that are known: sizes and values.
    Floats(Vec<usize>, Vec<f32>),
    /// What a node gives with its axes in another order, in which that of the images is not the first one: until it is again, no
    /// node can give it.
    Moved(NodeId, Vec<usize>),
    /// Whether values of a node are so large that softplus leaves them as they are.
    Large(NodeId),
    /// A part of x · Φ(x), by the error function of a node's value.
    Gelu(NodeId, GeluPart),
}

/// What is there of x · Φ(x) = x · (erf(x / √2) + 1) / 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GeluPart {
    /// erf(x / √2).
    Error,
    /// erf(x / √2) + 1.
    More,
    /// Half of that: Φ(x).
    Share,
    /// x · (erf(x / √2) + 1).
    Double,
}

/// The most numbers of one value that are known while a file is read.
pub(super) const MOST_KNOWN: usize = 1 << 18;
/// The most of all values together.
pub(super) const MOST_KNOWN_TOGETHER: usize = 1 << 22;

impl OnnxValue {
    /// A list of whole numbers.
    pub(super) fn list(values: Vec<KnownSize>) -> Self {
        OnnxValue::Wholes(vec![values.len()], values)
    }

    /// How many numbers of it are known.
    pub(super) fn known(&self) -> usize {
        match self {
            OnnxValue::Wholes(_, values) => values.len(),
            OnnxValue::Floats(_, values) => values.len(),
            _ => 1,
        }
    }

    /// Its one number with a point, if that is all.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            OnnxValue::Floats(sizes, values) if count_of(sizes) == 1 => values.first().map(|value| f64::from(*value)),
            OnnxValue::Wholes(sizes, values) if count_of(sizes) == 1 => {
                values.first().filter(|whole| !whole.each).map(|whole| whole.value as f64)
            }
            _ => None,
        }
    }
}
