//! A results folder in the hands of this process, which leaves no trace if nothing comes of it.
//!
//! Wrong input is often found only after the folder was made: data that are missing, a file of another network. A
//! folder that such a run made, or found without a journal, is left as it was.

use std::path::{Path, PathBuf};

use super::lock::Lock;
use crate::error::{Error, Result};

/// What a run writes before its first training. A folder without a journal has none of it from an earlier run.
const OWN: &[&str] = &["journal", "sweep.toml", "lock"];

/// Held as long as this process may write to the folder.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// Files in it that go when the claim does.
    passing: &'static [&'static str],
    _lock: Option<Lock>,
}

impl Claim {
    /// Makes the folder where there is none, and keeps other processes out.
    ///
    /// # Errors
    /// When it cannot be made, or another process holds it.
    pub fn take(folder: &Path) -> Result<Self> {
        let missing = |part: &&Path| !part.as_os_str().is_empty() && !part.exists();
        let made = folder.ancestors().take_while(missing).map(Path::to_path_buf).collect();
        let mut claim = Self { folder: folder.to_path_buf(), made, passing: &[], _lock: None };
        let locked_before = folder.join("lock").exists();
        std::fs::create_dir_all(folder).map_err(|error| Error::file("create", folder, &error))?;
        claim._lock = Some(Lock::take(folder)?);
        claim.passing = match folder.join("journal").exists() {
            false => OWN,
            true if locked_before => &[],
            true => &["lock"],
        };
        Ok(claim)
    }

    /// From here on the folder stays, whatever happens.
    pub fn keep(&mut self) {
        self.passing = &[];
        self.made.clear();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Whatever cannot be removed does no harm: the next run takes it up.
        if self.passing.contains(&"journal") {
            let _ = std::fs::remove_dir_all(self.folder.join("stages"));
        }
        for name in self.passing {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
        // A folder that holds anything else is not removed.
        for folder in &self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_nothing_came_of_is_gone_with_those_above_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("results/mine");
        let claim = Claim::take(&folder).unwrap();
        std::fs::write(folder.join("journal"), "begun").unwrap();
        drop(claim);
        assert!(!root.path().join("results").exists());
    }

    #[test]
    fn what_was_there_before_stays() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("notes"), "mine").unwrap();
        drop(Claim::take(root.path()).unwrap());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
        // With a journal it is a results folder, in which nothing may be lost.
        std::fs::write(root.path().join("journal"), "of an earlier run").unwrap();
        drop(Claim::take(root.path()).unwrap());
        assert!(root.path().join("journal").exists() && !root.path().join("lock").exists());
    }

    #[test]
    fn a_kept_folder_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("results/mine");
        Claim::take(&folder).unwrap().keep();
        assert!(folder.join("lock").exists());
    }

    #[test]
    fn a_refused_second_claim_takes_nothing_from_the_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mine");
        let _first = Claim::take(&folder).unwrap();
        assert!(Claim::take(&folder).is_err());
        assert!(folder.join("lock").exists());
    }
}
