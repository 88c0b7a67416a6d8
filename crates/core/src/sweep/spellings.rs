//! Words for settings whose values mean something else than the setting's own: `density = 0.1` is `pruning-ratio = 0.9`.
//!
//! They stand in sweep files and on command lines; what is kept and shown is the setting. It may not know of files or flags.

use super::rates::decimals;
use super::settings::{Field, Settings};
use tombola_words::value::Value;

/// The pull that the original script has with its switch `--sr`.
const ORIGINAL_PULL: &str = "0.01";

/// One such word.
pub struct Spelling {
    /// As it stands in files and, behind `--`, on command lines.
    pub word: &'static str,
    /// The key of the setting that it is of.
    pub key: &'static str,
    /// What it means, for help.
    pub help: &'static str,
    /// The value that the bare flag means, if it can stand alone.
    pub bare: Option<&'static str>,
    /// Whether a value may follow the flag.
    pub takes_value: bool,
    /// From its value to that of the setting. The error says what was expected.
    meaning: fn(&str) -> Result<String, String>,
    /// Its own value, by the settings.
    said: fn(&Settings) -> String,
}

/// All of them.
pub const SPELLINGS: &[Spelling] = &[
    Spelling {
        word: "density",
        key: "pruning-ratio",
        help: "Share of the prunable weights that is left in the end: 1 - `pruning-ratio`",
        bare: None,
        takes_value: true,
        meaning: |text| {
            let density = f64::parse(text).ok().filter(|density| *density > 0.0 && *density <= 1.0);
            let density = density.ok_or("a density above 0 and at most 1")?;
            // In as many digits as it was written with, so that 0.0352 is 0.9648.
            Ok(format!("{:.*}", decimals(density), 1.0 - density))
        },
        said: |settings| format!("{:.*}", decimals(settings.pruning_ratio), 1.0 - settings.pruning_ratio),
    },
    Spelling {
        word: "nest",
        key: "nesterov",
        help: "As the original script has it: 1 for Nesterov's form of the momentum, 0 for the plain one",
        bare: None,
        takes_value: true,
        meaning: |text| match text {
            "0" | "1" => Ok((text == "1").show()),
            _ => Err("0 or 1".to_string()),
        },
        said: |settings| u8::from(settings.nesterov).to_string(),
    },
    Spelling {
        word: "sr",
        key: "slimming",
        help: "Pull on prunable batch-norm scales; by itself the original script's, 0.01",
        bare: Some("true"),
        takes_value: true,
        meaning: |text| match text {
            "true" => Ok(ORIGINAL_PULL.to_string()),
            "false" => Ok("0.0".to_string()),
            _ => Ok(text.to_string()),
        },
        said: |settings| settings.slimming.show(),
    },
    Spelling {
        word: "no-cuda",
        key: "device",
        help: "Train on the processor: `device = \"cpu\"`",
        bare: Some("true"),
        takes_value: false,
        meaning: |text| match text {
            "true" => Ok("cpu".to_string()),
            "false" => Ok("auto".to_string()),
            _ => Err("`true` or `false`".to_string()),
        },
        said: |settings| (settings.device.as_deref() == Some("cpu")).show(),
    },
];

impl Spelling {
    /// The word, whatever stands between its parts.
    pub fn find(word: &str) -> Option<&'static Spelling> {
        let word = word.replace('_', "-");
        SPELLINGS.iter().find(|spelling| spelling.word == word)
    }

    /// The setting that it is of.
    pub fn field(&self) -> Option<&'static Field> {
        super::settings::FIELDS.iter().find(|field| field.key == self.key)
    }

    /// The value of the setting that one of its own means. The error says what was expected.
    ///
    /// # Errors
    /// When it has no such value.
    pub fn meaning(&self, text: &str) -> Result<String, String> {
        (self.meaning)(text)
    }

    /// Its own value, by the settings.
    pub fn said(&self, settings: &Settings) -> String {
        (self.said)(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_of_a_setting_and_of_no_other() {
        for spelling in SPELLINGS {
            assert!(spelling.field().is_some(), "{}", spelling.word);
            let same = super::super::settings::FIELDS
                .iter()
                .filter(|field| field.key == spelling.word || field.aliases.contains(&spelling.word));
            assert_eq!(same.count(), 0, "{}", spelling.word);
        }
    }

    #[test]
    fn a_density_is_a_ratio_of_as_many_digits() {
        let ratio = |text| Spelling::find("density").unwrap().meaning(text);
        assert_eq!(ratio("0.0352").unwrap(), "0.9648");
        assert_eq!(ratio("0.1").unwrap(), "0.9");
        assert_eq!(ratio("1").unwrap(), "0");
        assert!(ratio("0").is_err() && ratio("1.5").is_err() && ratio("x").is_err());
    }
}
