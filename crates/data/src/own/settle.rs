//! What the examples of a set are brought to: one shape, one kind of value, classes counted from 0.
//!
//! Decided over all parts, so that a grey image in the test part does not differ from a coloured training image.

use std::collections::{BTreeMap, BTreeSet};

use super::picture::Wanted;
use super::survey::PartSurvey;
use crate::example::{Label, UNLABELLED};
use crate::images::MOST_CLASSES;
use crate::values::ValueKind;
use tombola_words::error::{Error, Result, nearest};
use tombola_words::{Axes, DataOptions, Shape};

/// Names of classes in one error.
const MOST_LISTED: usize = 5;

/// The form of a set.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Of every example.
    pub shape: Shape,
    /// Of every value.
    pub element: ValueKind,
    /// The classes in their order: the label of each.
    pub classes: Vec<Label>,
    /// Places of the labels among them.
    pub places: BTreeMap<Label, u16>,
    /// What images are brought to, where examples are images.
    pub wanted: Option<Wanted>,
    /// What may be meant otherwise, in words.
    pub notes: Vec<String>,
}

/// The parts of a set: what a look at each found, by name; the first is trained on.
pub(super) type Looks<'a> = [(&'static str, &'a PartSurvey)];

impl Settled {
    /// Decides the form of a set. `listed` are its classes, where its files say them.
    ///
    /// # Errors
    /// Examples that have no form in common, damaged ones, classes that are empty or too many.
    pub(super) fn of(parts: &Looks, listed: Option<&[Label]>, options: &DataOptions) -> Result<Self> {
        for (part, survey) in parts {
            if let (Some((name, why)), false) = (survey.damaged.1.first(), options.skip_damaged) {
                let others = match survey.damaged.0 {
                    1 => String::new(),
                    count => format!(" ({count} like it in the {part} part)"),
                };
                return Err(Error::input(format!("`{name}` is damaged{others}: {why}")).hint(
                    "put a good file in its place, take it away, or leave such files out with `skip-damaged = true`",
                ));
            }
            if survey.count == 0 {
                return Err(Error::input(format!("there is no {part} example")).hint(
                    "`tombola data look` says what was found; `train`, `validation` and `test` in a block \
                           `[datasets.NAME]` say where parts lie",
                ));
            }
        }
        let classes = classes(parts, listed)?;
        let place = |(place, label): (usize, &Label)| (label.clone(), place as u16);
        let places = classes.iter().enumerate().map(place).collect();
        let pictures: usize = parts.iter().map(|(_, survey)| survey.pictures.count).sum();
        let arrays: usize = parts.iter().map(|(_, survey)| survey.arrays.count).sum();
        let (shape, element, wanted) = match (pictures, arrays) {
            (_, 0) => pictures_form(parts, options)?,
            (0, _) => arrays_form(parts, options)?,
            _ => return Err(Error::input("some examples are image files and others are arrays; expected one of them")),
        };
        let notes = wanted.is_none().then(|| maybe_signals(shape, element, options)).flatten().into_iter().collect();
        Ok(Self { shape, element, classes, places, wanted, notes })
    }
}

/// Arrays of numbers that are no bytes and have sides that differ are more often signals than grey images.
fn maybe_signals(shape: Shape, element: ValueKind, options: &DataOptions) -> Option<String> {
    match shape {
        Shape::Image(1, height, width) if element == ValueKind::Float && height != width && options.axes.is_none() => {
            Some(format!(
                "arrays of {height}x{width} numbers are taken for grey images; `axes = \"first\"` takes them for signals of {height} \
                 channels, `axes = \"last\"` of {width}"
            ))
        }
        _ => None,
    }
}

/// All classes in their order.
fn classes(parts: &Looks, listed: Option<&[Label]>) -> Result<Vec<Label>> {
    let found: BTreeSet<&Label> = parts.iter().flat_map(|(_, survey)| survey.labels.keys()).collect();
    let word = |label: &&&Label| matches!(label, Label::Word(_));
    if let (Some(word), Some(number)) = (found.iter().find(word), found.iter().find(|label| !word(label))) {
        return Err(Error::input(format!("labels are words (`{}`) and numbers ({})", shown(word), shown(number)))
            .hint("give every example a label of one kind"));
    }
    let classes: Vec<Label> = match listed {
        Some(listed) => listed.to_vec(),
        None => found.iter().map(|label| (*label).clone()).collect(),
    };
    if classes.len() > MOST_CLASSES {
        return Err(Error::input(format!("there are {} classes; expected at most {MOST_CLASSES}", classes.len()))
            .hint("is the column of labels one of numbers that differ for each example?"));
    }
    if classes.len() < 2 {
        return Err(Error::input(format!(
            "there is one class (`{}`); expected at least 2",
            classes.first().map_or_else(String::new, shown)
        ))
        .hint("`tombola data look` says which folders or labels were found"));
    }
    let known: BTreeSet<&Label> = classes.iter().collect();
    for (part, survey) in parts {
        if let Some(label) = survey.labels.keys().find(|label| !known.contains(label)) {
            let names: Vec<String> = classes.iter().map(shown).collect();
            let error = Error::input(format!(
                "the {part} part has the label `{}`, which is none of the {} classes",
                shown(label),
                classes.len()
            ));
            return Err(match nearest(&shown(label), names.iter().map(String::as_str)) {
                Some(meant) => error.hint(format!("is `{meant}` meant?")),
                None => error.hint("take such examples away, or name the class"),
            });
        }
    }
    let Some((_, train)) = parts.first() else { return Ok(classes) };
    let empty: Vec<String> = classes.iter().filter(|label| !train.labels.contains_key(label)).map(shown).collect();
    if let Some(first) = empty.first() {
        let more = match empty.len() {
            1 => String::new(),
            count => format!(
                ", and {} more: {}",
                count - 1,
                empty[1..].iter().take(MOST_LISTED).cloned().collect::<Vec<_>>().join(", ")
            ),
        };
        let error = Error::input(format!("class `{first}` has no training example{more}"));
        return Err(error.hint(match first.as_str() {
            "-1" => UNLABELLED,
            _ => "take the class away in all parts, or give it examples",
        }));
    }
    Ok(classes)
}

