//! The weights and batch-norm statistics of one network as two real tensors, cut into layers by the layout.
//!
//! The weight vector is the one leaf of every training step: layers see views of it, and its gradient is one vector.

use std::cell::OnceCell;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use tombola_core::net::layout::{Layout, Parameter, Role};
use tombola_core::net::snapshot::Snapshot;
use tombola_words::error::{Error, Result};
use tombola_words::value::Precision;

/// A network's state on a device.
#[derive(Debug)]
pub struct Arena {
    layout: Arc<Layout>,
    /// All weights, `[Layout::len]`, float32: a leaf that requires a gradient.
    pub weights: Tensor,
    /// All batch-norm statistics, `[Layout::buffer_len]`, float32.
    pub buffers: Tensor,
    /// Batches seen since the statistics started.
    pub batches: u64,
    /// How far each training batch moves the batch-norm statistics, where that is not what each norm says: 1 to take those of one
    /// batch.
    pub norm_momentum: Option<f64>,
    /// What the random numbers of dropout are named by, beside the batch and the node.
    pub seed: u64,
    /// The numbers that the network computes with.
    pub precision: Precision,
    /// Lengths of the pieces of the weight vector.
    lengths: Vec<i64>,
    /// Where the weights of batch norms lie, once it was asked for.
    norms: OnceCell<Tensor>,
}

impl Arena {
    /// Copies a snapshot to a device, to be computed with in float32.
    ///
    /// # Errors
    /// When the snapshot is of another network.
    pub fn new(layout: Arc<Layout>, snapshot: &Snapshot, device: Device) -> Result<Self> {
        if (snapshot.parameters.len(), snapshot.buffers.len()) != (layout.len, layout.buffer_len) {
            return Err(Error::input(format!(
                "the snapshot holds {} weights and {} statistics, the network {} and {}",
                snapshot.parameters.len(),
                snapshot.buffers.len(),
                layout.len,
                layout.buffer_len
            )));
        }
        let weights = Tensor::from_slice(&snapshot.parameters).to_device(device).set_requires_grad(true);
        let buffers = Tensor::from_slice(&snapshot.buffers).to_device(device);
        let lengths = layout.parameters.iter().map(|parameter| parameter.len as i64).collect();
        let (batches, precision) = (snapshot.batches, Precision::Fp32);
        let (norm_momentum, seed, norms) = (None, 0, OnceCell::new());
        Ok(Self { layout, weights, buffers, batches, norm_momentum, seed, precision, lengths, norms })
    }

    /// Overwrites all state with that of a snapshot of the same network.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let _no_grad = tch::no_grad_guard();
        self.weights.copy_(&Tensor::from_slice(&snapshot.parameters));
        self.buffers.copy_(&Tensor::from_slice(&snapshot.buffers));
        self.batches = snapshot.batches;
    }

    /// Copies all state into ordinary memory. Nothing of it is shared with the tensors, which train on.
    pub fn snapshot(&self, epoch: usize) -> Snapshot {
        Snapshot {
            epoch,
            step: 0,
            batches: self.batches,
            parameters: to_vec(&self.weights),
            buffers: to_vec(&self.buffers),
            optimizer: None,
            mask: None,
        }
    }

    /// Views of the weights, one for each parameter of the layout, in PyTorch's shape: those of connections and biases in the
    /// numbers that the network computes with, batch norms in float32.
    ///
    /// They are cut anew for each forward pass, so that the gradient flows back into the one vector.
    pub fn views(&self) -> Vec<Tensor> {
        let cut = |vector: &Tensor| vector.split_with_sizes(self.lengths.as_slice(), 0);
        let pieces = match self.precision {
            Precision::Fp32 | Precision::Tf32 => cut(&self.weights),
            Precision::Bf16 => {
                let exact = cut(&self.weights).into_iter();
                let rounded = cut(&self.weights.to_kind(Kind::BFloat16));
                let chosen = exact.zip(rounded).zip(&self.layout.parameters);
                let choose = |((exact, rounded), parameter): ((Tensor, Tensor), &Parameter)| {
                    if parameter.role.is_norm() { exact } else { rounded }
                };
                chosen.map(choose).collect()
            }
        };
        pieces.iter().zip(&self.layout.parameters).map(|(piece, parameter)| shaped(piece, parameter)).collect()
    }

    /// Where the weights of batch norms lie in the vector, in the order of the layout: 64-bit integers, on the device.
    pub fn norm_positions(&self) -> &Tensor {
        self.norms.get_or_init(|| {
            let norms = self.layout.parameters.iter().filter(|parameter| parameter.role.is_norm());
            let positions: Vec<i64> = norms.flat_map(Parameter::range).map(|position| position as i64).collect();
            Tensor::from_slice(&positions).to_device(self.device())
        })
    }

    /// Views of the statistics, one for each buffer of the layout; writing to them changes the arena.
    pub fn buffer_views(&self) -> Vec<Tensor> {
        let view = |buffer: &tombola_core::net::Buffer| self.buffers.narrow(0, buffer.offset as i64, buffer.len as i64);
        self.layout.buffers.iter().map(view).collect()
    }

    /// The plan that it is cut by.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The device it lies on.
    pub fn device(&self) -> Device {
        self.weights.device()
    }
}

/// A piece of the weight vector in PyTorch's shape. Convolutions lie channels-last.
pub(super) fn shaped(piece: &Tensor, parameter: &Parameter) -> Tensor {
    let shape: Vec<i64> = parameter.shape.iter().map(|size| *size as i64).collect();
    match (parameter.role, shape.as_slice()) {
        (Role::ConvWeight, &[out, inputs, height, width]) => {
            piece.view([out, height, width, inputs]).permute([0, 3, 1, 2])
        }
        (Role::ConvWeight, &[out, inputs, width]) => piece.view([out, width, inputs]).permute([0, 2, 1]),
        (Role::TransposedWeight(groups), &[inputs, out, height, width]) => {
            let groups = groups as i64;
            let pieces = piece.view([groups, out, height, width, inputs / groups]).permute([0, 4, 1, 2, 3]);
            pieces.reshape([inputs, out, height, width])
        }
        (_, shape) => piece.view(shape),
    }
}

/// Copies a float32 tensor of one dimension into ordinary memory.
pub fn to_vec(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut values = vec![0f32; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}
