//! The weights of a file under the names that the network has for them.

use super::OnnxTensor;
use super::proto::TensorProto;
use super::tensors::{floats_of, sizes_of};
use crate::net::{Graph, Op};
use tombola_words::error::{Error, Result as Told};

/// The most names of one list in words.
const MOST_TOLD: usize = 8;
/// A parameter and where the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnnxWeight {
    /// PyTorch's name.
    pub(super) name: String,
    /// Its position among the tensors.
    pub(super) tensor: usize,
    /// Whether the file has its rows as columns.
    pub(super) turned: bool,
}

/// A weight or a statistic of this name, in PyTorch's order.
///
/// # Errors
/// When the file has none, or one that is cut off.
pub(super) fn state_of(name: &str, weights: &[OnnxWeight], tensors: &[&TensorProto]) -> Told<OnnxTensor> {
    let found = weights.iter().find(|weight| weight.name == name);
    let found = found.ok_or_else(|| Error::input(format!("holds no `{name}`")))?;
    let tensor = tensors[found.tensor];
    let (mut shape, mut values) = (sizes_of(tensor).map_err(Error::input)?, floats_of(tensor).map_err(Error::input)?);
    if let (true, &[rows, columns]) = (found.turned, &*shape) {
        values = (0..rows * columns).map(|place| values[place % rows * columns + place / rows]).collect();
        shape = vec![columns, rows];
    }
    Ok(OnnxTensor { name: name.to_string(), shape, values })
}

/// Names of tensors of the file, at most a few, that a network holds as constants and that may once have been learned.
pub(super) fn made_constants(graph: &Graph) -> Vec<String> {
    let is_ours = |name: &str| name.starts_with("constant");
    let constants = graph.nodes.iter().filter(|node| matches!(node.op, Op::Constant { .. }));
    let made = constants.map(|node| &node.name).filter(|name| !is_ours(name) && !name.contains("mask"));
    made.take(MOST_TOLD).cloned().collect()
}
