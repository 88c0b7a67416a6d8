//! How the coordinator and its workers talk: what is said, and how it gets there.
//!
//! A link carries whole messages, in order, and loses none while both ends live. There are two: threads and channels
//! within a process (`local.rs`), and MPI between processes (`tombola_ranks`). Nothing else knows which one it is.

pub mod launcher;
pub mod local;
pub mod message;
pub mod queue;

use std::time::Duration;

pub use message::{Assignment, Hello, Order, Ready, SourceSnapshot, Welcome, Word};
use tombola_words::error::Result;

/// A worker's number: its rank under MPI, its place among the threads of one process otherwise.
pub type Worker = usize;

/// The coordinator's end of the link to all its workers.
pub trait Link {
    /// Workers that may join: those that were started, whether or not they have said anything.
    fn expected(&self) -> Vec<Worker>;

    /// Sends an order without waiting until it has arrived. A worker that is gone swallows it.
    ///
    /// # Errors
    /// When the link itself is broken.
    fn send(&mut self, worker: Worker, order: Order) -> Result<()>;

    /// The next word of any worker; nothing if none comes within `wait`. Waiting costs no processor time.
    ///
    /// # Errors
    /// When the link itself is broken, or a worker speaks another version.
    fn receive(&mut self, wait: Duration) -> Result<Option<(Worker, Word)>>;
}
