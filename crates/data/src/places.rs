//! Where data sets lie on this machine, and loading one from there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::checksum::{Verdict, verify};
use super::images::{DataSet, Images};
use super::{cifar, idx};
use tombola_words::catalogue::{self, Known, Source};
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
    /// For each file of [`Known::files`]: where it is, if it is.
    pub(super) files: Vec<Option<PathBuf>>,
}

impl Found {
    /// All paths, if none is missing.
    pub(super) fn complete(&self) -> Option<Vec<PathBuf>> {
        self.files.iter().cloned().collect()
    }

    /// The names of the missing files.
    fn missing(&self, known: &Known) -> Vec<&'static str> {
        known.files().iter().zip(&self.files).filter(|(_, path)| path.is_none()).map(|(file, _)| file.name).collect()
    }
}

/// The folders of one place in which a data set may lie; the first is the one that `fetch` makes.
pub(super) fn folders(known: &Known, place: &Path) -> Vec<PathBuf> {
    let own = place.join(known.name);
    match known.source {
        Source::Made => Vec::new(),
        Source::Idx { .. } => vec![own],
        Source::Cifar { archive, .. } => vec![own.join(archive.folder), place.join(archive.folder), own],
    }
}

/// The files of a data set in one place; none if there is not even one of them.
pub(super) fn look_in(known: &Known, place: &Path) -> Option<Found> {
    let mut found: Vec<Found> = folders(known, place)
        .into_iter()
        .map(|folder| {
            let files = known.files().into_iter().map(|file| {
                let compressed = file.compressed_md5.map(|_| folder.join(format!("{}.gz", file.name)));
                compressed.into_iter().chain([folder.join(file.name)]).find(|path| path.exists())
            });
            Found { files: files.collect(), folder }
        })
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
    let (_, files) = complete(known, &places(data_dir), data_dir)?;
    let mut strangers = Vec::new();
    for (path, expected) in files.iter().zip(known.files()) {
        if let Verdict::Wrong(why) = verify(path, &expected)? {
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
    read(known, &complete(known, places, data_dir)?.1)
}

/// The folder in which all files of the data set `name` lie, which are not read.
///
/// # Errors
/// As [`load`], but for files that cannot be read.
pub fn find(name: &str, data_dir: Option<&Path>) -> Result<PathBuf> {
    complete(catalogue::find(name)?, &places(data_dir), data_dir).map(|(folder, _)| folder)
}

/// The folder of a data set, and its files in the order of [`Known::files`].
fn complete(known: &Known, places: &[PathBuf], data_dir: Option<&Path>) -> Result<(PathBuf, Vec<PathBuf>)> {
    let found = look(known, places).ok_or_else(|| not_found(known, places, data_dir))?;
    match found.complete() {
        Some(files) => Ok((found.folder, files)),
        None => Err(Error::input(format!(
            "`{}` in `{}` is incomplete: {} missing",
            known.name,
            found.folder.display(),
            found.missing(known).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ))
        .hint(format!("`{}` gets only what is missing", fetch_command(known, data_dir)))),
    }
}

/// Reads the files, which stand in the order of [`Known::files`].
pub(super) fn read(known: &Known, files: &[PathBuf]) -> Result<DataSet> {
    let (train, test) = match (&known.source, files) {
        (Source::Idx { .. }, [train_images, train_labels, test_images, test_labels]) => {
            let part = |images: &Path, labels: &Path| {
                let part = idx::read(images, labels, known.classes)?;
                expect_shape(known, &part, images)?;
                Ok::<_, Error>(part)
            };
            (part(train_images, train_labels)?, part(test_images, test_labels)?)
        }
        (Source::Cifar { train, format, .. }, files) if files.len() > train.len() => {
            let (first, second) = files.split_at(train.len());
            (cifar::read(first, *format)?, cifar::read(second, *format)?)
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
    if let Source::Cifar { archive, .. } = known.source {
        let python = places
            .iter()
            .flat_map(|place| [place.join(archive.python_folder), place.join(known.name).join(archive.python_folder)]);
        if let Some(folder) = python.into_iter().find(|folder| folder.is_dir()) {
            return Error::input(format!(
                "`{}` is the Python version of `{}`, which is not read: {}",
                folder.display(),
                known.name,
                cifar::PYTHON_VERSION
            ))
            .hint(format!(
                "`{}` gets the binary version (`{}{}`)",
                fetch_command(known, data_dir),
                known.base_url,
                archive.name
            ));
        }
    }
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
mod tests {
    use std::fs;

    use super::*;
    use crate::samples::{cifar_record, gzip, idx_images, idx_labels};
    use tombola_words::error::Kind;

    fn places_with(variables: &'static [(&'static str, &'static str)]) -> Vec<PathBuf> {
        places_by(None, |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn places_are_searched_in_the_documented_order() {
        let all = places_with(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x"), ("TOMBOLA_DATA", "/t")]);
        assert_eq!(all, ["/t", "/x/tombola", SYSTEM].map(PathBuf::from));
        assert_eq!(places_with(&[("HOME", "/h")]), ["/h/.local/share/tombola", SYSTEM].map(PathBuf::from));
        assert_eq!(
            places_with(&[("HOME", "/h"), ("XDG_DATA_HOME", "relative"), ("TOMBOLA_DATA", "")])[0],
            Path::new("/h/.local/share/tombola")
        );
        assert_eq!(places_by(Some(Path::new("only")), |_| Some("/t".into())), [PathBuf::from("only")]);
    }

    #[test]
    fn fetched_files_never_go_to_the_system_folder_unasked() {
        let nowhere = places_with(&[]);
        assert_eq!(place_to_fill(&nowhere, None).unwrap_err().kind, Kind::Environment);
        let asked = PathBuf::from(SYSTEM);
        assert_eq!(place_to_fill(std::slice::from_ref(&asked), Some(&asked)).unwrap(), asked);
    }

    /// Two training images and one test image of MNIST's form.
    fn write_idx(folder: &Path, side: u32, compressed: bool) {
        fs::create_dir_all(folder).unwrap();
        let size = (side * side) as usize;
        for (name, bytes) in [
            ("train-images-idx3-ubyte", idx_images(side, side, &vec![1; 2 * size])),
            ("train-labels-idx1-ubyte", idx_labels(&[3, 9])),
            ("t10k-images-idx3-ubyte", idx_images(side, side, &vec![2; size])),
            ("t10k-labels-idx1-ubyte", idx_labels(&[0])),
        ] {
            match compressed {
                true => fs::write(folder.join(format!("{name}.gz")), gzip(&bytes)).unwrap(),
                false => fs::write(folder.join(name), bytes).unwrap(),
            }
        }
    }

    #[test]
    fn idx_sets_are_loaded_plain_and_compressed_with_one_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(&folder.path().join("mnist"), 28, false);
        write_idx(&folder.path().join("fashion-mnist"), 28, true);
        let plain = load("mnist", Some(folder.path())).unwrap();
        let packed = load("fashion-mnist", Some(folder.path())).unwrap();
        assert_eq!((plain.name.as_str(), plain.train.len(), plain.test.len()), ("mnist", 2, 1));
        assert_eq!((&plain.train, &plain.test, &plain.fingerprint), (&packed.train, &packed.test, &packed.fingerprint));
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(&folder.path().join("mnist"), 8, false);
        let error = load("mnist", Some(folder.path())).unwrap_err();
        assert!(error.message.ends_with("holds images of 1x8x8; `mnist` has images of 1x28x28"), "{error}");
    }

    #[test]
    fn a_missing_set_names_the_places_searched_and_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            load_known(catalogue::find("fashion-mnist").unwrap(), &["/one".into(), "/two".into()], None).unwrap_err();
        assert_eq!(error.message, "data set `fashion-mnist` not found in `/one/fashion-mnist`, `/two/fashion-mnist`");
        let hint = error.hint.unwrap();
        for part in ["`tombola data fetch fashion-mnist`", "--data-dir", "apt install dataset-fashion-mnist"] {
            assert!(hint.contains(part), "{hint}");
        }
        let error = load("mnist", Some(folder.path())).unwrap_err();
        assert!(
            error.hint.unwrap().contains(&format!("tombola data fetch mnist --data-dir {}", folder.path().display()))
        );
        assert!(load("synthetic", None).unwrap_err().message.contains("no files"));
    }

    #[test]
    fn an_incomplete_set_names_what_is_missing_and_gives_way_to_a_complete_one() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        for place in [&first, &second] {
            write_idx(&place.join("mnist"), 28, false);
        }
        fs::remove_file(first.join("mnist/t10k-labels-idx1-ubyte")).unwrap();
        let known = catalogue::find("mnist").unwrap();
        let error = load_known(known, std::slice::from_ref(&first), None).unwrap_err();
        assert!(error.message.ends_with("is incomplete: `t10k-labels-idx1-ubyte` missing"), "{error}");
        assert!(load_known(known, &[first, second], None).is_ok());
    }

    #[test]
    fn loose_files_are_pointed_out_because_two_sets_share_their_names() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), 28, true);
        let hint = load("mnist", Some(folder.path())).unwrap_err().hint.unwrap();
        assert!(hint.contains("lie directly in"), "{hint}");
    }

    fn write_cifar_10(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for batch in 1..=5 {
            fs::write(folder.join(format!("data_batch_{batch}.bin")), cifar_record(&[batch as u8], batch)).unwrap();
        }
        fs::write(folder.join("test_batch.bin"), cifar_record(&[0], 0)).unwrap();
    }

    #[test]
    fn cifar_is_found_in_each_of_its_places() {
        for inner in ["cifar-10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar-10"] {
            let folder = tempfile::tempdir().unwrap();
            write_cifar_10(&folder.path().join(inner));
            let data = load("cifar10", Some(folder.path())).unwrap();
            assert_eq!((data.train.labels.as_slice(), data.test.labels.as_slice()), (&[1, 2, 3, 4, 5][..], &[0][..]));
            let known = catalogue::find("cifar-10").unwrap();
            assert_eq!((data.train.shape, data.train.classes), (known.shape, known.classes));
        }
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("cifar-100-binary");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("train.bin"), cifar_record(&[1, 42], 0)).unwrap();
        fs::write(inner.join("test.bin"), cifar_record(&[1, 43], 0)).unwrap();
        assert_eq!(load("cifar-100", Some(folder.path())).unwrap().test.labels, [43]);
    }

    #[test]
    fn the_python_version_of_cifar_is_recognised_and_the_reason_given() {
        for inner in ["cifar-10-batches-py", "cifar-10/cifar-10-batches-py"] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join(inner)).unwrap();
            let error = load("cifar-10", Some(folder.path())).unwrap_err();
            assert!(error.message.contains("can run code"), "{error}");
            assert!(error.hint.unwrap().contains("tombola data fetch cifar-10"));
        }
    }

    #[test]
    fn the_real_fashion_mnist_is_read_where_it_is_installed() {
        if !Path::new(SYSTEM).join("fashion-mnist").is_dir() {
            let reason = format!("no {SYSTEM}/fashion-mnist (`apt install dataset-fashion-mnist`)");
            return crate::skipped("the_real_fashion_mnist_is_read_where_it_is_installed", &reason);
        }
        let data = load("fashion-mnist", Some(Path::new(SYSTEM))).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
        assert_eq!((data.train.shape, data.train.classes), (tombola_words::Shape::Image(1, 28, 28), 10));
        assert_eq!(data.train.images_per_class(), [6000; 10]);
        assert_eq!(data.test.images_per_class(), [1000; 10]);
        // The mean and standard deviation that everybody uses for this set, of all training images.
        let all = crate::Normalisation::of(&data.train, 0..60_000).unwrap();
        assert!((all.mean[0] - 0.2860).abs() < 5e-5 && (all.standard_deviation[0] - 0.3530).abs() < 5e-5, "{all:?}");
    }
}
