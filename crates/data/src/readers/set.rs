//! Which files make a set, and of what format: from a path to its parts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::kind::FileKind;
use super::named::{self, NamedArray};
use super::parquet_rows::ParquetRows;
use super::parts::{PartReaders, SetPart};
use super::records::{self, CifarRecords};
use super::shards::TarShard;
use super::source::ByteSource;
use super::tree::{TreeEntry, TreeWalk, ending, is_image};
use super::{cifar_python, csv_rows, folders, idx_files, matlab, npy, npz, pattern, safetensors_file};
use crate::example::{Label, SetParts};
use tombola_words::DataOptions;
use tombola_words::catalogue::Format;
use tombola_words::error::{Error, Result};

/// Folders below each other in which files of sets lie: `MNIST/raw`, `data`.
const DEEPEST: usize = 2;
/// Files that are looked at.
const MOST_FILES: usize = 100_000;

/// All that is read, for people.
const FORMATS: &str = "read are folders of images (a folder a class), `.npy`, `.npz`, `.safetensors`, `.csv`, `.parquet`, `.tar` of \
    WebDataset, `.mat` of MATLAB 5 to 7.2, IDX (MNIST and its kin), CIFAR (binary and Python) and STL-10";

/// A file of a set: its name within it, and where it lies.
struct SetFile {
    name: String,
    path: PathBuf,
    kind: FileKind,
}

/// Endings of images of kinds that are not read.
const OTHER_IMAGES: [&str; 12] =
    ["gif", "ppm", "pgm", "pbm", "heic", "heif", "avif", "jp2", "tga", "svg", "ico", "exr"];

/// The set in a folder.
///
/// # Errors
/// As [`super::open`].
pub(super) fn of_folder(root: &Path, options: &DataOptions) -> Result<SetParts> {
    if folders::are_here(root, options)? {
        return folders::open(root, options);
    }
    let (mut files, mut images, mut others) = (Vec::new(), 0, BTreeSet::new());
    let visit = &mut |entry: TreeEntry| {
        if is_image(&entry.name) {
            images += 1;
            return Ok(());
        }
        if OTHER_IMAGES.contains(&ending(&entry.name).as_str()) {
            others.insert(ending(&entry.name));
        }
        if files.len() >= MOST_FILES {
            return Err(Error::input(format!("`{}` has more than {MOST_FILES} files", root.display()))
                .hint("give the folder in which the files of the set lie"));
        }
        files.push((entry.name, entry.path));
        Ok(())
    };
    TreeWalk::to(DEEPEST).files(root, visit)?;
    let mut known = Vec::new();
    for (name, path) in files {
        // What cannot be read is none of a set: a socket, a link that leads nowhere.
        if let Ok(kind) = FileKind::of(&path) {
            known.push(SetFile { name, path, kind });
        }
    }
    match of_files(root, known, options) {
        Some(parts) => parts,
        None if images > 0 => folders::open(root, options),
        None if !others.is_empty() => {
            let endings: Vec<String> = others.into_iter().map(|ending| format!("`.{ending}`")).collect();
            Err(Error::input(format!("`{}` has images that are not read ({})", root.display(), endings.join(", ")))
                .hint("save them as PNG, as `magick mogrify -format png *.gif` does in each folder"))
        }
        None => Err(nothing(root, "no file of a format that is read")),
    }
}

/// The set in one file.
///
/// # Errors
/// As [`super::open`].
pub(super) fn of_file(path: &Path, options: &DataOptions) -> Result<SetParts> {
    let kind = FileKind::of(path)?;
    // Its name is no part's: `test.csv` alone is what is meant.
    let file = SetFile { name: String::new(), path: path.to_path_buf(), kind };
    let place = format!("`{}`", path.display());
    let refused = |what: &str, cure: &str| Err(Error::input(format!("{place} is {what}")).hint(cure));
    match kind {
        FileKind::Npy => refused(
            "one array; expected values and labels",
            "put `x.npy` and `y.npy` into a folder and give that, or write both with `numpy.savez`",
        ),
        FileKind::Idx => refused("one file of IDX; expected images and labels", "give the folder in which both lie"),
        FileKind::Image => refused("one image", "give the folder in which the folders of the classes lie"),
        FileKind::Pickle => refused(
            "a pickle, a program that can do anything while it is read",
            "give the folder if it is CIFAR's; else save arrays: `numpy.savez(\"set.npz\", x=images, y=labels)`",
        ),
        _ => match of_files(path, vec![file], options) {
            Some(parts) => parts,
            None => Err(nothing(path, "of no format that is read")),
        },
    }
}

