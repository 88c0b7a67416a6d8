//! MobileNetV2 (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2), with torchvision's names.
//!
//! Images smaller than 64 pixels keep their size through the stem and the second stage, as is usual for CIFAR.

use super::imagenet::is_large;
use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::{Dropped, Function, Op, Real, Window};
use tombola_words::Shape;
use tombola_words::error::Result;

/// Of each stage: how many times more channels its blocks have inside, channels, blocks, first step.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
/// Share of features that dropout leaves out before the last layer.
const DROPOUT: Real = Real(0.2);

/// The network at its full width.
pub(super) fn build(input: Shape, classes: usize) -> Result<Graph> {
    let mut build = Builder::new(input);
    let first = if is_large(input) { 2 } else { 1 };
    let mut last = active(&mut build, "features.0", 0, Op::conv(32, 3, first, 1, false))?;
    let mut position = 1;
    for (number, (expansion, channels, blocks, stride)) in STAGES.into_iter().enumerate() {
        for index in 0..blocks {
            let stride = if index > 0 || number == 1 && !is_large(input) { 1 } else { stride };
            last = block(&mut build, &format!("features.{position}.conv"), last, expansion, (channels, stride))?;
            position += 1;
        }
    }
    last = active(&mut build, &format!("features.{position}"), last, Op::conv(1280, 1, 1, 0, false))?;
    last = build.add("avgpool", Op::GlobalAveragePool, &[last])?;
    last = build.add("classifier.0", Op::Dropout { rate: DROPOUT, of: Dropped::Values }, &[last])?;
    build.linear("classifier.1", last, classes)?;
    build.finish(classes)
}

/// More channels, a convolution of each by itself, then fewer; added to what came in where the shape stays.
fn block(
    build: &mut Builder,
    name: &str,
    from: NodeId,
    expansion: usize,
    (channels, stride): (usize, usize),
) -> Result<NodeId> {
    let inner = build.shape(from).channels() * expansion;
    let (mut last, mut position) = (from, 0);
    if expansion > 1 {
        last = active(build, &format!("{name}.0"), last, Op::conv(inner, 1, 1, 0, false))?;
        position = 1;
    }
    let depthwise = Op::Conv { out: inner, window: Window::square(3, stride, 1), groups: inner, bias: false };
    last = active(build, &format!("{name}.{position}"), last, depthwise)?;
    last = build.conv(&format!("{name}.{}", position + 1), last, channels, 1, 1)?;
    last = build.batch_norm(&format!("{name}.{}", position + 2), last)?;
    match build.shape(from) == build.shape(last) {
        true => build.add(&format!("{name}.add"), Op::Add, &[last, from]),
        false => Ok(last),
    }
}

/// A convolution, batch norm and ReLU6.
fn active(build: &mut Builder, name: &str, from: NodeId, conv: Op) -> Result<NodeId> {
    let last = build.add(&format!("{name}.0"), conv, &[from])?;
    let last = build.batch_norm(&format!("{name}.1"), last)?;
    build.add(&format!("{name}.2"), Op::Activation { function: Function::Relu6 }, &[last])
}
