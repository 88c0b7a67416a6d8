//! What was decoded once, by its content: below the user's folder for caches, shared by all processes of the machine.
//!
//! `CONTENT/` has one file a part (`part_file.rs`) and `form.json`; `sources/KEY.json` says what files, as they were, gave.
//! Whatever is missing or damaged here is decoded again.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::part_file::FORM;
use tombola_words::error::{Error, Result, ignored};
use tombola_words::{DataForm, process, regular, signals};

/// Names another folder for it.
const VARIABLE: &str = "TOMBOLA_DATA_CACHE";
/// Says how many GB it may take.
const LIMIT_VARIABLE: &str = "TOMBOLA_DATA_CACHE_GB";
/// What it may take unless that says otherwise, in bytes.
const LIMIT: u64 = 64_000_000_000;
/// The most that is read of a `.json`: names of classes are most of it.
const MOST_TEXT: u64 = 64 << 20;
/// A draft is left alone for so long, even where its process has ended here: it may be one of another machine.
const LEFT_ALONE: Duration = Duration::from_secs(600);
/// And for so long where nobody holds its lock: it may be just made.
const JUST_MADE: Duration = Duration::from_secs(5);
/// A draft that was not written to for so long is nobody's.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// How often whoever waits for another process looks whether that is done.
const LOOK: Duration = Duration::from_millis(20);
/// Where the folder of sources lies.
const SOURCES: &str = "sources";

/// What is known of a set that was decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundSet {
    /// Of this struct; a file of another one is not read.
    pub version: u32,
    /// What a plan needs.
    pub form: DataForm,
    /// Names of the classes in their order.
    pub classes: Vec<String>,
    /// How the format is called.
    pub format: String,
    /// What was odd, in words.
    pub notes: Vec<String>,
}

/// Of [`FoundSet`] and of all that decides what is decoded.
pub(super) const VERSION: u32 = 2;

/// The folder of what was decoded.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    limit: u64,
}

