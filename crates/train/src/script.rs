//! A network as TorchScript: what libtorch records while it runs once.

use std::path::Path;
use std::sync::Arc;

use tch::{CModule, Device, Kind, Tensor};

use crate::done;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::folder::write_atomically_by;
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_words::error::{Error, Result};

/// Writes a network and its weights as a file.
///
/// # Errors
/// When the weights do not fit the network, or the file cannot be written.
pub fn write(graph: &Graph, layout: &Layout, state: &Snapshot, path: &Path) -> Result<()> {
    let fail = |error: tch::TchError| {
        let first = error.to_string().lines().next().unwrap_or_default().to_string();
        Error::environment(format!("cannot write `{}` as TorchScript: {first}", path.display()))
    };
    let _no_grad = tch::no_grad_guard();
    let forward = Forward::new(Arc::new(graph.clone()), layout).unfused();
    let arena = Arena::new(Arc::new(layout.clone()), state, Device::Cpu)?;
    let weights: Vec<Tensor> = arena.views().iter().map(Tensor::detach).collect();
    let statistics = arena.buffer_views();
    // Two images, so that nothing takes the one axis of length 1 for another.
    let sizes: Vec<i64> = std::iter::once(2).chain(graph.input().dimensions().map(|size| size as i64)).collect();
    let images = Tensor::zeros(&sizes, (Kind::Float, Device::Cpu));
    // What is made once for all runs must not become a part of what is recorded.
    done(forward.scores(&weights, &statistics, images.shallow_clone(), None));
    let mut body = |inputs: &[Tensor]| vec![forward.scores(&weights, &statistics, inputs[0].shallow_clone(), None)];
    let module = CModule::create_by_tracing("Network", "forward", &[images], &mut body).map_err(fail)?;
    write_atomically_by(path, |half| module.save(half).map_err(fail))
}
