//! Weights that other programs wrote: archives of NumPy and PyTorch, and the pickles in them. Nothing in a file is run.

pub mod torch_file;
pub mod zipped;
