//! Runs a network: walks its graph with real tensors.

use std::cell::OnceCell;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::arena::Arena;
use super::fused::{FusedChain, Norm, chains, norm_relu, sum_norm_relu};
use super::noise::TrainingPass;
use super::operations::Operation;
use crate::cuda::trials::is_contiguous;
use crate::done;
use tombola_core::net::layout::Layout;
use tombola_core::net::op::NORM_NUMBERS;
use tombola_core::net::{Graph, Node, NodeId, Op};
use tombola_words::value::Precision;

/// What the walk needs to know beforehand of each node.
#[derive(Debug)]
pub struct Forward {
    graph: Arc<Graph>,
    /// Position of each node's first parameter and first buffer in the layout.
    first: Vec<(usize, usize)>,
    /// How many parameters each node has.
    parameters: Vec<usize>,
    /// Batch norms and additions that the ReLU behind them takes over. A sum before a batch norm has its own output still.
    chains: Vec<Option<FusedChain>>,
    /// Whether a node is taken over.
    taken: Vec<bool>,
    /// Whether something in it is the same for all images.
    has_shared: bool,
    /// Whether those may be run as one: not where gradients are differentiated again.
    fused: bool,
    /// The last node that reads each node's output: after it the output is dropped.
    last_reader: Vec<NodeId>,
    /// The channels that each selection takes, and the tensors that stay as they are, where they are needed.
    selections: Vec<OnceCell<Tensor>>,
    constants: Vec<OnceCell<Tensor>>,
    /// How many nodes read each node's output: where it is one, that one may overwrite it.
    readers: Vec<usize>,
}

impl Forward {
    /// Prepares to run a network whose weights are laid out by `layout`.
    pub fn new(graph: Arc<Graph>, layout: &Layout) -> Self {
        let nodes = &graph.nodes;
        let first = (0..nodes.len())
            .map(|id| {
                let parameter = layout.parameters.iter().position(|parameter| parameter.node == id);
                let buffer = layout.buffers.iter().position(|buffer| buffer.node == id);
                (parameter.unwrap_or(0), buffer.unwrap_or(0))
            })
            .collect();
        let mut parameters = vec![0; nodes.len()];
        layout.parameters.iter().for_each(|parameter| parameters[parameter.node] += 1);
        let mut readers = vec![0; nodes.len()];
        nodes.iter().flat_map(|node| &node.inputs).for_each(|input| readers[*input] += 1);
        let chains = chains(&graph, &readers);
        let mut taken = vec![false; nodes.len()];
        for (id, chain) in chains.iter().enumerate() {
            if let Some(chain) = chain {
                taken[chain.norm] = true;
                taken[nodes[id].inputs[0]] = true;
                chain.sum.into_iter().for_each(|sum| taken[sum] = true);
            }
        }
        let mut last_reader: Vec<NodeId> = (0..nodes.len()).collect();
        for (id, node) in nodes.iter().enumerate().filter(|(id, _)| !taken[*id]) {
            for input in inputs(&graph, &chains, id, node) {
                last_reader[input] = id;
            }
        }
        let selections = graph.selections.iter().map(|_| OnceCell::new()).collect();
        let constants = graph.constants.iter().map(|_| OnceCell::new()).collect();
        let has_shared = graph.nodes.iter().any(|node| !node.shape.is_of_images());
        Self {
            graph,
            first,
            parameters,
            chains,
            taken,
            has_shared,
            fused: true,
            last_reader,
            selections,
            constants,
            readers,
        }
    }

    /// Whether a training pass draws random numbers: one that is recorded would repeat them.
    pub fn draws(&self) -> bool {
        self.graph.nodes.iter().any(|node| matches!(node.op, Op::Dropout { rate, .. } if rate.0 > 0.0))
    }

    /// The same, with nothing but operations of libtorch, for any number of images: gradients can be differentiated again, and
    /// what is recorded of a run holds for others.
    pub fn unfused(self) -> Self {
        Self { fused: false, ..self }
    }

