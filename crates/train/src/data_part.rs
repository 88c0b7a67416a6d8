//! The parts of a data set, and what a tensor of some of their examples is like. It may not know of devices or batches.

use tch::Kind;

use tombola_data::{DataSet, Images, ValueKind};

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartName {
    Train,
    Validation,
    Test,
}

impl PartName {
    /// The images of it; nothing if the set has no such part.
    pub(crate) fn of(self, data: &DataSet) -> Option<&Images> {
        match self {
            Self::Train => Some(&data.train),
            Self::Validation => data.validation.as_ref(),
            Self::Test => Some(&data.test),
        }
    }
}

/// The sizes of a tensor of so many examples.
pub(crate) fn sizes(count: usize, images: &Images) -> Vec<i64> {
    [count].into_iter().chain(images.layout()).map(|size| size as i64).collect()
}

/// The kind of its numbers.
pub(crate) fn kind(images: &Images) -> Kind {
    match images.element {
        ValueKind::Byte => Kind::Uint8,
        ValueKind::Float => Kind::Float,
    }
}

/// Of a tensor whose numbers follow each other.
pub(crate) fn strides(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    for place in (1..sizes.len()).rev() {
        strides[place - 1] = strides[place] * sizes[place];
    }
    strides
}