/// The set of all files that a pattern means.
///
/// # Errors
/// As [`super::open`].
pub(super) fn of_pattern(asked: &Path, options: &DataOptions) -> Result<SetParts> {
    let text = asked.to_string_lossy();
    let patterns = pattern::unfolded(&text)
        .ok_or_else(|| Error::input(format!("`{text}` stands for too many files")).hint("use `*` instead of braces"))?;
    let mut files = Vec::new();
    for pattern in patterns {
        let path = Path::new(&pattern);
        let last = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !last.contains(['*', '?']) {
            files.push((last, path.to_path_buf()));
            continue;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (found, _) = super::tree::entries(folder)?;
        let fits = found.into_iter().filter(|entry| !entry.is_folder && pattern::fits(&last, &entry.name));
        files.extend(fits.map(|entry| (entry.name, entry.path)));
    }
    let mut known = Vec::new();
    for (name, path) in files {
        let kind = FileKind::of(&path)?;
        known.push(SetFile { name, path, kind });
    }
    of_files(asked, known, options).unwrap_or_else(|| Err(nothing(asked, "no file of a format that is read")))
}

/// Refuses options that a format has no use for: whoever gives them means something by it.
pub(super) fn check_options(parts: &SetParts, options: &DataOptions) -> Result<()> {
    // Whether values and labels can be named, and whether axes say anything.
    let (values, labels, axes) = match parts.format {
        TABLES => (true, true, false),
        SHARDS => (false, true, false),
        IDX => (false, false, true),
        NPY | NPZ | TENSORS | MATLAB | PARQUET => (true, true, true),
        _ => (false, false, false),
    };
    let given = [("values", options.values.is_some(), values), ("labels", options.labels.is_some(), labels)];
    let axes = ("axes", options.axes.is_some(), axes);
    match given.into_iter().chain([axes]).find(|(_, given, known)| *given && !known) {
        None => Ok(()),
        Some((name, ..)) => Err(Error::input(format!("{} have no use for `{name}`", parts.format))
            .hint(format!("leave `{name}` out, or give the file that it is meant for"))),
    }
}

const IDX: &str = "IDX files";
const NPY: &str = "arrays of NumPy (.npy)";
const NPZ: &str = "arrays of NumPy (.npz)";
const TENSORS: &str = "arrays of safetensors";
const MATLAB: &str = "arrays of MATLAB (.mat)";
const PARQUET: &str = "files of Parquet";
const SHARDS: &str = "shards of WebDataset (.tar)";
const TABLES: &str = "tables (.csv)";

fn nothing(path: &Path, what: &str) -> Error {
    let hint =
        "give a file or folder of one of these; other formats: save arrays with `numpy.savez(\"set.npz\", x=…, y=…)`";
    Error::input(format!("`{}`: {what}; {FORMATS}", path.display())).hint(hint)
}

/// The set of these files, if there is one: sets with names of their own first, then the format that comes first here.
fn of_files(root: &Path, files: Vec<SetFile>, options: &DataOptions) -> Option<Result<SetParts>> {
    let mut parts = PartReaders::default();
    if let Some(added) = by_name(&mut parts, &files) {
        parts.is_guessed = !files.iter().any(|file| SetPart::of_path(&file.name, options) == Some(SetPart::Train));
        return Some(added.and_then(|format| parts.finish(format, options)));
    }
    let kinds = [
        FileKind::Idx,
        FileKind::Parquet,
        FileKind::Tar,
        FileKind::Safetensors,
        FileKind::Zip,
        FileKind::Npy,
        FileKind::Matlab,
        FileKind::Table,
        FileKind::Hdf5,
        FileKind::Arrow,
    ];
    let kind = kinds.into_iter().find(|kind| files.iter().any(|file| file.kind == *kind))?;
    let (own, others): (Vec<SetFile>, Vec<SetFile>) = files.into_iter().partition(|file| file.kind == kind);
    if let Some(other) = others.iter().find(|file| file.kind != FileKind::Other) {
        parts.notes.push(format!("files of other formats left aside, `{}` among them", other.name));
    }
    Some(by_kind(&mut parts, root, kind, own, options).and_then(|format| parts.finish(format, options)))
}

fn by_kind(
    parts: &mut PartReaders,
    root: &Path,
    kind: FileKind,
    files: Vec<SetFile>,
    options: &DataOptions,
) -> Result<&'static str> {
    match kind {
        FileKind::Idx => {
            let files: Vec<(String, PathBuf)> = files.into_iter().map(|file| (file.name, file.path)).collect();
            return idx_files::add(parts, &files, options).map(|()| IDX);
        }
        FileKind::Npy => {
            let arrays = files.into_iter().map(|file| {
                let place = format!("`{}`", file.path.display());
                let array = ByteSource::of_file(&file.path).and_then(|source| npy::array(place, source));
                NamedArray { name: file.name.trim_end_matches(".npy").to_string(), array }
            });
            let place = format!("`{}`", root.display());
            return named::add(parts, (&place, None), arrays.collect(), options).map(|()| NPY);
        }
        FileKind::Hdf5 => {
            return Err(Error::input(format!(
                "`{}` is HDF5 (or MATLAB 7.3, which is that), which is not read",
                root.display()
            ))
            .hint("save it with MATLAB's `save(…, '-v7')`, or from Python with `numpy.savez(\"set.npz\", x=…, y=…)`"));
        }
        FileKind::Arrow => {
            return Err(Error::input(format!("`{}` is a data set of Arrow, which is not read", root.display()))
                .hint("write it as Parquet: `dataset.to_parquet(\"train.parquet\")`"));
        }
        _ => {}
    }
    let found = files.into_iter().filter(|file| kind != FileKind::Matlab || !matlab::is_extra(&file.path, options));
    let found = found.map(|file| (file.name.clone(), SetPart::of_path(&file.name, options), file)).collect();
    for (part, file) in parts.sort(found, "files", options) {
        let place = format!("`{}`", file.path.display());
        match kind {
            FileKind::Parquet => {
                let rows = ParquetRows::new(&file.path, options)?;
                if let Some(names) = &rows.names {
                    parts.classes = Some(names.iter().cloned().map(Label::Word).collect());
                }
                parts.add(part, Box::new(rows));
            }
            FileKind::Tar => parts.add(part, Box::new(TarShard::new(&file.path, options))),
            FileKind::Safetensors => {
                named::add(parts, (&place, Some(part)), safetensors_file::arrays(&file.path)?, options)?;
            }
            FileKind::Zip => named::add(parts, (&place, Some(part)), npz::arrays(&file.path)?, options)?,
            FileKind::Matlab => parts.add(part, Box::new(matlab::open(&file.path, options)?)),
            _ => csv_rows::add(parts, &file.path, part, options)?,
        }
    }
    Ok(match kind {
        FileKind::Parquet => PARQUET,
        FileKind::Tar => SHARDS,
        FileKind::Safetensors => TENSORS,
        FileKind::Zip => NPZ,
        FileKind::Matlab => MATLAB,
        _ => TABLES,
    })
}

