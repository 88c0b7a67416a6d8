//! Where data sets lie on this machine, and loading one from there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::checksum::{Verdict, verify};
use super::images::{DataSet, Images};
use super::{cifar, idx, readers};
use tombola_words::catalogue::{self, Known, PublicFile, Source};
use tombola_words::error::{Error, Result};

/// Where Debian's packages put data sets.
const SYSTEM: &str = "/usr/share/datasets";

/// The data directories to search, in order: only `data_dir` if it is given, else `$TOMBOLA_DATA`, the user's data
/// folder and the system's.
pub fn places(data_dir: Option<&Path>) -> Vec<PathBuf> {
    places_by(data_dir, |variable| std::env::var_os(variable))
}

fn places_by(data_dir: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    if let Some(only) = data_dir {
        return vec![only.to_owned()];
    }
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification says that a relative path is to be ignored.
    let user = folder("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("tombola"));
    let mut places: Vec<PathBuf> = [folder("TOMBOLA_DATA"), user].into_iter().flatten().collect();
    places.push(SYSTEM.into());
    places
}

/// The data directory that fetched files go to: the first of `places` that belongs to the user.
pub(super) fn place_to_fill(places: &[PathBuf], data_dir: Option<&Path>) -> Result<PathBuf> {
    match places.first() {
        Some(first) if data_dir.is_some() || first != Path::new(SYSTEM) => Ok(first.clone()),
        _ => Err(Error::environment("no folder for data is known: `HOME` is not set")
            .hint("name one with `--data-dir` or the variable `TOMBOLA_DATA`")),
    }
}

/// The files of a data set as they lie in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The folder that they lie in.
    pub(super) folder: PathBuf,
    /// For each file that is expected: where it is, if it is.
    pub(super) files: Vec<Option<PathBuf>>,
    /// What is expected: [`Known::files`], or [`Known::python_files`] if all of those lie there.
    pub(super) expected: Vec<PublicFile>,
}

impl Found {
    /// All paths, if none is missing.
    pub(super) fn complete(&self) -> Option<Vec<PathBuf>> {
        self.files.iter().cloned().collect()
    }

    /// The names of the missing files.
    fn missing(&self) -> Vec<&'static str> {
        self.expected.iter().zip(&self.files).filter(|(_, path)| path.is_none()).map(|(file, _)| file.name).collect()
    }
}

/// The folders of one place in which a data set may lie; the first is the one that `fetch` makes.
pub(super) fn folders(known: &Known, place: &Path) -> Vec<PathBuf> {
    let own = place.join(known.name);
    match known.source {
        Source::Made => Vec::new(),
        Source::Idx { torchvision, .. } => vec![own, place.join(torchvision).join("raw")],
        Source::Cifar { archive, .. } => vec![own.join(archive.folder), place.join(archive.folder), own],
    }
}

/// The folders of one place in which the Python version of a set may lie.
fn python_folders(known: &Known, place: &Path) -> Vec<PathBuf> {
    match known.source {
        Source::Cifar { archive, .. } => {
            vec![place.join(known.name).join(archive.python_folder), place.join(archive.python_folder)]
        }
        _ => Vec::new(),
    }
}

/// The files of a data set in one place; none if there is not even one of them.
pub(super) fn look_in(known: &Known, place: &Path) -> Option<Found> {
    let look = |folder: PathBuf, expected: Vec<PublicFile>| {
        let files = expected.iter().map(|file| {
            let compressed = file.compressed_md5.map(|_| folder.join(format!("{}.gz", file.name)));
            // What has no checksum at all may be compressed as well.
            let unknown = file.md5.is_empty().then(|| folder.join(format!("{}.gz", file.name)));
            compressed.into_iter().chain(unknown).chain([folder.join(file.name)]).find(|path| path.exists())
        });
        Found { files: files.collect(), folder, expected }
    };
    let python = python_folders(known, place).into_iter().map(|folder| look(folder, known.python_files()));
    let mut found: Vec<Found> = folders(known, place)
        .into_iter()
        .map(|folder| look(folder, known.files()))
        .chain(python.filter(|found| found.complete().is_some()))
        .filter(|found| found.files.iter().any(Option::is_some))
        .collect();
    let complete = found.iter().position(|found| found.complete().is_some());
    (!found.is_empty()).then(|| found.swap_remove(complete.unwrap_or(0)))
}

/// The first place that holds all files, else the first that holds some.
pub(super) fn look(known: &Known, places: &[PathBuf]) -> Option<Found> {
    let mut all: Vec<Found> = places.iter().filter_map(|place| look_in(known, place)).collect();
    let complete = all.iter().position(|found| found.complete().is_some());
    (!all.is_empty()).then(|| all.swap_remove(complete.unwrap_or(0)))
}

/// What is not its publisher's of the files of the data set `name`, each with the reason; nothing if they all are, or if the set
/// is made.
///
/// # Errors
/// As [`find`], and when a file cannot be read.
pub fn strangers(name: &str, data_dir: Option<&Path>) -> Result<Vec<String>> {
    let known = catalogue::find(name)?;
    if known.source == Source::Made {
        return Ok(Vec::new());
    }
    let found = complete(known, &places(data_dir), data_dir)?;
    let mut strangers = Vec::new();
    for (path, expected) in found.files.iter().flatten().zip(&found.expected) {
        if let Verdict::Wrong(why) = verify(path, expected)? {
            strangers.push(format!("`{}`: {why}", path.display()));
        }
    }
    Ok(strangers)
}

