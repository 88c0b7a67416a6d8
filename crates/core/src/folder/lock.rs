//! Keeps a second process out of a results folder.
//!
//! The lock is the operating system's: it ends with the process, however that ends, so a killed run leaves none. Where the file
//! system knows no locks, a file with signs of life stands for it (`lock_file.rs`).

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::journal::refuse_other_writer;
use super::lock_file::{self, Life, LockFile};
use crate::memory::MemoryKills;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// How often the lock is asked for before another process counts as its holder, and the time between: whoever looks
/// whether somebody holds it ([`Lock::look`]) has it for a moment.
const ATTEMPTS: (usize, Duration) = (5, Duration::from_millis(10));

/// What a line of the file begins with that notes how many processes the system has ended for want of memory.
const KILLS: &str = "memory kills ";

/// Whether a process writes to a results folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// This one, in words.
    Process(String),
    /// None does.
    Nobody,
    /// That cannot be seen from here: the file system knows no locks and nobody gives signs of life, or the last holder, in words, was on another
    /// machine, whose locks need not be visible.
    Unknown(String),
}

/// Held as long as this process may write to the folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// What the last holder noted of processes that the system ended.
    before: Option<MemoryKills>,
    _alive: Option<LockFile>,
}

impl Lock {
    /// Takes the lock of a results folder.
    ///
    /// # Errors
    /// When another process holds it (the message says which) or the file cannot be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let fail = |error: &std::io::Error| Error::file("write", &path, error);
        let open = regular::open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), &path);
        let mut file = open.map_err(|error| fail(&error))?;
        let mut locked = file.try_lock();
        for _ in 1..ATTEMPTS.0 {
            if !matches!(locked, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(ATTEMPTS.1);
            locked = file.try_lock();
        }
        let words = format!("process {} on {}", std::process::id(), host());
        let alive = match locked {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                ignored(file.read_to_string(&mut holder), "only the words of the error would be shorter");
                return Err(Error::environment(format!(
                    "`{}` is in use by another run ({})",
                    folder.display(),
                    holder.lines().next().unwrap_or_default().trim()
                ))
                .hint("wait for it, or choose another folder with `--out`"));
            }
            Err(TryLockError::Error(error)) if knows_no_locks(&error) => Some(LockFile::take(folder, &words)?),
            Err(TryLockError::Error(error)) => return Err(fail(&error)),
        };
        // Its last holder may have removed the file between our opening and locking it: then we hold nothing.
        let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        let holds = file.metadata().and_then(|own| Ok(same(&own, &std::fs::metadata(&path)?)));
        if !holds.unwrap_or(false) {
            return Err(Error::environment(format!("`{}` is in use by another run", folder.display()))
                .hint("run the same command again"));
        }
        // A run whose lock was removed writes still.
        let journal = folder.join("journal");
        if let Ok(file) = regular::open(&journal) {
            refuse_other_writer(&journal, &file)?;
        }
        let mut before = String::new();
        ignored(file.rewind().and_then(|()| file.read_to_string(&mut before)), "what cannot be read was not noted");
        let before = before.lines().find_map(|line| MemoryKills::parse(line.strip_prefix(KILLS)?));
        let kills = MemoryKills::until_now().map_or_else(String::new, |kills| format!("{KILLS}{kills}\n"));
        let text = format!("{words}\n{kills}");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| fail(&e))?;
        // A host on which this file system knows locks does not see those of one on which it knows none.
        match lock_file::holder(folder, Some(&path)).filter(|_| alive.is_none()) {
            Some((words, Life::Alive(since))) => Err(lock_file::in_use(folder, &words, since)),
            _ => Ok(Self { _file: file, before, _alive: alive }),
        }
    }

    /// Whether the system ended a process of the last holder's control group because memory ran out, after that took the lock.
    pub fn memory_ran_out(&self) -> bool {
        self.before.as_ref().is_some_and(MemoryKills::grew)
    }

    /// Looks whether a process holds the lock of a results folder, and writes nothing.
    pub fn look(folder: &Path) -> Holder {
        if let Some((words, Life::Alive(_))) = lock_file::holder(folder, None) {
            return Holder::Process(words);
        }
        let mut file = match regular::open(&folder.join("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
            Err(_) => return Holder::Unknown(String::new()),
        };
        let mut holder = String::new();
        ignored(file.read_to_string(&mut holder), "a holder without a name is a holder");
        let holder = holder.lines().next().unwrap_or_default().trim().to_string();
        // A shared lock is in nobody's way but that of a run that begins at this very moment, which asks again.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Holder::Process(holder),
            Err(TryLockError::Error(_)) => Holder::Unknown(holder),
            Ok(()) if holder.is_empty() || holder.ends_with(&format!(" on {}", host())) => Holder::Nobody,
            Ok(()) => Holder::Unknown(holder),
        }
    }
}

/// Whether this says that there are no locks on a file system: none are made (`ENOSYS`, `EOPNOTSUPP`), or the service that
/// would make them is not there (`ENOLCK`).
pub fn knows_no_locks(error: &std::io::Error) -> bool {
    const ENOLCK: i32 = 37;
    error.kind() == std::io::ErrorKind::Unsupported || error.raw_os_error() == Some(ENOLCK)
}

/// The name of this machine.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(error.message.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_look_tells_the_holder_and_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::look(folder.path()), Holder::Nobody);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let lock = Lock::take(folder.path()).unwrap();
        let process = format!("process {} on {}", std::process::id(), host());
        assert_eq!(Lock::look(folder.path()), Holder::Process(process));
        drop(lock);
        assert_eq!(Lock::look(folder.path()), Holder::Nobody);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_lock_of_another_machine_need_not_be_visible_here() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lock"), "process 7 on another\n").unwrap();
        assert_eq!(Lock::look(folder.path()), Holder::Unknown("process 7 on another".into()));
    }
}
