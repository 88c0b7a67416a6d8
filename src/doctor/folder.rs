//! Whether a results folder can be written to, locked, and has space. It leaves nothing behind, and may not know what
//! is to be written there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::facts::{Folder, Locks};
use tombola_cluster::coordinator::limit::answer;
use tombola_core::folder::lock::knows_no_locks;
use tombola_core::folder::{Holder, Lock};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};

/// Bytes that are written: about a record of the journal.
const SIZE: usize = 4096;
/// How often; the median counts, because the first writing makes the file.
const TIMES: usize = 5;

/// Tries the folder, or the nearest one above it that is there.
pub fn look(folder: &Path) -> Folder {
    let tried = nearest(folder);
    let holder = match Lock::look(folder) {
        Holder::Process(words) => Some(words),
        Holder::Nobody | Holder::Unknown(_) => None,
    };
    let (written, locks) = try_out(&tried);
    Folder {
        name: folder.display().to_string(),
        free: free(&tried),
        tried: tried.display().to_string(),
        holder,
        written,
        locks,
    }
}

/// The folder, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|part| part.as_os_str().is_empty() || part.exists());
    there.filter(|part| !part.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// Milliseconds until a small file is on the disk, and whether locks work.
fn try_out(folder: &Path) -> (Result<f64>, Locks) {
    let path = folder.join(format!(".tombola-doctor-{}.tmp", std::process::id()));
    let result = File::create(&path).and_then(|mut file| {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let begun = Instant::now();
            file.write_all(&[0; SIZE])?;
            file.sync_data()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok((times[TIMES / 2], try_locks(&file, &path)))
    });
    ignored(std::fs::remove_file(&path), "it is empty, and its name says whose it is");
    match result {
        Ok((milliseconds, locks)) => (Ok(milliseconds), locks),
        Err(error) => (Err(Error::file("write", &path, &error)), Locks::Untried),
    }
}

fn try_locks(file: &File, path: &Path) -> Locks {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) if knows_no_locks(&error) => return Locks::Unsupported,
        Err(error) => return Locks::Fail(error.to_string()),
    }
    let second = OpenOptions::new().write(true).open(path);
    match second.map_err(TryLockError::Error).and_then(|second| second.try_lock()) {
        Err(TryLockError::WouldBlock) => Locks::Work,
        Ok(()) => Locks::Share,
        Err(error) => Locks::Fail(error.to_string()),
    }
}

/// Free bytes for this user.
fn free(folder: &Path) -> Option<u64> {
    free_of(&answer("df", &["-Pk", "--", &folder.display().to_string()])?)
}

/// Reads the form that POSIX gives to `df -P`: the fourth word of the second line, in units of 1024 bytes.
fn free_of(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.lines().nth(1)?.split_whitespace().collect();
    // The name of a file system may hold blanks; what follows it is counted from the share in use, as `42%`.
    let share = words.iter().rposition(|word| word.ends_with('%') || *word == "-")?;
    let blocks: u64 = words.get(share.checked_sub(1)?)?.parse().ok()?;
    Some(blocks.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_tried_above_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let found = look(&root.path().join("results/mine"));
        assert_eq!(found.tried, root.path().display().to_string());
        assert!(found.written.unwrap() >= 0.0 && found.holder.is_none());
        assert_eq!((found.locks, found.free.is_some_and(|bytes| bytes > 0)), (Locks::Work, true));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        assert_eq!(nearest(Path::new("not-there/x")), Path::new("."));
    }

    #[test]
    fn a_folder_in_use_names_its_holder() {
        let root = tempfile::tempdir().unwrap();
        let _lock = Lock::take(root.path()).unwrap();
        assert!(look(root.path()).holder.unwrap().contains(&format!("process {}", std::process::id())));
    }

    #[test]
    fn a_file_in_the_way_is_an_error_with_its_name() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("results"), "a file").unwrap();
        let found = look(&root.path().join("results/mine"));
        assert!(found.written.unwrap_err().message.contains("results/.tombola-doctor"));
        assert_eq!(found.locks, Locks::Untried);
    }

    #[test]
    fn free_space_is_read_whatever_the_file_system_is_called() {
        let text =
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n//a server/share 100 60 40 60% /my data\n";
        assert_eq!(free_of(text), Some(40 * 1024));
        assert_eq!(free_of("Filesystem\n"), None);
    }
}
