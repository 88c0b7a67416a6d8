//! The names of `zip` 0.6 that the bindings to libtorch use, and no archives: each call says so.
//!
//! `tch` reads and writes archives of NumPy, and the build script of `torch-sys` unpacks a libtorch that it has fetched. Tombola
//! calls neither: archives are read by `tombola_core::checkpoint` with a current `zip`, and libtorch is found or fetched by the
//! scripts. The real `zip` 0.6 would bring zstd, bzip2 and AES for that, a minute and a half of compiling C.

use std::convert::Infallible;
use std::io::{Error, ErrorKind, Read, Result as IoResult, Seek, Write};
use std::marker::PhantomData;
use std::path::PathBuf;

/// Why nothing is read or written.
pub mod result {
    /// There are no archives here.
    #[derive(Debug)]
    pub struct ZipError;

    impl std::fmt::Display for ZipError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("this build of the bindings to libtorch reads and writes no archives")
        }
    }

    impl std::error::Error for ZipError {}
}

use result::ZipError;

/// An archive that is read: there is none.
pub struct ZipArchive<R> {
    none: Infallible,
    reader: PhantomData<R>,
}

/// A file in an archive: there is none.
pub struct ZipFile {
    none: Infallible,
}

impl<R: Read + Seek> ZipArchive<R> {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: R) -> Result<Self, ZipError> {
        Err(ZipError)
    }

    /// Files in it.
    #[expect(clippy::len_without_is_empty, reason = "the names of another crate")]
    pub fn len(&self) -> usize {
        match self.none {}
    }

    /// One of them.
    ///
    /// # Errors
    /// Never comes to it.
    pub fn by_index(&mut self, _: usize) -> Result<ZipFile, ZipError> {
        match self.none {}
    }
}

impl ZipFile {
    /// Its name.
    pub fn name(&self) -> &str {
        match self.none {}
    }

    /// Its name as a path.
    pub fn mangled_name(&self) -> PathBuf {
        match self.none {}
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        match self.none {}
    }
}

impl Read for ZipFile {
    fn read(&mut self, _: &mut [u8]) -> IoResult<usize> {
        match self.none {}
    }
}

/// An archive that is written: every write is refused.
pub struct ZipWriter<W> {
    writer: PhantomData<W>,
}

impl<W: Write + Seek> ZipWriter<W> {
    /// Takes what would be written to.
    pub fn new(_: W) -> Self {
        Self { writer: PhantomData }
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn start_file(&mut self, _: impl Into<String>, _: write::FileOptions) -> Result<(), ZipError> {
        Err(ZipError)
    }
}

impl<W> Write for ZipWriter<W> {
    fn write(&mut self, _: &[u8]) -> IoResult<usize> {
        Err(Error::new(ErrorKind::Unsupported, ZipError))
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// How a file in an archive would be compressed.
#[derive(Debug, Clone, Copy)]
pub enum CompressionMethod {
    /// Not at all.
    Stored,
}

/// How files would be written.
pub mod write {
    use super::CompressionMethod;

    /// Options of one file.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct FileOptions;

    impl FileOptions {
        /// Chooses a compression.
        pub fn compression_method(self, _: CompressionMethod) -> Self {
            self
        }
    }
}
