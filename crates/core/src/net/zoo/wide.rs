//! Wide residual networks for CIFAR (Zagoruyko and Komodakis 2016, "Wide Residual Networks"): three stages of blocks of two 3x3
//! convolutions, batch norm and ReLU before each, depth 6n+4. Without dropout. Where the shape changes, a 1x1 convolution without
//! batch norm reads what the first batch norm and ReLU give. Parameters have the names of the usual PyTorch program
//! (`block1.layer.0.convShortcut.weight`).

use super::stages::{BlockPlace, three_stages};
use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;

/// Channels of the stem, which are multiplied by the width in the first stage.
const STEM: usize = 16;

/// Three stages of `blocks` blocks with 16, 32 and 64 times `width` channels.
pub(super) fn build(blocks: usize, width: usize, input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let mut last = build.conv("conv1", 0, STEM, 3, 1)?;
    for place in three_stages(blocks, STEM * width) {
        last = block(&mut build, &place, last)?;
    }
    let norm = build.batch_norm("bn1", last)?;
    let active = build.relu(norm)?;
    let pooled = build.add("avgpool", Op::GlobalAveragePool, &[active])?;
    build.linear("fc", pooled, classes)?;
    build.finish(classes)
}

fn block(build: &mut Builder, place: &BlockPlace, from: NodeId) -> Result<NodeId> {
    let (out, stride) = (place.channels, place.stride);
    let name = format!("block{}.layer.{}", place.stage, place.index);
    let norm = build.batch_norm(&format!("{name}.bn1"), from)?;
    let active = build.relu(norm)?;
    let first = build.conv(&format!("{name}.conv1"), active, out, 3, stride)?;
    let norm = build.batch_norm(&format!("{name}.bn2"), first)?;
    let second = build.relu(norm)?;
    let second = build.conv(&format!("{name}.conv2"), second, out, 3, 1)?;
    let kept = match build.shape(from).channels() == out {
        true => from,
        false => build.conv(&format!("{name}.convShortcut"), active, out, 1, stride)?,
    };
    build.add(&format!("{name}.add"), Op::Add, &[second, kept])
}
