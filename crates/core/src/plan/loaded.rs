//! The files that dense networks, masks and names of a sweep are loaded from: where each lies, and what it held when the sweep first saw it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sweep::{Spec, Trial};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Digits of a checksum that tell two files apart in a message.
const SHOWN: usize = 16;

/// A file that something is loaded from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedFile {
    /// Where it lies, whatever folder the program runs in.
    pub place: PathBuf,
    /// BLAKE3 of its bytes: what identities are made of.
    pub checksum: String,
}

/// Every file that a sweep loads, by the word that its settings have for it.
pub type LoadedFiles = BTreeMap<String, LoadedFile>;

/// What a stage takes from a file.
#[derive(Debug, Clone, Copy)]
pub struct LoadedPart<'p> {
    /// The file.
    pub file: &'p LoadedFile,
    /// What its names mean, where that is said.
    pub names: Option<&'p LoadedFile>,
}

impl LoadedFile {
    /// Reads the file at this place.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn at(place: PathBuf) -> Result<Self> {
        let checksum = checksum(&read(&place)?);
        Ok(Self { place, checksum })
    }

    /// The bytes of the file, which must still be those that the results are of.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else by now.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = read(&self.place).map_err(|error| self.missing(error))?;
        let found = checksum(&bytes);
        if found == self.checksum { Ok(bytes) } else { Err(self.changed(&found)) }
    }

    /// The error for a file that is gone: what it was is known all the same.
    fn missing(&self, error: Error) -> Error {
        let found =
            format!("{}; the results in this folder are of a file with the checksum {}", error.message, self.short());
        Error { message: found, ..error }
            .hint("put that file back; tables, status and exports of what is trained need no file")
    }

    /// The error for a file that holds something else by now.
    fn changed(&self, found: &str) -> Error {
        Error::input(format!(
            "`{}` is not the file that the results in this folder are of: its checksum is {}, it was {}",
            self.place.display(),
            short(found),
            self.short()
        ))
        .hint("restore that file, or load the new one under another name or into another folder (`--out`)")
    }

    fn short(&self) -> &str {
        short(&self.checksum)
    }
}

/// The files that trials load. What `known` holds is not opened.
///
/// # Errors
/// When one cannot be read.
pub(super) fn loaded(spec: &Spec, trials: &[Trial], known: &LoadedFiles) -> Result<LoadedFiles> {
    each(trials, |word, path| match known.get(word) {
        Some(known) => Ok(known.clone()),
        None => LoadedFile::at(spec.place(path)).map_err(|error| elsewhere(spec, path, error)),
    })
}

/// The files that trials load, each of which is opened. What `known` holds must still be the same.
///
/// # Errors
/// When one cannot be read, or holds something else than what is known.
pub fn loaded_anew(spec: &Spec, trials: &[Trial], known: &LoadedFiles) -> Result<LoadedFiles> {
    each(trials, |word, path| match known.get(word) {
        Some(known) => {
            let again = LoadedFile { place: spec.place(path), ..known.clone() };
            again.bytes().map(|_| again)
        }
        None => LoadedFile::at(spec.place(path)).map_err(|error| elsewhere(spec, path, error)),
    })
}

fn each(trials: &[Trial], file: impl Fn(&str, &Path) -> Result<LoadedFile>) -> Result<LoadedFiles> {
    let mut files = LoadedFiles::new();
    for trial in trials {
        for (key, path) in trial.settings.files() {
            if let Entry::Vacant(entry) = files.entry(path.display().to_string()) {
                let found = file(entry.key(), path).map_err(|error| error.at(format!("`{key}`")))?;
                entry.insert(found);
            }
        }
    }
    Ok(files)
}

/// A path that is right from the shell's folder, but not from that of the sweep file, is a slip worth naming.
fn elsewhere(spec: &Spec, path: &Path, error: Error) -> Error {
    let base = spec.base.as_ref().filter(|_| !path.is_absolute() && path.is_file());
    match base {
        Some(base) => error.hint(format!(
            "a path in a sweep file is relative to that file, here to `{}`; as a flag it is relative to the shell's folder",
            base.display()
        )),
        None => error,
    }
}

fn read(place: &Path) -> Result<Vec<u8>> {
    let cure = "give the path of a state dict (safetensors or .pth), or `--load auto`";
    regular::read(place).map_err(|error| Error::file("read", place, &error).hint(cure))
}

fn checksum(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn short(checksum: &str) -> &str {
    checksum.get(..SHOWN).unwrap_or(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(base: Option<&Path>) -> (Spec, Vec<Trial>) {
        let mut spec = Spec::read(Some("load = \"c.pth\"\ndataset = \"synthetic\""), &[]).unwrap();
        spec.base = base.map(Path::to_path_buf);
        let trials = spec.trials().unwrap();
        (spec, trials)
    }

    #[test]
    fn what_is_known_is_not_opened_and_what_changed_is_told_with_both_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let (spec, trials) = sweep(Some(folder.path()));
        std::fs::write(folder.path().join("c.pth"), "one").unwrap();
        let first = loaded_anew(&spec, &trials, &LoadedFiles::new()).unwrap();
        assert_eq!(loaded_anew(&spec, &trials, &first).unwrap(), first);
        std::fs::write(folder.path().join("c.pth"), "two").unwrap();
        assert_eq!(loaded(&spec, &trials, &first).unwrap(), first);
        let error = loaded_anew(&spec, &trials, &first).unwrap_err();
        for text in ["one", "two"] {
            assert!(error.message.contains(short(&checksum(text.as_bytes()))), "{error}");
        }
        std::fs::remove_file(folder.path().join("c.pth")).unwrap();
        assert_eq!(loaded(&spec, &trials, &first).unwrap(), first);
        let error = loaded_anew(&spec, &trials, &first).unwrap_err();
        assert!(error.message.contains(first["c.pth"].short()), "{error}");
        assert!(loaded(&spec, &trials, &LoadedFiles::new()).is_err());
    }
}