    /// The values of a constant, float32, on the device where the network runs.
    fn constant(&self, list: usize, device: Device) -> &Tensor {
        self.constants[list].get_or_init(|| {
            let fixed = &self.graph.constants[list];
            let sizes: Vec<i64> = fixed.axes.as_slice().iter().map(|size| *size as i64).collect();
            Tensor::from_slice(&fixed.values()).view(sizes.as_slice()).to_device(device)
        })
    }

    /// The channels of a selection, `[channels]`, int64, on the device where the network runs.
    fn selected(&self, list: usize, device: Device) -> &Tensor {
        self.selections[list].get_or_init(|| {
            let channels: Vec<i64> = self.graph.selections[list].iter().map(|channel| *channel as i64).collect();
            Tensor::from_slice(&channels).to_device(device)
        })
    }

    /// Scores of each class, `[images, classes]`, for normalised images `[images, channels, height, width]`.
    ///
    /// They are float32, whatever the network computes with. In training, batch norms use and move the statistics of the batch; otherwise they use the running ones.
    pub fn run(&self, arena: &mut Arena, images: &Tensor, training: bool) -> Tensor {
        let weights = arena.views();
        self.run_on(arena, &weights, images, training)
    }

    /// As [`Forward::run`], with these weights in the place of the arena's.
    pub fn run_on(&self, arena: &mut Arena, weights: &[Tensor], images: &Tensor, training: bool) -> Tensor {
        if training {
            arena.batches += 1;
        }
        let statistics = arena.buffer_views();
        let pass = TrainingPass { momentum: arena.norm_momentum, seed: arena.seed, batch: arena.batches };
        let images = match arena.precision {
            Precision::Fp32 | Precision::Tf32 => images.shallow_clone(),
            Precision::Bf16 => images.to_kind(Kind::BFloat16),
        };
        let images = if is_contiguous(images.device()) { images.contiguous() } else { images };
        let scores = self.scores(weights, &statistics, images, training.then_some(pass));
        match arena.precision {
            Precision::Fp32 | Precision::Tf32 => scores,
            Precision::Bf16 => scores.to_kind(Kind::Float),
        }
    }

    /// As [`Forward::run`], with the weights and statistics of each parameter and buffer of the layout, all in the numbers that the
    /// images have; with a training pass in training only.
    pub fn scores(
        &self,
        weights: &[Tensor],
        statistics: &[Tensor],
        images: Tensor,
        training: Option<TrainingPass>,
    ) -> Tensor {
        let each = self.has_shared.then(|| images.detach().flatten(1, -1).narrow(1, 0, 1));
        let mut outputs = vec![Output { tensor: Some(images), twin: None }];
        outputs.resize_with(self.graph.nodes.len(), Output::default);
        for id in (1..self.graph.nodes.len()).filter(|id| !self.taken[*id]) {
            match self.chains[id] {
                Some(chain) => self.chain(id, chain, &mut outputs, weights, statistics, training),
                None => {
                    let place = NodePlace { id, outputs: &outputs, weights, statistics, each: each.as_ref() };
                    outputs[id] = self.node(&place, training).into();
                }
            }
            for input in inputs(&self.graph, &self.chains, id, &self.graph.nodes[id]) {
                if self.last_reader[input] == id {
                    outputs[input] = Output::default();
                }
            }
        }
        outputs.pop().and_then(|output| output.tensor).unwrap_or_default()
    }

    /// A ReLU with the batch norm, and perhaps the addition, before it.
    fn chain(
        &self,
        id: NodeId,
        chain: FusedChain,
        outputs: &mut [Output],
        weights: &[Tensor],
        statistics: &[Tensor],
        training: Option<TrainingPass>,
    ) {
        let norm = self.norm(chain.norm, weights, statistics);
        let momentum = training.map(|pass| pass.momentum.unwrap_or(norm.momentum));
        let x = match chain.sum {
            Some(sum) => {
                let [x, added] = [0, 1].map(|number| self.input(outputs, self.graph.nodes[sum].inputs[number], id));
                let both = || sum_norm_relu(&x, &added, norm, momentum?);
                let found = self.fused.then(both).flatten();
                let whole = found.as_ref().map_or_else(|| add_to(&x, &added), |(whole, _)| whole.shallow_clone());
                if self.last_reader[sum] != sum {
                    outputs[sum] = whole.shallow_clone().into();
                }
                if let Some((_, y)) = found {
                    outputs[id] = y.into();
                    return;
                }
                whole
            }
            None => self.input(outputs, self.graph.nodes[chain.norm].inputs[0], id),
        };
        let residual = chain.residual.map(|residual| self.input(outputs, residual, id));
        let with_twin = self.readers[id] > 1;
        let fused = || norm_relu(&x, residual.as_ref(), norm, momentum, with_twin);
        outputs[id] = match self.fused.then(fused).flatten() {
            Some(fused) => Output { tensor: Some(fused.y), twin: fused.twin },
            None => {
                let normed = self.normed(&x, norm, training);
                match residual {
                    Some(residual) => normed + residual,
                    None => normed,
                }
                .relu_()
                .into()
            }
        };
    }

