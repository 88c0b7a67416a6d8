//! The built-in networks: short builders of graphs, under the names that PyTorch implementations give their modules.
//!
//! It may not know of files, sweeps or torch. A new network is one builder and one line in `KNOWN`.

mod alexnet;
mod conv;
mod convnext;
mod densenet;
mod imagenet;
mod known;
mod lenet;
mod mobilenet;
mod preresnet;
mod resnet;
mod stages;
mod vgg;
mod vit;
mod wide;

use self::known::{BuiltIn, KNOWN, find};
use super::cost;
use super::graph::Graph;
use tombola_words::Shape;
use tombola_words::error::{Error, Result, nearest};
use tombola_words::value::ShortcutOption;

/// A built-in network and the settings that shape it. A setting that the network does not use is ignored;
/// [`uses_depth`], [`uses_width`], [`uses_shortcut`] and [`uses_hidden`] say which those are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// One of [`names`], or a spelling that [`canonical_name`] accepts.
    pub name: String,
    /// Number of layers on the longest path, as the papers count them; of `vit` and `convnext` the number of blocks.
    pub depth: usize,
    /// Channels of the first stage; each later stage has twice as many. Of `wide-resnet` how many times more channels than those
    /// of `resnet`, of `densenet-bc` the channels that each layer adds, of `vit` the features of a token.
    pub width: usize,
    /// How residual blocks change their number of channels.
    pub shortcut: ShortcutOption,
    /// Features of each hidden layer of `mlp`.
    pub hidden: Vec<usize>,
}

impl Choice {
    /// The network `name` with its usual depth and width, shortcut A, and hidden layers of 300 and 100.
    pub fn named(name: &str) -> Self {
        let (depth, width) = usual_size(name);
        Self { name: name.to_string(), depth, width, shortcut: ShortcutOption::A, hidden: vec![300, 100] }
    }
}

const NAMES: [&str; KNOWN.len()] = {
    let mut names = [""; KNOWN.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = KNOWN[index].name;
        index += 1;
    }
    names
};

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
    Err(if let Some(known) = NAMES.into_iter().find(|known| squashed(known) == letters && uses_depth(known)) {
        error.hint(format!("write `network = \"{known}\"` and `depth = {depth}`"))
    } else if let Some(near) = nearest(&name.to_lowercase(), NAMES) {
        error.hint(format!("did you mean `{near}`? The networks are {}", NAMES.join(", ")))
    } else {
        error.hint(format!("the networks are {}; or describe your own under `[networks.{name}]`", NAMES.join(", ")))
    })
}

fn known(name: &str) -> Option<&'static BuiltIn> {
    canonical_name(name).ok().and_then(find)
}

/// The networks that were there from the beginning. No other network may have their names; those that came later give way to a
/// network of the user's own, of which there may be results.
const RESERVED: [&str; 13] = [
    "lenet-300-100",
    "lenet-5",
    "conv-2",
    "conv-4",
    "conv-6",
    "vgg-11",
    "vgg-13",
    "vgg-16",
    "vgg-19",
    "resnet-18",
    "resnet-50",
    "resnet",
    "resnetb",
];

/// Whether a network of the user's own may not have this name.
pub fn is_reserved(name: &str) -> bool {
    canonical_name(name).is_ok_and(|known| RESERVED.contains(&known))
}

/// Whether [`Choice::depth`] matters for this network.
pub fn uses_depth(name: &str) -> bool {
    known(name).is_some_and(|known| known.depths.is_some())
}

/// Whether [`Choice::width`] matters for this network.
pub fn uses_width(name: &str) -> bool {
    known(name).is_some_and(|known| known.width)
}

/// Whether [`Choice::shortcut`] matters for this network.
pub fn uses_shortcut(name: &str) -> bool {
    known(name).is_some_and(|known| known.shortcut)
}

/// Whether [`Choice::hidden`] matters for this network.
pub fn uses_hidden(name: &str) -> bool {
    known(name).is_some_and(|known| known.hidden)
}

/// Depth and width of a network if nothing is said.
pub fn usual_size(name: &str) -> (usize, usize) {
    known(name).map_or((20, 16), |known| known.usual)
}

/// The smallest depth of a network; the usual one where depth does not matter.
pub fn least_depth(name: &str) -> usize {
    known(name).and_then(|known| known.depths).map_or(usual_size(name).0, known::DepthRule::least)
}

/// Whether a network of this name is known to have no additions, and so no residual streams.
pub fn is_plain(name: &str) -> bool {
    find(name).is_some_and(|known| known.plain)
}

/// Builds a network that reads examples of shape `input` and gives one value for each of `classes`.
///
/// # Errors
/// When there is no such network, its depth or width is impossible, it is one of images and the examples are none, or they are
/// too small for it.
pub fn build(choice: &Choice, input: Shape, classes: usize) -> Result<Graph> {
    let name = canonical_name(&choice.name)?;
    // `canonical_name` gives names of `KNOWN` only.
    let Some(known) = find(name) else { return Err(Error::input(format!("`{name}` is not a network"))) };
    if known.width && !(1..=WIDEST).contains(&choice.width) {
        return Err(Error::input(format!("network `{name}` cannot have a width of {}", choice.width)).hint(format!(
            "`width` is the number of channels of the first stage, 1 to {WIDEST}; {} is usual",
            known.usual.1
        )));
    }
    let (examples, _) = input.called();
    let place = |error: Error| error.at(format!("network `{name}` for {examples} of {input}"));
    if known.of_images && !matches!(input, Shape::Image(..)) {
        return Err(place(Error::input(format!(
            "it needs images (channels, height, width), and the data are {examples} of {input}"
        )))
        .hint(for_no_images(input)));
    }
    (known.build)(choice, input, classes).and_then(|graph| cost::check_size(&graph).map(|()| graph)).map_err(|error| {
        match error.hint {
            Some(_) => place(error),
            // What a built-in network can only stumble over is the size of the images.
            None => place(error).hint("choose a network with fewer poolings, or larger images"),
        }
    })
}

/// What to train on data that are no images.
fn for_no_images(input: Shape) -> String {
    let flat: Vec<String> =
        KNOWN.iter().filter(|known| !known.of_images).map(|known| format!("`{}`", known.name)).collect();
    let own = match input {
        Shape::Vector(_) => "a network of your own",
        _ => "a network of your own, with 1-D convolutions",
    };
    format!("take {}, which read whatever goes in as one row, or {own} (`tombola.from_torch`)", flat.join(" or "))
}

#[cfg(test)]
mod tests;
