//! Networks in files of ONNX: the operators that `torch.onnx.export` and Tombola write, as a network of our own operations.
//!
//! [`proto`] has the messages, which exports write as well. What depends on the number of images is followed as such (`values`);
//! what is known when the file is read is computed at once (`folding`). It may not know where files lie, of training or torch.

mod attributes;
mod elementwise;
mod folding;
mod known;
mod layers;
mod moves;
mod names;
mod operators;
mod places;
pub mod proto;
mod reader;
mod state;
mod tensors;
mod values;
mod windows;

use prost::Message;

use crate::net::custom::NodeList;
use crate::net::{Layout, Op};
use proto::Model;
use reader::OnnxReader;
use tombola_words::error::{Error, Result};

/// Exports that keep what pruning needs.
const TRAINING: &str = "`torch.onnx.export(model.train(), images, file, dynamo=False, training=torch.onnx.TrainingMode.TRAINING, \
                        do_constant_folding=False, export_params=True)`";

/// A network that was read.
#[derive(Debug, Clone)]
pub struct OnnxNetwork {
    /// Its operations.
    pub nodes: NodeList,
    /// What whoever reads it should know.
    pub notes: Vec<String>,
    /// Its weights and statistics, under the names that the network has for them.
    pub state: Vec<OnnxTensor>,
}

/// A named tensor of a file of ONNX, in PyTorch's order.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxTensor {
    /// PyTorch's name.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

/// Whether bytes may be a file of ONNX: its first field is the version of the form.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.first() == Some(&8)
}

/// Reads a network; `with_state` says whether its weights are read as well.
///
/// # Errors
/// When the bytes are no ONNX model, or have an operator that cannot be taken over; the message names it.
pub fn network(bytes: &[u8], with_state: bool) -> Result<OnnxNetwork> {
    let model = Model::decode(bytes).map_err(|error| {
        Error::input(format!("is no ONNX model, or a damaged one: {error}")).hint(format!("export it anew: {TRAINING}"))
    })?;
    let file = model.graph.as_ref().ok_or_else(|| Error::input("holds no network"))?;
    let [output, ..] = &*file.outputs else { return Err(Error::input("the model gives no output")) };
    let own = model.operators.iter().find(|set| matches!(&*set.domain, "" | "ai.onnx"));
    let mut reader = OnnxReader::of(file, own.map_or(17, |set| set.version))?;
    reader.read()?;
    let graph = reader.graph(&output.name)?;
    let nodes = NodeList::of(&graph)?;
    let is = |which: fn(Op) -> bool| graph.nodes.iter().any(|node| which(node.op));
    let has_norms =
        is(|op| matches!(op, Op::BatchNorm { .. } | Op::LayerNorm { .. } | Op::GroupNorm { .. } | Op::RmsNorm { .. }));
    let mut notes = Vec::new();
    if !has_norms && is(|op| op.is_convolution()) {
        notes.push(format!(
            "it has no batch norms: where the model has some, the export took them into the convolutions; to keep them: {TRAINING}"
        ));
    }
    let made = state::made_constants(&graph);
    if !made.is_empty() {
        notes.push(format!(
            "it has tensors without names of PyTorch, which stay as they are and are not trained: {}",
            made.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    let mut state = Vec::new();
    if with_state {
        let layout = Layout::of(&graph);
        let parameters = layout.parameters.iter().map(|parameter| &parameter.name);
        for name in parameters.chain(layout.buffers.iter().map(|buffer| &buffer.name)) {
            state.push(reader.state_of(name)?);
        }
    }
    Ok(OnnxNetwork { nodes, notes, state })
}

/// The weights and statistics of a file, as the state dict of the network that [`network`] makes of it.
///
/// # Errors
/// As [`network`].
pub fn onnx_state(bytes: &[u8]) -> Result<Vec<OnnxTensor>> {
    network(bytes, true).map(|network| network.state)
}
