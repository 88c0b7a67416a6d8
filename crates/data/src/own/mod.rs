//! Data of the user's own: from a path and a few options to a data set.
//!
//! | file | what it is |
//! | --- | --- |
//! | `survey` | a first look at every example |
//! | `settle` | the one form that follows for all of them |
//! | `picture`, `picture_form` | images: what their first bytes say, and their pixels |
//! | `jpeg`, `tiff`, `tiff_faults`, `tiff_fields` | what libraries do not see to in these |
//! | `decode` | from files of images and arrays to values of that form |
//! | `order` | the order of the examples, which their contents decide |
//! | `cache`, `listing` | what was decoded, kept for the next time, in files of `part_file` |

mod cache;
mod decode;
mod jpeg;
mod listing;
mod order;
mod picture;
mod picture_form;
mod settle;
mod survey;
mod tiff;
mod tiff_faults;
mod tiff_fields;

use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use cache::Draft;
pub use cache::{Cache, CachedSet, FoundSet};
use listing::Listing;
pub use picture::{Wanted, decode as decode_picture, look as look_at_picture};
pub use picture_form::PictureForm;
pub use settle::{Settled, shown};
pub use survey::PartSurvey;

use crate::example::{Reader, SetParts};
use crate::images::{DataSet, Images, fingerprint_head, fingerprint_labels};
use crate::part_file::{Loose, PartFile, PartWriter};
use crate::readers;
use crate::values::ValueKind;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::signals;
use tombola_words::{DataForm, DataOptions, DataShape};

/// Share of a set without a test part that is held out for the test.
const TEST_SHARE: f64 = 0.2;

/// What a stop leaves undone.
const UNDONE: &str = "the reading of the data";

/// The parts of a set, in the order in which they are hashed.
const PARTS: [&str; 3] = ["training", "validation", "test"];

/// Finds out what data of the user's own are. What was decoded before, from files that are as they were then, is not read again.
///
/// # Errors
/// Nothing at the path, no format that is read, and whatever keeps its examples from being one set; damaged examples, unless they
/// are skipped.
pub fn take(path: &Path, options: &DataOptions) -> Result<FoundSet> {
    take_into(&Cache::of_user()?, path, options)
}

fn take_into(cache: &Cache, path: &Path, options: &DataOptions) -> Result<FoundSet> {
    let at = |error: Error| error.at_path(path);
    let listing = Listing::of(path)?;
    let made = format!("{} {options:?}", cache::VERSION);
    let key = listing.key(&made);
    if let Some(found) = key.as_ref().and_then(|key| cache.recall(key)) {
        return Ok(found);
    }
    let _turn = cache.turn(key.as_deref().unwrap_or("new"))?;
    if let Some(found) = key.as_ref().and_then(|key| cache.recall(key)) {
        return Ok(found);
    }
    let found = decoded(cache, path, options).map_err(at)?;
    // Only what did not change meanwhile may be believed the next time.
    if let Some(key) = key.filter(|key| Listing::of(path).is_ok_and(|now| now.key(&made).as_ref() == Some(key))) {
        cache.remember(&key, &found)?;
    }
    Ok(found)
}

/// Opens the set of this form, which lies at a path unless it was decoded before. `memory` bytes of examples may be held: where there
/// are more, [`DataSet::reads_ahead`] says so, and values are read when they are needed.
///
/// # Errors
/// As [`take`], and when the data are not those that the form is of.
pub fn open(name: &str, path: &Path, options: &DataOptions, form: &DataForm, memory: u64) -> Result<DataSet> {
    open_from(&Cache::of_user()?, name, path, options, form, memory)
}

fn open_from(
    cache: &Cache,
    name: &str,
    path: &Path,
    options: &DataOptions,
    form: &DataForm,
    memory: u64,
) -> Result<DataSet> {
    if let Some(set) = kept(cache, name, form, memory)? {
        return Ok(set);
    }
    // The processes of a machine open a set at the same time: one decodes, and the others find it then.
    let _turn = cache.turn(&form.content)?;
    if let Some(set) = kept(cache, name, form, memory)? {
        return Ok(set);
    }
    let found =
        decoded(cache, path, options).map_err(|error| error.at(format!("data set `{name}`: `{}`", path.display())))?;
    if found.form != *form {
        return Err(Error::input(format!(
            "data set `{name}`: `{}` holds {}, expected {} with the content {}",
            path.display(),
            told(&found.form),
            told(form),
            form.content
        ))
        .hint("put back the data that the sweep was begun with, or begin another sweep"));
    }
    let folder =
        cache.folder_of(&form.content).ok_or_else(|| Error::environment("what was decoded is gone already"))?;
    opened(&folder, name, form, memory)
}

