//! The kinds of input, one a file.

pub mod cifar;
pub mod data;
pub mod finding;
pub mod http;
pub mod idx;
pub mod journal;
pub mod messages;
pub mod network;
pub mod onnx;
pub mod picture;
pub mod safetensors;
pub mod sweep;
pub mod torch_file;

use tombola_core::net::{Builder, Graph, Layout, Op, OptimizerState, Snapshot};
use tombola_words::Shape;
use tombola_words::error::Result;

/// A network with every kind of parameter and few of them.
fn small_network() -> Result<Graph> {
    let mut build = Builder::new(Shape::Image(1, 4, 4));
    let conv = build.conv("conv", 0, 2, 3, 1)?;
    let norm = build.batch_norm("bn", conv)?;
    let pool = build.add("pool", Op::GlobalAveragePool, &[norm])?;
    build.linear("fc", pool, 3)?;
    build.finish(3)
}

/// Its weights in the middle of a training.
fn small_snapshot(layout: &Layout) -> Snapshot {
    let values = |len: usize| (0..len).map(|place| place as f32 / 8.0 - 1.0).collect::<Vec<f32>>();
    let mut mask = tombola_core::mask::Bits::ones(layout.len);
    mask.set(3, false);
    Snapshot {
        epoch: 2,
        step: 0,
        batches: 40,
        parameters: values(layout.len),
        buffers: values(layout.buffer_len),
        optimizer: Some(OptimizerState { steps: 40, vectors: vec![("momentum".into(), values(layout.len))] }),
        mask: Some(std::sync::Arc::new(mask)),
    }
}
