//! ResNet for ImageNet (He et al. 2016, "Deep Residual Learning for Image Recognition", table 1), with torchvision's names:
//! four stages, basic blocks (18 and 34 layers) or bottlenecks that stride in their 3x3 convolution (50, 101 and 152 layers),
//! shortcuts of a 1x1 convolution and batch norm where the shape changes. And ResNeXt (Xie et al. 2017, "Aggregated Residual
//! Transformations for Deep Neural Networks"), whose 3x3 convolutions have 32 groups.
//!
//! Images smaller than 64 pixels keep their size through the stem: a 3x3 convolution and no pooling, as is usual for CIFAR.

use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::{Op, Window};
use tombola_words::Shape;
use tombola_words::error::Result;

/// From this height and width on images are taken for those of ImageNet, whose networks begin with large steps.
const LARGE: usize = 64;

/// Whether images are as large as those.
pub(super) fn is_large(input: Shape) -> bool {
    matches!(input, Shape::Image(_, height, width) if height.min(width) >= LARGE)
}

/// What a block is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 and 1x1 convolutions, the last with four times the channels.
    Bottleneck,
    /// The same, the 3x3 convolution in groups and with twice the channels: "32x4d".
    Grouped,
}

/// Groups of the 3x3 convolutions of ResNeXt.
const GROUPS: usize = 32;

/// `stages[i]` blocks with 64, 128, 256 and 512 channels.
pub(super) fn build(block: Block, stages: [usize; 4], input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let large = is_large(input);
    let (kernel, stride) = if large { (7, 2) } else { (3, 1) };
    let mut last = build.conv("conv1", 0, 64, kernel, stride)?;
    last = build.batch_norm("bn1", last)?;
    last = build.relu(last)?;
    if large {
        last = build.add("maxpool", Op::max_pool(3, 2, 1), &[last])?;
    }
    for (stage, blocks) in stages.into_iter().enumerate() {
        for number in 0..blocks {
            let stride = if stage > 0 && number == 0 { 2 } else { 1 };
            let name = format!("layer{}.{number}", stage + 1);
            last = add_block(&mut build, block, &name, last, 64 << stage, stride)?;
        }
    }
    let pooled = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    build.linear("fc", pooled, classes)?;
    build.finish(classes)
}

fn add_block(
    build: &mut Builder,
    block: Block,
    name: &str,
    from: NodeId,
    inner: usize,
    stride: usize,
) -> Result<NodeId> {
    // Channels, kernel, stride and groups of each convolution.
    let convolutions = match block {
        Block::Basic => vec![(inner, 3, stride, 1), (inner, 3, 1, 1)],
        Block::Bottleneck => vec![(inner, 1, 1, 1), (inner, 3, stride, 1), (4 * inner, 1, 1, 1)],
        Block::Grouped => vec![(2 * inner, 1, 1, 1), (2 * inner, 3, stride, GROUPS), (4 * inner, 1, 1, 1)],
    };
    let mut last = from;
    for (number, (out, kernel, stride, groups)) in convolutions.into_iter().enumerate() {
        if number > 0 {
            last = build.relu(last)?;
        }
        let conv = Op::Conv { out, window: Window::square(kernel, stride, kernel / 2), groups, bias: false };
        last = build.add(&format!("{name}.conv{}", number + 1), conv, &[last])?;
        last = build.batch_norm(&format!("{name}.bn{}", number + 1), last)?;
    }
    let out = build.shape(last).channels();
    let kept = match build.shape(from).channels() == out && stride == 1 {
        true => from,
        false => {
            let conv = build.conv(&format!("{name}.downsample.0"), from, out, 1, stride)?;
            build.batch_norm(&format!("{name}.downsample.1"), conv)?
        }
    };
    let sum = build.add(&format!("{name}.add"), Op::Add, &[last, kept])?;
    build.relu(sum)
}
