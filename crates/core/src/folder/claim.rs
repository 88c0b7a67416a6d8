//! A results folder in the hands of this process, which leaves no trace if nothing comes of it.
//!
//! Wrong input is often found only after the folder was made: data that are missing, a file of another network. A
//! folder that such a run made, or found without a journal, is left as it was.

use std::path::{Path, PathBuf};

use super::foreign::holds;
use super::lock::Lock;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};

/// What a run writes before its first training.
const OWN: [&str; 5] = ["journal", "journal.end", "sweep.toml", "lock", "stages"];

/// Held as long as this process may write to the folder.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// What was not in it before, and goes when the claim does.
    passing: Vec<&'static str>,
    lock: Option<Lock>,
}

impl Claim {
    /// Makes the folder where there is none, and keeps other processes out.
    ///
    /// # Errors
    /// When it cannot be made, another process holds it, or it holds a sweep file of the user's that would be overwritten.
    pub fn take(folder: &Path) -> Result<Self> {
        let missing = |part: &&Path| !part.as_os_str().is_empty() && !part.exists();
        let made = folder.ancestors().take_while(missing).map(Path::to_path_buf).collect();
        // What is absent now goes where nothing comes of the run.
        let there = |name: &str| holds(folder, name);
        if there("sweep.toml")? && !there("journal")? {
            return Err(Error::input(format!(
                "`{}` holds a `sweep.toml` but no journal: it is no results folder, and a run would overwrite that file",
                folder.display()
            ))
            .hint(match there("stages")? {
                true => "put its `journal` back, choose another folder with `--out`, or `tombola repair` the folder, which moves its trainings aside",
                false => "choose another folder with `--out`",
            }));
        }
        let had_lock = there("lock")?;
        let mut claim = Self { folder: folder.to_path_buf(), made, passing: Vec::new(), lock: None };
        std::fs::create_dir_all(folder).map_err(|error| Error::file("create", folder, &error))?;
        claim.lock = Some(Lock::take(folder)?);
        // Not before: another run may have come to its end meanwhile, and what is here be its.
        for name in OWN {
            let was_there = if name == "lock" { had_lock } else { there(name)? };
            if !was_there {
                claim.passing.push(name);
            }
        }
        Ok(claim)
    }

    /// Whether the system ended a process of the last run on this folder because memory ran out, as far as can be seen.
    pub fn memory_ran_out(&self) -> bool {
        self.lock.as_ref().is_some_and(Lock::memory_ran_out)
    }

    /// From here on the folder stays, whatever happens.
    pub fn keep(&mut self) {
        self.passing.clear();
        self.made.clear();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Whatever cannot be removed does no harm: the next run takes it up.
        for name in &self.passing {
            let path = self.folder.join(name);
            ignored(
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) },
                "whatever cannot be removed does no harm: the next run takes it up",
            );
        }
        // Where it is a file, that goes too.
        self.lock = None;
        // A folder that holds anything else is not removed.
        for folder in &self.made {
            ignored(std::fs::remove_dir(folder), "a folder that holds anything else stays");
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
    fn a_folder_with_a_sweep_file_of_the_users_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("stages")).unwrap();
        std::fs::write(root.path().join("stages/mine"), "").unwrap();
        drop(Claim::take(root.path()).unwrap());
        assert!(root.path().join("stages/mine").exists());
        std::fs::write(root.path().join("sweep.toml"), "seed = 1").unwrap();
        assert!(Claim::take(root.path()).unwrap_err().hint.unwrap().contains("--out"));
        assert_eq!(std::fs::read_to_string(root.path().join("sweep.toml")).unwrap(), "seed = 1");
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
