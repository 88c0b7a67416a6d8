//! What is fuzzed: for each kind of input that Tombola reads a function that takes any bytes and must come back.
//!
//! It panics where a promise is broken: what the driver (`src/driver`) counts as a finding, beside panics of the code under
//! test, crashes, and too much time or memory. `targets` has one file a kind; `form` cuts inputs into the parts that are worth
//! changing and joins them with checksums and lengths put right; `scratch` is where inputs lie that are read as files.

#![allow(clippy::panic, reason = "a broken promise is a finding")]

pub mod form;
pub mod scratch;
pub mod targets;

pub use form::{Grammar, InputForm};

/// One kind of input.
pub struct FuzzTarget {
    /// What it is called on the command line, and its folder of kept inputs.
    pub name: &'static str,
    /// Reads one input and checks what is promised of it.
    pub run: fn(&[u8]),
    /// Good inputs, made by the code that writes them.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How an input falls into parts.
    pub form: InputForm,
    /// What the parts are made of.
    pub grammar: Grammar,
    /// Words of its language, to be put anywhere.
    pub words: fn() -> Vec<String>,
    /// No input is longer, in bytes.
    pub longest: usize,
    /// The memory that an input of so many bytes may take, in bytes.
    pub memory: fn(usize) -> usize,
}

/// All of them.
pub static TARGETS: [&FuzzTarget; 22] = [
    &targets::journal::TARGET,
    &targets::sweep::TARGET,
    &targets::network::TARGET,
    &targets::onnx::TARGET,
    &targets::safetensors::TARGET,
    &targets::torch_file::TARGET,
    &targets::idx::TARGET,
    &targets::picture::TARGET,
    &targets::cifar::TARGET,
    &targets::data::folders::TARGET,
    &targets::data::npy::TARGET,
    &targets::data::npz::TARGET,
    &targets::data::idx_files::TARGET,
    &targets::data::pickle::TARGET,
    &targets::data::matlab::TARGET,
    &targets::data::csv::TARGET,
    &targets::data::tensors::TARGET,
    &targets::data::parquet::TARGET,
    &targets::data::shards::TARGET,
    &targets::messages::TARGET,
    &targets::http::TARGET,
    &targets::finding::TARGET,
];

/// For readers that hold a file and what they made of it: some copies of it, and tables of fixed size.
pub(crate) fn few_copies(length: usize) -> usize {
    (2 << 20) + 64 * length
}

/// What no input at all may take.
pub const MOST_MEMORY: usize = 200_000_000;
