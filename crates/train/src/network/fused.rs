//! Batch norm, shortcut and ReLU as one operation: which nodes of a network are such a chain, and the call of the kernel.
//!
//! The kernel (`kernels/norm_relu.cpp`) is for one thread of a CPU. Everywhere else, and where gradients are differentiated
//! again, the same nodes run one by one in libtorch.

use std::ffi::{CStr, c_char};

use tch::Tensor;
use torch_sys::C_tensor;

use tombola_core::net::{Graph, NodeId, Op};

/// A ReLU that ends such a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FusedChain {
    /// The batch norm.
    pub(super) norm: NodeId,
    /// What is added to its output, if anything is.
    pub(super) residual: Option<NodeId>,
    /// The addition that the batch norm reads, of an output of a convolution that nobody else reads.
    pub(super) sum: Option<NodeId>,
}

/// For each node the chain that it ends. The other nodes of a chain have no reader but the next one; the sum before it may have
/// readers after it.
pub(super) fn chains(graph: &Graph, readers: &[usize]) -> Vec<Option<FusedChain>> {
    let is_inner = |id: NodeId, op: fn(Op) -> bool| readers[id] == 1 && op(graph.nodes[id].op);
    let is_norm = |id: NodeId| is_inner(id, |op| matches!(op, Op::BatchNorm { affine: true, .. }));
    let is_conv = |id: NodeId| is_inner(id, |op| matches!(op, Op::Conv { .. }));
    let sum = |norm: NodeId, end: NodeId| {
        let sum = graph.nodes[norm].inputs[0];
        let early = |id: NodeId| id < end && id != norm && graph.nodes[id].inputs.contains(&sum);
        let fits = matches!(*graph.nodes[sum].inputs, [a, b] if a != b && is_conv(a));
        (graph.nodes[sum].op == Op::Add && fits && !(sum..end).any(early)).then_some(sum)
    };
    let chain = |id: NodeId| {
        let node = &graph.nodes[id];
        let from = *node.inputs.first().filter(|_| node.op == Op::Relu)?;
        if is_norm(from) {
            return Some(FusedChain { norm: from, residual: None, sum: sum(from, id) });
        }
        if !is_inner(from, |op| op == Op::Add) {
            return None;
        }
        match *graph.nodes[from].inputs {
            [a, b] if a != b && is_norm(a) => Some(FusedChain { norm: a, residual: Some(b), sum: None }),
            [a, b] if a != b && is_norm(b) => Some(FusedChain { norm: b, residual: Some(a), sum: None }),
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
        y: *mut *mut C_tensor,
        twin: *mut *mut C_tensor,
        what: *mut *const c_char,
    ) -> bool;

    fn tombola_sum_norm_relu(
        x: *const C_tensor,
        added: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        running_mean: *const C_tensor,
        running_variance: *const C_tensor,
        momentum: f64,
        epsilon: f64,
        sum: *mut *mut C_tensor,
        y: *mut *mut C_tensor,
        what: *mut *const c_char,
    ) -> bool;
}

/// A batch norm's scale and shift, if it has them, running mean and running variance, `[channels]` each, float32.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) factors: Option<(&'a Tensor, &'a Tensor)>,
    pub(super) mean: &'a Tensor,
    pub(super) variance: &'a Tensor,
    /// Added to the variance.
    pub(super) epsilon: f64,
    /// How far a batch moves its statistics, if nothing else is said.
    pub(super) momentum: f64,
}

/// What a kernel gives.
#[derive(Debug)]
pub(super) struct Fused {
    /// max(0, batch norm).
    pub(super) y: Tensor,
    /// The same memory, for a second reader: its gradient arrives apart from the first one's. Only in training.
    pub(super) twin: Option<Tensor>,
}

/// max(0, batch norm of `x` + `residual`), both `[images, channels, height, width]`. In training, with the momentum of the
/// statistics, which move; otherwise by the running ones. Who wants a twin may not change `y`. Nothing where the kernel cannot do it, and then nothing happened.
pub(super) fn norm_relu(
    x: &Tensor,
    residual: Option<&Tensor>,
    norm: Norm,
    momentum: Option<f64>,
    with_twin: bool,
) -> Option<Fused> {
    let (scale, shift) = norm.factors?;
    let residual = residual.map_or(std::ptr::null(), Tensor::as_ptr);
    let (mut y, mut twin, mut what) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null());
    // SAFETY: all inputs are those of tensors that outlive the call, or null where that is allowed; the results are null or
    // new tensors that nobody else owns; `what` is null or a text that lives until this thread's next call.
    unsafe {
        tombola_norm_relu(
            x.as_ptr(),
            residual,
            scale.as_ptr(),
            shift.as_ptr(),
            norm.mean.as_ptr(),
            norm.variance.as_ptr(),
            momentum.is_some(),
            momentum.unwrap_or(0.0),
            norm.epsilon,
            &mut y,
            if with_twin { &mut twin } else { std::ptr::null_mut() },
            &mut what,
        );
        complain(what);
        Some(Fused { y: owned(y)?, twin: owned(twin) })
    }
}

/// `x` + `added`, in the memory of `x`, which nobody else may read, and max(0, batch norm of it), in training: both
/// `[images, channels, height, width]`. Nothing where the kernel cannot do it, and then nothing happened.
pub(super) fn sum_norm_relu(x: &Tensor, added: &Tensor, norm: Norm, momentum: f64) -> Option<(Tensor, Tensor)> {
    let (scale, shift) = norm.factors?;
    let (mut sum, mut y, mut what) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null());
    // SAFETY: as for `norm_relu`.
    unsafe {
        tombola_sum_norm_relu(
            x.as_ptr(),
            added.as_ptr(),
            scale.as_ptr(),
            shift.as_ptr(),
            norm.mean.as_ptr(),
            norm.variance.as_ptr(),
            momentum,
            norm.epsilon,
            &mut sum,
            &mut y,
            &mut what,
        );
        complain(what);
        Some((owned(sum)?, owned(y)?))
    }
}

/// Panics with what a kernel complains of, as tch does for errors of libtorch; the worker turns it into the error of its
/// training.
///
/// # Safety
/// `what` is null or a text.
#[expect(clippy::panic, reason = "it fails as the kernels of libtorch do; a worker tells of it and goes on")]
unsafe fn complain(what: *const c_char) {
    if !what.is_null() {
        // SAFETY: it is a text.
        panic!("{}", unsafe { CStr::from_ptr(what) }.to_string_lossy());
    }
}

/// A tensor that a kernel made.
///
/// # Safety
/// `tensor` is null or nobody else's.
unsafe fn owned(tensor: *mut C_tensor) -> Option<Tensor> {
    // SAFETY: it is nobody else's.
    (!tensor.is_null()).then(|| unsafe { Tensor::from_ptr(tensor) })
}
