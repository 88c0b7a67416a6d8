//! The list of built-in networks: what each is called, which settings shape it, and who builds it.

use super::imagenet::Block;
use super::{Choice, alexnet, conv, convnext, densenet, imagenet, lenet, mobilenet, preresnet, resnet, vgg, vit, wide};
use crate::net::graph::Graph;
use tombola_words::Shape;
use tombola_words::error::{Error, Result};

pub(super) type Constructor = fn(&Choice, Shape, usize) -> Result<Graph>;

/// The depths that a network can have: `step` · n + `plus`, n from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DepthRule {
    step: usize,
    plus: usize,
}

/// A built-in network.
#[derive(Debug, Clone, Copy)]
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    /// The depths that it can have, where [`Choice::depth`] shapes it.
    pub(super) depths: Option<DepthRule>,
    /// Whether [`Choice::width`] shapes it.
    pub(super) width: bool,
    /// Whether [`Choice::shortcut`] shapes it.
    pub(super) shortcut: bool,
    /// Whether [`Choice::hidden`] shapes it.
    pub(super) hidden: bool,
    /// Depth and width if nothing is said.
    pub(super) usual: (usize, usize),
    /// Whether it has no additions, and so no residual streams.
    pub(super) plain: bool,
    /// Whether it reads images alone; others make one vector of whatever goes in.
    pub(super) of_images: bool,
    pub(super) build: Constructor,
}

/// One that no setting shapes, with additions.
const fn fixed(name: &'static str, build: Constructor) -> BuiltIn {
    BuiltIn {
        name,
        depths: None,
        width: false,
        shortcut: false,
        hidden: false,
        usual: (20, 16),
        plain: false,
        of_images: true,
        build,
    }
}

/// One that no setting shapes, without additions.
const fn plain(name: &'static str, build: Constructor) -> BuiltIn {
    BuiltIn { plain: true, ..fixed(name, build) }
}

/// One that depth and width shape.
const fn scaled(name: &'static str, depths: DepthRule, usual: (usize, usize), build: Constructor) -> BuiltIn {
    BuiltIn { depths: Some(depths), width: true, usual, ..fixed(name, build) }
}

const fn every(step: usize, plus: usize) -> DepthRule {
    DepthRule { step, plus }
}

/// Convolutions of each of the five stages of VGG.
const VGG: [[usize; 5]; 4] = [[1, 1, 2, 2, 2], [2, 2, 2, 2, 2], [2, 2, 3, 3, 3], [2, 2, 4, 4, 4]];

