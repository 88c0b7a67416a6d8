//! VGG (Simonyan and Zisserman 2015) in the form that pruning papers use for CIFAR: four max poolings, the mean over what is
//! left, one linear layer. With batch norm convolutions have no bias; without it they have one, as the paper's.

use crate::net::graph::{Builder, Graph};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// Stages of `stages[i]` convolutions with 64, 128, 256, 512 and 512 channels, each followed by a batch norm or not.
pub(super) fn build(stages: [usize; 5], norms: bool, input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = 0;
    // Positions within PyTorch's `nn.Sequential`: convolution, batch norm, ReLU and pooling count one each.
    let mut position = 0;
    for (stage, (channels, layers)) in [64, 128, 256, 512, 512].into_iter().zip(stages).enumerate() {
        if stage > 0 {
            last = build.add(&format!("features.{position}"), Op::max_pool(2, 2, 0), &[last])?;
            position += 1;
        }
        for _ in 0..layers {
            last = build.add(&format!("features.{position}"), Op::conv(channels, 3, 1, 1, !norms), &[last])?;
            if norms {
                position += 1;
                last = build.batch_norm(&format!("features.{position}"), last)?;
            }
            last = build.relu(last)?;
            position += 2;
        }
    }
    last = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    build.linear("classifier", last, classes)?;
    build.finish(classes)
}
