//! Batch norm, shortcut and ReLU as one operation: which nodes of a network are such a chain, and the call of the kernel.
//!
//! The kernel (`kernels/norm_relu.cpp`) is for one thread of a CPU. Everywhere else, and where gradients are differentiated
//! again, the same nodes run one by one in libtorch.

use std::ffi::{CStr, c_char};

use tch::Tensor;
use torch_sys::C_tensor;

use super::graph::{Graph, NodeId, Op};

/// A ReLU that ends such a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// The batch norm.
    pub(super) norm: NodeId,
    /// What is added to its output, if anything is.
    pub(super) residual: Option<NodeId>,
}

/// For each node the chain that it ends. The other nodes of a chain have no reader but the next one.
pub(super) fn chains(graph: &Graph, readers: &[usize]) -> Vec<Option<Chain>> {
    let is_inner = |id: NodeId, op: fn(Op) -> bool| readers[id] == 1 && op(graph.nodes[id].op);
    let is_norm = |id: NodeId| is_inner(id, |op| op == Op::BatchNorm);
    let chain = |id: NodeId| {
        let node = &graph.nodes[id];
        let from = *node.inputs.first().filter(|_| node.op == Op::Relu)?;
        if is_norm(from) {
            return Some(Chain { norm: from, residual: None });
        }
        if !is_inner(from, |op| op == Op::Add) {
            return None;
        }
        match *graph.nodes[from].inputs {
            [a, b] if a != b && is_norm(a) => Some(Chain { norm: a, residual: Some(b) }),
            [a, b] if a != b && is_norm(b) => Some(Chain { norm: b, residual: Some(a) }),
            _ => None,
        }
    };
    (0..graph.nodes.len()).map(chain).collect()
}

unsafe extern "C" {
    fn tombola_norm_relu(
        x: *const C_tensor,
        residual: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        running_mean: *const C_tensor,
        running_variance: *const C_tensor,
        training: bool,
        momentum: f64,
        epsilon: f64,
        what: *mut *const c_char,
    ) -> *mut C_tensor;
}

/// A batch norm's scale, shift, running mean and running variance, `[channels]` each, float32.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) scale: &'a Tensor,
    pub(super) shift: &'a Tensor,
    pub(super) mean: &'a Tensor,
    pub(super) variance: &'a Tensor,
}

/// max(0, batch norm of `x` + `residual`), both `[images, channels, height, width]`. In training, with the momentum of the
/// statistics, which move; otherwise by the running ones. Nothing where the kernel cannot do it, and then nothing happened.
pub(super) fn norm_relu(
    x: &Tensor,
    residual: Option<&Tensor>,
    norm: Norm,
    momentum: Option<f64>,
    epsilon: f64,
) -> Option<Tensor> {
    let residual = residual.map_or(std::ptr::null(), Tensor::as_ptr);
    let mut what = std::ptr::null();
    // SAFETY: all pointers are those of tensors that outlive the call, or null where that is allowed; the result is null or a
    // new tensor that nobody else owns; `what` is null or a text that lives until this thread's next call.
    unsafe {
        let result = tombola_norm_relu(
            x.as_ptr(),
            residual,
            norm.scale.as_ptr(),
            norm.shift.as_ptr(),
            norm.mean.as_ptr(),
            norm.variance.as_ptr(),
            momentum.is_some(),
            momentum.unwrap_or(0.0),
            epsilon,
            &mut what,
        );
        if !what.is_null() {
            // As tch does for errors of libtorch; the worker turns it into the error of its training.
            panic!("{}", CStr::from_ptr(what).to_string_lossy());
        }
        (!result.is_null()).then(|| Tensor::from_ptr(result))
    }
}
