//! The types that settings can have: how each is read from text and written back.
//!
//! Flags, sweep files, tables and identities all go through these two functions, so one spelling means one thing
//! everywhere. It may not know which settings exist.

mod augment;
mod choices;
mod layers;
mod moment;
mod point;
mod recipe;
mod search;
mod shard;
mod target;

use std::path::PathBuf;

pub use augment::{Alteration, Augment};
pub use choices::{
    Budget, Control, Criterion, DecayOn, EarlyBirdRule, Find, Head, ImageFilter, Keep, LastBatch, NormStart, OnFail,
    Optimizer, Precision, PruneLayers, PruningType, Role, Schedule, ScheduleBy, Scope, Select, ShortcutOption, Streams,
    WhileTraining,
};
pub use layers::{LayerPattern, LayerRatios, LayerSet};
pub use moment::{Load, Moment, NamedFile, Rewind, TrackMasks};
pub use point::Point;
pub use recipe::{ChannelNumbers, ClassWeights, PublishedPixels};
pub use search::SettingKeys;
pub use search::Within;
pub use shard::Shard;
pub use target::{MaybeTarget, Target};

/// Something that a setting can be.
pub trait Value: Sized {
    /// Whether one value is itself a list (`[80, 120]`).
    const LIST: bool = false;
    /// Whether the bare flag means yes.
    const FLAG: bool = false;
    /// Words that are a value by themselves where other values are lists: several of them in a list are several values.
    const WHOLE: &'static [&'static str] = &[];

    /// Reads one value. The error says what was expected, to follow "expected".
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes it so that [`Value::parse`] gives it back exactly.
    fn show(&self) -> String;

    /// The words that can be given, where there are only a few.
    fn words() -> &'static [&'static str] {
        &[]
    }
}

macro_rules! numbers {
    ($($type:ty: $expected:literal),*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                // Underscores as in TOML and Rust: 50_000.
                text.replace('_', "").parse().map_err(|_| $expected.to_string())
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(usize: "a whole number", u64: "a whole number");

impl Value for f64 {
    fn parse(text: &str) -> Result<Self, String> {
        match text.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number + 0.0),
            _ => Err("a number".to_string()),
        }
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for bool {
    const FLAG: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ => Err("`true` or `false`".to_string()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn words() -> &'static [&'static str] {
        &["true", "false"]
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("some text".to_string()) } else { Ok(text.to_string()) }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path".to_string()) } else { Ok(PathBuf::from(text)) }
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// `auto`, or a value.
impl<T: Value> Value for Option<T> {
    const LIST: bool = T::LIST;
    const WHOLE: &'static [&'static str] = T::WHOLE;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(None),
            _ => T::parse(text).map(Some).map_err(|expected| format!("{expected} or `auto`")),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "auto".to_string(), T::show)
    }

    fn words() -> &'static [&'static str] {
        T::words()
    }
}

/// A list. `[80, 120]`, `80,120` and `80 120` mean the same.
impl<T: Value> Value for Vec<T> {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.trim_matches(|c: char| c.is_whitespace() || "[]()".contains(c))
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|item| !item.is_empty())
            .map(|item| T::parse(item).map_err(|expected| format!("a list of items, each {expected}")))
            .collect()
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", items.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_list_means_the_same() {
        for text in ["[80, 120]", "80,120", "80 120", "[80 120]", "[80,", " [ 80 , 120 ] "] {
            let list = Vec::<usize>::parse(text).unwrap();
            assert_eq!(list[0], 80, "{text}");
            assert_eq!(list.len() == 2, text != "[80,", "{text}");
        }
        assert_eq!(Vec::<usize>::parse("[]"), Ok(vec![]));
        assert!(Vec::<usize>::parse("80,x").unwrap_err().contains("a whole number"));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        assert_eq!(f64::parse(&0.1f64.show()), Ok(0.1));
        assert_eq!(f64::parse(&5e-4f64.show()), Ok(5e-4));
        assert_eq!(Moment::parse(&Moment::Epoch(7).show()), Ok(Moment::Epoch(7)));
        assert_eq!(Rewind::parse(&Rewind::LearningRate.show()), Ok(Rewind::LearningRate));
        assert_eq!(Option::<usize>::parse(&None::<usize>.show()), Ok(None));
        assert_eq!(Criterion::parse(&Criterion::Random.show()), Ok(Criterion::Random));
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert!(f64::parse("nan").is_err() && f64::parse("inf").is_err() && f64::parse("").is_err());
        assert!(usize::parse("-1").is_err() && usize::parse("1.5").is_err());
        assert_eq!(f64::parse("-0.0").unwrap().to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn rewinding_to_epoch_0_is_rewinding_to_init() {
        for text in ["epoch:0", "0it", "0ep", "iteration:0"] {
            assert_eq!(Rewind::parse(text), Ok(Rewind::Init), "{text}");
        }
    }

    #[test]
    fn points_are_moments_and_rewinds_and_a_bare_number_is_neither() {
        for (text, moment) in [
            ("2ep", Moment::Epoch(2)),
            ("epoch:2", Moment::Epoch(2)),
            ("500it", Moment::At(Point::iteration(500))),
            ("iteration:500", Moment::At(Point::iteration(500))),
        ] {
            assert_eq!(Moment::parse(text), Ok(moment), "{text}");
            assert_eq!(Rewind::parse(text).unwrap().moment(), Some(moment), "{text}");
            assert_eq!(Moment::parse(&moment.show()), Ok(moment));
        }
        for text in ["500", "1.5", "it", "best:3", "epoch:x"] {
            assert!(Moment::parse(text).is_err() && Rewind::parse(text).is_err(), "{text}");
        }
        // An epoch of 250 steps ends there.
        assert_eq!(Moment::parse("500it").unwrap().settled(250), Moment::Epoch(2));
        assert_eq!(Rewind::parse("1.5ep").unwrap().settled(250), Rewind::At(Point::iteration(375)));
        assert_eq!(Rewind::parse("0.001ep").unwrap().settled(250), Rewind::Init);
        assert_eq!(Moment::parse("1.5ep").unwrap().known_after(|| 250), Some(2));
    }
}
