//! Networks: a graph of operations, where its weights lie in one flat vector, and what it costs.

pub mod connectivity;
pub mod cost;
pub mod custom;
pub mod graph;
pub mod layout;
pub mod zoo;

pub use graph::{Builder, Graph, Node, NodeId, Op, Shape};
pub use layout::{Buffer, Layout, Parameter, Role};
