//! Folders of images, a folder a class, as torchvision's `ImageFolder`; parts are folders above them. Tiny-ImageNet's too, whose
//! validation part has a list instead.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::parts::{PartReaders, SetPart};
use super::stored::MOST_EXAMPLE;
use super::tree::{self, TreeEntry, TreeWalk, is_image};
use crate::example::{Content, Example, Label, Reader, SetParts, Take};
use tombola_words::DataOptions;
use tombola_words::error::{Error, Result, printable};
use tombola_words::regular;

/// A list of names has some megabytes.
const MOST_LIST: u64 = 64 << 20;
/// Files that say the order of classes.
const ORDERS: [&str; 2] = ["wnids.txt", "wids.txt"];

/// The bytes of an image, or why they cannot be read.
pub(super) fn content(path: &Path) -> Content {
    let read = || {
        let mut bytes = Vec::new();
        regular::open(path)?.take(MOST_EXAMPLE + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > MOST_EXAMPLE => {
            Content::Damaged(format!("it has more than {MOST_EXAMPLE} bytes"))
        }
        Ok(bytes) if bytes.is_empty() => Content::Damaged("it is empty".to_string()),
        Ok(bytes) => Content::File(bytes),
        Err(error) => Content::Damaged(format!("it cannot be read: {error}")),
    }
}

/// The folders of the classes of one part.
struct ClassFolders {
    /// Where it lies within the set: `train/`.
    prefix: String,
    /// Class and folder.
    classes: Vec<(String, PathBuf)>,
    /// Links to a folder in which they lie.
    leading_back: usize,
}

impl ClassFolders {
    /// The folders directly below another.
    fn of(root: &Path, prefix: &str) -> Result<Self> {
        let (found, _) = tree::entries(root)?;
        let above = tree::above(root)?;
        let (mut classes, mut known, mut leading_back) = (Vec::new(), BTreeMap::new(), 0);
        for entry in found.into_iter().filter(|entry| entry.is_folder) {
            let own = tree::identity_of(&entry.path)?;
            // A link that leads back is no class.
            if above.contains(&own) {
                leading_back += 1;
                continue;
            }
            if let Some(other) = known.insert(own, entry.name.clone()) {
                return Err(Error::input(format!(
                    "`{}` and `{other}` in `{}` are one folder",
                    entry.name,
                    root.display()
                ))
                .hint("each class has a folder of its own: take the link away"));
            }
            classes.push((entry.name, entry.path));
        }
        // Names that are no text are shown as if they were, and two may look the same then.
        if let Some(twice) = classes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::input(format!("two folders in `{}` are called `{}`", root.display(), twice[0].0))
                .hint("their names are no text in UTF-8: call them something else"));
        }
        Ok(Self { prefix: prefix.to_string(), classes, leading_back })
    }

    /// The images of a class, by the bytes of their names.
    fn images(folder: &Path) -> Result<Vec<TreeEntry>> {
        let mut images = Vec::new();
        let visit = &mut |entry: TreeEntry| {
            if is_image(&entry.name) {
                images.push(entry);
            }
            Ok(())
        };
        TreeWalk::new().files(folder, visit)?;
        images.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(images)
    }
}

impl Reader for ClassFolders {
    fn read(&self, take: &mut Take) -> Result<()> {
        for (class, folder) in &self.classes {
            for image in Self::images(folder)? {
                let name = printable(&format!("{}{class}/{}", self.prefix, image.name));
                take(Example { name, label: Label::Word(class.clone()), content: content(&image.path) })?;
            }
        }
        Ok(())
    }
}

/// Images of one folder, whose classes a list says.
struct ListedImages {
    prefix: String,
    /// Class, name, path.
    images: Vec<(String, String, PathBuf)>,
}

impl ListedImages {
    /// A list as that of Tiny-ImageNet: name and class, with tabs between them, and places that are not needed.
    fn of(list: &Path, folder: &Path, prefix: &str) -> Result<Self> {
        let text = regular::read_short(list, MOST_LIST).map_err(|error| Error::file("read", list, &error))?;
        let mut images = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let mut columns = line.split('\t').map(str::trim);
            let (name, class) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            // Names only: a list may not say where else on the disk something lies.
            if name.is_empty() || class.is_empty() || name.contains('/') || name == ".." {
                return Err(Error::input(format!(
                    "`{}`, line {}: found `{line}`; expected the name of an image and its class with a tab between them",
                    list.display(),
                    index + 1
                ))
                .hint("the list is damaged: unpack the set again"));
            }
            images.push((class.to_string(), name.to_string(), folder.join(name)));
        }
        images.sort();
        Ok(Self { prefix: prefix.to_string(), images })
    }
}

