//! A user's own network: a list of layers from a sweep file, residual blocks included.
//!
//! ```toml
//! [networks.small]
//! layers = [
//!   { conv = 16, kernel = 3 }, "batch-norm", "relu",
//!   { residual = [{ conv = 32, stride = 2 }, "batch-norm"], shortcut = [{ conv = 32, kernel = 1, stride = 2 }] },
//!   { repeat = 2, layers = [{ max-pool = 2 }] },
//!   "global-average-pool", { linear = "classes" },
//! ]
//! ```
//!
//! [`parse`] reads it with all defaults filled in and all repetitions written out, so that everything after it sees
//! one form of each network. It may not know of torch, nor where the list stood.

mod grow;
mod layer;
pub mod nodes;
mod read;

use serde::{Deserialize, Serialize};

use self::grow::Grower;
use self::layer::text_of;
use super::cost;
use super::graph::{Builder, Graph};
use tombola_words::Shape;
use tombola_words::error::Result;

pub use layer::{GroupCount, Layer, Outputs};
pub use nodes::NodeList;
pub use read::parse;

/// How a user's network is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnForm {
    /// From the image to the classes, repetitions written out.
    Layers(Vec<Layer>),
    /// As a file of its own.
    Nodes(NodeList),
}

/// A user's network: what [`parse`] makes of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnNetwork {
    /// What the user calls it.
    pub name: String,
    /// What it is.
    pub form: OwnForm,
}

impl OwnNetwork {
    /// One line of text that is the same for all spellings of the same network, whatever its name: what a stage's
    /// identity is made of.
    pub fn canonical(&self) -> String {
        match &self.form {
            OwnForm::Layers(layers) => text_of(layers),
            OwnForm::Nodes(nodes) => nodes.canonical(),
        }
    }

    /// Whether its content names it, not what the user calls it.
    pub fn is_named_by_content(&self) -> bool {
        matches!(self.form, OwnForm::Nodes(_))
    }

    /// Builds the network for images of shape `input`. Parameters are named by position, as nested `nn.Sequential`
    /// would: `layers.0.weight`, `layers.3.residual.0.weight`, `layers.3.shortcut.0.weight`, counted from 0 with
    /// repetitions written out.
    ///
    /// # Errors
    /// When a layer cannot read what the layer before it gives, when the network does not end in one value for each
    /// of `classes`, or when it is too large for any machine.
    pub fn build(&self, input: Shape, classes: usize) -> Result<Graph> {
        let layers = match &self.form {
            OwnForm::Layers(layers) => layers,
            OwnForm::Nodes(nodes) => {
                return nodes.build(input, classes).map_err(|error| error.at(format!("network `{}`", self.name)));
            }
        };
        let grow = || {
            let mut grower = Grower { build: Builder::new(input), classes };
            grower.grow(layers, "layers", 0)?;
            let graph = grower.build.finish(classes)?;
            cost::check_size(&graph).map(|()| graph)
        };
        grow().map_err(|error| {
            let error = match error.hint {
                Some(_) => error,
                None if matches!(input, Shape::Image(..)) => {
                    error.hint("layers are counted from 0, and repeated ones one by one")
                }
                None => error.hint(
                    "such layers are of images; begin with `flatten`, or take the network of a model of PyTorch \
                     (`tombola.from_torch`), which may have 1-D convolutions",
                ),
            };
            error.at(format!("network `{}` for {} of {input}", self.name, input.called().0))
        })
    }
}

#[cfg(test)]
mod tests;
