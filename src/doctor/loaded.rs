//! The libraries that are loaded into this process.

use std::path::{Path, PathBuf};

/// The path of a library that is loaded into this process.
pub(super) fn mapped(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    paths.filter(|path| path.file_name().is_some_and(|own| own == name)).map(Path::to_path_buf).next()
}