/// All of them.
pub(super) const KNOWN: [BuiltIn; 28] = [
    BuiltIn {
        of_images: false,
        ..plain("lenet-300-100", |_, input, classes| lenet::fully_connected(&[300, 100], input, classes))
    },
    plain("lenet-5", |_, input, classes| lenet::convolutional(input, classes)),
    plain("conv-2", |_, input, classes| conv::build(2, input, classes)),
    plain("conv-4", |_, input, classes| conv::build(4, input, classes)),
    plain("conv-6", |_, input, classes| conv::build(6, input, classes)),
    plain("vgg-11", |_, input, classes| vgg::build(VGG[0], true, input, classes)),
    plain("vgg-13", |_, input, classes| vgg::build(VGG[1], true, input, classes)),
    plain("vgg-16", |_, input, classes| vgg::build(VGG[2], true, input, classes)),
    plain("vgg-19", |_, input, classes| vgg::build(VGG[3], true, input, classes)),
    fixed("resnet-18", |_, input, classes| imagenet::build(Block::Basic, [2, 2, 2, 2], input, classes)),
    fixed("resnet-50", |_, input, classes| imagenet::build(Block::Bottleneck, [3, 4, 6, 3], input, classes)),
    BuiltIn {
        shortcut: true,
        ..scaled("resnet", every(6, 2), (20, 16), |choice, input, classes| {
            resnet::build(blocks(choice, "resnet")?, choice.width, choice.shortcut, input, classes)
        })
    },
    scaled("resnetb", every(9, 2), (20, 16), |choice, input, classes| {
        preresnet::build(blocks(choice, "resnetb")?, choice.width, input, classes)
    }),
    BuiltIn {
        hidden: true,
        of_images: false,
        ..plain("mlp", |choice, input, classes| lenet::fully_connected(&choice.hidden, input, classes))
    },
    plain("alexnet", |_, input, classes| alexnet::build(input, classes)),
    plain("vgg-11-plain", |_, input, classes| vgg::build(VGG[0], false, input, classes)),
    plain("vgg-13-plain", |_, input, classes| vgg::build(VGG[1], false, input, classes)),
    plain("vgg-16-plain", |_, input, classes| vgg::build(VGG[2], false, input, classes)),
    plain("vgg-19-plain", |_, input, classes| vgg::build(VGG[3], false, input, classes)),
    fixed("resnet-34", |_, input, classes| imagenet::build(Block::Basic, [3, 4, 6, 3], input, classes)),
    fixed("resnet-101", |_, input, classes| imagenet::build(Block::Bottleneck, [3, 4, 23, 3], input, classes)),
    fixed("resnet-152", |_, input, classes| imagenet::build(Block::Bottleneck, [3, 8, 36, 3], input, classes)),
    fixed("resnext-50", |_, input, classes| imagenet::build(Block::Grouped, [3, 4, 6, 3], input, classes)),
    scaled("wide-resnet", every(6, 4), (28, 10), |choice, input, classes| {
        wide::build(blocks(choice, "wide-resnet")?, choice.width, input, classes)
    }),
    BuiltIn {
        plain: true,
        ..scaled("densenet-bc", every(6, 4), (100, 12), |choice, input, classes| {
            densenet::build(blocks(choice, "densenet-bc")?, choice.width, input, classes)
        })
    },
    fixed("mobilenet-v2", |_, input, classes| mobilenet::build(input, classes)),
    scaled("convnext", every(6, 0), (12, 40), |choice, input, classes| {
        convnext::build(blocks(choice, "convnext")?, choice.width, input, classes)
    }),
    scaled("vit", every(1, 0), (6, 192), |choice, input, classes| {
        vit::build(blocks(choice, "vit")?, choice.width, input, classes)
    }),
];

/// Deeper than any published CIFAR network (He et al. stop at 1202), shallow enough to build in no time.
const DEEPEST: usize = 5000;

/// The network of this name.
pub(super) fn find(name: &str) -> Option<&'static BuiltIn> {
    KNOWN.iter().find(|known| known.name == name)
}

impl DepthRule {
    /// The smallest depth.
    pub(super) fn least(self) -> usize {
        self.step + self.plus
    }

    /// As papers write it: "6n+2".
    fn words(self) -> String {
        match self {
            DepthRule { step: 1, plus: 0 } => "a whole number".to_string(),
            DepthRule { step, plus: 0 } => format!("{step}n"),
            DepthRule { step, plus } => format!("{step}n+{plus}"),
        }
    }
}

/// The n of a depth: blocks in each part of the network.
fn blocks(choice: &Choice, name: &str) -> Result<usize> {
    let depth = choice.depth;
    // A network that asks for blocks has a rule.
    let Some(rule) = find(name).and_then(|known| known.depths) else { return Ok(depth) };
    let DepthRule { step, plus } = rule;
    let of = |n: usize| step * n + plus;
    let most = (DEEPEST - plus) / step;
    if (of(1)..=DEEPEST).contains(&depth) && (depth - plus).is_multiple_of(step) {
        return Ok((depth - plus) / step);
    }
    let below = (depth.saturating_sub(plus) / step).clamp(1, most);
    let near = if depth < of(1) || below == most {
        format!("the nearest depth is {}", of(below))
    } else {
        format!("the nearest depths are {} and {}", of(below), of(below + 1))
    };
    Err(Error::input(format!(
        "`depth = {depth}` is impossible: the depth of `{name}` must be {} ({}, {}, {}, …, at most {})",
        rule.words(),
        of(1),
        of(2),
        of(3),
        of(most)
    ))
    .hint(near))
}
