//! Writes a file whole or not at all.
//!
//! Whoever reads the file, at whatever moment, sees the old contents or the new ones. It may not know what is written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::{process, regular};

/// Links that are followed from one to the next, as the system does.
const MOST_LINKS: usize = 40;

/// Replaces the file at `path` by what `contents` writes, or leaves it as it was.
///
/// The contents go to a temporary file in the same folder, reach the disk, and take the name in one step. Where `path` is a link, the
/// file that the link leads to is replaced.
///
/// # Errors
/// When `contents` fails, something else than a file is there (a pipe, a device), or the file cannot be created, written or renamed.
/// Then no temporary file is left.
pub fn write_atomically(path: &Path, contents: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let fail = |error: std::io::Error| Error::file("write", path, &error);
    let path = &place_of(path).map_err(fail)?;
    let temporary = Temporary(beside(path));
    replace(path, &temporary.0, contents).map_err(fail)
}

/// As [`write_atomically`] for what can be made again at any time, such as the tables of a sweep that runs: it does not wait for the
/// disk, and a power failure may leave an empty file.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_for_now(path: &Path, contents: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let fail = |error: std::io::Error| Error::file("write", path, &error);
    let path = &place_of(path).map_err(fail)?;
    let temporary = Temporary(beside(path));
    let written = fill(&temporary.0, contents).and_then(|_| fs::rename(&temporary.0, path));
    written.map_err(fail)
}

/// As [`write_atomically`] where the contents are written by who only takes a path.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_atomically_by(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let fail = |error: std::io::Error| Error::file("write", path, &error);
    let path = &place_of(path).map_err(fail)?;
    let temporary = Temporary(beside(path));
    // Whether there can be a file is told here, in words that are ours.
    File::create(&temporary.0).map_err(fail)?;
    write(&temporary.0)?;
    File::open(&temporary.0).and_then(|file| name(file, &temporary.0, path)).map_err(fail)
}

/// Where a file is to lie: where a link leads, whether or not anything is there yet. A pipe or a device is nobody's to replace.
fn place_of(path: &Path) -> std::io::Result<PathBuf> {
    let mut place = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            Ok(target) => place = folder_of(&place).join(target),
            Err(_) => return regular::check_place(&place).map(|()| place),
        }
    }
    Err(std::io::Error::other(format!("more than {MOST_LINKS} links lead from one to the next")))
}

fn replace(
    path: &Path,
    temporary: &Path,
    contents: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    name(fill(temporary, contents)?, temporary, path)
}

fn fill(temporary: &Path, contents: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<File> {
    // One that a killed process of the same number left behind is written over.
    let mut writer = BufWriter::new(File::create(temporary)?);
    contents(&mut writer)?;
    writer.into_inner().map_err(std::io::IntoInnerError::into_error)
}

/// Gives a file that is complete its name.
fn name(file: File, temporary: &Path, path: &Path) -> std::io::Result<()> {
    // Without this a power failure could leave the new name with nothing behind it.
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    sync_folder_of(path);
    Ok(())
}

/// Makes the names in the folder of `path` last. Some file systems refuse this for folders; the file is whole either way.
pub fn sync_folder_of(path: &Path) {
    ignored(
        File::open(folder_of(path)).and_then(|folder| folder.sync_all()),
        "some file systems refuse this for folders; the file is whole either way",
    );
}

/// Makes a folder and those above it, each of which lasts when this returns.
///
/// # Errors
/// When one cannot be made.
pub fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    make_folder(folder_of(path))?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(Error::file("create", path, &error))
        }
        _ => {
            sync_folder_of(path);
            Ok(())
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name in the same folder that no other process or thread uses now: renaming works only within a file system.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    folder_of(path).join(name)
}