impl Cache {
    /// The user's.
    ///
    /// # Errors
    /// When no folder for it is known.
    pub fn of_user() -> Result<Self> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |path: &PathBuf| path.is_absolute();
        let usual =
            || folder("XDG_CACHE_HOME").filter(absolute).or_else(|| folder("HOME").map(|home| home.join(".cache")));
        let root = folder(VARIABLE).or_else(|| usual().map(|cache| cache.join("tombola/data"))).ok_or_else(|| {
            Error::environment("no folder for decoded data is known: `HOME` is not set")
                .hint(format!("name one with the variable `{VARIABLE}`"))
        })?;
        let limit = match std::env::var(LIMIT_VARIABLE) {
            Err(_) => LIMIT,
            Ok(text) => text.trim().parse::<u32>().map(|number| u64::from(number) * 1_000_000_000).map_err(|_| {
                Error::input(format!("`{LIMIT_VARIABLE}`: found `{text}`, expected a whole number of GB"))
            })?,
        };
        Ok(Self { root, limit })
    }

    /// One in some folder.
    #[cfg(test)]
    pub(super) fn at(root: &Path, limit: u64) -> Self {
        Self { root: root.to_path_buf(), limit }
    }

    /// The folder of a set that was decoded, if it is here.
    pub(super) fn folder_of(&self, content: &str) -> Option<PathBuf> {
        let folder = self.root.join(content);
        regular::may_be_there(&folder.join(FORM)).then_some(folder)
    }

    /// What the files of a key gave, if that is still here.
    pub(super) fn recall(&self, key: &str) -> Option<FoundSet> {
        let found = read_found(&self.root.join(SOURCES).join(format!("{key}.json")))?;
        self.folder_of(&found.form.content).is_some().then_some(found)
    }

    /// Notes what the files of a key gave.
    pub(super) fn remember(&self, key: &str, found: &FoundSet) -> Result<()> {
        let folder = self.root.join(SOURCES);
        make(&folder)?;
        let text = serde_json::to_string(found).unwrap_or_default();
        let (place, own) = (folder.join(format!("{key}.json")), folder.join(format!("{key}.{}", std::process::id())));
        fs::write(&own, text).map_err(|error| Error::file("write", &own, &error))?;
        fs::rename(&own, &place).map_err(|error| Error::file("write", &place, &error))
    }

    /// Waits until nobody else decodes what is called so; whoever has its turn keeps it until the file is dropped. Where the file system
    /// knows no locks, several decode the same: that is only slower.
    ///
    /// # Errors
    /// When the process is asked to stop meanwhile.
    pub(super) fn turn(&self, name: &str) -> Result<Option<File>> {
        // A few files serve all sets; those that share one wait for each other.
        let place = self.root.join(format!(".turn-{}", name.get(..2).unwrap_or(name)));
        let open = || File::options().create(true).truncate(false).write(true).open(place).ok();
        let Some(file) = make(&self.root).ok().and_then(|()| open()) else { return Ok(None) };
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(_)) => return Ok(None),
            }
            signals::check("the decoding by another process")?;
        }
    }

    /// Marks a set as used just now: what was not used for longest goes first.
    pub(super) fn touch(&self, content: &str) {
        if let Ok(file) = File::options().append(true).open(self.root.join(content).join(FORM)) {
            ignored(file.set_modified(SystemTime::now()), "then it counts as used earlier");
        }
    }

    /// A folder of its own to write a set of so many bytes into. What was not used for longest makes room.
    ///
    /// # Errors
    /// When the set is larger than all that may lie here.
    pub(super) fn begin(&self, bytes: u64) -> Result<Draft> {
        make(&self.root)?;
        if bytes > self.limit {
            return Err(Error::environment(format!(
                "the data take {:.1} GB when they are decoded; at most {:.1} GB may lie in `{}`",
                gigabytes(bytes),
                gigabytes(self.limit),
                self.root.display()
            ))
            .hint(format!(
                "give a smaller `size`, or more room with the variable `{LIMIT_VARIABLE}`; `{VARIABLE}` names a folder on \
                 another disk"
            )));
        }
        self.remove_abandoned()?;
        let mut sets = self.sets()?;
        sets.sort_by_key(|set| set.used);
        let mut total: u64 = sets.iter().map(|set| set.bytes).sum();
        for set in sets {
            if total + bytes <= self.limit {
                break;
            }
            remove(&set.folder)?;
            total -= set.bytes;
        }
        let place = (0..1000).map(|number| self.root.join(format!(".new-{}-{number}", std::process::id())));
        for folder in place {
            match fs::create_dir(&folder) {
                Ok(()) => {
                    // Whoever finds it locked knows that somebody is at work. Not all file systems lock folders.
                    let lock = File::open(&folder).ok().filter(|folder| folder.try_lock().is_ok());
                    return Ok(Draft { folder, _lock: lock });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("make", &folder, &error)),
            }
        }
        Err(Error::environment(format!("`{}` is full of unfinished folders", self.root.display()))
            .hint("`tombola data clear` takes them away"))
    }

    /// Takes away what processes of this machine began that have ended since, and what is older than a day, of whatever machine.
    fn remove_abandoned(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().to_string();
            let Some(process) = name.strip_prefix(".new-").and_then(|rest| rest.split('-').next()) else { continue };
            let is_gone = process.parse().is_ok_and(process::is_gone);
            let changed = entry.metadata().and_then(|about| about.modified()).ok();
            let age = changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default();
            let is_free = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
            // A folder that machines share may hold what another one is writing.
            if is_gone && (is_free && age > JUST_MADE || age > LEFT_ALONE) || age > ABANDONED {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Puts a finished draft in its place, unless another process was there first.
    pub(super) fn finish(&self, draft: Draft, found: &FoundSet) -> Result<()> {
        let text = serde_json::to_string(found).unwrap_or_default();
        let form = draft.folder.join(FORM);
        fs::write(&form, text).map_err(|error| Error::file("write", &form, &error))?;
        let place = self.root.join(&found.form.content);
        if self.folder_of(&found.form.content).is_none() {
            // What is left of a set that was taken away half.
            remove(&place)?;
        }
        if let Err(error) = fs::rename(&draft.folder, &place)
            && self.folder_of(&found.form.content).is_none()
        {
            return Err(Error::file("write", &place, &error));
        }
        Ok(())
    }

    /// The sets that lie here.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sets(&self) -> Result<Vec<CachedSet>> {
        let failed = |error: std::io::Error| Error::file("read", &self.root, &error);
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut sets = Vec::new();
        for entry in entries {
            let folder = entry.map_err(failed)?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            if !is_content(&name) {
                continue;
            }
            let used = fs::metadata(folder.join(FORM)).and_then(|form| form.modified());
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            let bytes = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
            sets.push(CachedSet { bytes, used: used.unwrap_or(SystemTime::UNIX_EPOCH), folder });
        }
        Ok(sets)
    }

    /// Takes everything away; gives the bytes that are free then.
    ///
    /// # Errors
    /// When something cannot be taken away.
    pub fn clear(&self) -> Result<u64> {
        let mut freed = 0;
        for set in self.sets()? {
            remove(&set.folder)?;
            freed += set.bytes;
        }
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().to_string();
            // What is not ours stays.
            if name == SOURCES || name.starts_with(".new-") {
                remove(&entry.path())?;
            } else if name.starts_with(".turn-") {
                ignored(fs::remove_file(entry.path()), "it is empty, and is used again");
            }
        }
        Ok(freed)
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A set in the cache.
#[derive(Debug, Clone)]
pub struct CachedSet {
    /// Where it lies.
    pub folder: PathBuf,
    /// What it takes.
    pub bytes: u64,
    /// When it was used last.
    pub used: SystemTime,
}

/// A folder that a set is written into. It goes with all that is in it unless it is finished.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where it lies.
    pub(super) folder: PathBuf,
    /// Held for as long as it is written.
    _lock: Option<File>,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.folder.exists() {
            ignored(fs::remove_dir_all(&self.folder), "`tombola data clear` takes it away");
        }
    }
}

fn is_content(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read_found(path: &Path) -> Option<FoundSet> {
    let text = regular::read_short(path, MOST_TEXT).ok()?;
    let found: FoundSet = serde_json::from_str(&text).ok()?;
    (found.version == VERSION && is_content(&found.form.content)).then_some(found)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| {
        Error::file("make", folder, &error).hint(format!("`{VARIABLE}` names another folder for what is decoded"))
    })
}

/// Takes a folder away; what says that a set is whole goes first.
fn remove(folder: &Path) -> Result<()> {
    ignored(fs::remove_file(folder.join(FORM)), "the folder goes as a whole, and there may be none");
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("take away", folder, &error)),
        _ => Ok(()),
    }
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
