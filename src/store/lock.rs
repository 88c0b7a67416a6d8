//! Keeps a second process out of a results folder.
//!
//! The lock is the operating system's: it ends with the process, however that ends, so a killed run leaves none.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Held as long as this process may write to the folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a results folder.
    ///
    /// # Errors
    /// When another process holds it (the message says which) or the file cannot be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let fail = |error: &std::io::Error| Error::file("write", &path, error);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|error| fail(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(Error::environment(format!(
                    "`{}` is in use by another run ({})",
                    folder.display(),
                    holder.trim()
                ))
                .hint("wait for it, or choose another folder with `--out`"));
            }
            // Some network file systems know no locks; the journal still keeps two writers' frames apart.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(fail(&error)),
        }
        // Its last holder may have removed the file between our opening and locking it: then we hold nothing.
        let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        let holds = file.metadata().and_then(|own| Ok(same(&own, &std::fs::metadata(&path)?)));
        if !holds.unwrap_or(false) {
            return Err(Error::environment(format!("`{}` is in use by another run", folder.display()))
                .hint("run the same command again"));
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let text = format!("process {} on {}\n", std::process::id(), host.trim());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| fail(&e))?;
        Ok(Self { _file: file })
    }
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
}