/// Removes the temporary files that killed processes left in a folder. Those of a process that runs on this machine stay: it
/// may be writing tables.
///
/// # Errors
/// When one is there and cannot be removed.
pub fn remove_torn(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| Error::file("read", folder, &error))?;
    for entry in entries.flatten() {
        let writer = writer(&entry.file_name().to_string_lossy());
        if writer.is_some_and(|writer| writer == std::process::id() || process::is_gone(writer)) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &entry.path(), &error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether a file is one that this program had begun to write.
pub(super) fn is_temporary(name: &str) -> bool {
    writer(name).is_some()
}

/// The process that gave a temporary file its name; nothing for other files.
fn writer(name: &str) -> Option<u32> {
    let (_, number) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    number.split_once('-')?.0.parse().ok()
}

/// A file that is removed in the end, whatever happens; after the rename there is none.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        ignored(fs::remove_file(&self.0), "after the rename there is none");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_new_contents_replace_the_old_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        for text in ["a longer first text", "short"] {
            write_atomically(&path, |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            write_for_now(&path, |file| file.write_all(b"for now")).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "for now");
        }
        assert_eq!(names(folder.path()), ["table.csv"]);
    }

    #[test]
    fn a_failure_in_the_middle_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            // More than any buffer holds, so that some of it has reached the file.
            file.write_all(&[b'x'; 100_000])?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.message.contains("table.csv") && error.hint.unwrap().contains("free some space"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["table.csv"]);
    }

    #[test]
    fn readers_see_the_old_file_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        write_atomically(&path, |file| {
            file.write_all(&[b'x'; 100_000])?;
            assert_eq!(fs::read_to_string(&path)?, "old");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 100_000);
    }

    #[test]
    fn a_target_that_cannot_be_replaced_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(write_atomically(&path, |file| file.write_all(b"new")).is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn what_a_killed_process_of_the_same_number_left_behind_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        for count in 0..200 {
            fs::write(folder.path().join(format!(".table.csv.{}-{count}.tmp", std::process::id())), "torn").unwrap();
        }
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()).len(), 200, "one of them became the file");
    }

    #[test]
    fn a_killed_process_that_nobody_waited_for_yet_writes_nothing_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        fs::write(folder.path().join(format!(".table.csv.{}-0.tmp", child.id())), "torn").unwrap();
        let begun = std::time::Instant::now();
        while !names(folder.path()).is_empty() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it stays");
            remove_torn(folder.path()).unwrap();
        }
        // Until here it had a number in `/proc`.
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn what_killed_processes_left_behind_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // No process has this number: Linux has fewer.
        let torn = format!(".sweep.toml.{}-0.tmp", u32::MAX);
        // The first process runs as long as the machine.
        let others = [".mine.tmp", ".table.csv.1-7.tmp", "notes.12-3.tmp", "table.csv"];
        for name in others.iter().copied().chain([&*torn]) {
            fs::write(folder.path().join(name), "torn").unwrap();
        }
        remove_torn(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, others);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomically(Path::new("no-such-folder/table.csv"), |_| Ok(())).unwrap_err();
        assert!(error.message.contains("no-such-folder/table.csv"), "{error}");
    }

    #[test]
    fn a_link_is_followed_and_a_pipe_or_device_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |path: &Path| write_atomically(path, |file| file.write_all(b"new"));
        fs::create_dir(at("far")).unwrap();
        std::os::unix::fs::symlink("far/file", at("link")).unwrap();
        std::os::unix::fs::symlink("link", at("link to it")).unwrap();
        write(&at("link to it")).unwrap();
        assert_eq!(fs::read_to_string(at("far/file")).unwrap(), "new");
        assert!(at("link").is_symlink() && at("link to it").is_symlink());
        assert_eq!((names(&at("far")), names(folder.path()).len()), (vec!["file".to_string()], 3));
        std::os::unix::fs::symlink("ring", at("ring")).unwrap();
        assert!(write(&at("ring")).unwrap_err().message.contains("more than 40 links"));
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/null", at("nowhere")).unwrap();
        for (name, what) in [("pipe", "a pipe"), ("nowhere", "a device")] {
            assert!(write(&at(name)).unwrap_err().message.contains(what));
            assert!(write_for_now(&at(name), |_| Ok(())).unwrap_err().message.contains(what));
            let by = write_atomically_by(&at(name), |_| Ok(()));
            assert!(by.unwrap_err().message.contains(what));
        }
        assert!(fs::metadata("/dev/null").is_ok_and(|null| !null.is_file()));
    }
}
