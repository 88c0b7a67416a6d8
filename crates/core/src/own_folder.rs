//! A folder for temporary files that nobody else can reach.
//!
//! In a folder that all users share, a name that can be guessed may be taken by another before this process: by a folder that
//! they can write to, or by a link to somewhere else.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};

/// Names that are tried.
const ATTEMPTS: usize = 16;

/// A folder that this process made and that is this user's alone; it goes with all that is in it.
#[derive(Debug)]
pub struct OwnFolder {
    path: PathBuf,
}

impl OwnFolder {
    /// Makes it in `$XDG_RUNTIME_DIR`, or in the folder for temporary files.
    ///
    /// # Errors
    /// When neither takes it.
    pub fn new() -> Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        match runtime.map(|place| Self::within(&place)) {
            Some(Ok(folder)) => Ok(folder),
            _ => Self::within(&std::env::temp_dir()),
        }
    }

    /// Makes it in some folder.
    ///
    /// # Errors
    /// When that does not take it.
    pub fn within(place: &Path) -> Result<Self> {
        let fail = |error: std::io::Error| {
            Error::file("make a folder in", place, &error).hint("set `TMPDIR` to a folder that you may write to")
        };
        for _ in 0..ATTEMPTS {
            let mut name = [0; 8];
            getrandom::fill(&mut name).map_err(|error| fail(std::io::Error::other(error.to_string())))?;
            let path = place.join(format!("tombola-{:016x}", u64::from_le_bytes(name)));
            match DirBuilder::new().mode(0o700).create(&path) {
                // Somebody has this name already: what lies there is not ours.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fail(error)),
                Ok(()) => {
                    let found = std::fs::symlink_metadata(&path).map_err(fail)?;
                    // Some file systems know no permissions.
                    if found.is_dir() && found.mode() & 0o077 == 0 {
                        return Ok(Self { path });
                    }
                    std::fs::remove_dir(&path).map_err(fail)?;
                    break;
                }
            }
        }
        Err(Error::environment(format!("no folder in `{}` can be this user's alone", place.display()))
            .hint("set `TMPDIR` to a folder on a file system with permissions"))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        ignored(std::fs::remove_dir_all(&self.path), "what cannot be removed does no harm: only this user can read it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_nobody_elses_has_no_name_to_guess_and_goes() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (OwnFolder::within(place.path()).unwrap(), OwnFolder::within(place.path()).unwrap());
        assert_ne!(one.path(), other.path());
        assert_eq!(std::fs::metadata(one.path()).unwrap().mode() & 0o777, 0o700);
        std::fs::write(one.path().join("file"), "text").unwrap();
        drop(one);
        drop(other);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn where_nothing_can_be_made_the_place_is_told() {
        let place = tempfile::tempdir().unwrap();
        let error = OwnFolder::within(&place.path().join("none")).unwrap_err();
        assert!(error.message.contains("none") && error.hint.unwrap().contains("TMPDIR"));
    }
}
