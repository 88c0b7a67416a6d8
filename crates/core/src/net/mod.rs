//! Networks: a graph of operations, where its weights lie in one flat vector, and what it costs.

pub mod channels;
pub mod compact;
pub mod connectivity;
pub mod cost;
pub mod custom;
pub mod floats;
mod flow;
pub mod graph;
mod infer;
pub mod initial;
pub mod layout;
pub mod op;
pub mod snapshot;
pub mod zoo;

pub use graph::{Builder, Fixed, Graph, Node, NodeId};
pub use initial::initial;
pub use layout::{Buffer, Layout, Parameter, Role};
pub use op::{Op, Window};
pub use snapshot::{OptimizerState, Snapshot};