impl Reader for ListedImages {
    fn read(&self, take: &mut Take) -> Result<()> {
        self.images.iter().try_for_each(|(class, name, path)| {
            let name = printable(&format!("{}{name}", self.prefix));
            take(Example { name, label: Label::Word(class.clone()), content: content(path) })
        })
    }
}

/// Counts of what was left aside.
#[derive(Default)]
struct StrayFiles {
    count: usize,
    first: Option<String>,
    circles: usize,
}

impl StrayFiles {
    fn add(&mut self, name: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| name.to_string());
    }

    fn note(self, notes: &mut Vec<String>) {
        if let Some(first) = self.first {
            notes.push(format!("{} files that are no images left aside, `{first}` among them", self.count));
        }
        if self.circles > 0 {
            notes.push(format!("{} folders not looked into: links that lead back, or too deep", self.circles));
        }
    }
}

/// The folders of parts, if there is one to train on or options name it; else the folder itself. What lies beside them is noted.
fn part_folders(
    root: &Path,
    options: &DataOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<(SetPart, PathBuf, String)>> {
    let (found, _) = tree::entries(root)?;
    let mut parts: Vec<(SetPart, PathBuf, String)> = Vec::new();
    let mut beside = Vec::new();
    for part in SetPart::ALL {
        if let Some(asked) = part.asked(options).filter(|asked| root.join(asked).is_dir()) {
            parts.push((part, root.join(asked), format!("{asked}/")));
        }
    }
    for entry in found.into_iter().filter(|entry| entry.is_folder) {
        if parts.iter().any(|(_, path, _)| path.starts_with(&entry.path)) {
            continue;
        }
        match SetPart::of_word(&entry.name, options) {
            Some(part) => match parts.iter().find(|(other, ..)| *other == part) {
                Some((.., prefix)) => {
                    let part = part.called();
                    beside.push(format!("`{}/` left aside: the {part} part is `{prefix}`", entry.name));
                }
                None => parts.push((part, entry.path, format!("{}/", entry.name))),
            },
            None => beside.push(format!("`{}/` left aside: it is none of the parts", entry.name)),
        }
    }
    let is_asked = SetPart::Train.asked(options).is_some();
    // A class may be called `train`, too: the part has folders in it.
    if let Some((_, train, _)) = parts.iter().find(|(part, ..)| *part == SetPart::Train)
        && (is_asked || tree::entries(train)?.0.iter().any(|entry| entry.is_folder))
    {
        notes.extend(beside);
        for (index, (part, folder, prefix)) in parts.iter().enumerate() {
            let same =
                |(_, other, _): &&(SetPart, PathBuf, String)| other.canonicalize().ok() == folder.canonicalize().ok();
            if let Some((other, ..)) = parts[..index].iter().find(same) {
                return Err(SetPart::same(*other, *part, prefix));
            }
        }
        return Ok(parts);
    }
    if is_asked {
        return Ok(Vec::new());
    }
    Ok(vec![(SetPart::Train, root.to_path_buf(), String::new())])
}

/// The folder of a set in a folder that has nothing else, as archives unpack.
fn inner(root: &Path) -> Result<PathBuf> {
    let mut root = root.to_path_buf();
    for _ in 0..2 {
        let (found, _) = tree::entries(&root)?;
        let [only] = found.as_slice() else { break };
        let holds_folders = only.is_folder && tree::entries(&only.path)?.0.iter().any(|entry| entry.is_folder);
        if !holds_folders {
            break;
        }
        root = only.path.clone();
    }
    Ok(root)
}

/// Whether at least two folders of classes hold images.
pub(super) fn are_here(root: &Path, options: &DataOptions) -> Result<bool> {
    let root = inner(root)?;
    let parts = part_folders(&root, options, &mut Vec::new())?;
    let Some((_, train, prefix)) = parts.iter().find(|(part, ..)| *part == SetPart::Train) else { return Ok(false) };
    let mut with_images = 0;
    for (_, folder) in ClassFolders::of(train, prefix)?.classes {
        // Found, the walk ends.
        let found = TreeWalk::new().files(&folder, &mut |entry| match is_image(&entry.name) {
            true => Err(Error::input("")),
            false => Ok(()),
        });
        with_images += usize::from(found.is_err());
        if with_images == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The parts of a set of folders.
///
/// # Errors
/// No folder of a class, none with an image in it, folders that cannot be read.
pub(super) fn open(root: &Path, options: &DataOptions) -> Result<SetParts> {
    let root = inner(root)?;
    let (mut parts, mut strays) = (PartReaders::default(), StrayFiles::default());
    let mut classes: BTreeSet<String> = BTreeSet::new();
    let mut folders = part_folders(&root, options, &mut parts.notes)?;
    if let (true, Some(asked)) = (folders.is_empty(), SetPart::Train.asked(options)) {
        return Err(SetPart::Train.missing(asked));
    }
    folders.sort_by_key(|(part, ..)| *part);
    for (part, folder, prefix) in folders {
        if parts.leaves(part, options) {
            continue;
        }
        let found = ClassFolders::of(&folder, &prefix)?;
        if found.leading_back > 0 {
            let place = folder.display();
            parts.notes.push(format!("{} links in `{place}` lead back and are no classes", found.leading_back));
        }
        let known = part == SetPart::Train || found.classes.iter().any(|(class, _)| classes.contains(class));
        if !known {
            match list(&folder)? {
                Some(list) => {
                    let images = ListedImages::of(&list, &images_of(&folder), &prefix)?;
                    parts.add(part, Box::new(images));
                }
                None => parts.notes.push(format!("`{prefix}` left aside: its images have no labels")),
            }
            continue;
        }
        let count = survey(&mut parts.notes, &mut strays, &found)?;
        if count == 0 {
            parts.notes.push(format!("`{prefix}` left aside: it has no images"));
            continue;
        }
        let strangers: Vec<String> = found
            .classes
            .iter()
            .filter(|(class, _)| part != SetPart::Train && !classes.contains(class))
            .map(|(class, _)| format!("`{class}`"))
            .collect();
        if !strangers.is_empty() {
            parts.notes.push(format!("`{prefix}` has classes that are not trained on: {}", strangers.join(", ")));
        }
        classes.extend(found.classes.iter().map(|(class, _)| class.clone()));
        parts.add(part, Box::new(found));
    }
    if !parts.has(SetPart::Train) {
        return Err(Error::input(format!("`{}` has no folders of images", root.display())).hint(
            "put the images of each class into a folder of its own, below `train` and `test` if there are parts",
        ));
    }
    strays.note(&mut parts.notes);
    parts.classes = Some(ordered(&root, classes, &mut parts.notes)?.into_iter().map(Label::Word).collect());
    parts.finish("folders of images", options)
}

/// How many images there are; notes empty classes and counts what is no image.
fn survey(notes: &mut Vec<String>, strays: &mut StrayFiles, found: &ClassFolders) -> Result<usize> {
    let mut all = 0;
    for (class, folder) in &found.classes {
        let (mut count, mut walk) = (0, TreeWalk::new());
        let visit = &mut |entry: TreeEntry| {
            match is_image(&entry.name) {
                true => count += 1,
                false => strays.add(&format!("{}{class}/{}", found.prefix, entry.name)),
            }
            Ok(())
        };
        walk.files(folder, visit)?;
        strays.count += walk.hidden;
        if walk.hidden > 0 {
            strays.first.get_or_insert_with(|| format!("{}{class}/.…", found.prefix));
        }
        strays.circles += walk.skipped;
        if count == 0 {
            let place = if found.prefix.is_empty() { String::new() } else { format!(" in `{}`", found.prefix) };
            notes.push(format!("the class `{class}` has no image{place}"));
        }
        all += count;
    }
    Ok(all)
}

/// The list of a part: `val_annotations.txt`.
fn list(folder: &Path) -> Result<Option<PathBuf>> {
    let (found, _) = tree::entries(folder)?;
    Ok(found.into_iter().find(|entry| entry.name.ends_with("_annotations.txt")).map(|entry| entry.path))
}

/// Where the images of a list are.
fn images_of(folder: &Path) -> PathBuf {
    let inner = folder.join("images");
    if inner.is_dir() { inner } else { folder.to_path_buf() }
}

/// Classes in the order of a file that names them all, else by the bytes of their names.
fn ordered(root: &Path, classes: BTreeSet<String>, notes: &mut Vec<String>) -> Result<Vec<String>> {
    let Some(path) = ORDERS.iter().map(|name| root.join(name)).find(|path| path.exists()) else {
        return Ok(classes.into_iter().collect());
    };
    let text = regular::read_short(&path, MOST_LIST).map_err(|error| Error::file("read", &path, &error))?;
    let listed: Vec<String> = text.split_whitespace().map(str::to_string).collect();
    if listed.len() == classes.len() && listed.iter().cloned().collect::<BTreeSet<_>>() == classes {
        return Ok(listed);
    }
    notes.push(format!("`{}` names other classes than there are folders: it is left aside", path.display()));
    Ok(classes.into_iter().collect())
}

#[cfg(test)]
mod tests;
