//! Which part of a set a name belongs to, and how parts are put together. It knows no format.

use std::collections::BTreeMap;

use super::pattern;
use crate::example::{Label, Reader, SetParts, Take};
use tombola_words::DataOptions;
use tombola_words::error::{Error, Result, printable};

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SetPart {
    Train,
    Validation,
    Test,
}

impl SetPart {
    pub(super) const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// What people call it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train", "training"],
            Self::Validation => &["val", "valid", "validation", "dev"],
            Self::Test => &["test", "testing", "t10k", "eval"],
        }
    }

    /// The option that says which it is.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// How it is called for people.
    pub(super) fn called(self) -> &'static str {
        match self {
            Self::Train => "training",
            _ => self.key(),
        }
    }

    fn said(self, options: &DataOptions) -> Option<&str> {
        match self {
            Self::Train => options.train.as_deref(),
            Self::Validation => options.validation.as_deref(),
            Self::Test => options.test.as_deref(),
        }
    }

    /// What options say of it; nothing if they leave it aside.
    pub(super) fn asked(self, options: &DataOptions) -> Option<&str> {
        self.said(options).filter(|asked| !asked.is_empty())
    }

    /// Whether options leave it aside: an empty text names it.
    pub(super) fn is_aside(self, options: &DataOptions) -> bool {
        self.said(options) == Some("")
    }

    /// Refuses options that cannot be meant: two parts of one name, nothing to train on.
    pub(super) fn check(options: &DataOptions) -> Result<()> {
        if Self::Train.is_aside(options) {
            return Err(Error::input("`train` is empty; expected what is trained on")
                .hint("name the part that is trained on, or leave `train` out"));
        }
        for (one, other) in [(Self::Train, Self::Validation), (Self::Train, Self::Test), (Self::Validation, Self::Test)]
        {
            let name = |part: Self| part.asked(options).map(|asked| asked.trim_end_matches('/'));
            if let Some(asked) = name(one).filter(|asked| name(other) == Some(*asked)) {
                return Err(Self::same(one, other, asked));
            }
        }
        Ok(())
    }

    /// The error of two parts that are the same.
    pub(super) fn same(one: Self, other: Self, name: &str) -> Error {
        Error::input(format!("`{}` and `{}` are the same: `{name}`", one.key(), other.key()))
            .hint("no example may be in two parts: name another, or leave one of both out")
    }

    /// The error of a part that nothing belongs to.
    pub(super) fn missing(self, asked: &str) -> Error {
        Error::input(format!("nothing is `{asked}`, which `{}` names", self.key()))
            .hint("give the name of a folder, of a file, a pattern with `*`, or leave the setting out")
    }

    /// The part that a word names: what options say, else what people call it.
    pub(super) fn of_word(word: &str, options: &DataOptions) -> Option<Self> {
        let asked = Self::ALL.into_iter().find(|part| part.asked(options).is_some_and(|asked| asked == word));
        let lower = word.to_lowercase();
        let called = || {
            Self::ALL.into_iter().find(|part| part.asked(options).is_none() && part.words().contains(&lower.as_str()))
        };
        asked.or_else(called)
    }

    /// The part that a path within a set belongs to: a pattern of the options that it has, else the innermost word in it.
    pub(super) fn of_path(path: &str, options: &DataOptions) -> Option<Self> {
        let folder = |asked: &str| path.starts_with(&format!("{}/", asked.trim_end_matches('/')));
        let asked = Self::ALL.into_iter().find(|part| {
            part.asked(options).is_some_and(|asked| {
                asked == path || folder(asked) || pattern::fits(asked, path) || pattern::fits(asked, last(path))
            })
        });
        let inner = || path.rsplit('/').find_map(|piece| words(piece).find_map(|word| Self::of_word(word, options)));
        asked.or_else(inner)
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The words of a name: `x_train` has two.
pub(super) fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// SetParts that are being put together.
#[derive(Default)]
pub(super) struct PartReaders {
    readers: BTreeMap<SetPart, Vec<Box<dyn Reader>>>,
    pub(super) classes: Option<Vec<Label>>,
    pub(super) notes: Vec<String>,
    /// Whether what is trained on is so for want of any part, and not for its name.
    pub(super) is_guessed: bool,
}

impl PartReaders {
    /// One more file, or whatever, of a part.
    pub(super) fn add(&mut self, part: SetPart, reader: Box<dyn Reader>) {
        self.readers.entry(part).or_default().push(reader);
    }

    /// Whether a part has something.
    pub(super) fn has(&self, part: SetPart) -> bool {
        self.readers.contains_key(&part)
    }

    /// Whether options leave a part aside, of which there is something; that is noted.
    pub(super) fn leaves(&mut self, part: SetPart, options: &DataOptions) -> bool {
        let leaves = part.is_aside(options);
        if leaves {
            self.notes.push(format!("the {} part is left aside, as `{} = \"\"` says", part.called(), part.key()));
        }
        leaves
    }

    /// Things with and without a part: if none has one, all are for training; else those without are left aside, and those that options
    /// leave aside.
    pub(super) fn sort<T>(
        &mut self,
        found: Vec<(String, Option<SetPart>, T)>,
        what: &str,
        options: &DataOptions,
    ) -> Vec<(SetPart, T)> {
        let any = found.iter().any(|(_, part, _)| part.is_some());
        self.is_guessed = !any;
        let mut sorted = Vec::new();
        let mut aside = Vec::new();
        for (name, part, thing) in found {
            match part {
                Some(part) if self.leaves(part, options) => {}
                Some(part) => sorted.push((part, thing)),
                None if !any => sorted.push((SetPart::Train, thing)),
                None => aside.push(name),
            }
        }
        if let Some(first) = aside.first() {
            let count = aside.len();
            self.notes.push(format!("{count} {what} of no part left aside, `{first}` among them"));
        }
        sorted
    }

    /// All of them together.
    ///
    /// # Errors
    /// Nothing to train on, and parts that options name but nothing belongs to.
    pub(super) fn finish(mut self, format: &'static str, options: &DataOptions) -> Result<SetParts> {
        for part in SetPart::ALL {
            if self.has(part) && self.leaves(part, options) {
                self.readers.remove(&part);
            }
            let is_found = self.has(part) && !(part == SetPart::Train && self.is_guessed);
            if let (false, Some(asked)) = (is_found, part.asked(options)) {
                return Err(part.missing(asked));
            }
        }
        if !self.has(SetPart::Train) {
            return Err(Error::input(format!("{format}: there is no part to train on"))
                .hint("call the folder or file `train`, or say with `train` which it is"));
        }
        let mut take = |part: SetPart| self.readers.remove(&part).map(chain);
        let train = take(SetPart::Train).unwrap_or_else(|| chain(Vec::new()));
        let (mut validation, mut test) = (take(SetPart::Validation), take(SetPart::Test));
        // As ImageNet is used: its test has no labels, and what is reported is of `val`.
        let is_free = options.validation.is_none() && options.test_share.is_none() && options.test.is_none();
        if test.is_none() && is_free && validation.is_some() {
            test = validation.take();
            self.notes.push(
                "there is no labelled part for the test: the validation part is taken for it, as is usual for ImageNet; \
                 `validation = \"val\"` keeps it for choosing epochs"
                    .to_string(),
            );
        }
        let mut notes: Vec<String> = Vec::new();
        for note in self.notes.iter().map(|note| printable(note)) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Ok(SetParts { format, train, validation, test, classes: self.classes, notes })
    }
}

fn chain(mut readers: Vec<Box<dyn Reader>>) -> Box<dyn Reader> {
    match readers.len() {
        1 => readers.remove(0),
        _ => Box::new(ReaderChain(readers)),
    }
}

/// One after the other.
struct ReaderChain(Vec<Box<dyn Reader>>);

impl Reader for ReaderChain {
    fn read(&self, take: &mut Take) -> Result<()> {
        self.0.iter().try_for_each(|reader| reader.read(take))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_part_and_options_say_it_better() {
        let of = |path: &str, options: &DataOptions| SetPart::of_path(path, options);
        let none = DataOptions::default();
        assert_eq!(of("data/train-00000-of-00003.parquet", &none), Some(SetPart::Train));
        assert_eq!(of("val/n01/a.jpg", &none), Some(SetPart::Validation));
        assert_eq!(of("x_Test.npy", &none), Some(SetPart::Test));
        assert_eq!(of("trainer.csv", &none), None);
        let options = DataOptions { train: Some("fold_[1]*.csv".into()), test: Some("fold9".into()), ..none };
        assert_eq!(of("fold9/a.csv", &options), Some(SetPart::Test));
        assert_eq!(of("test/a.csv", &options), None);
        let options = DataOptions { train: Some("fold_*.csv".into()), ..options };
        assert_eq!(of("deep/fold_3.csv", &options), Some(SetPart::Train));
    }

    struct NoExamples;

    impl Reader for NoExamples {
        fn read(&self, _take: &mut Take) -> Result<()> {
            Ok(())
        }
    }

    fn with(parts: &[SetPart], options: &DataOptions) -> Result<SetParts> {
        let mut readers = PartReaders::default();
        parts.iter().for_each(|part| readers.add(*part, Box::new(NoExamples)));
        readers.finish("files", options)
    }

    #[test]
    fn a_validation_part_alone_is_the_test_unless_options_say_otherwise() {
        let none = DataOptions::default();
        let parts = with(&[SetPart::Train, SetPart::Validation], &none).unwrap();
        assert!(parts.validation.is_none() && parts.test.is_some() && parts.notes.len() == 1);
        let parts = with(&[SetPart::Train, SetPart::Validation, SetPart::Test], &none).unwrap();
        assert!(parts.validation.is_some() && parts.test.is_some() && parts.notes.is_empty());
        let options = DataOptions { validation: Some("val".into()), ..none };
        let parts = with(&[SetPart::Train, SetPart::Validation], &options).unwrap();
        assert!(parts.validation.is_some() && parts.test.is_none());
        assert!(with(&[SetPart::Test], &DataOptions::default()).is_err());
        assert!(with(&[SetPart::Train], &options).err().unwrap().message.contains("nothing is `val`"));
    }

    #[test]
    fn an_empty_text_leaves_a_part_aside_and_says_so() {
        let options = DataOptions { test: Some(String::new()), ..DataOptions::default() };
        let parts = with(&SetPart::ALL, &options).unwrap();
        assert!(parts.validation.is_some() && parts.test.is_none());
        assert_eq!(parts.notes, ["the test part is left aside, as `test = \"\"` says"]);
        assert_eq!(SetPart::of_path("", &options), None);
    }
}
