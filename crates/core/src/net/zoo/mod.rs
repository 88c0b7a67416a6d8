//! The built-in networks: short builders of graphs, under the names that PyTorch implementations give their modules.
//!
//! It may not know of files, sweeps or torch. A new network is one builder and one line in `KNOWN`.

mod conv;
mod imagenet;
mod lenet;
mod preresnet;
mod resnet;
mod stages;
mod vgg;

use self::imagenet::Block;
use super::cost;
use super::graph::Graph;
use tombola_words::Shape;
use tombola_words::error::{Error, Result, nearest};
use tombola_words::value::ShortcutOption;

/// A built-in network and the settings that shape it. A setting that the network does not use is ignored;
/// [`uses_depth`], [`uses_width`] and [`uses_shortcut`] say which those are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// One of [`names`], or a spelling that [`canonical_name`] accepts.
    pub name: String,
    /// Number of layers on the longest path, as the papers count them.
    pub depth: usize,
    /// Channels of the first stage; each later stage has twice as many.
    pub width: usize,
    /// How residual blocks change their number of channels.
    pub shortcut: ShortcutOption,
}

impl Choice {
    /// The network `name` with depth 20, width 16 and shortcut A.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_string(), depth: 20, width: 16, shortcut: ShortcutOption::A }
    }
}

type Constructor = fn(&Choice, Shape, usize) -> Result<Graph>;

/// The built-in networks: name, settings it uses (depth, width, shortcut), builder.
const KNOWN: [(&str, [bool; 3], Constructor); 13] = [
    ("lenet-300-100", [false; 3], |_, input, classes| lenet::fully_connected(input, classes)),
    ("lenet-5", [false; 3], |_, input, classes| lenet::convolutional(input, classes)),
    ("conv-2", [false; 3], |_, input, classes| conv::build(2, input, classes)),
    ("conv-4", [false; 3], |_, input, classes| conv::build(4, input, classes)),
    ("conv-6", [false; 3], |_, input, classes| conv::build(6, input, classes)),
    ("vgg-11", [false; 3], |_, input, classes| vgg::build([1, 1, 2, 2, 2], input, classes)),
    ("vgg-13", [false; 3], |_, input, classes| vgg::build([2, 2, 2, 2, 2], input, classes)),
    ("vgg-16", [false; 3], |_, input, classes| vgg::build([2, 2, 3, 3, 3], input, classes)),
    ("vgg-19", [false; 3], |_, input, classes| vgg::build([2, 2, 4, 4, 4], input, classes)),
    ("resnet-18", [false; 3], |_, input, classes| imagenet::build(Block::Basic, [2, 2, 2, 2], input, classes)),
    ("resnet-50", [false; 3], |_, input, classes| imagenet::build(Block::Bottleneck, [3, 4, 6, 3], input, classes)),
    ("resnet", [true; 3], |choice, input, classes| {
        resnet::build(blocks(choice, "resnet", 6)?, choice.width, choice.shortcut, input, classes)
    }),
    ("resnetb", [true, true, false], |choice, input, classes| {
        preresnet::build(blocks(choice, "resnetb", 9)?, choice.width, input, classes)
    }),
];

const NAMES: [&str; KNOWN.len()] = {
    let mut names = [""; KNOWN.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = KNOWN[index].0;
        index += 1;
    }
    names
};

/// Deeper than any published CIFAR network (He et al. stop at 1202), shallow enough to build in no time.
const DEEPEST: usize = 5000;
/// Wide enough for every use; the limit on parameters is usually reached first.
const WIDEST: usize = 65_536;

