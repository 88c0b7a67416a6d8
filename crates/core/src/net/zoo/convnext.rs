//! ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s"), with torchvision's names: four stages of n, n, 3n and n blocks of a 7x7
//! convolution of each channel by itself and two linear layers over the channels of each pixel; stochastic depth up to 0.1.
//!
//! The stem cuts the image into patches of 4x4 pixels, of 2x2 pixels where it is smaller than 64 pixels.

use super::imagenet::is_large;
use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::{Dropped, Function, LearnedStart, Op, Pairing, Real, Window};
use tombola_words::error::{Error, Result};
use tombola_words::{Axes, Shape};

const EPS: Real = Real(1e-6);
/// What the outputs of blocks are multiplied by before training.
const LAYER_SCALE: Real = Real(1e-6);
/// How often the last block is left out in training; blocks before it less often.
const STOCHASTIC_DEPTH: f64 = 0.1;
/// How many times more features a block has between its linear layers.
const EXPANSION: usize = 4;

/// Stages of `n`, `n`, `3n` and `n` blocks; the first has `width` channels.
pub(super) fn build(n: usize, width: usize, input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let patch = if is_large(input) { 4 } else { 2 };
    let mut last = build.add("features.0.0", Op::conv(width, patch, patch, 0, true), &[0])?;
    last = norm(&mut build, "features.0.1", last)?;
    let (mut number, all) = (0, 6 * n);
    for (stage, blocks) in [n, n, 3 * n, n].into_iter().enumerate() {
        if stage > 0 {
            let name = format!("features.{}", 2 * stage);
            last = norm(&mut build, &format!("{name}.0"), last)?;
            last = build.add(&format!("{name}.1"), Op::conv(width << stage, 2, 2, 0, true), &[last])?;
        }
        for index in 0..blocks {
            let dropped = STOCHASTIC_DEPTH * number as f64 / (all as f64 - 1.0);
            last = block(&mut build, &format!("features.{}.{index}", 2 * stage + 1), last, Real(dropped))?;
            number += 1;
        }
    }
    last = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    last = build.add("classifier.0", layer_norm(), &[last])?;
    build.linear("classifier.2", last, classes)?;
    build.finish(classes)
}

fn layer_norm() -> Op {
    Op::LayerNorm { axes: 1, eps: EPS, weight: true, bias: true }
}

fn axes(sizes: &[usize]) -> Result<Axes> {
    Axes::of(sizes).ok_or_else(|| Error::input(format!("{} axes are too many", sizes.len())))
}

/// Layer norm over the channels of each pixel.
fn norm(build: &mut Builder, name: &str, from: NodeId) -> Result<NodeId> {
    let last = build.add("permute", Op::Permute { order: axes(&[0, 2, 3, 1])? }, &[from])?;
    let last = build.add(name, layer_norm(), &[last])?;
    build.add("permute", Op::Permute { order: axes(&[0, 3, 1, 2])? }, &[last])
}

fn block(build: &mut Builder, name: &str, from: NodeId, dropped: Real) -> Result<NodeId> {
    let shape = build.shape(from).axes();
    let (channels, pixels) = (build.shape(from).channels(), build.shape(from).pixels());
    let depthwise = Op::Conv { out: channels, window: Window::square(7, 1, 3), groups: channels, bias: true };
    let mut last = build.add(&format!("{name}.block.0"), depthwise, &[from])?;
    // The pixels become places, whose channels the linear layers read.
    last = build.add("flatten", Op::Reshape { to: axes(&[1, channels, pixels])? }, &[last])?;
    last = build.add("permute", Op::Permute { order: axes(&[0, 2, 1])? }, &[last])?;
    last = build.add(&format!("{name}.block.2"), layer_norm(), &[last])?;
    last = build.linear(&format!("{name}.block.3"), last, EXPANSION * channels)?;
    last = build.add(&format!("{name}.block.4"), Op::Activation { function: Function::Gelu }, &[last])?;
    last = build.linear(&format!("{name}.block.5"), last, channels)?;
    last = build.add("permute", Op::Permute { order: axes(&[0, 2, 1])? }, &[last])?;
    last = build.add("unflatten", Op::Reshape { to: shape }, &[last])?;
    let begins = LearnedStart::Constant(LAYER_SCALE);
    let scale =
        build.add(&format!("{name}.layer_scale"), Op::Learned { shape: axes(&[channels, 1, 1])?, begins }, &[])?;
    last = build.add("scaled", Op::Pair { function: Pairing::Multiply }, &[last, scale])?;
    if dropped.0 > 0.0 {
        last = build.add(
            &format!("{name}.stochastic_depth"),
            Op::Dropout { rate: dropped, of: Dropped::Images },
            &[last],
        )?;
    }
    build.add(&format!("{name}.add"), Op::Add, &[last, from])
}
