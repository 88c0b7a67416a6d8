//! A folder for inputs that are read as files: in memory where the system has such a place.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of this process. Whoever started it removes the folder: a process that is killed cannot.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| of_process(std::process::id()))
}

/// The folder of the process with this number.
pub fn of_process(number: u32) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    place.join(format!("tombola-fuzz-{number}"))
}

/// Writes an input as a file of this name, which may lie in folders, and says where it is.
///
/// # Panics
/// When the system does not let it: then nothing can be tested.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    let written = std::fs::write(&path, bytes).or_else(|_| {
        std::fs::create_dir_all(path.parent().unwrap_or(folder()))?;
        std::fs::write(&path, bytes)
    });
    assert!(written.is_ok(), "cannot write `{}`: {written:?}", path.display());
    path
}
