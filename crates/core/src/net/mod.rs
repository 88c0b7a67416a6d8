//! Networks: a graph of operations, where its weights lie in one flat vector, and what it costs.

pub mod channels;
pub mod compact;
pub mod connectivity;
pub mod cost;
pub mod custom;
pub mod floats;
pub mod graph;
pub mod initial;
pub mod layout;
pub mod snapshot;
pub mod zoo;

pub use graph::{Builder, Graph, Node, NodeId, Op};
pub use initial::initial;
pub use layout::{Buffer, Layout, Parameter, Role};
pub use snapshot::{OptimizerState, Snapshot};
