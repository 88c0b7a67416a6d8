//! The two small networks of LeCun et al. 1998, "Gradient-based learning applied to document recognition", in the
//! form of today's PyTorch programs: ReLU, max pooling and a plain linear output.

use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// LeNet-300-100: two hidden layers.
pub(super) fn fully_connected(input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let flat = build.add("flatten", Op::Flatten, &[0])?;
    head(&mut build, flat, [300, 100], classes)?;
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
    head(&mut build, flat, [120, 84], classes)?;
    build.finish(classes)
}

fn head(build: &mut Builder, from: NodeId, hidden: [usize; 2], classes: usize) -> Result<NodeId> {
    let first = build.linear("fc1", from, hidden[0])?;
    let first = build.relu(first)?;
    let second = build.linear("fc2", first, hidden[1])?;
    let second = build.relu(second)?;
    build.linear("fc3", second, classes)
}
