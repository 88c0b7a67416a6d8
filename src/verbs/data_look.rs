//! `tombola data look PATH`: what lies there, and the block that a sweep file needs to train on it. Nothing is decoded.

use std::fmt::Write;
use std::path::Path;

use tombola_core::sweep::OwnData;
use tombola_data::example::Label;
use tombola_data::own::{self, Looked, PartSurvey, Settled, shown};
use tombola_words::error::{Error, Result, printable};
use tombola_words::{DataOptions, catalogue};

/// Classes that are listed one by one.
const MOST_CLASSES: usize = 20;
/// Sizes that are listed.
const MOST_SIZES: usize = 5;
/// A class is called small beside one that has so many times its examples.
const UNEQUAL: usize = 10;

/// Says what lies at a path.
///
/// # Errors
/// Nothing there, or no format that is read.
pub(super) fn look(path: &Path) -> Result<String> {
    let word = path.to_string_lossy();
    if let (false, Ok(known)) = (path.exists(), catalogue::find(&word)) {
        return Err(Error::input(format!("`{word}` is a known data set, and no path")).hint(format!(
            "`--dataset {0}` trains on it, `tombola data fetch {0}` fetches it; a folder of that name is `./{word}`",
            known.name
        )));
    }
    let mut data = OwnData::at(path.to_path_buf());
    let looked = own::survey(path, &data.options).map_err(|error| error.at_path(path))?;
    let mut text = format!("{}: {}\n", printable(&word), looked.parts.format);
    for (part, survey) in &looked.surveys {
        text.push_str(&described(part, survey));
    }
    let mut odd = looked.parts.notes.clone();
    let settled = settled(&looked, &mut data.options, &mut odd);
    if looked.parts.test.is_none() {
        odd.push("there is no test part: a fifth of each class is held out (`test-share` says how much)".to_string());
    }
    match &settled {
        Ok(settled) => {
            let _written = writeln!(text, "{}", classes(settled, &looked));
            odd.extend(settled.notes.clone());
            odd.extend(unequal(&looked));
        }
        Err(error) => {
            odd.push(printable(&error.message));
            odd.extend(error.hint.clone());
        }
    }
    for note in odd {
        let _written = writeln!(text, "note: {note}");
    }
    let _written = write!(text, "\nIn a sweep file:\n\ndataset = {}\n{}", toml_text(&data.name), data.to_toml());
    Ok(text)
}

fn toml_text(word: &str) -> String {
    toml::Value::from(word).to_string()
}

/// The form of the set. Where images differ in size, with the size that most have; where some are damaged, without those.
fn settled(looked: &Looked, options: &mut DataOptions, odd: &mut Vec<String>) -> Result<Settled> {
    let damaged = looked.surveys.iter().flat_map(|(_, survey)| &survey.damaged.1);
    for (name, why) in damaged {
        odd.push(format!("`{name}` is damaged: {}", printable(why)));
        options.skip_damaged = true;
    }
    let all: Vec<&PartSurvey> = looked.surveys.iter().map(|(_, survey)| survey).collect();
    let several =
        all.iter().flat_map(|survey| survey.sizes.keys()).collect::<std::collections::BTreeSet<_>>().len() > 1;
    let has_pictures = all.iter().any(|survey| survey.pictures.count > 0);
    if let (true, true, Some(&[height, width])) =
        (several, has_pictures, all.first().and_then(|survey| survey.usual_size()))
    {
        options.size = Some((height, width));
        odd.push(format!("images have several sizes; the block brings them to the most frequent, {height}x{width}"));
    }
    let with_alpha: usize = all.iter().map(|survey| survey.pictures.with_alpha).sum();
    if with_alpha > 0 {
        odd.push(format!(
            "{with_alpha} images say how transparent they are, which is left out; `alpha = \"white\"` or `\"black\"` lays them over \
             that, `channels = 4` keeps it"
        ));
    }
    let settled = looked.settled(options)?;
    if let (Some(wanted), true) = (&settled.wanted, has_pictures) {
        let coloured: usize = all.iter().map(|survey| survey.pictures.coloured).sum();
        let count: usize = all.iter().map(|survey| survey.pictures.count).sum();
        if wanted.channels == 3 && coloured < count {
            odd.push(format!("{} of {count} images are grey and become colour images", count - coloured));
        }
    }
    Ok(settled)
}

fn described(part: &str, survey: &PartSurvey) -> String {
    let sizes: Vec<String> = survey
        .sizes
        .iter()
        .take(MOST_SIZES)
        .map(|(size, (count, _))| {
            let mut size: Vec<String> = size.iter().map(ToString::to_string).collect();
            // Channels come first in a shape; images in files have height and width alone.
            if survey.pictures.count == 0 && size.len() > 1 {
                size.rotate_right(1);
            }
            if survey.sizes.len() == 1 { size.join("x") } else { format!("{} of {}", count, size.join("x")) }
        })
        .collect();
    let more = if survey.sizes.len() > MOST_SIZES { ", …" } else { "" };
    let damaged = if survey.damaged.0 > 0 { format!(", {} damaged", survey.damaged.0) } else { String::new() };
    if survey.count == 0 {
        return format!("  {part}: no examples{damaged}\n");
    }
    format!(
        "  {part}: {} examples{damaged}, {}{more}, {} classes\n",
        survey.count,
        sizes.join(", "),
        survey.labels.len()
    )
}

fn classes(settled: &Settled, looked: &Looked) -> String {
    let names: Vec<String> = settled.classes.iter().take(MOST_CLASSES).map(|label| printable(&shown(label))).collect();
    let more = if settled.classes.len() > MOST_CLASSES { ", …" } else { "" };
    let parts = looked.surveys.len();
    format!(
        "  {} classes ({}{more}), examples of {} in {parts} {}",
        settled.classes.len(),
        names.join(", "),
        settled.shape,
        if parts == 1 { "part" } else { "parts" }
    )
}

/// What to say of classes that differ much in size.
fn unequal(looked: &Looked) -> Option<String> {
    let (_, train) = looked.surveys.first()?;
    let by_count = |(_, count): &(&Label, &usize)| **count;
    let (few, least) = train.labels.iter().min_by_key(by_count)?;
    let (many, most) = train.labels.iter().max_by_key(by_count)?;
    (*most >= least * UNEQUAL).then(|| {
        format!(
            "classes are unequal: `{}` has {least} training examples, `{}` {most}; `class-weights = \"balanced\"` gives each class \
             the same weight",
            printable(&shown(few)),
            printable(&shown(many))
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_described_as_shapes_are_and_without_gaps() {
        let mut survey = PartSurvey::default();
        survey.damaged.0 = 6;
        assert_eq!(described("test", &survey), "  test: no examples, 6 damaged\n");
        survey = PartSurvey { count: 2, ..PartSurvey::default() };
        survey.sizes.insert(vec![28, 28, 1], (2, "a".to_string()));
        survey.labels.insert(Label::Number(1), 2);
        assert_eq!(described("test", &survey), "  test: 2 examples, 1x28x28, 1 classes\n");
    }

    #[test]
    fn a_known_name_is_told_from_a_path() {
        let error = look(Path::new("mnist")).unwrap_err();
        assert!(error.message.contains("is a known data set") && error.hint.is_some(), "{error}");
    }
}