/// The set of this form as it was decoded before; none if it is not here or damaged, which then is taken away.
fn kept(cache: &Cache, name: &str, form: &DataForm, memory: u64) -> Result<Option<DataSet>> {
    let Some(folder) = cache.folder_of(&form.content) else { return Ok(None) };
    match opened(&folder, name, form, memory) {
        Ok(set) => {
            cache.touch(&form.content);
            Ok(Some(set))
        }
        // The data are there: a damaged copy is no reason to fail. Whatever else keeps it from being opened says nothing of the copy.
        Err(error) if error.kind == Kind::Input => {
            std::fs::remove_dir_all(&folder).map_err(|error| Error::file("take away", &folder, &error))?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A form in words.
pub fn told(form: &DataForm) -> String {
    let shape: Vec<String> = form.shape.0.iter().map(ToString::to_string).collect();
    let validation = match form.validation {
        0 => String::new(),
        count => format!(", {count} validation"),
    };
    format!(
        "{} training{validation} and {} test examples of {} in {} classes",
        form.train,
        form.test,
        shape.join("x"),
        form.classes
    )
}

fn opened(folder: &Path, name: &str, form: &DataForm, memory: u64) -> Result<DataSet> {
    let shape = form.shape.shape().ok_or_else(|| Error::input("a data set has a shape that cannot be"))?;
    let element = if form.bytes { ValueKind::Byte } else { ValueKind::Float };
    let examples = (form.train + form.validation + form.test) as u64;
    let fits = examples * (shape.size() * element.bytes()) as u64 <= memory;
    let part = |part: &str, count: usize| {
        let (file, labels) = PartFile::open(&folder.join(part), shape, element, count)?;
        Images::on_disk(Arc::new(file), fits, element, labels, shape, form.classes)
    };
    let validation = (form.validation > 0).then(|| part(PARTS[1], form.validation)).transpose()?;
    let (train, test) = (part(PARTS[0], form.train)?, part(PARTS[2], form.test)?);
    Ok(DataSet { name: name.to_string(), train, validation, test, fingerprint: form.content.clone() })
}

/// What [`survey`] found: the parts, and a look at each.
pub struct Looked {
    /// Where examples come from.
    pub parts: SetParts,
    /// By the name of the part.
    pub surveys: Vec<(&'static str, PartSurvey)>,
}

/// Looks at every example of a set without decoding any.
///
/// # Errors
/// Nothing at the path, no format that is read, files that are cut off or damaged.
pub fn survey(path: &Path, options: &DataOptions) -> Result<Looked> {
    let parts = readers::open(path, options)?;
    let bar = progress("looking at examples", None);
    let mut surveys = Vec::new();
    for (part, reader) in readers_of(&parts) {
        surveys.push((
            part,
            PartSurvey::of(reader, &|seen| {
                bar.set_position(seen as u64);
                signals::check(UNDONE)
            })?,
        ));
    }
    bar.finish_and_clear();
    Ok(Looked { parts, surveys })
}

impl Looked {
    /// The form that all examples have or are brought to.
    ///
    /// # Errors
    /// Examples that have no form in common, damaged ones, classes that are empty or too many.
    pub fn settled(&self, options: &DataOptions) -> Result<Settled> {
        let looks: Vec<(&'static str, &PartSurvey)> =
            self.surveys.iter().map(|(part, survey)| (*part, survey)).collect();
        Settled::of(&looks, self.parts.classes.as_deref(), options)
    }
}

fn readers_of(parts: &SetParts) -> impl Iterator<Item = (&'static str, &dyn Reader)> {
    let all = [Some(&parts.train), parts.validation.as_ref(), parts.test.as_ref()];
    PARTS.into_iter().zip(all).filter_map(|(part, reader)| Some((part, reader?.as_ref())))
}

/// Decodes a set into the cache.
fn decoded(cache: &Cache, path: &Path, options: &DataOptions) -> Result<FoundSet> {
    let looked = survey(path, options)?;
    let settled = looked.settled(options)?;
    let count: usize = looked.surveys.iter().map(|(_, survey)| survey.count).sum();
    let size = settled.shape.size() * settled.element.bytes();
    // Once as they come, and once in their order.
    let draft = cache.begin(2 * (count * size) as u64 + PARTS.len() as u64 * PartFile::head_bytes(count))?;
    let bar = progress("decoding examples", Some(count));
    let mut parts: Vec<(&'static str, Loose, Vec<usize>)> = Vec::new();
    let mut skipped = 0;
    for (part, reader) in readers_of(&looked.parts) {
        let mut writer = PartWriter::create(&draft.folder.join(format!("loose-{part}")), size)?;
        let mut hashes = Vec::new();
        let damaged = decode::records(reader, &settled, options.skip_damaged, &mut |record| {
            signals::check(UNDONE)?;
            bar.inc(1);
            hashes.push((record.label, *blake3::hash(&record.values).as_bytes()));
            writer.add(record.label, &record.values)
        })?;
        skipped += damaged;
        let seen = looked
            .surveys
            .iter()
            .find(|(name, _)| *name == part)
            .map_or(0, |(_, survey)| survey.count + survey.damaged.0);
        if hashes.len() + damaged != seen {
            return Err(Error::input(format!(
                "there were {seen} {part} examples at first, and {} when they were decoded",
                hashes.len() + damaged
            ))
            .hint("leave the files as they are while they are read, and try again"));
        }
        let order = order::stratified(&hashes);
        parts.push((part, writer.loose()?, order));
    }
    bar.finish_and_clear();
    let mut notes = looked.parts.notes.clone();
    notes.extend(settled.notes.clone());
    if skipped > 0 {
        notes.push(format!("{skipped} damaged examples are left out"));
    }
    let mut cuts: Vec<(&'static str, &Loose, &[usize])> =
        parts.iter().map(|(part, loose, order)| (*part, loose, order.as_slice())).collect();
    if looked.parts.test.is_none() {
        let share = options.test_share.unwrap_or(TEST_SHARE);
        let (_, loose, order) = cuts[0];
        let test = ((order.len() as f64 * share).round() as usize)
            .clamp(1, order.len().saturating_sub(1).max(1))
            .min(order.len());
        let (kept, held_out) = order.split_at(order.len() - test);
        cuts[0].2 = kept;
        cuts.push((PARTS[2], loose, held_out));
        notes.push(format!(
            "there is no test part: {test} examples, {:.0} % of each class, are held out",
            share * 100.0
        ));
    } else if options.test_share.is_some() {
        return Err(Error::input("`test-share` is given, but the data have a test part of their own")
            .hint("leave `test-share` out, or say `test = \"\"` to leave that part aside"));
    }
    notes.extend(check_classes(&cuts, &settled)?);
    let found = written(&draft, &cuts, &settled, &looked, notes)?;
    for (_, loose, _) in parts {
        loose.remove()?;
    }
    cache.finish(draft, &found)?;
    Ok(found)
}

/// Refuses parts that are empty, and classes without a training example, once it is known what could be decoded and what is held out.
/// Says how many classes have no test example.
fn check_classes(cuts: &[(&'static str, &Loose, &[usize])], settled: &Settled) -> Result<Option<String>> {
    let mut note = None;
    for (part, loose, order) in cuts {
        if order.is_empty() {
            return Err(Error::input(format!("there is no {part} example that can be decoded"))
                .hint("give it good files, or a larger set"));
        }
        let mut counts = vec![0_usize; settled.classes.len()];
        order.iter().for_each(|place| counts[usize::from(loose.labels()[*place])] += 1);
        let empty: Vec<&usize> = counts.iter().filter(|count| **count == 0).collect();
        let first = counts.iter().position(|count| *count == 0).and_then(|place| settled.classes.get(place)).map(shown);
        match (*part, first) {
            ("training", Some(class)) => {
                return Err(Error::input(format!("class `{class}` has no training example that is left")).hint(
                    "give it more examples, hold fewer out for the test (`test-share`), or take the class away",
                ));
            }
            ("test", Some(class)) => {
                let many = if empty.len() == 1 { "class has" } else { "classes have" };
                note = Some(format!("{} {many} no test example, `{class}` first", empty.len()));
            }
            _ => {}
        }
    }
    Ok(note)
}

/// Writes the parts in their order and hashes them.
fn written(
    draft: &Draft,
    cuts: &[(&'static str, &Loose, &[usize])],
    settled: &Settled,
    looked: &Looked,
    notes: Vec<String>,
) -> Result<FoundSet> {
    let classes = settled.classes.len();
    let mut hasher = blake3::Hasher::new();
    let mut counts = [0; PARTS.len()];
    for (part, loose, order) in cuts {
        fingerprint_head(&mut hasher, order.len(), settled.element, settled.shape, classes);
        loose.write(order, settled.element, &draft.folder.join(part), &mut |values| {
            hasher.update(values);
            signals::check(UNDONE)
        })?;
        let labels: Vec<u16> = order.iter().map(|place| loose.labels()[*place]).collect();
        fingerprint_labels(&mut hasher, &labels, classes);
        if let Some(place) = PARTS.iter().position(|name| name == part) {
            counts[place] = order.len();
        }
    }
    let form = DataForm {
        content: hasher.finalize().to_hex().to_string(),
        shape: DataShape::of(settled.shape),
        bytes: settled.element == ValueKind::Byte,
        classes,
        train: counts[0],
        validation: counts[1],
        test: counts[2],
    };
    let classes = settled.classes.iter().map(shown).collect();
    Ok(FoundSet { version: cache::VERSION, form, classes, format: looked.parts.format.to_string(), notes })
}

fn progress(what: &str, of: Option<usize>) -> ProgressBar {
    let bar = match of {
        Some(count) => ProgressBar::new(count as u64),
        None => ProgressBar::new_spinner(),
    };
    let template = if of.is_some() { "{msg} {wide_bar} {pos}/{len} {eta}" } else { "{msg} {pos}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_string());
    bar
}

#[cfg(test)]
mod tests;