/// Sets whose files are known by their names alone: their format has no first bytes, or too many files have it.
fn by_name(parts: &mut PartReaders, files: &[SetFile]) -> Option<Result<&'static str>> {
    let named = |name: &str| files.iter().find(|file| file.name.rsplit('/').next() == Some(name));
    let beside =
        |file: &SetFile, name: &str| named(name).is_some_and(|other| other.path.parent() == file.path.parent());
    if let Some(first) = named("data_batch_1").or_else(|| named("train").filter(|file| beside(file, "meta"))) {
        let own =
            files.iter().filter(|file| file.kind == FileKind::Pickle && file.path.parent() == first.path.parent());
        return Some(cifar(parts, own, None).inspect(|_| note_others(parts, files, first)));
    }
    if let Some(first) = named("data_batch_1.bin") {
        let own = files.iter().filter(|file| file.path.parent() == first.path.parent());
        return Some(cifar(parts, own, Some(Format::CIFAR_10)).inspect(|_| note_others(parts, files, first)));
    }
    if let Some(first) = named("train.bin").filter(|file| beside(file, "test.bin")) {
        let own = files.iter().filter(|file| file.path.parent() == first.path.parent());
        return Some(cifar(parts, own, Some(Format::CIFAR_100)));
    }
    let images = named("train_X.bin").filter(|file| beside(file, "train_y.bin"))?;
    if beside(images, "unlabeled_X.bin") {
        parts.notes.push("`unlabeled_X.bin` left aside: its images have no labels".to_string());
    }
    let mut add = |part: SetPart, word: &str| {
        let (x, y) =
            (images.path.with_file_name(format!("{word}_X.bin")), images.path.with_file_name(format!("{word}_y.bin")));
        if part == SetPart::Train || x.exists() {
            parts.add(part, Box::new(records::stl(&x, &y)?));
        }
        Ok(())
    };
    Some(add(SetPart::Train, "train").and_then(|()| add(SetPart::Test, "test")).map(|()| "STL-10"))
}

/// Says that other folders have files of sets as well.
fn note_others(parts: &mut PartReaders, files: &[SetFile], first: &SetFile) {
    let other = |file: &&SetFile| file.kind != FileKind::Other && file.path.parent() != first.path.parent();
    if let Some(other) = files.iter().find(other) {
        parts.notes.push(format!("`{}` and its like, in other folders than `{}`, left aside", other.name, first.name));
    }
}

/// The files of CIFAR in one folder; pickles if no binary form is said.
fn cifar<'a>(
    parts: &mut PartReaders,
    files: impl Iterator<Item = &'a SetFile>,
    format: Option<Format>,
) -> Result<&'static str> {
    let mut classes = 0;
    for file in files {
        let name = file.name.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".bin").unwrap_or(name);
        let (part, count) = match name {
            "train" => (SetPart::Train, 100),
            "test" => (SetPart::Test, 100),
            "test_batch" => (SetPart::Test, 10),
            _ if name.starts_with("data_batch_") => (SetPart::Train, 10),
            _ => continue,
        };
        if !parts.has(part) {
            idx_files::known(parts, &file.path)?;
        }
        classes = count;
        match format {
            Some(format) => parts.add(part, Box::new(CifarRecords::new(&file.path, format)?)),
            None => parts.add(part, Box::new(cifar_python::batch(&file.path)?)),
        }
    }
    parts.classes = Some((0..classes).map(Label::Number).collect());
    Ok(if format.is_some() { "the binary version of CIFAR" } else { "the Python version of CIFAR" })
}
