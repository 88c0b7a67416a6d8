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

pub mod nodes;
mod read;

use serde::{Deserialize, Serialize};

use super::cost;
use super::graph::{Builder, Graph, NodeId};
use super::op::Op;
use tombola_words::Shape;
use tombola_words::error::{Error, Result};

pub use nodes::NodeList;
pub use read::parse;

/// Number of outputs of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outputs {
    /// This many.
    Count(usize),
    /// One for each class of the data.
    Classes,
}

impl Outputs {
    fn count(self, classes: usize) -> usize {
        match self {
            Outputs::Count(count) => count,
            Outputs::Classes => classes,
        }
    }
}

impl std::fmt::Display for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outputs::Count(count) => write!(f, "{count}"),
            Outputs::Classes => f.write_str("classes"),
        }
    }
}

/// One layer, with nothing left to default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// Convolution with a square kernel.
    Conv {
        /// Output channels.
        out: Outputs,
        /// Side of the kernel.
        kernel: usize,
        /// Step between two windows.
        stride: usize,
        /// Zeros added on each side.
        padding: usize,
        /// Whether it has a bias.
        bias: bool,
    },
    /// Fully connected layer.
    Linear {
        /// Output features.
        out: Outputs,
        /// Whether it has a bias.
        bias: bool,
    },
    /// Batch norm over channels or features.
    BatchNorm,
    /// max(x, 0).
    Relu,
    /// Largest value of each window.
    MaxPool {
        /// Side of the window.
        kernel: usize,
        /// Step between two windows.
        stride: usize,
    },
    /// Mean of each window.
    AveragePool {
        /// Side of the window.
        kernel: usize,
        /// Step between two windows.
        stride: usize,
    },
    /// Mean of all pixels of each channel.
    GlobalAveragePool,
    /// All pixels of all channels as one vector.
    Flatten,
    /// The sum of a branch and a shortcut, both of which read the layer's input.
    Residual {
        /// The branch; never empty.
        branch: Vec<Layer>,
        /// The shortcut; empty when it is the input itself.
        shortcut: Vec<Layer>,
    },
}

impl Layer {
    /// The layer and those within it.
    fn count(&self) -> usize {
        match self {
            Layer::Residual { branch, shortcut } => 1 + branch.iter().chain(shortcut).map(Layer::count).sum::<usize>(),
            _ => 1,
        }
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Layer::Conv { out, kernel, stride, padding, bias } => {
                write!(f, "conv({out},kernel={kernel},stride={stride},padding={padding},bias={bias})")
            }
            Layer::Linear { out, bias } => write!(f, "linear({out},bias={bias})"),
            Layer::BatchNorm => f.write_str("batch-norm"),
            Layer::Relu => f.write_str("relu"),
            Layer::MaxPool { kernel, stride } => write!(f, "max-pool({kernel},stride={stride})"),
            Layer::AveragePool { kernel, stride } => write!(f, "average-pool({kernel},stride={stride})"),
            Layer::GlobalAveragePool => f.write_str("global-average-pool"),
            Layer::Flatten => f.write_str("flatten"),
            Layer::Residual { branch, shortcut } => {
                write!(f, "residual({}|{})", text_of(branch), text_of(shortcut))
            }
        }
    }
}

fn text_of(layers: &[Layer]) -> String {
    layers.iter().map(Layer::to_string).collect::<Vec<_>>().join(" ")
}

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
            let mut build = Builder::new(input);
            self.grow(&mut build, layers, "layers", 0, classes)?;
            let graph = build.finish(classes)?;
            cost::check_size(&graph).map(|()| graph)
        };
        grow().map_err(|error| {
            let error = match error.hint {
                Some(_) => error,
                None => error.hint("layers are counted from 0, and repeated ones one by one"),
            };
            error.at(format!("network `{}` for images of {input}", self.name))
        })
    }

    fn grow(
        &self,
        build: &mut Builder,
        layers: &[Layer],
        prefix: &str,
        from: NodeId,
        classes: usize,
    ) -> Result<NodeId> {
        let mut last = from;
        for (index, layer) in layers.iter().enumerate() {
            let name = format!("{prefix}.{index}");
            let op = match *layer {
                Layer::Conv { out, kernel, stride, padding, bias } => {
                    Op::conv(out.count(classes), kernel, stride, padding, bias)
                }
                Layer::Linear { out, bias } => Op::Linear { out: out.count(classes), bias },
                Layer::BatchNorm => Op::BATCH_NORM,
                Layer::Relu => Op::Relu,
                Layer::MaxPool { kernel, stride } => Op::max_pool(kernel, stride, 0),
                Layer::AveragePool { kernel, stride } => Op::avg_pool(kernel, stride),
                Layer::GlobalAveragePool => Op::GlobalAveragePool,
                Layer::Flatten => Op::Flatten,
                Layer::Residual { ref branch, ref shortcut } => {
                    let added = self.grow(build, branch, &format!("{name}.residual"), last, classes)?;
                    let kept = self.grow(build, shortcut, &format!("{name}.shortcut"), last, classes)?;
                    last =
                        build.add(&name, Op::Add, &[added, kept]).map_err(|error| needs_shortcut(error, shortcut))?;
                    continue;
                }
            };
            last = build.add(&name, op, &[last])?;
        }
        Ok(last)
    }
}

fn needs_shortcut(error: Error, shortcut: &[Layer]) -> Error {
    error.hint(if shortcut.is_empty() {
        "give the block a shortcut that changes its input's shape as the branch does, such as \
         `shortcut = [{ conv = 32, kernel = 1, stride = 2 }, \"batch-norm\"]`"
    } else {
        "the branch and the `shortcut` of a block must end in the same shape; compare their channels and strides"
    })
}

#[cfg(test)]
mod tests;
