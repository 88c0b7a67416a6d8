//! The two small networks of LeCun et al. 1998, "Gradient-based learning applied to document recognition", in the
//! form of today's PyTorch programs: ReLU, max pooling and a plain linear output.

use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// LeNet-300-100 with two hidden layers, or any number of them: `fc1`, `fc2`, …
pub(super) fn fully_connected(hidden: &[usize], input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let flat = build.add("flatten", Op::Flatten, &[0])?;
    head(&mut build, flat, hidden, classes)?;
    build.finish(classes)
}

/// LeNet-5. The first convolution is padded, so that images of 28x28 reach the paper's 5x5 before the linear layers.
pub(super) fn convolutional(input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = 0;
    for (index, (out, padding)) in [(6, 2), (16, 0)].into_iter().enumerate() {
        let number = index + 1;
        let conv = Op::conv(out, 5, 1, padding, true);
        last = build.add(&format!("conv{number}"), conv, &[last])?;
        last = build.relu(last)?;
        last = build.add(&format!("pool{number}"), Op::max_pool(2, 2, 0), &[last])?;
    }
    let flat = build.add("flatten", Op::Flatten, &[last])?;
    head(&mut build, flat, &[120, 84], classes)?;
    build.finish(classes)
}

fn head(build: &mut Builder, from: NodeId, hidden: &[usize], classes: usize) -> Result<NodeId> {
    let mut last = from;
    for (index, features) in hidden.iter().enumerate() {
        last = build.linear(&format!("fc{}", index + 1), last, *features)?;
        last = build.relu(last)?;
    }
    build.linear(&format!("fc{}", hidden.len() + 1), last, classes)
}
