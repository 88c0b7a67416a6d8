//! DenseNet-BC for CIFAR (Huang et al. 2017, "Densely Connected Convolutional Networks", section 3): three blocks in which each
//! layer reads the outputs of all before it, through a 1x1 convolution of four times the growth rate; between two blocks half of
//! the channels and of the size. Depth 6n+4. Without dropout. Parameters have torchvision's names.

use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// Channels that the 1x1 convolution of a layer gives, in growth rates.
const BOTTLENECK: usize = 4;

/// Three blocks of `layers` layers, each of which adds `growth` channels.
pub(super) fn build(layers: usize, growth: usize, input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = build.conv("features.conv0", 0, 2 * growth, 3, 1)?;
    for block in 1..=3 {
        for layer in 1..=layers {
            let name = format!("features.denseblock{block}.denselayer{layer}");
            let inner = convolution(&mut build, &name, "1", last, (BOTTLENECK * growth, 1))?;
            let added = convolution(&mut build, &name, "2", inner, (growth, 3))?;
            last = build.add(&format!("{name}.cat"), Op::Concat { axis: 1 }, &[last, added])?;
        }
        if block < 3 {
            let name = format!("features.transition{block}");
            let half = build.shape(last).channels() / 2;
            last = convolution(&mut build, &name, "", last, (half, 1))?;
            last = build.add(&format!("{name}.pool"), Op::avg_pool(2, 2), &[last])?;
        }
    }
    last = build.batch_norm("features.norm5", last)?;
    last = build.relu(last)?;
    last = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    build.linear("classifier", last, classes)?;
    build.finish(classes)
}

/// Batch norm, ReLU and a convolution of so many channels with such a kernel.
fn convolution(
    build: &mut Builder,
    name: &str,
    number: &str,
    from: NodeId,
    (out, kernel): (usize, usize),
) -> Result<NodeId> {
    let norm = build.batch_norm(&format!("{name}.norm{number}"), from)?;
    let active = build.relu(norm)?;
    build.conv(&format!("{name}.conv{number}"), active, out, kernel, 1)
}
