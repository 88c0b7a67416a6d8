//! The weights of one step in shorter numbers: cast once, each piece a leaf of its own, and the gradient of all put together again.
//!
//! As views of the one vector, weights in bfloat16 would be cut twice, rounded and exact, and on the way back each half filled with
//! zeros, joined and added up: some hundred operations more, which on a GPU are kernels.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::arena::{Arena, shaped};
use crate::done;
use tombola_core::net::layout::Layout;

/// The pieces of a weight vector as a step reads them.
#[derive(Debug)]
pub struct Leaves {
    /// One for each parameter, of one dimension: connections and biases in bfloat16, batch norms in float32.
    pieces: Vec<Tensor>,
    /// The same in PyTorch's shapes.
    pub views: Vec<Tensor>,
    layout: Arc<Layout>,
    /// Where the weights of batch norms lie, 64-bit integers.
    exact: Tensor,
}

impl Leaves {
    /// Of the weights as they are now, in bfloat16.
    pub fn of(arena: &Arena) -> Self {
        let layout = Arc::clone(arena.layout());
        let weights = arena.weights.detach();
        let lengths: Vec<i64> = layout.parameters.iter().map(|parameter| parameter.len as i64).collect();
        let rounded = weights.to_kind(Kind::BFloat16).split_with_sizes(lengths.as_slice(), 0);
        let exact = weights.split_with_sizes(lengths.as_slice(), 0);
        let chosen = exact.into_iter().zip(rounded).zip(&layout.parameters);
        let chosen = chosen.map(|((exact, rounded), parameter)| if parameter.role.is_norm() { exact } else { rounded });
        let pieces: Vec<Tensor> = chosen.map(|piece| piece.detach().set_requires_grad(true)).collect();
        let views = pieces.iter().zip(&layout.parameters).map(|(piece, parameter)| shaped(piece, parameter)).collect();
        Self { pieces, views, layout, exact: arena.norm_positions().shallow_clone() }
    }

    /// The gradient of `loss` as one vector, `[Layout::len]`, float32.
    pub fn gradient(self, loss: &Tensor) -> Tensor {
        let Self { pieces, views, layout, exact } = self;
        // Else the operations of the forward pass would outlive their use.
        drop(views);
        let found = Tensor::run_backward(&[loss], &pieces, false, false);
        let _no_grad = tch::no_grad_guard();
        let found = found.into_iter().zip(&pieces);
        // What no output depends on has no gradient.
        let found: Vec<Tensor> =
            found.map(|(one, piece)| if one.defined() { one } else { piece.zeros_like() }).collect();
        let of_norm = |number: &usize| layout.parameters[*number].role.is_norm();
        let (norms, others): (Vec<usize>, Vec<usize>) = (0..found.len()).partition(of_norm);
        let device = pieces.first().map_or(tch::Device::Cpu, Tensor::device);
        // All but batch norms, with room for those.
        let longest = norms.iter().map(|number| layout.parameters[*number].len).max().unwrap_or(0);
        let room = Tensor::zeros([longest as i64], (Kind::BFloat16, device));
        let mut parts: Vec<Tensor> =
            layout.parameters.iter().map(|parameter| room.narrow(0, 0, parameter.len.min(longest) as i64)).collect();
        others.iter().for_each(|number| parts[*number] = found[*number].shallow_clone());
        let mut gradient = Tensor::cat(&parts, 0).to_kind(Kind::Float);
        if !norms.is_empty() {
            let norms: Vec<&Tensor> = norms.iter().map(|number| &found[*number]).collect();
            done(gradient.index_copy_(0, &exact, &Tensor::cat(&norms, 0)));
        }
        gradient
    }
}
