//! AlexNet (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"), with torchvision's names.
//!
//! Images smaller than 64 pixels begin with a 3x3 convolution of step 2 and are halved by each pooling, as is usual for CIFAR;
//! larger ones have torchvision's network.

use super::imagenet::is_large;
use crate::net::graph::{Builder, Graph};
use crate::net::op::{Dropped, Op, Real, Reduction};
use tombola_words::Shape;
use tombola_words::error::Result;

/// Share of features that dropout leaves out before each hidden layer.
const DROPOUT: Real = Real(0.5);
/// Features of the hidden layers.
const HIDDEN: usize = 4096;

/// Five convolutions and three linear layers.
pub(super) fn build(input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let large = is_large(input);
    let (stem, second, pool) = match large {
        true => (Op::conv(64, 11, 4, 2, true), Op::conv(192, 5, 1, 2, true), Op::max_pool(3, 2, 0)),
        false => (Op::conv(64, 3, 2, 1, true), Op::conv(192, 3, 1, 1, true), Op::max_pool(2, 2, 0)),
    };
    let third = |out| Op::conv(out, 3, 1, 1, true);
    let mut last = 0;
    for (position, conv, pooled) in
        [(0, stem, true), (3, second, true), (6, third(384), false), (8, third(256), false), (10, third(256), true)]
    {
        last = build.add(&format!("features.{position}"), conv, &[last])?;
        last = build.relu(last)?;
        if pooled {
            last = build.add(&format!("features.{}", position + 2), pool, &[last])?;
        }
    }
    if large {
        last = build.add("avgpool", Op::AdaptivePool { reduction: Reduction::Mean, to: [6, 6] }, &[last])?;
    }
    last = build.add("flatten", Op::Flatten, &[last])?;
    for position in [1, 4] {
        let dropout = Op::Dropout { rate: DROPOUT, of: Dropped::Values };
        last = build.add(&format!("classifier.{}", position - 1), dropout, &[last])?;
        last = build.linear(&format!("classifier.{position}"), last, HIDDEN)?;
        last = build.relu(last)?;
    }
    build.linear("classifier.6", last, classes)?;
    build.finish(classes)
}
