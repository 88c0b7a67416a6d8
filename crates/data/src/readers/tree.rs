//! What lies in a folder, and below it: links are followed, circles of links are not. It knows no format.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tombola_words::error::{Error, Result};

/// Folders below each other.
const MOST_DEPTH: usize = 8;
/// Folders that are looked into: links may lead to the same ones on ever new ways.
const MOST_FOLDERS: usize = 1_000_000;

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeEntry {
    /// Its name; from where the walk began on, with slashes.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Whether it is a folder, or a link to one. What is neither that nor a file is taken for a file, which then cannot be read.
    pub(super) is_folder: bool,
}

/// What lies in a folder, by the bytes of the names; hidden files (`.DS_Store`) are counted alone.
pub(super) fn entries(folder: &Path) -> Result<(Vec<TreeEntry>, usize)> {
    let failed = |error| Error::file("read", folder, &error);
    let (mut found, mut hidden) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            hidden += 1;
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        let is_folder = if kind.is_symlink() { path.is_dir() } else { kind.is_dir() };
        found.push((name, path, is_folder));
    }
    found.sort_by(|one, other| one.0.as_bytes().cmp(other.0.as_bytes()));
    let entry = |(name, path, is_folder): (std::ffi::OsString, PathBuf, bool)| TreeEntry {
        name: name.to_string_lossy().into_owned(),
        path,
        is_folder,
    };
    Ok((found.into_iter().map(entry).collect(), hidden))
}

/// Goes through a folder and those below it.
pub(super) struct TreeWalk {
    /// Files that are hidden.
    pub(super) hidden: usize,
    /// Folders that were not looked into, because a link leads back or they lie too deep.
    pub(super) skipped: usize,
    folders: usize,
    deepest: usize,
}

impl TreeWalk {
    /// A walk through all folders.
    pub(super) fn new() -> Self {
        Self::to(MOST_DEPTH)
    }

    /// A walk through so many folders below each other.
    pub(super) fn to(deepest: usize) -> Self {
        Self { hidden: 0, skipped: 0, folders: 0, deepest: deepest.min(MOST_DEPTH) }
    }

    /// Gives every file to `visit`, with its name from `root` on; files and folders by the bytes of their names.
    ///
    /// # Errors
    /// Folders that cannot be read, and more of them than can be meant.
    pub(super) fn files(&mut self, root: &Path, visit: &mut dyn FnMut(TreeEntry) -> Result<()>) -> Result<()> {
        // A link to what the walk began in leads back, too.
        let mut above = above(root)?;
        above.remove(0);
        self.below((root, 0), "", &mut above, visit)
    }

    fn below(
        &mut self,
        (folder, depth): (&Path, usize),
        prefix: &str,
        above: &mut Vec<(u64, u64)>,
        visit: &mut dyn FnMut(TreeEntry) -> Result<()>,
    ) -> Result<()> {
        let own = identity_of(folder)?;
        if above.contains(&own) || depth > self.deepest {
            self.skipped += 1;
            return Ok(());
        }
        self.folders += 1;
        if self.folders > MOST_FOLDERS {
            return Err(Error::input(format!(
                "there are more than {MOST_FOLDERS} folders below `{}`",
                folder.display()
            ))
            .hint("links to folders may lead to each other: remove them"));
        }
        above.push(own);
        let (found, hidden) = entries(folder)?;
        self.hidden += hidden;
        for entry in found {
            let name = if prefix.is_empty() { entry.name } else { format!("{prefix}/{}", entry.name) };
            match entry.is_folder {
                true => self.below((&entry.path, depth + 1), &name, above, visit)?,
                false => visit(TreeEntry { name, ..entry })?,
            }
        }
        above.pop();
        Ok(())
    }
}

/// What is the same for all names of a folder.
pub(super) fn identity_of(folder: &Path) -> Result<(u64, u64)> {
    let about = std::fs::metadata(folder).map_err(|error| Error::file("read", folder, &error))?;
    Ok((about.dev(), about.ino()))
}

/// A folder and those that it lies in, the nearest first, as far as they can be looked at.
pub(super) fn above(folder: &Path) -> Result<Vec<(u64, u64)>> {
    let own = identity_of(folder)?;
    let whole = folder.canonicalize().map_err(|error| Error::file("read", folder, &error))?;
    let others = whole.ancestors().skip(1).filter_map(|folder| identity_of(folder).ok());
    Ok(std::iter::once(own).chain(others).collect())
}

/// The ending of a name, in small letters: `png`; nothing if it has none.
pub(super) fn ending(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default()
}

/// Whether a name is one of an image.
pub(super) fn is_image(name: &str) -> bool {
    matches!(ending(name).as_str(), "png" | "jpg" | "jpeg" | "webp" | "bmp" | "tif" | "tiff")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn circles_of_links_end_and_links_to_files_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(folder.path().join("outside.png"), "1").unwrap();
        std::fs::write(root.join("a/.DS_Store"), "1").unwrap();
        symlink("..", root.join("a/up")).unwrap();
        symlink(&root, root.join("a/b/top")).unwrap();
        symlink("../../outside.png", root.join("a/link.png")).unwrap();
        symlink("nowhere", root.join("a/broken.png")).unwrap();
        let (mut names, mut walk) = (Vec::new(), TreeWalk::new());
        let visit = &mut |entry: TreeEntry| {
            names.push(entry.name);
            Ok(())
        };
        walk.files(&root, visit).unwrap();
        assert_eq!(names, ["a/broken.png", "a/link.png"]);
        assert_eq!((walk.hidden, walk.skipped), (1, 2));
    }

    #[test]
    fn folders_too_deep_are_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join(["x"; 12].join("/"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("a.png"), "1").unwrap();
        let (mut count, mut walk) = (0, TreeWalk::new());
        walk.files(folder.path(), &mut |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((count, walk.skipped), (0, 1));
        assert!(is_image("a/b.JPEG") && !is_image("a.png/b"));
    }
}
