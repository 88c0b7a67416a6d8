//! A library that lies in this program, given to the system's loader in a file that nobody else can reach.
//!
//! The loader reads files only. A name in a folder that all users share could be taken by another before this process, which
//! would then run whatever lies there. So the library is a file without a name, in memory, sealed before it is loaded; where
//! the system has no such files, or runs none of them, it lies in a folder with a random name that is this user's alone.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use tombola_core::own_folder::OwnFolder;

const NAME: &CStr = c"tombola-cuda";
/// From Linux's `memfd.h` and `fcntl.h`.
const MFD_CLOEXEC: c_uint = 1;
const MFD_ALLOW_SEALING: c_uint = 2;
const MFD_EXEC: c_uint = 16;
const F_ADD_SEALS: c_int = 1033;
/// Nothing of it changes any more, neither contents nor size, nor these seals.
const SEALS: c_int = 0x1 | 0x2 | 0x4 | 0x8;

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    fn fcntl(file: c_int, command: c_int, ...) -> c_int;
}

/// Loads a library that is in memory.
///
/// # Errors
/// The reasons why neither way worked.
///
/// # Safety
/// The bytes must be those of a library whose initialisers may run.
pub(super) unsafe fn load(bytes: &[u8]) -> Result<Library, String> {
    // SAFETY: as the caller says.
    let nameless = nameless(bytes).and_then(|file| unsafe { open(&file, &of(&file), bytes) });
    nameless.or_else(|first| {
        let folder = OwnFolder::new().map_err(|error| format!("{first}; {}", error.message))?;
        let path = folder.path().join("cuda.so");
        // SAFETY: as the caller says.
        let library = written(&path, bytes).and_then(|file| unsafe { open(&file, &path, bytes) });
        library.map_err(|second| format!("{first}; {second}"))
    })
}

/// Loads what lies at a path if it holds these bytes.
unsafe fn open(mut file: &File, path: &Path, bytes: &[u8]) -> Result<Library, String> {
    let fail = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
    let mut found = Vec::with_capacity(bytes.len());
    file.rewind().and_then(|()| File::open(path)?.read_to_end(&mut found)).map_err(fail)?;
    if found != bytes {
        return Err(format!("`{}` does not hold what was written into it", path.display()));
    }
    // SAFETY: as the caller says; the file holds those bytes, and only this user could change them.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| error.to_string())
}

/// The name that a process has for its own open file.
fn of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A file in memory that has no name and cannot be changed any more.
fn nameless(bytes: &[u8]) -> Result<File, String> {
    let fail = |error: std::io::Error| format!("cannot make a file in memory: {error}");
    // SAFETY: the name is a text that ends with 0.
    let make = |flags| unsafe { memfd_create(NAME.as_ptr(), flags) };
    let flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    // Systems before Linux 6.3 do not know the flag that says that it is to be run.
    let number = [flags | MFD_EXEC, flags].into_iter().map(make).find(|number| *number >= 0);
    let number = number.ok_or_else(|| fail(std::io::Error::last_os_error()))?;
    // SAFETY: the system gave this number to nobody else.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(number) });
    file.write_all(bytes).map_err(fail)?;
    // SAFETY: the command takes one number.
    match unsafe { fcntl(file.as_raw_fd(), F_ADD_SEALS, SEALS) } {
        0 => Ok(file),
        _ => Err(fail(std::io::Error::last_os_error())),
    }
}

/// A new file that is this user's alone.
fn written(path: &Path, bytes: &[u8]) -> Result<File, String> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    let mut file = made.map_err(|error| format!("cannot make `{}`: {error}", path.display()))?;
    file.write_all(bytes).map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_name_cannot_be_changed_by_anybody() {
        let mut file = nameless(b"library").unwrap();
        assert!(file.write_all(b"more").is_err());
        assert!(File::options().write(true).open(of(&file)).and_then(|mut again| again.write_all(b"x")).is_err());
        assert_eq!(std::fs::read(of(&file)).unwrap(), b"library");
    }

    #[test]
    fn a_library_is_loaded_either_way_and_nothing_else_is() {
        // Any library of the system: it has its initialisers run already.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libm = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libm."));
        let bytes = std::fs::read(libm.unwrap()).unwrap();
        // SAFETY: the library is loaded in this process already.
        unsafe {
            let library = load(&bytes).unwrap();
            assert!(library.get::<unsafe extern "C" fn(f64) -> f64>(b"cos\0").is_ok());
            let folder = OwnFolder::new().unwrap();
            let path = folder.path().join("cuda.so");
            let file = written(&path, &bytes).unwrap();
            assert!(written(&path, &bytes).is_err(), "a file that is there is not written over");
            assert!(open(&file, &path, &bytes).is_ok());
            std::fs::write(&path, b"something else").unwrap();
            assert!(open(&file, &path, &bytes).unwrap_err().contains("does not hold"));
        }
    }
}
