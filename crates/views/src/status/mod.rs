//! How far a sweep is, and why a training of it stands where it stands.
//!
//! Everything follows from the plan, the journal and a look at who writes it; what time it is, is an argument. It may
//! not know of files, flags or torch.

pub mod explain;
mod forecast;
pub mod run;
pub mod summary;
pub mod text;
pub mod view;

pub use run::{Activity, Run};
pub use summary::Status;
pub use view::{Basis, View};

#[cfg(test)]
mod tests;
