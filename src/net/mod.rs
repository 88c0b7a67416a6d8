//! Networks: a graph of operations, where its weights lie in one flat vector, and what it costs.

#[cfg(feature = "torch")]
pub mod arena;
pub mod channels;
pub mod compact;
pub mod connectivity;
pub mod cost;
pub mod custom;
pub mod floats;
#[cfg(feature = "torch")]
pub mod forward;
#[cfg(feature = "torch")]
mod fused;
pub mod graph;
pub mod initial;
pub mod layout;
pub mod snapshot;
#[cfg(feature = "torch")]
mod strided;
pub mod zoo;

pub use graph::{Builder, Graph, Node, NodeId, Op, Shape};
pub use initial::initial;
pub use layout::{Buffer, Layout, Parameter, Role};
pub use snapshot::{OptimizerState, Snapshot};
