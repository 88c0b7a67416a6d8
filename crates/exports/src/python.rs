//! A network as a file of Python: a plain `torch.nn.Module` whose layers have PyTorch's names, and a function that loads its
//! weights.

mod fixed;
mod layers;
mod literals;
mod steps;

use super::Exported;
use fixed::PythonFixed;
use layers::PythonLayers;
use literals::quoted;
use steps::PythonSteps;
use tombola_core::net::op::Dropped;
use tombola_core::net::{Graph, Op};
use tombola_words::error::Result;

/// A file of Python.
pub(super) struct PythonModule {
    /// What stands in it.
    pub(super) text: String,
    /// The file of constants that are too long to stand in it, if there are any.
    pub(super) fixed: Option<Vec<u8>>,
}

/// The file. `weights` is the name of the state dict beside it, `constants` that of the constants beside it.
///
/// # Errors
/// When the constants cannot be written.
pub(super) fn module(ticket: &Exported, weights: &str, constants: &str) -> Result<PythonModule> {
    let graph = ticket.graph;
    let list = |name: &str| {
        let named = ticket.pixels.map(tombola_words::record::PixelStatistics::named);
        let found = named.and_then(|named| named.into_iter().find(|(known, _)| *known == name));
        found.map_or_else(|| "None".to_string(), |(_, values)| values)
    };
    let (layers, fixed) = (PythonLayers { graph, layout: ticket.layout }, PythonFixed::of(graph));
    let writer = PythonSteps { layers: &layers, fixed: &fixed };
    let steps: Vec<String> = (1..graph.nodes.len()).map(|id| writer.step(id)).collect();
    let input: Vec<String> = graph.input().dimensions().map(|size| size.to_string()).collect();
    let (examples, part) = graph.input().called();
    // Numbers of each channel, beside the axes that come after it.
    let axes = format!("-1{}", ", 1".repeat(input.len().saturating_sub(1)));
    let held = fixed.file()?;
    let (tensors, kept) = (layers.tensors(), fixed.lines());
    let mut parts = String::from("**layers()");
    let mut functions = table("layers", "", &layers.modules());
    let mut asked = String::from("        layer = self.get_submodule\n");
    if !tensors.is_empty() {
        parts.push_str(", **tensors()");
        asked.push_str("        tensor = self.get_parameter\n");
        functions.push_str(&table("tensors", "", &tensors));
    }
    if !fixed.is_empty() {
        parts.push_str(", **constants()");
        asked.push_str("        fixed = self.get_buffer\n");
        let read = format!("    held = load_file(pathlib.Path(__file__).with_name({}))\n", quoted(constants));
        functions.push_str(&table("constants", if held.is_some() { &read } else { "" }, &kept));
    }
    if drops_parts(graph) {
        functions.push_str(DROPPED);
    }
    let text = format!(
        r#""""A network of Tombola in plain PyTorch: {about}.

`load()` gives it with its weights. {title} go in as float32 [{examples}, {input}], normalised: `normalised` does that by mean and
standard deviation of each {part} of the {examples} trained on. It takes bytes divided by 255, in [0, 1], and other numbers as they
are. Scores come out, [{examples}, {classes}].
"""

import pathlib

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


# Of each {part}; None where the results folder does not know them.
MEAN = {mean}
STD = {std}


def normalised({examples}):
    mean, std = (torch.tensor(values, device={examples}.device).view({axes}) for values in (MEAN, STD))
    return ({examples} - mean) / std


def load(file=pathlib.Path(__file__).with_name({weights})):
    network = Network()
    network.load_state_dict(load_file(file))
    return network.eval()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        parts = {{{parts}}}
        # Parts of parts come after them.
        for name in sorted(parts, key=lambda name: name.count(".")):
            put(self, name, parts[name])

    def forward(self, x0):
{asked}{steps}
        return x{last}


def put(network, name, part):
    *parents, last = name.split(".")
    for parent in parents:
        if parent not in network._modules:
            setattr(network, parent, nn.Module())
        network = network._modules[parent]
    if isinstance(part, (nn.Module, nn.Parameter)):
        setattr(network, last, part)
    else:
        network.register_buffer(last, part, persistent=False)
{functions}"#,
        about = ticket.about().replace('\\', "\\\\").replace('"', "\\\""),
        mean = list("mean"),
        std = list("std"),
        title = title(examples),
        input = input.join(", "),
        classes = graph.classes(),
        weights = quoted(weights),
        steps = steps.join("\n"),
        last = graph.nodes.len() - 1,
    );
    Ok(PythonModule { text, fixed: held })
}

/// A word at the beginning of a sentence.
fn title(word: &str) -> String {
    word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default()
}

/// A function that gives a table.
fn table(name: &str, before: &str, lines: &[String]) -> String {
    match lines {
        [] => format!("\n\ndef {name}():\n    return {{}}\n"),
        _ => format!("\n\ndef {name}():\n{before}    return {{\n{}\n    }}\n", lines.join("\n")),
    }
}

/// Whether whole channels or images are dropped.
fn drops_parts(graph: &Graph) -> bool {
    let drops = |op: Op| matches!(op, Op::Dropout { of: Dropped::Channels | Dropped::Images, .. });
    graph.nodes.iter().any(|node| drops(node.op))
}

/// What drops whole channels (of two axes) or images (of one).
const DROPPED: &str = r#"

def dropped(x, rate, training, axes):
    if not training:
        return x
    kept = x.new_empty(x.shape[:axes] + (1,) * (x.dim() - axes)).bernoulli_(1 - rate)
    return x * kept / (1 - rate)
"#;
