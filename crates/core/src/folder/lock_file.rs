//! Keeps a second process out of a results folder where the file system knows no locks: a file that only one can make, and that
//! its maker writes anew again and again as a sign of life.
//!
//! Making it is atomic everywhere (`link`, or `O_EXCL` where there are no links). Whether its maker is alive is seen at once on
//! the same machine; elsewhere by the time of its last sign, by the clock of the file system, so that clocks of hosts need not
//! agree. A holder that finds the file gone or another's, because it slept for longer than that, ends at once: somebody else
//! writes to the folder by now.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tombola_words::error::ignored;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::process::began;
use tombola_words::{regular, speech};

/// The file, beside `lock`.
pub(super) const NAME: &str = "lock.alive";
/// Held for a moment by whoever removes what a dead process left.
const TAKING: &str = "lock.taking";
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// Without a sign for longer than this, the holder is gone.
const STALE: Duration = Duration::from_secs(120);

/// Whether the process that made the file is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It is there, or gave a sign this long ago.
    Alive(Duration),
    /// It is not there, or has given no sign for too long.
    Dead,
}

/// Held as long as this process may write to the folder.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    text: String,
    stop: Option<Sender<()>>,
    beating: Option<JoinHandle<()>>,
}

impl LockFile {
    /// Makes the file. `words` say who makes it.
    ///
    /// # Errors
    /// When another process holds it (the message says which, and when the folder is free if that was killed), or the file cannot
    /// be made.
    pub(super) fn take(folder: &Path, words: &str) -> Result<Self> {
        let path = folder.join(NAME);
        let text = format!("{words}\n{}\ntoken {}\n", identity(std::process::id()), token(&path)?);
        let file = match make(&path, &text)? {
            Some(file) => file,
            None => Self::take_over(folder, &path, &text)?,
        };
        let (stop, stopped) = channel();
        let (own, place) = (text.clone(), path.clone());
        let beat = move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                if !sign(&file, &place, &own) {
                    speech::say(format!(
                        "error: `{}` was taken by another run while this process slept: it ends at once, and the other goes on",
                        place.display()
                    ));
                    // As a kill would: nothing of this process may write any more.
                    signal_hook::low_level::exit(i32::from(Kind::Environment.exit_code()));
                }
            }
        };
        let beating = std::thread::Builder::new().name("signs of life".into()).spawn(beat);
        let beating = beating.map_err(|error| Error::environment(format!("cannot start a thread: {error}")))?;
        Ok(Self { path, text, stop: Some(stop), beating: Some(beating) })
    }

    /// Takes the file from a process that is gone.
    fn take_over(folder: &Path, path: &Path, text: &str) -> Result<File> {
        let taking = folder.join(TAKING);
        // Two that find the same dead process must not remove each other's new file.
        if make(&taking, text)?.is_none() {
            return Err(Error::environment(format!(
                "`{}` is in use by another run, which begins at this moment",
                folder.display()
            ))
            .hint(format!("run the same command again; if no run begins, remove `{}`", taking.display())));
        }
        let taken = match holder(folder, Some(&taking)) {
            Some((words, Life::Alive(since))) => Err(in_use(folder, &words, since)),
            Some((_, Life::Dead)) => std::fs::remove_file(path).map_err(|error| Error::file("remove", path, &error)),
            None => Ok(()),
        };
        let made = taken.and_then(|()| make(path, text));
        std::fs::remove_file(&taking).map_err(|error| Error::file("remove", &taking, &error))?;
        made?.ok_or_else(|| {
            Error::environment(format!("`{}` is in use by another run, which began at this moment", folder.display()))
                .hint("wait for it, or choose another folder with `--out`")
        })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beating) = self.beating.take() {
            ignored(beating.join(), "it does nothing that could fail");
        }
        // Not that of a run that took the folder over.
        if std::fs::read_to_string(&self.path).is_ok_and(|found| found == self.text) {
            ignored(
                std::fs::remove_file(&self.path),
                "one that stays names a process that is gone, which the next run sees",
            );
        }
    }
}

/// The words of whoever made the file of a folder, and whether it is alive; nothing if there is no file. `fresh` is a file that was
/// written a moment ago, by which the file system tells its time; without one, this machine's clock must do.
pub(super) fn holder(folder: &Path, fresh: Option<&Path>) -> Option<(String, Life)> {
    let mut file = regular::open(&folder.join(NAME)).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let written = |metadata: std::io::Result<std::fs::Metadata>| metadata.and_then(|found| found.modified()).ok();
    let now = fresh.map_or_else(|| Some(SystemTime::now()), |fresh| written(std::fs::metadata(fresh)));
    let since = now.zip(written(file.metadata())).and_then(|(now, last)| now.duration_since(last).ok());
    // A sign from the future is a fresh one.
    let since = since.unwrap_or_default();
    let mut lines = text.lines();
    let words = lines.next().unwrap_or_default().to_string();
    let seen = lines.next().and_then(is_there);
    let life = match seen {
        Some(true) => Life::Alive(since),
        Some(false) => Life::Dead,
        None if since > STALE => Life::Dead,
        None => Life::Alive(since),
    };
    Some((words, life))
}

