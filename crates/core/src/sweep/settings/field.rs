//! A setting as the parts of the program see it that treat all alike. It may not know which settings there are.

use super::{FIELDS, Settings};
use crate::sweep::Spelling;
use tombola_words::error::{Error, Result};

/// What a setting decides, and so which identities it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decides {
    /// Every training of a trial: part of the identity of its dense training, from which the others descend.
    Training,
    /// What happens between one training and the next: part of the identity of each pruned level.
    Pruning,
    /// How many levels there are and how much each prunes: enters identities as the rate of each level.
    Levels,
    /// How the sweep is run, never what comes out: no axis, no identity.
    Run,
}

/// One setting, as the parts of the program that treat all alike see it.
pub struct Field {
    /// Its key in a sweep file and, behind `--`, its flag.
    pub key: &'static str,
    /// Further spellings of both.
    pub aliases: &'static [&'static str],
    /// The heading it stands under.
    pub group: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What it decides.
    pub decides: Decides,
    /// Whether one value is a list.
    pub list: bool,
    /// Words that are a value by themselves though other values are lists.
    pub whole: &'static [&'static str],
    /// Whether the bare flag means yes.
    pub flag: bool,
    /// The words that can be given, where there are only a few.
    pub words: fn() -> &'static [&'static str],
    /// Sets it from text. The error says what was expected.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
    /// Writes it so that `set` gives it back.
    pub show: fn(&Settings) -> String,
    /// Whether it makes a difference, the others being as they are.
    pub matters: fn(&Settings) -> bool,
}

impl Field {
    /// Finds a setting by its key, one of its aliases or a word whose values mean others; `_` and `-` are the same.
    pub fn find(word: &str) -> Option<&'static Field> {
        let word = word.replace('_', "-");
        FIELDS
            .iter()
            .find(|field| field.key == word || field.aliases.iter().any(|alias| alias.replace('_', "-") == word))
            .or_else(|| Spelling::find(&word)?.field())
    }

    /// The values that are meant where a list has nothing but words which are values by themselves.
    pub fn apart<'a>(&self, items: &[&'a str]) -> Option<Vec<&'a str>> {
        let several = items.len() > 1 && items.iter().all(|item| self.whole.contains(item));
        several.then(|| items.to_vec())
    }

    /// Sets it in `settings`, naming itself and what was found when that fails.
    ///
    /// # Errors
    /// When `text` is not a value of this setting.
    pub fn assign(&self, settings: &mut Settings, text: &str) -> Result<()> {
        self.assign_as(self.key, settings, text)
    }

    /// As [`Field::assign`], naming itself as the user wrote it.
    ///
    /// # Errors
    /// When `text` is not a value of this setting.
    pub fn assign_as(&self, spelling: &str, settings: &mut Settings, text: &str) -> Result<()> {
        (self.set)(settings, text).map_err(|expected| {
            let error = Error::input(format!("`{spelling}`: found `{text}`, expected {expected}"));
            match tombola_words::error::nearest(text, (self.words)().iter().copied()) {
                Some(word) => error.hint(format!("did you mean `{word}`?")),
                None => error,
            }
        })
    }
}
