//! ResNet for CIFAR with basic blocks (He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2):
//! three stages of 2n convolutions, depth 6n+2.

use super::stages::{BlockPlace, three_stages};
use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::Op;
use tombola_words::Shape;
use tombola_words::error::Result;
use tombola_words::value::ShortcutOption;

/// Three stages of `blocks` blocks with `width`, 2·`width` and 4·`width` channels.
pub(super) fn build(
    blocks: usize,
    width: usize,
    shortcut: ShortcutOption,
    input: Shape,
    classes: usize,
) -> Result<Graph> {
    let mut build = Builder::new(input);
    let stem = build.conv("conv1", 0, width, 3, 1)?;
    let stem = build.batch_norm("bn1", stem)?;
    let mut last = build.relu(stem)?;
    for place in three_stages(blocks, width) {
        last = block(&mut build, &place, last, shortcut)?;
    }
    let pooled = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    build.linear("fc", pooled, classes)?;
    build.finish(classes)
}

fn block(build: &mut Builder, place: &BlockPlace, from: NodeId, shortcut: ShortcutOption) -> Result<NodeId> {
    let BlockPlace { name, channels: out, stride, .. } = place;
    let (out, stride) = (*out, *stride);
    let first = build.conv(&format!("{name}.conv1"), from, out, 3, stride)?;
    let first = build.batch_norm(&format!("{name}.bn1"), first)?;
    let first = build.relu(first)?;
    let second = build.conv(&format!("{name}.conv2"), first, out, 3, 1)?;
    let second = build.batch_norm(&format!("{name}.bn2"), second)?;
    let kept = match shortcut {
        // The first stage has the stem's channels: its blocks keep their input as it is.
        _ if stride == 1 => from,
        ShortcutOption::A => {
            // Added channels are split evenly; one left over comes after.
            let added = out - build.shape(from).channels();
            let pad = Op::PadShortcut { stride, before: added / 2, after: added - added / 2 };
            build.add(&format!("{name}.downsample"), pad, &[from])?
        }
        ShortcutOption::B => {
            let conv = build.conv(&format!("{name}.downsample.0"), from, out, 1, stride)?;
            build.batch_norm(&format!("{name}.downsample.1"), conv)?
        }
    };
    let sum = build.add(&format!("{name}.add"), Op::Add, &[second, kept])?;
    build.relu(sum)
}