/// A label as people write it.
pub fn shown(label: &Label) -> String {
    match label {
        Label::Number(number) => number.to_string(),
        Label::Word(word) => word.clone(),
    }
}

type FoundForm = (Shape, ValueKind, Option<Wanted>);

fn pictures_form(parts: &Looks, options: &DataOptions) -> Result<FoundForm> {
    let sum = |of: &dyn Fn(&PartSurvey) -> usize| parts.iter().map(|(_, survey)| of(survey)).sum::<usize>();
    let all = sum(&|survey| survey.pictures.count);
    let channels = options.channels.unwrap_or(if sum(&|survey| survey.pictures.coloured) == 0 { 1 } else { 3 });
    let bits = if sum(&|survey| survey.pictures.deep) == all { 16 } else { 8 };
    let size = match options.size {
        Some(size) => size,
        None => one_size(parts, "images").and_then(|size| match size.as_slice() {
            &[height, width] => Ok((height, width)),
            _ => Err(Error::input("images have no height and width")),
        })?,
    };
    let element = if bits == 16 { ValueKind::Float } else { ValueKind::Byte };
    let wanted = Wanted { channels, bits, size, resize: options.resize, alpha: options.alpha };
    Ok((Shape::Image(channels, size.0, size.1), element, Some(wanted)))
}

fn arrays_form(parts: &Looks, options: &DataOptions) -> Result<FoundForm> {
    if options.size.is_some() {
        return Err(Error::input("`size` is given, but the examples are arrays, which are taken as they are")
            .hint("leave `size` out, or bring the arrays to that size"));
    }
    let mut size = one_size(parts, "arrays")?;
    // Channels come first in a shape.
    if size.len() > 1 {
        size.rotate_right(1);
    }
    let shape = match *size.as_slice() {
        [features] => Shape::Vector(features),
        [channels, height, width] => Shape::Image(channels, height, width),
        _ => Shape::Block(Axes::of(&[&[1], size.as_slice()].concat()).unwrap_or_default()),
    };
    let is_byte = |survey: &PartSurvey| {
        !survey.arrays.has_floats && survey.arrays.range.is_none_or(|(lowest, highest)| lowest >= 0 && highest <= 255)
    };
    check_scales(parts)?;
    let element = if parts.iter().all(|(_, survey)| is_byte(survey)) { ValueKind::Byte } else { ValueKind::Float };
    Ok((shape, element, None))
}

/// Refuses parts of which one has bytes or other whole numbers and another what looks like the same divided by the highest.
fn check_scales(parts: &Looks) -> Result<()> {
    let is_scaled = |survey: &PartSurvey| survey.arrays.has_floats && survey.arrays.highest <= 1.0;
    let is_whole = |survey: &PartSurvey| !survey.arrays.has_floats && survey.arrays.highest > 1.0;
    let (Some((scaled, _)), Some((whole, survey))) = (
        parts.iter().find(|(_, survey)| survey.arrays.count > 0 && is_scaled(survey)),
        parts.iter().find(|(_, survey)| survey.arrays.count > 0 && is_whole(survey)),
    ) else {
        return Ok(());
    };
    Err(Error::input(format!(
        "the {whole} part has whole numbers up to {}, and the {scaled} part numbers of which none is above 1: they are scaled otherwise",
        survey.arrays.highest
    ))
    .hint("write all parts in the same way: bytes from 0 to 255, or all divided by 255"))
}

/// The one size that all examples have, channels last.
fn one_size(parts: &Looks, what: &str) -> Result<Vec<usize>> {
    let mut sizes = BTreeMap::new();
    for (size, (count, name)) in parts.iter().flat_map(|(_, survey)| &survey.sizes) {
        sizes.entry(size).or_insert_with(|| (0, name)).0 += count;
    }
    let written = |size: &[usize]| size.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
    let usual = sizes.iter().max_by_key(|(_, (count, _))| *count);
    let (Some((usual, _)), Some((other, (_, name)))) =
        (usual, sizes.iter().find(|(size, _)| Some(**size) != usual.map(|(size, _)| *size)))
    else {
        return sizes.keys().next().map(|size| (*size).clone()).ok_or_else(|| Error::input("there is no example"));
    };
    let error = Error::input(format!(
        "{what} have {} sizes: most are {}, `{name}` is {}",
        sizes.len(),
        written(usual),
        written(other)
    ));
    Err(match what {
        "images" => error.hint(format!(
            "give the size that they are brought to, such as `size = [{}, {}]`, in a block `[datasets.NAME]`",
            usual.first().unwrap_or(&32),
            usual.get(1).unwrap_or(&32)
        )),
        _ => error.hint("bring all arrays to one size"),
    })
}
