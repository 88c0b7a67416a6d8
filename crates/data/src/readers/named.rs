//! Arrays with names, of one file or of several: which of them are values and which are labels, of which part.

use std::collections::BTreeMap;

use super::labelled::{LabelSource, LabelledArrays};
use super::parts::{PartReaders, SetPart, words};
use super::stored::StoredArray;
use tombola_words::DataOptions;
use tombola_words::error::{Error, Result, nearest};

/// What people call values. NumPy calls the first array `arr_0` that nobody names.
const VALUES: [&str; 15] = [
    "x",
    "image",
    "images",
    "img",
    "imgs",
    "data",
    "feature",
    "features",
    "input",
    "inputs",
    "pixels",
    "pixel_values",
    "values",
    "samples",
    "arr_0",
];
/// What people call labels.
const LABELS: [&str; 7] = ["y", "label", "labels", "target", "targets", "class", "arr_1"];

/// Names in one error or note.
const MOST_LISTED: usize = 20;

/// An array, or why it cannot be read: that matters only if it is needed.
pub(super) struct NamedArray {
    pub(super) name: String,
    pub(super) array: Result<StoredArray>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArrayRole {
    Values,
    Labels,
}

/// The role of a name without the word of its part.
fn role(name: &str, rest: &str, options: &DataOptions) -> Option<ArrayRole> {
    let is = |asked: Option<&str>, usual: &[&str]| match asked {
        Some(asked) => asked == name || asked == rest,
        None => usual.contains(&rest.to_lowercase().as_str()),
    };
    if is(options.labels.as_deref(), &LABELS) {
        Some(ArrayRole::Labels)
    } else if is(options.values.as_deref(), &VALUES) {
        Some(ArrayRole::Values)
    } else {
        None
    }
}

/// Names in quotes, the first of many.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<String> = names.iter().take(MOST_LISTED).map(|name| format!("`{}`", name.as_ref())).collect();
    let more = if names.len() > MOST_LISTED { ", …" } else { "" };
    if shown.is_empty() { "nothing".to_string() } else { format!("{}{more}", shown.join(", ")) }
}

/// What is said of an option that names nothing of all that there is.
pub(super) fn no_such(place: &str, key: &str, asked: &str, names: &[&str]) -> Error {
    let error = Error::input(format!("{place}: `{key}` names `{asked}`, which is not there; found {}", listed(names)));
    match nearest(asked, names.iter().copied()) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(format!("give `{key}` one of these names")),
    }
}

/// Adds the readers of these arrays. `part` is that of the file in which they lie, and `place` its name for people.
///
/// # Errors
/// No values, no labels, more than one array that could be either, arrays that do not fit each other.
pub(super) fn add(
    parts: &mut PartReaders,
    (place, part): (&str, Option<SetPart>),
    arrays: Vec<NamedArray>,
    options: &DataOptions,
) -> Result<()> {
    let mut found: BTreeMap<SetPart, (Vec<NamedArray>, Vec<NamedArray>)> = BTreeMap::new();
    let mut aside = Vec::new();
    let mut has = [false; 2];
    let bare: Vec<String> = arrays.iter().map(|array| array.name.clone()).collect();
    for array in arrays {
        let own = words(&array.name).find_map(|word| SetPart::of_word(word, options));
        let last = array.name.rsplit('/').next().unwrap_or_default();
        let rest: Vec<&str> = words(last).filter(|word| SetPart::of_word(word, options).is_none()).collect();
        let rest = rest.join("_");
        let entry = own.or(part).unwrap_or(SetPart::Train);
        let role = role(&array.name, &rest, options);
        has[0] |= role == Some(ArrayRole::Values);
        has[1] |= role == Some(ArrayRole::Labels);
        if role.is_some() && entry == SetPart::Train {
            parts.is_guessed = own.is_none() && (part.is_none() || parts.is_guessed);
        }
        match role {
            Some(ArrayRole::Values) => found.entry(entry).or_default().0.push(array),
            Some(ArrayRole::Labels) => found.entry(entry).or_default().1.push(array),
            None => aside.push(array.name),
        }
    }
    const CURE: &str = "call them `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`, or name them with `values` and `labels`";
    let names: Vec<&str> = bare.iter().map(String::as_str).collect();
    for (has, key, asked) in [(has[0], "values", &options.values), (has[1], "labels", &options.labels)] {
        if let (false, Some(asked)) = (has, asked) {
            return Err(no_such(place, key, asked, &names));
        }
    }
    if found.is_empty() {
        return Err(Error::input(format!("{place} has no values and labels; it has {}", listed(&bare))).hint(CURE));
    }
    for (part, (mut values, mut labels)) in found {
        if parts.leaves(part, options) {
            continue;
        }
        for (what, arrays) in [("values", &values), ("labels", &labels)] {
            if arrays.len() != 1 {
                let found: Vec<String> = arrays.iter().map(|array| format!("`{}`", array.name)).collect();
                let found = if found.is_empty() { "none".to_string() } else { found.join(", ") };
                return Err(Error::input(format!(
                    "{place} needs one array of {what} for each part; found {found} for the {} part among {}",
                    part.called(),
                    listed(&bare)
                ))
                .hint(CURE));
            }
        }
        let (Some(values), Some(labels)) = (values.pop(), labels.pop()) else { continue };
        let reader = LabelledArrays::new(values.array?, LabelSource::Stored(labels.array?), options.axes)?;
        parts.add(part, Box::new(reader));
    }
    if !aside.is_empty() {
        parts.notes.push(format!("{place}: left aside {}", listed(&aside)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_have_a_role_and_options_come_before_them() {
        let none = DataOptions::default();
        let of = |name: &str, options: &DataOptions| {
            let rest: Vec<&str> = words(name).filter(|word| SetPart::of_word(word, options).is_none()).collect();
            role(name, &rest.join("_"), options)
        };
        for name in ["x_train", "train_images", "X", "test_data", "arr_0", "val_images"] {
            assert_eq!(of(name, &none), Some(ArrayRole::Values), "{name}");
        }
        for name in ["y_test", "train_labels", "Y", "target", "arr_1"] {
            assert_eq!(of(name, &none), Some(ArrayRole::Labels), "{name}");
        }
        let options = DataOptions { values: Some("spectra".into()), labels: Some("age_group".into()), ..none };
        assert_eq!(of("train_spectra", &options), Some(ArrayRole::Values));
        assert_eq!(of("age_group", &options), Some(ArrayRole::Labels));
        assert_eq!(of("x", &options), None);
    }
}
