//! The module of each node that has weights, and the tensors that belong to no module.

use super::literals::{number, quoted, sides, truth, tuple};
use tombola_core::net::layout::Role;
use tombola_core::net::op::{LearnedStart, Window};
use tombola_core::net::{Graph, Layout, NodeId, Op, Parameter};
use tombola_words::Shape;

/// Where the weights of nodes are in the module.
pub(super) struct PythonLayers<'a> {
    pub(super) graph: &'a Graph,
    pub(super) layout: &'a Layout,
}

/// How the names of parameters of this role end in modules of PyTorch.
fn ending(role: Role) -> &'static str {
    match role {
        Role::Bias | Role::NormShift | Role::Offset => "bias",
        _ => "weight",
    }
}

impl<'a> PythonLayers<'a> {
    /// The parameters of a node, in the order of the layout.
    pub(super) fn parameters(&self, id: NodeId) -> impl Iterator<Item = &'a Parameter> {
        self.layout.parameters.iter().filter(move |parameter| parameter.node == id)
    }

    /// The module of a node, if PyTorch has one whose parameters have the names that they have here.
    pub(super) fn module(&self, id: NodeId) -> Option<String> {
        let node = &self.graph.nodes[id];
        let is_plain =
            self.parameters(id).all(|parameter| parameter.name == format!("{}.{}", node.name, ending(parameter.role)));
        match node.op {
            Op::BatchNorm { eps, momentum, affine } => {
                let kind = match node.shape.axes().as_slice().len() {
                    4 => "BatchNorm2d",
                    5 => "BatchNorm3d",
                    _ => "BatchNorm1d",
                };
                let mut options = String::new();
                if (eps, momentum) != tombola_core::net::op::NORM_NUMBERS {
                    options = format!(", eps={}, momentum={}", number(eps.0), number(momentum.0));
                }
                if !(affine && is_plain) {
                    options.push_str(", affine=False");
                }
                Some(format!("{kind}({}{options})", node.shape.channels()))
            }
            _ if is_plain => self.plain(id),
            _ => None,
        }
    }

    fn plain(&self, id: NodeId) -> Option<String> {
        let node = &self.graph.nodes[id];
        let read = || self.graph.input_of(id);
        let last = |axes: usize| {
            let sizes = Vec::from(read().axes());
            match &sizes[sizes.len().saturating_sub(axes)..] {
                [one] => one.to_string(),
                several => tuple(several),
            }
        };
        Some(match node.op {
            Op::Conv { out, window, groups, bias } => {
                let is_signal = is_signal(read());
                let kind = if is_signal { "Conv1d" } else { "Conv2d" };
                let more = more_of(window, is_signal, groups);
                let Window { kernel, stride, padding, .. } = window;
                let [kernel, stride, padding] = [kernel, stride, padding].map(|pair| sides(pair, is_signal));
                let channels = read().channels();
                format!("{kind}({channels}, {out}, {kernel}, {stride}, {padding}{more}, bias={})", truth(bias))
            }
            Op::ConvTransposed { out, window, output_padding, groups, bias } => {
                let more = more_of(window, false, groups);
                let Window { kernel, stride, padding, .. } = window;
                let [kernel, stride, padding, added] =
                    [kernel, stride, padding, output_padding].map(|pair| sides(pair, false));
                let channels = read().channels();
                format!(
                    "ConvTranspose2d({channels}, {out}, {kernel}, {stride}, {padding}, {added}{more}, bias={})",
                    truth(bias)
                )
            }
            Op::Linear { out, bias } => {
                let inputs = read().axes().as_slice().last().copied().unwrap_or(0);
                format!("Linear({inputs}, {out}, bias={})", truth(bias))
            }
            Op::LayerNorm { axes, eps, weight: true, bias } => {
                let bias = if bias { "" } else { ", bias=False" };
                format!("LayerNorm({}, eps={}{bias})", last(axes), number(eps.0))
            }
            Op::RmsNorm { axes, eps, weight: true } => format!("RMSNorm({}, eps={})", last(axes), number(eps.0)),
            Op::GroupNorm { groups, eps, affine: true } => {
                format!("GroupNorm({groups}, {}, eps={})", node.shape.channels(), number(eps.0))
            }
            Op::Prelu { slopes } => format!("PReLU({slopes})"),
            _ => return None,
        })
    }

    /// The lines of all modules.
    pub(super) fn modules(&self) -> Vec<String> {
        let line = |id: NodeId| {
            let module = self.module(id)?;
            Some(format!("        {}: nn.{module},", quoted(&self.graph.nodes[id].name)))
        };
        (0..self.graph.nodes.len()).filter_map(line).collect()
    }

    /// The lines of all parameters that belong to no module that we write.
    pub(super) fn tensors(&self) -> Vec<String> {
        let alone = |parameter: &&Parameter| match self.graph.nodes[parameter.node].op {
            Op::BatchNorm { .. } => self.module(parameter.node).is_none_or(|module| module.ends_with("affine=False)")),
            _ => self.module(parameter.node).is_none(),
        };
        let line = |parameter: &Parameter| {
            let begins = match parameter.role {
                Role::Learned(LearnedStart::Constant(value)) if value.0 != 0.0 => {
                    format!("torch.full({}, {})", tuple(&parameter.shape), number(value.0))
                }
                Role::Learned(LearnedStart::Normal(deviation)) => {
                    format!("torch.randn({}) * {}", tuple(&parameter.shape), number(deviation.0))
                }
                _ => format!("torch.zeros({})", tuple(&parameter.shape)),
            };
            format!("        {}: nn.Parameter({begins}),", quoted(&parameter.name))
        };
        self.layout.parameters.iter().filter(alone).map(line).collect()
    }
}

/// Whether it has one axis of places, not two.
pub(super) fn is_signal(shape: Shape) -> bool {
    shape.axes().as_slice().len() == 3
}

/// What a convolution says of its window beyond what most say.
pub(super) fn more_of(window: Window, is_signal: bool, groups: usize) -> String {
    let mut more = String::new();
    if window.dilation != [1; 2] {
        more = format!(", dilation={}", sides(window.dilation, is_signal));
    }
    if groups != 1 {
        more.push_str(&format!(", groups={groups}"));
    }
    more
}
