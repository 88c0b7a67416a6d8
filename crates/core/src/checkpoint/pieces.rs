//! What a network needs of a file: its weights and statistics, one piece each, and the layers that they belong to.

use std::collections::HashMap;

use crate::net::{Graph, Layout, Op};

/// One tensor that a network needs.
#[derive(Debug, Clone)]
pub(super) struct NeededPiece {
    /// PyTorch's name.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) kind: PieceKind,
}

/// Where a piece belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// Index in [`Layout::parameters`].
    Weight(usize),
    /// Index in [`Layout::buffers`].
    Statistic(usize),
}

/// A layer that has pieces.
#[derive(Debug, Clone)]
pub(super) struct NeededLayer {
    /// "layer1.0.conv1".
    pub(super) name: String,
    /// Its pieces, by their positions.
    pub(super) pieces: Vec<usize>,
    /// The batch norm, by its name, that alone reads a convolution without bias: a bias would only move its mean.
    pub(super) norm: Option<String>,
}

/// All that a network needs.
#[derive(Debug)]
pub(super) struct Needs<'n> {
    pub(super) layout: &'n Layout,
    pub(super) pieces: Vec<NeededPiece>,
    /// In the order in which images go through them.
    pub(super) layers: Vec<NeededLayer>,
    /// Position of the output layer among them.
    pub(super) head: Option<usize>,
}

impl<'n> Needs<'n> {
    pub(super) fn of(graph: &Graph, layout: &'n Layout) -> Self {
        let weights = layout.parameters.iter().enumerate().map(|(index, parameter)| {
            let piece = NeededPiece {
                name: parameter.name.clone(),
                shape: parameter.shape.clone(),
                kind: PieceKind::Weight(index),
            };
            (parameter.node, piece)
        });
        let statistics = layout.buffers.iter().enumerate().map(|(index, buffer)| {
            let piece =
                NeededPiece { name: buffer.name.clone(), shape: vec![buffer.len], kind: PieceKind::Statistic(index) };
            (buffer.node, piece)
        });
        let mut all: Vec<(usize, NeededPiece)> = weights.chain(statistics).collect();
        all.sort_by_key(|(node, _)| *node);
        let mut layers: Vec<NeededLayer> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (position, (node, piece)) in all.iter().enumerate() {
            let name = layer_of(&piece.name);
            let place = *places.entry(name.to_string()).or_insert_with(|| {
                layers.push(NeededLayer {
                    name: name.to_string(),
                    pieces: Vec::new(),
                    norm: norm_behind(graph, *node),
                });
                layers.len() - 1
            });
            layers[place].pieces.push(position);
        }
        let last = layout.parameters.iter().rev().find(|parameter| parameter.role.is_connection());
        let head = last.and_then(|parameter| places.get(layer_of(&parameter.name)).copied());
        Self { layout, pieces: all.into_iter().map(|(_, piece)| piece).collect(), layers, head }
    }

    /// Whether a piece belongs to the output layer.
    pub(super) fn is_of_head(&self, piece: usize) -> bool {
        self.head.is_some_and(|head| self.layers[head].pieces.contains(&piece))
    }
}

/// "layer1.0.conv1" of "layer1.0.conv1.weight".
pub(super) fn layer_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(layer, _)| layer)
}

/// "weight" of "layer1.0.conv1.weight".
pub(super) fn kind_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, kind)| kind)
}

/// The batch norm that alone reads a convolution or linear layer without bias.
fn norm_behind(graph: &Graph, node: usize) -> Option<String> {
    if !matches!(graph.nodes.get(node)?.op, Op::Conv { bias: false, .. } | Op::Linear { bias: false, .. }) {
        return None;
    }
    let mut readers = graph.nodes.iter().filter(|reader| reader.inputs.contains(&node));
    let (reader, other) = (readers.next()?, readers.next());
    (other.is_none() && reader.op.is_batch_norm()).then(|| reader.name.clone())
}

/// Whether two shapes mean the same values: a fully connected layer is a convolution with a kernel of one pixel.
pub(super) fn same_shape(one: &[usize], other: &[usize]) -> bool {
    let plain = |shape: &[usize]| {
        let end = shape.iter().rposition(|size| *size != 1).map_or(0, |place| place + 1);
        shape[..end].to_vec()
    };
    one == other || (one.len().max(other.len()) == 4 && one.len().min(other.len()) == 2 && plain(one) == plain(other))
}
