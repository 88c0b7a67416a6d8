//! Settings that ask a question of a sweep instead of a table. It may not know how it is answered.

use super::Value;

/// Settings by their keys; none where those are meant that are usual.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingKeys(pub Vec<String>);

impl Value for SettingKeys {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "auto" {
            return Ok(Self::default());
        }
        let mut keys = Vec::<String>::parse(text)?;
        keys.iter_mut().for_each(|key| *key = key.replace('_', "-"));
        keys.sort();
        keys.dedup();
        let letter = |letter: char| letter.is_ascii_lowercase();
        let is_key = |key: &String| {
            key.starts_with(letter)
                && key != "auto"
                && key.chars().all(|next| letter(next) || next.is_ascii_digit() || next == '-')
        };
        match keys.iter().all(is_key) && !keys.is_empty() {
            true => Ok(Self(keys)),
            false => Err("`auto` or names of settings, such as `learning-rate, criterion`".to_string()),
        }
    }

    fn show(&self) -> String {
        if self.0.is_empty() { "auto".to_string() } else { self.0.show() }
    }
}

/// How far below the dense network a ticket may be and still match it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Within {
    /// So many points of accuracy below the mean of the dense networks.
    Points(f64),
    /// As far as the 95 % interval of the paired differences over seeds reaches.
    Interval,
}

impl Value for Within {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ci" => Ok(Self::Interval),
            text => match f64::parse(text) {
                Ok(points) if (0.0..=100.0).contains(&points) => Ok(Self::Points(points)),
                _ => Err("points of accuracy from 0 to 100, or `ci`".to_string()),
            },
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Points(points) => points.show(),
            Self::Interval => "ci".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_each_once() {
        for (text, shown) in [("auto", "auto"), ("[scope, learning_rate, scope]", "[learning-rate, scope]")] {
            let keys = SettingKeys::parse(text).unwrap();
            assert_eq!(keys.show(), shown);
            assert_eq!(SettingKeys::parse(shown), Ok(keys));
        }
        for wrong in ["", "[auto, scope]", "4", "{a=3", "scope]x", "gro0.1"] {
            assert!(SettingKeys::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn points_or_the_interval() {
        for text in ["1.0", "0.5", "ci"] {
            assert_eq!(Within::parse(text).unwrap().show(), text);
        }
        assert!(Within::parse("-1").is_err() && Within::parse("all").is_err() && Within::parse("101").is_err());
    }
}
