//! Conv-2, Conv-4 and Conv-6 of Frankle and Carbin 2019, "The Lottery Ticket Hypothesis", figure 2: pairs of 3x3
//! convolutions, each pair followed by a 2x2 max pooling, then two hidden layers of 256.

use crate::net::graph::{Builder, Graph};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// `layers` convolutions (2, 4 or 6), with biases and without batch norm.
pub(super) fn build(layers: usize, input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = 0;
    // Positions within PyTorch's `nn.Sequential`, where ReLU and pooling are counted too.
    let mut position = 0;
    for out in [64, 128, 256].into_iter().take(layers / 2) {
        for _ in 0..2 {
            let conv = Op::conv(out, 3, 1, 1, true);
            last = build.add(&format!("features.{position}"), conv, &[last])?;
            last = build.relu(last)?;
            position += 2;
        }
        last = build.add(&format!("features.{position}"), Op::max_pool(2, 2, 0), &[last])?;
        position += 1;
    }
    last = build.add("flatten", Op::Flatten, &[last])?;
    for position in [0, 2] {
        last = build.linear(&format!("classifier.{position}"), last, 256)?;
        last = build.relu(last)?;
    }
    build.linear("classifier.4", last, classes)?;
    build.finish(classes)
}