    /// The output of node `from`, as node `reader` reads it.
    fn input(&self, outputs: &[Output], from: NodeId, reader: NodeId) -> Tensor {
        let Output { tensor, twin } = &outputs[from];
        let twin = twin.as_ref().filter(|_| self.last_reader[from] == reader);
        // Outputs are dropped only after their last reader, so every input is there.
        twin.or(tensor.as_ref()).map(Tensor::shallow_clone).unwrap_or_default()
    }

    /// A batch norm; its chain takes only those with scale and shift.
    fn norm<'a>(&self, id: NodeId, weights: &'a [Tensor], statistics: &'a [Tensor]) -> Norm<'a> {
        let (parameter, buffer) = self.first[id];
        let (epsilon, momentum, affine) = match self.graph.nodes[id].op {
            Op::BatchNorm { eps, momentum, affine } => (eps.0, momentum.0, affine),
            _ => (NORM_NUMBERS.0.0, NORM_NUMBERS.1.0, true),
        };
        Norm {
            factors: affine.then(|| (&weights[parameter], &weights[parameter + 1])),
            mean: &statistics[buffer],
            variance: &statistics[buffer + 1],
            epsilon,
            momentum,
        }
    }

    fn normed(&self, x: &Tensor, norm: Norm, training: Option<TrainingPass>) -> Tensor {
        let Norm { mean, variance, epsilon, momentum, .. } = norm;
        let (scale, shift) = (norm.factors.map(|(scale, _)| scale), norm.factors.map(|(_, shift)| shift));
        let momentum = training.map_or(0.0, |pass| pass.momentum.unwrap_or(momentum));
        let (train, cudnn) = (training.is_some(), true);
        if train && x.numel() == mean.numel() {
            move_by_one(x, mean, variance, momentum);
            let none = None::<&Tensor>;
            return x.batch_norm(scale, shift, none, none, train, momentum, epsilon, cudnn);
        }
        x.batch_norm(scale, shift, Some(mean), Some(variance), train, momentum, epsilon, cudnn)
    }

    fn node(&self, place: &NodePlace, training: Option<TrainingPass>) -> Tensor {
        let id = place.id;
        let node = &self.graph.nodes[id];
        let input = |number: usize| self.input(place.outputs, node.inputs[number], id);
        let is_convolution = |id: NodeId| self.graph.nodes[id].op.is_convolution();
        let first = || node.inputs.first().copied().unwrap_or_default();
        match node.op {
            Op::BatchNorm { .. } => self.normed(&input(0), self.norm(id, place.weights, place.statistics), training),
            // In place where nobody else reads the input; backward needs only the result.
            Op::Relu if self.readers[first()] == 1 && self.is_own(first()) => input(0).relu_(),
            Op::Relu => input(0).relu(),
            // A convolution needs its output no more.
            Op::Add if self.readers[first()] == 1 && is_convolution(first()) => add_to(&input(0), &input(1)),
            Op::Add => input(0) + input(1),
            Op::GlobalAveragePool => input(0).mean_dim([2i64, 3].as_slice(), false, None::<Kind>),
            Op::Flatten => input(0).flatten(1, -1),
            Op::Select { list, .. } => {
                let x = input(0);
                let channels = self.selected(list, x.device());
                if self.fused { select(&x, channels) } else { x.index_select(1, channels) }
            }
            Op::PadShortcut { stride, before, after } => {
                let stride = stride as i64;
                let kept = input(0).slice(2, 0, None, stride).slice(3, 0, None, stride);
                kept.constant_pad_nd([0, 0, 0, 0, before as i64, after as i64])
            }
            op => {
                let inputs: Vec<Tensor> = (0..node.inputs.len()).map(input).collect();
                let (parameter, _) = self.first[id];
                let count = self.parameters[id];
                let weights = &place.weights[parameter..parameter + count];
                let device = || place.each.or(inputs.first()).map_or(Device::Cpu, Tensor::device);
                let list = match op {
                    Op::Take { list, .. } => Some(self.selected(list, device())),
                    Op::Constant { list } => Some(self.constant(list, device())),
                    _ => None,
                };
                let (shape, each, fused) = (node.shape, place.each, self.fused);
                let how = Operation { op, shape, inputs: &inputs, weights, each, list, fused };
                how.run(training.map(|pass| pass.at(id)))
            }
        }
    }

