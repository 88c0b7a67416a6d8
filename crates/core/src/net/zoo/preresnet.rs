//! ResNet for CIFAR with pre-activation bottleneck blocks (He et al. 2016, "Identity Mappings in Deep Residual
//! Networks"), in the variant of the network-slimming programs: batch norm, ReLU and convolution in this order, depth
//! 9n+2, and at the start of each stage a shortcut of one 1x1 convolution, without batch norm, that reads the block's
//! raw input. The stem is a bare convolution; batch norm and ReLU follow the last block.

use super::stages::{BlockPlace, three_stages};
use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// How many times more channels a block gives than its inner convolutions have.
const EXPANSION: usize = 4;

/// Three stages of `blocks` blocks whose inner convolutions have `width`, 2·`width` and 4·`width` channels.
pub(super) fn build(blocks: usize, width: usize, input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = build.conv("conv1", 0, width, 3, 1)?;
    for place in three_stages(blocks, width) {
        last = block(&mut build, &place, last)?;
    }
    let norm = build.batch_norm("bn", last)?;
    let active = build.relu(norm)?;
    let pooled = build.add("avgpool", Op::GlobalAveragePool, &[active])?;
    build.linear("fc", pooled, classes)?;
    build.finish(classes)
}

fn block(build: &mut Builder, place: &BlockPlace, from: NodeId) -> Result<NodeId> {
    let BlockPlace { name, channels: inner, stride, first, .. } = place;
    let (inner, stride) = (*inner, *stride);
    let mut last = from;
    for (number, (out, kernel, stride)) in
        [(inner, 1, 1), (inner, 3, stride), (EXPANSION * inner, 1, 1)].into_iter().enumerate()
    {
        last = build.batch_norm(&format!("{name}.bn{}", number + 1), last)?;
        last = build.relu(last)?;
        last = build.conv(&format!("{name}.conv{}", number + 1), last, out, kernel, stride)?;
    }
    let kept =
        if *first { build.conv(&format!("{name}.downsample.0"), from, EXPANSION * inner, 1, stride)? } else { from };
    build.add(&format!("{name}.add"), Op::Add, &[last, kept])
}
