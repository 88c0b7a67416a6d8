//! Files that are read must be regular ones: a pipe may never have a writer, and a device may never end.

use std::fs::{File, FileType, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// When there is none that may be read, or it is something else: `IsADirectory`, or `InvalidInput` for a pipe, a socket or a
/// device. It does not wait for another process.
pub fn open(path: &Path) -> Result<File> {
    // Looked at before it is opened: opening a pipe waits for its other end.
    check(path)?;
    File::open(path)
}

/// Refuses what is there and is no regular file, before it is opened for writing.
///
/// # Errors
/// As [`open`]; none when nothing is there.
pub fn check_place(path: &Path) -> Result<()> {
    match check(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Opens a regular file, or what is not there yet, in some way.
///
/// # Errors
/// As [`check_place`], and when it cannot be opened so.
pub fn open_with(options: &OpenOptions, path: &Path) -> Result<File> {
    check_place(path)?;
    options.open(path)
}

/// Whether anything is at a path, a link that leads nowhere among others.
///
/// # Errors
/// When that cannot be told: then it may not be taken for absent.
pub fn is_there(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether anything is at a path, behind links too, or that cannot be told: then whoever opens it is told why.
pub fn may_be_there(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`], and when it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    check(path)?;
    std::fs::read(path)
}

/// The text of a regular file.
///
/// # Errors
/// As [`read`], and `InvalidData` when it is no UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    check(path)?;
    std::fs::read_to_string(path)
}

/// At most `most` bytes of a regular file, as text.
///
/// # Errors
/// As [`read_to_string`], and `FileTooLarge` when it has more.
pub fn read_short(path: &Path, most: u64) -> Result<String> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn check(path: &Path) -> Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        // What reading one answers.
        return Err(Error::from_raw_os_error(21));
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("it is {}, expected a regular file", name(kind))))
}

fn name(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_folders_are_no_files() {
        let refused = |path: &str| open(Path::new(path)).unwrap_err();
        assert_eq!(refused("/dev/zero").to_string(), "it is a device, expected a regular file");
        assert_eq!(refused("/proc").kind(), ErrorKind::IsADirectory);
        assert_eq!(refused("/proc/nothing").kind(), ErrorKind::NotFound);
        assert!(check_place(Path::new("/proc/nothing")).is_ok() && check_place(Path::new("/dev/null")).is_err());
        assert!(read_to_string(Path::new("/proc/self/cmdline")).is_ok());
        assert_eq!(read_short(Path::new("/proc/self/maps"), 10).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_cannot_be_told_is_not_absent() {
        let there = |path: &str| is_there(Path::new(path));
        assert!(there("/proc/self/exe").unwrap() && there("/dev/null").unwrap());
        assert!(!there("/proc/none").unwrap() && !there("/dev/null/none").unwrap());
        assert!(there(&"long".repeat(100)).is_err());
    }
}