/// Loads the data set `name` from its files; `data_dir` is the only place searched if it is given.
///
/// Checksums are left to [`strangers`]: a set that was cut down on purpose can be loaded.
///
/// # Errors
/// An unknown name, a set that is not found, files that cannot be read as what they should be. `synthetic` has no
/// files: it is made by [`synthetic()`](super::synthetic::synthetic).
pub fn load(name: &str, data_dir: Option<&Path>) -> Result<DataSet> {
    load_known(catalogue::find(name)?, &places(data_dir), data_dir)
}

pub(super) fn load_known(known: &Known, places: &[PathBuf], data_dir: Option<&Path>) -> Result<DataSet> {
    if known.source == Source::Made {
        return Err(Error::input(format!("`{}` is made by the program and has no files to load", known.name)));
    }
    read(known, &complete(known, places, data_dir)?.complete().unwrap_or_default())
}

/// The folder in which all files of the data set `name` lie, which are not read.
///
/// # Errors
/// As [`load`], but for files that cannot be read.
pub fn find(name: &str, data_dir: Option<&Path>) -> Result<PathBuf> {
    complete(catalogue::find(name)?, &places(data_dir), data_dir).map(|found| found.folder)
}

/// Where all files of a data set are.
fn complete(known: &Known, places: &[PathBuf], data_dir: Option<&Path>) -> Result<Found> {
    let found = look(known, places).ok_or_else(|| not_found(known, places, data_dir))?;
    match found.complete() {
        Some(_) => Ok(found),
        None => Err(Error::input(format!(
            "`{}` in `{}` is incomplete: {} missing",
            known.name,
            found.folder.display(),
            found.missing().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ))
        .hint(match known.not_fetched() {
            Some(instead) => instead,
            None => format!("`{}` gets only what is missing", fetch_command(known, data_dir)),
        })),
    }
}

/// Reads the files, which stand in the order of [`Known::files`].
pub(super) fn read(known: &Known, files: &[PathBuf]) -> Result<DataSet> {
    let (train, test) = match (&known.source, files) {
        (Source::Idx { form, .. }, [train_images, train_labels, test_images, test_labels]) => {
            let part = |images: &Path, labels: &Path| {
                let part = idx::read_as(images, labels, known.classes, *form)?;
                expect_shape(known, &part, images)?;
                Ok::<_, Error>(part)
            };
            (part(train_images, train_labels)?, part(test_images, test_labels)?)
        }
        (Source::Cifar { train, format, .. }, files) if files.len() > train.len() => {
            let (first, second) = files.split_at(train.len());
            // The names of the Python version have no ending.
            let read = |files: &[PathBuf]| match files.iter().all(|path| path.extension().is_none()) {
                true => readers::cifar_of_python(files, format.classes),
                false => cifar::read(files, *format),
            };
            (read(first)?, read(second)?)
        }
        _ => return Err(Error::input(format!("{} files cannot be `{}`", files.len(), known.name))),
    };
    DataSet::new(known.name, train, test)
}

fn expect_shape(known: &Known, images: &Images, path: &Path) -> Result<()> {
    if images.shape == known.shape {
        return Ok(());
    }
    Err(Error::input(format!(
        "`{}` holds images of {}; `{}` has images of {}",
        path.display(),
        images.shape,
        known.name,
        known.shape
    ))
    .hint("this file belongs to another data set"))
}

fn fetch_command(known: &Known, data_dir: Option<&Path>) -> String {
    match data_dir {
        Some(folder) => format!("tombola data fetch {} --data-dir {}", known.name, folder.display()),
        None => format!("tombola data fetch {}", known.name),
    }
}

/// The error for a set of which no file was found.
pub(super) fn not_found(known: &Known, places: &[PathBuf], data_dir: Option<&Path>) -> Error {
    let listed: Vec<String> = places.iter().map(|place| format!("`{}`", place.join(known.name).display())).collect();
    let error = Error::input(format!("data set `{}` not found in {}", known.name, listed.join(", ")));
    // Two sets share the names of their files, so files that lie loose do not say which they are.
    let loose = known.files().into_iter().find_map(|file| {
        places.iter().find(|place| place.join(file.name).exists() || place.join(format!("{}.gz", file.name)).exists())
    });
    if let Some(place) = loose {
        return error.hint(format!(
            "files of such a set lie directly in `{}`: if they are `{}`, move them to `{}`",
            place.display(),
            known.name,
            folders(known, place).first().unwrap_or(place).display()
        ));
    }
    if let Some(instead) = known.not_fetched() {
        let folder = places.first().map(|place| place.join(known.name)).unwrap_or_default();
        return error.hint(format!("{instead}, into `{}`", folder.display()));
    }
    let mut cure = format!("run `{}`", fetch_command(known, data_dir));
    match data_dir {
        Some(_) => cure.push_str(", or leave `--data-dir` out to search the usual places"),
        None => cure.push_str(", or name the directory that holds it with `--data-dir`"),
    }
    if let Some(package) = known.debian_package {
        cure.push_str(&format!(", or on Debian `apt install {package}`"));
    }
    error.hint(cure)
}

#[cfg(test)]
mod tests;
