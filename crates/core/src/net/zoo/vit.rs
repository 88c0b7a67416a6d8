//! Vision Transformer (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"), with timm's names: patches as tokens, a class
//! token, learned positions, blocks of attention and two linear layers with layer norm before each. A head for each 64 features.
//!
//! Patches have 16x16 pixels, 4x4 where the image is smaller than 64 pixels.

use super::imagenet::is_large;
use crate::net::graph::{Builder, Graph, NodeId};
use crate::net::op::{Function, LearnedStart, Op, Pairing, Real};
use tombola_words::error::{Error, Result};
use tombola_words::{Axes, Shape};

/// Features of a head.
const HEAD: usize = 64;
/// How many times more features a block has between its linear layers.
const EXPANSION: usize = 4;
/// Deviation of positions before training.
const POSITIONS: Real = Real(0.02);

/// `depth` blocks over tokens of `width` features.
pub(super) fn build(depth: usize, width: usize, input: Shape, classes: usize) -> Result<Graph> {
    if width > HEAD && !width.is_multiple_of(HEAD) {
        return Err(Error::input(format!("`width = {width}` is impossible: the width of `vit` is divided into heads"))
            .hint(format!("choose a multiple of {HEAD}, or less than {HEAD} for one head")));
    }
    let mut build = Builder::new(input);
    let patch = if is_large(input) { 16 } else { 4 };
    let patches = build.add("patch_embed.proj", Op::conv(width, patch, patch, 0, true), &[0])?;
    let tokens = 1 + build.shape(patches).pixels();
    let mut last = build.add("flatten", Op::Reshape { to: axes(&[1, width, tokens - 1])? }, &[patches])?;
    last = build.add("permute", Op::Permute { order: axes(&[0, 2, 1])? }, &[last])?;
    let begins = LearnedStart::Constant(Real(0.0));
    let class = build.add("cls_token", Op::Learned { shape: axes(&[1, 1, width])?, begins }, &[])?;
    let class = build.add("expand", Op::Expand { to: axes(&[1, 1, width])?, images: true }, &[class])?;
    last = build.add("cat", Op::Concat { axis: 1 }, &[class, last])?;
    let begins = LearnedStart::Normal(POSITIONS);
    let positions = build.add("pos_embed", Op::Learned { shape: axes(&[1, tokens, width])?, begins }, &[])?;
    last = build.add("embedded", Op::Pair { function: Pairing::Add }, &[last, positions])?;
    for index in 0..depth {
        last = block(&mut build, &format!("blocks.{index}"), last)?;
    }
    last = build.add("norm", layer_norm(), &[last])?;
    last = build.add("class", Op::Slice { axis: 1, start: 0, end: 1, step: 1 }, &[last])?;
    last = build.add("flatten", Op::Reshape { to: axes(&[1, width])? }, &[last])?;
    build.linear("head", last, classes)?;
    build.finish(classes)
}

fn layer_norm() -> Op {
    Op::LayerNorm { axes: 1, eps: Real(1e-6), weight: true, bias: true }
}

fn axes(sizes: &[usize]) -> Result<Axes> {
    Axes::of(sizes).ok_or_else(|| Error::input(format!("{} axes are too many", sizes.len())))
}

fn block(build: &mut Builder, name: &str, from: NodeId) -> Result<NodeId> {
    let width = build.shape(from).axes().as_slice().last().copied().unwrap_or(0);
    let normed = build.add(&format!("{name}.norm1"), layer_norm(), &[from])?;
    let looked = attention(build, &format!("{name}.attn"), normed, width)?;
    let from = build.add(&format!("{name}.add1"), Op::Add, &[looked, from])?;
    let mut last = build.add(&format!("{name}.norm2"), layer_norm(), &[from])?;
    last = build.linear(&format!("{name}.mlp.fc1"), last, EXPANSION * width)?;
    last = build.add(&format!("{name}.mlp.act"), Op::Activation { function: Function::Gelu }, &[last])?;
    last = build.linear(&format!("{name}.mlp.fc2"), last, width)?;
    build.add(&format!("{name}.add2"), Op::Add, &[last, from])
}

fn attention(build: &mut Builder, name: &str, from: NodeId, width: usize) -> Result<NodeId> {
    let tokens = build.shape(from).size() / width.max(1);
    let heads = (width / HEAD).max(1);
    let features = width / heads;
    let all = build.linear(&format!("{name}.qkv"), from, 3 * width)?;
    let all = build.add("unflatten", Op::Reshape { to: axes(&[1, tokens, 3, heads, features])? }, &[all])?;
    let mut parts = [0; 3];
    for (place, part) in parts.iter_mut().enumerate() {
        let one = build.add("unbind", Op::Slice { axis: 2, start: place, end: place + 1, step: 1 }, &[all])?;
        let one = build.add("squeeze", Op::Reshape { to: axes(&[1, tokens, heads, features])? }, &[one])?;
        *part = build.add("permute", Op::Permute { order: axes(&[0, 2, 1, 3])? }, &[one])?;
    }
    let scale = Real(1.0 / (features as f64).sqrt());
    let looked = build.add(&format!("{name}.attention"), Op::Attention { scale, causal: false }, &parts)?;
    let looked = build.add("permute", Op::Permute { order: axes(&[0, 2, 1, 3])? }, &[looked])?;
    let looked = build.add("flatten", Op::Reshape { to: axes(&[1, tokens, width])? }, &[looked])?;
    build.linear(&format!("{name}.proj"), looked, width)
}
