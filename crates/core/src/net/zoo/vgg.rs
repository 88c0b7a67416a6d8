//! VGG with batch norm (Simonyan and Zisserman 2015) in the form that pruning papers use for CIFAR: four max
//! poolings, the mean over what is left, one linear layer. Convolutions have no bias, since batch norm follows.

use crate::net::graph::{Builder, Graph};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// Stages of `stages[i]` convolutions with 64, 128, 256, 512 and 512 channels.
pub(super) fn build(stages: [usize; 5], input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = 0;
    // Positions within PyTorch's `nn.Sequential`: convolution, batch norm and ReLU count three, a pooling one.
    let mut position = 0;
    for (stage, (channels, layers)) in [64, 128, 256, 512, 512].into_iter().zip(stages).enumerate() {
        if stage > 0 {
            last = build.add(&format!("features.{position}"), Op::max_pool(2, 2, 0), &[last])?;
            position += 1;
        }
        for _ in 0..layers {
            last = build.conv(&format!("features.{position}"), last, channels, 3, 1)?;
            last = build.batch_norm(&format!("features.{}", position + 1), last)?;
            last = build.relu(last)?;
            position += 3;
        }
    }
    last = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    build.linear("classifier", last, classes)?;
    build.finish(classes)
}