/// The error for a folder that another run holds.
pub(super) fn in_use(folder: &Path, words: &str, since: Duration) -> Error {
    Error::environment(format!(
        "`{}` is in use by another run ({words}; its last sign of life is {} s old)",
        folder.display(),
        since.as_secs()
    ))
    .hint(format!(
        "wait for it, or choose another folder with `--out`; this file system has no locks: should that run have been killed on another host, the folder is free {} s after its last sign",
        STALE.as_secs()
    ))
}

/// Makes a file with this text that was not there; nothing if it was.
fn make(path: &Path, text: &str) -> Result<Option<File>> {
    let fail = |error: &std::io::Error| Error::file("write", path, error);
    let half = path.with_extension(format!("{}.tmp", token(path)?));
    let new = || OpenOptions::new().read(true).write(true).create_new(true).open(&half);
    let mut file = new().map_err(|error| fail(&error))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&half, path));
    // A server may have made the link and its answer been lost: the number of names says whether it did.
    let names = file.metadata().map(|found| found.nlink());
    std::fs::remove_file(&half).map_err(|error| fail(&error))?;
    match linked {
        _ if names.is_ok_and(|names| names == 2) => Ok(Some(file)),
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) if error.kind() == ErrorKind::StorageFull || error.kind() == ErrorKind::QuotaExceeded => {
            Err(fail(&error))
        }
        // No links here: then whoever makes it first.
        Err(_) => match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(fail(&error)),
            Ok(mut file) => {
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| fail(&error))?;
                Ok(Some(file))
            }
        },
    }
}

/// Gives a sign of life. False if the file is no longer this process's.
fn sign(file: &File, path: &Path, text: &str) -> bool {
    match std::fs::read_to_string(path) {
        Ok(found) if found != text => return false,
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        // Trouble of the file system may pass; others see an old sign meanwhile.
        Ok(_) | Err(_) => {}
    }
    if let Err(error) = file.write_all_at(text.as_bytes(), 0).and_then(|()| file.sync_all()) {
        speech::say(format!("warning: cannot write `{}`: {error}; another run may take this folder", path.display()));
    }
    true
}

/// What tells a process of this machine from all others: when it began, of which start of the machine, in which group of process
/// numbers.
fn identity(process: u32) -> String {
    format!("process {process} began {} in {}", began(process).unwrap_or_default(), here())
}

fn here() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let numbers = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), numbers.display())
}

/// Whether the process of an identity is there; nothing if it is not one of this machine's.
fn is_there(identity: &str) -> Option<bool> {
    let (process, rest) = identity.strip_prefix("process ")?.split_once(" began ")?;
    let (began_at, place) = rest.split_once(" in ")?;
    let (process, began_at): (u32, u64) = (process.parse().ok()?, began_at.parse().ok()?);
    let machine = here();
    // A machine that does not tell its start cannot be told from another.
    if machine.starts_with(' ') || place != machine {
        return None;
    }
    Some(began(process) == Some(began_at))
}

fn token(path: &Path) -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::environment(format!("no random number for `{}`: {error}", path.display())))?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a process of another machine would have left it, `age` ago.
    fn left(folder: &Path, age: Duration) {
        let path = folder.join(NAME);
        std::fs::write(&path, "process 7 on another\nprocess 7 began 1 in x pid:[1]\ntoken 0\n").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = LockFile::take(folder.path(), "process 1 on here").unwrap();
        let error = LockFile::take(folder.path(), "process 2 on here").unwrap_err();
        assert!(error.message.contains("process 1 on here") && error.hint.unwrap().contains("120 s"));
        drop(first);
        LockFile::take(folder.path(), "process 2 on here").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_dead_process_left_is_taken_over_at_once_here_and_after_a_while_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        left(folder.path(), STALE / 2);
        let error = LockFile::take(folder.path(), "me").unwrap_err();
        assert!(error.message.contains("process 7 on another"), "{error}");
        left(folder.path(), STALE * 2);
        drop(LockFile::take(folder.path(), "me").unwrap());
        // One of this machine that is no more: the number is another process's by now.
        let gone = identity(std::process::id()).replace("began ", "began 1");
        std::fs::write(folder.path().join(NAME), format!("gone\n{gone}\ntoken 0\n")).unwrap();
        drop(LockFile::take(folder.path(), "me").unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_many_that_begin_at_once_one_gets_it() {
        for dead in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            if dead {
                left(folder.path(), STALE * 2);
            }
            let got = std::sync::Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| got.lock().unwrap().extend(LockFile::take(folder.path(), "one").ok()));
                }
            });
            assert_eq!(got.into_inner().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_sign_is_given_to_the_own_file_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let file = make(&path, "mine").unwrap().unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(sign(&file, &path, "mine"));
        assert!(std::fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::now() - STALE);
        std::fs::remove_file(&path).unwrap();
        assert!(!sign(&file, &path, "mine"));
        std::fs::write(&path, "theirs").unwrap();
        assert!(!sign(&file, &path, "mine"));
    }
}
