//! The names of `zip` 0.6 that `tch` uses, from a later `zip` without compressions.
//!
//! The bindings to libtorch read archives of NumPy, whose entries are stored as they are. The old `zip` would bring zstd,
//! bzip2 and AES for that, a minute and a half of compiling C.

pub use current::{CompressionMethod, ZipArchive, ZipWriter, result};

/// How entries are written.
pub mod write {
    /// Options of one entry.
    pub type FileOptions = current::write::SimpleFileOptions;
}
