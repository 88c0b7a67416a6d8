//! ONNX: its messages, which exports write. It may not know of files or training.

pub mod proto;
