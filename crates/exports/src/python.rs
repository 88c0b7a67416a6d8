//! A network as a file of Python: a plain `torch.nn.Module` whose layers have PyTorch's names, and a function that loads its
//! weights.

use super::Exported;
use tombola_core::net::{Graph, Op};
use tombola_words::Shape;

/// The file. `weights` is the name of the state dict beside it.
pub(super) fn module(ticket: &Exported, weights: &str) -> String {
    let graph = ticket.graph;
    let list = |name: &str| {
        let named = ticket.pixels.map(tombola_words::record::PixelStatistics::named);
        let found = named.and_then(|named| named.into_iter().find(|(known, _)| *known == name));
        found.map_or_else(|| "None".to_string(), |(_, values)| values)
    };
    let layers: Vec<String> = (0..graph.nodes.len()).filter_map(|id| layer(graph, id)).collect();
    let steps: Vec<String> = (1..graph.nodes.len()).map(|id| step(graph, id)).collect();
    let input: Vec<String> = graph.input().dimensions().map(|size| size.to_string()).collect();
    format!(
        r#""""A network of Tombola in plain PyTorch: {about}.

`load()` gives it with its weights. Images go in as float32 [images, {input}], normalised: `normalised` does that with
pixels in [0, 1], by mean and standard deviation of each channel of the images trained on. Scores come out, [images, {classes}].
"""

import pathlib

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


# Of each channel; None where the results folder does not know them.
MEAN = {mean}
STD = {std}


def normalised(pixels):
    mean, std = (torch.tensor(values, device=pixels.device).view(-1, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def load(file=pathlib.Path(__file__).with_name("{weights}")):
    network = Network()
    network.load_state_dict(load_file(file))
    return network.eval()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        for name, layer in layers().items():
            *parents, last = name.split(".")
            place = self
            for parent in parents:
                if not hasattr(place, parent):
                    place.add_module(parent, nn.Module())
                place = getattr(place, parent)
            place.add_module(last, layer)

    def forward(self, x0):
        layer = self.get_submodule
{steps}
        return x{last}


def layers():
    return {{
{layers}
    }}
"#,
        about = ticket.about(),
        mean = list("mean"),
        std = list("std"),
        input = input.join(", "),
        classes = graph.classes(),
        steps = steps.join("\n"),
        last = graph.nodes.len() - 1,
        layers = layers.join("\n"),
    )
}

/// The module of a node that has weights.
fn layer(graph: &Graph, id: usize) -> Option<String> {
    let node = &graph.nodes[id];
    let inputs = || graph.input_of(id).channels();
    let module = match node.op {
        Op::Conv { out, kernel, stride, padding, bias } => {
            format!("Conv2d({}, {out}, {kernel}, {stride}, {padding}, bias={})", inputs(), truth(bias))
        }
        Op::Linear { out, bias } => format!("Linear({}, {out}, bias={})", inputs(), truth(bias)),
        Op::BatchNorm => match node.shape {
            Shape::Image(channels, ..) => format!("BatchNorm2d({channels})"),
            Shape::Vector(features) => format!("BatchNorm1d({features})"),
        },
        _ => return None,
    };
    Some(format!("        \"{}\": nn.{module},", node.name))
}

fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// The line that computes a node.
fn step(graph: &Graph, id: usize) -> String {
    let node = &graph.nodes[id];
    let x = |number: usize| format!("x{}", node.inputs[number]);
    let value = match node.op {
        Op::Input => return String::new(),
        Op::Conv { .. } | Op::Linear { .. } | Op::BatchNorm => format!("layer(\"{}\")({})", node.name, x(0)),
        Op::Relu => format!("F.relu({})", x(0)),
        Op::Add => format!("{} + {}", x(0), x(1)),
        Op::MaxPool { kernel, stride, padding } => format!("F.max_pool2d({}, {kernel}, {stride}, {padding})", x(0)),
        Op::AvgPool { kernel, stride } => format!("F.avg_pool2d({}, {kernel}, {stride})", x(0)),
        Op::GlobalAveragePool => format!("{}.mean((2, 3))", x(0)),
        Op::Flatten => format!("{}.flatten(1)", x(0)),
        Op::PadShortcut { stride, before, after } => {
            format!("F.pad({}[:, :, ::{stride}, ::{stride}], (0, 0, 0, 0, {before}, {after}))", x(0))
        }
        Op::Select { list, .. } => format!("{}[:, {:?}]", x(0), graph.selections[list]),
    };
    format!("        x{id} = {value}")
}