/// The names of the built-in networks.
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// The name in [`names`] that `name` means: `vgg16`, `VGG-16` and `vgg_16` are `vgg-16`.
///
/// # Errors
/// When there is no such network; the hint names the nearest one.
pub fn canonical_name(name: &str) -> Result<&'static str> {
    // Asked many times for each of a hundred thousand trials, nearly always with the name itself.
    if let Some(known) = NAMES.into_iter().find(|known| *known == name) {
        return Ok(known);
    }
    let squashed = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wanted = squashed(name);
    if wanted == "preresnet" {
        return Ok("resnetb");
    }
    if let Some(known) = NAMES.into_iter().find(|known| squashed(known) == wanted) {
        return Ok(known);
    }
    let letters = wanted.trim_end_matches(|c: char| c.is_ascii_digit());
    let depth = &wanted[letters.len()..];
    let error = Error::input(format!("`{name}` is not a network"));
    Err(if let Some(known) = NAMES.into_iter().find(|known| *known == letters && uses_depth(known)) {
        error.hint(format!("write `network = \"{known}\"` and `depth = {depth}`"))
    } else if let Some(near) = nearest(&name.to_lowercase(), NAMES) {
        error.hint(format!("did you mean `{near}`? The networks are {}", NAMES.join(", ")))
    } else {
        error.hint(format!("the networks are {}; or describe your own under `[networks.{name}]`", NAMES.join(", ")))
    })
}

fn uses(name: &str, setting: usize) -> bool {
    canonical_name(name).is_ok_and(|name| KNOWN.iter().any(|(known, uses, _)| *known == name && uses[setting]))
}

/// Whether [`Choice::depth`] matters for this network.
pub fn uses_depth(name: &str) -> bool {
    uses(name, 0)
}

/// Whether [`Choice::width`] matters for this network.
pub fn uses_width(name: &str) -> bool {
    uses(name, 1)
}

/// Whether [`Choice::shortcut`] matters for this network.
pub fn uses_shortcut(name: &str) -> bool {
    uses(name, 2)
}

/// Whether a network of this name is known to have no additions, and so no residual streams.
pub fn is_plain(name: &str) -> bool {
    names().contains(&name) && ["lenet-", "conv-", "vgg-"].iter().any(|kind| name.starts_with(kind))
}

/// Builds a network that reads images of shape `input` and gives one value for each of `classes`.
///
/// # Errors
/// When there is no such network, its depth or width is impossible, or the images are too small for it.
pub fn build(choice: &Choice, input: Shape, classes: usize) -> Result<Graph> {
    let name = canonical_name(&choice.name)?;
    if uses_width(name) && !(1..=WIDEST).contains(&choice.width) {
        return Err(Error::input(format!("network `{name}` cannot have a width of {}", choice.width))
            .hint(format!("`width` is the number of channels of the first stage, 1 to {WIDEST}; 16 is usual")));
    }
    let place = || format!("network `{name}` for images of {input}");
    for (known, _, build) in KNOWN {
        if known == name {
            return build(choice, input, classes).and_then(|graph| cost::check_size(&graph).map(|()| graph)).map_err(
                |error| match error.hint {
                    Some(_) => error.at(place()),
                    // What a built-in network can only stumble over is the size of the images.
                    None => error.at(place()).hint("choose a network with fewer poolings, or larger images"),
                },
            );
        }
    }
    // `canonical_name` gives names of `KNOWN` only.
    Err(Error::input(format!("`{name}` is not a network")))
}

/// Blocks in each of the three stages of a network with `layers` weighted layers for each such block, plus 2.
fn blocks(choice: &Choice, name: &str, layers: usize) -> Result<usize> {
    let depth = choice.depth;
    if depth >= layers + 2 && depth <= DEEPEST && (depth - 2).is_multiple_of(layers) {
        return Ok((depth - 2) / layers);
    }
    let most = (DEEPEST - 2) / layers;
    let below = (depth.saturating_sub(2) / layers).clamp(1, most);
    let near = if depth < layers + 2 || below == most {
        format!("the nearest depth is {}", layers * below + 2)
    } else {
        format!("the nearest depths are {} and {}", layers * below + 2, layers * (below + 1) + 2)
    };
    Err(Error::input(format!(
        "`depth = {depth}` is impossible: the depth of `{name}` must be {layers}n+2 ({}, {}, {}, …, at most {})",
        layers + 2,
        2 * layers + 2,
        3 * layers + 2,
        layers * most + 2
    ))
    .hint(near))
}

#[cfg(test)]
mod tests;