    /// Whether the output of a node lies in memory of its own, which nothing needs any more on the way back but its one reader.
    fn is_own(&self, id: NodeId) -> bool {
        id != 0
            && (self.graph.nodes[id].op.has_connections()
                || self.graph.nodes[id].op.is_batch_norm()
                || self.graph.nodes[id].op == Op::Add)
    }
}

/// A node that is about to run, and what it reads.
struct NodePlace<'a> {
    id: NodeId,
    outputs: &'a [Output],
    weights: &'a [Tensor],
    statistics: &'a [Tensor],
    /// `[images, 1]`, one number of each image, where something is the same for all of them.
    each: Option<&'a Tensor>,
}

/// Moves running statistics by a batch that has one value a channel. Its variance is 0, as in our own kernel (and in Keras and
/// Flax); libtorch divides by the number of values less one, and what it leaves is not a number.
fn move_by_one(x: &Tensor, mean: &Tensor, variance: &Tensor, momentum: f64) {
    let _no_grad = tch::no_grad_guard();
    let values = x.detach().flatten(0, -1).to_kind(mean.kind());
    // Both are views: what is written to them changes the arena.
    done(mean.shallow_clone().g_mul_scalar_(1.0 - momentum).g_add_(&(values * momentum)));
    done(variance.shallow_clone().g_mul_scalar_(1.0 - momentum));
}

/// What came out of a node.
#[derive(Debug, Default)]
struct Output {
    tensor: Option<Tensor>,
    /// The same memory for the last reader, whose gradient arrives apart from the others'.
    twin: Option<Tensor>,
}

impl From<Tensor> for Output {
    fn from(tensor: Tensor) -> Self {
        Self { tensor: Some(tensor), twin: None }
    }
}

/// `x` + `added`, in the memory of `x`.
fn add_to(x: &Tensor, added: &Tensor) -> Tensor {
    x.shallow_clone().g_add_(added)
}

/// The nodes whose outputs a node reads, through the chain that it ends if it ends one.
fn inputs(graph: &Graph, chains: &[Option<FusedChain>], id: NodeId, node: &Node) -> Vec<NodeId> {
    match chains[id] {
        Some(FusedChain { sum: Some(sum), .. }) => graph.nodes[sum].inputs.clone(),
        Some(chain) => graph.nodes[chain.norm].inputs.iter().copied().chain(chain.residual).collect(),
        None => node.inputs.clone(),
    }
}

/// Some of the channels of `x`, `[images, channels]` or `[images, channels, height, width]`.
///
/// Images lie channels-last, so they are taken as a matrix of pixels and channels: selecting along the second of four axes
/// is ten times slower, and its result lies otherwise.
fn select(x: &Tensor, channels: &Tensor) -> Tensor {
    match *x.size() {
        [images, all, height, width] => {
            let pixels = x.permute([0, 2, 3, 1]).reshape([-1, all]);
            pixels.index_select(1, channels).view([images, height, width, -1]).permute([0, 3, 1, 2])
        }
        _ => x.index_select(1, channels),
    }
}
