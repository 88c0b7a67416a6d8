//! Which files a set is made of, as far as that can be told without reading them: names, sizes and times.
//!
//! Files that are as they were when a set was decoded need not be read again.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tombola_words::error::{Error, Result};

/// Folders within folders that are looked into.
const DEEPEST: usize = 16;
/// A file that was changed so shortly before could be changed again without a new time, on a system that keeps fractions of
/// seconds and on one that does not.
const TOO_NEW: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// What is known of the files at a path.
#[derive(Debug)]
pub(super) struct Listing {
    hasher: blake3::Hasher,
    newest: Option<SystemTime>,
    has_fractions: bool,
    begun: SystemTime,
    /// Folders that were looked into: links may lead to one again and again.
    seen: HashSet<(u64, u64)>,
}

impl Listing {
    /// Looks at a file, or at everything in a folder.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let mut listing = Self {
            hasher: blake3::Hasher::new(),
            newest: None,
            has_fractions: false,
            begun: SystemTime::now(),
            seen: HashSet::new(),
        };
        let failed = |error: std::io::Error| Error::file("read", path, &error);
        let found = match (std::fs::metadata(path), path.parent()) {
            // A pattern: whatever it means lies in its folder.
            (Err(error), Some(folder)) if error.kind() == std::io::ErrorKind::NotFound && folder.is_dir() => {
                listing.walk(folder, Path::new(""), DEEPEST)?;
                return Ok(listing);
            }
            (found, _) => found.map_err(failed)?,
        };
        listing.add(Path::new(""), &found);
        if found.is_dir() {
            listing.walk(path, Path::new(""), 0)?;
        }
        Ok(listing)
    }

    fn walk(&mut self, folder: &Path, within: &Path, depth: usize) -> Result<()> {
        let failed = |error: std::io::Error| Error::file("read", folder, &error);
        let mut names: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().into());
        }
        names.sort();
        for name in names {
            let (path, inside) = (folder.join(&name), within.join(&name));
            // What cannot be looked at is a name all the same: readers say what is wrong with it.
            match std::fs::metadata(&path) {
                Ok(found) => {
                    self.add(&inside, &found);
                    if found.is_dir() && depth < DEEPEST && self.seen.insert((found.dev(), found.ino())) {
                        self.walk(&path, &inside, depth + 1)?;
                    }
                }
                Err(_) => {
                    self.hasher.update(inside.as_os_str().as_encoded_bytes());
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &Path, found: &Metadata) {
        self.hasher.update(name.as_os_str().as_encoded_bytes());
        self.hasher.update(&[0, u8::from(found.is_dir())]);
        if found.is_dir() {
            return;
        }
        for number in [
            found.len() as i64,
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
            found.ino() as i64,
        ] {
            self.hasher.update(&number.to_le_bytes());
        }
        self.has_fractions |= found.ctime_nsec() != 0;
        let changed = u64::try_from(found.ctime()).ok().map(|seconds| {
            SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(found.ctime_nsec()).unwrap_or_default())
        });
        self.newest = self.newest.max(changed);
    }

    /// A name for these files as they are, and for what is made of them; none if one of them is so new that it may change unseen.
    pub(super) fn key(&self, made: &str) -> Option<String> {
        let margin = TOO_NEW[usize::from(!self.has_fractions)];
        if self.newest.is_some_and(|newest| newest + margin > self.begun) {
            return None;
        }
        let mut hasher = self.hasher.clone();
        hasher.update(made.as_bytes());
        Some(hasher.finalize().to_hex().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_changes_the_key_and_a_new_one_has_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let file = folder.path().join("a/one");
        std::fs::write(&file, "1").unwrap();
        assert_eq!(Listing::of(folder.path()).unwrap().key(""), None);
        let later = |listing: Listing| Listing { begun: SystemTime::now() + Duration::from_secs(9), ..listing };
        let key = |made| later(Listing::of(folder.path()).unwrap()).key(made).unwrap();
        let first = key("");
        assert!(first == key("") && first != key("size 3"));
        std::fs::write(&file, "2").unwrap();
        let second = key("");
        std::fs::rename(&file, folder.path().join("a/two")).unwrap();
        assert!(first != second && second != key(""));
    }
}
