//! A point of a training: so many epochs and so many steps from its beginning.
//!
//! Papers count in both: "rewind to iteration 500", "warm up for half an epoch", `1ep50it` of open_lth. One type reads all
//! spellings. Which step a point is follows from the steps of an epoch, which it is told.

use super::Value;

/// What one epoch is in the unit of [`Point::billionths`].
const WHOLE: u32 = 1_000_000_000;
/// Digits behind the point that are read.
const DIGITS: usize = 9;

/// So many epochs, a share of a further one, and so many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Point {
    epochs: usize,
    /// Of a further epoch.
    billionths: u32,
    steps: usize,
}

impl Point {
    /// After this many epochs.
    pub const fn epoch(epochs: usize) -> Self {
        Self { epochs, billionths: 0, steps: 0 }
    }

    /// After this many steps.
    pub const fn iteration(steps: usize) -> Self {
        Self { epochs: 0, billionths: 0, steps }
    }

    /// How many epochs it is, where it names nothing else.
    pub fn whole_epochs(self) -> Option<usize> {
        (self.billionths == 0 && self.steps == 0).then_some(self.epochs)
    }

    /// Steps from the beginning up to it, where an epoch has `of_epoch`; a part of an epoch is rounded to the nearest step.
    pub fn steps(self, of_epoch: usize) -> usize {
        let share = (u128::from(self.billionths) * of_epoch as u128 + u128::from(WHOLE / 2)) / u128::from(WHOLE);
        // Less than `of_epoch`, or as many.
        self.epochs.saturating_mul(of_epoch).saturating_add(share as usize).saturating_add(self.steps)
    }

    /// The one spelling of the step that it is, where an epoch has `of_epoch` steps: epochs where an epoch ends there, steps
    /// everywhere else.
    #[must_use]
    pub fn settled(self, of_epoch: usize) -> Self {
        match (self.whole_epochs(), self.steps(of_epoch)) {
            (Some(_), _) => self,
            (None, steps) if steps.is_multiple_of(of_epoch.max(1)) => Self::epoch(steps / of_epoch.max(1)),
            (None, steps) => Self::iteration(steps),
        }
    }

    /// Later by a factor: as many epochs or steps as come nearest.
    #[must_use]
    pub fn stretched(self, factor: f64) -> Self {
        let stretch = |count: usize| (count as f64 * factor).round() as usize;
        let epochs = (self.epochs as f64 + f64::from(self.billionths) / f64::from(WHOLE)) * factor;
        match self.billionths {
            0 => Self { epochs: stretch(self.epochs), billionths: 0, steps: stretch(self.steps) },
            _ => Self {
                epochs: epochs as usize,
                // Below a whole one.
                billionths: ((epochs.fract() * f64::from(WHOLE)) as u32).min(WHOLE - 1),
                steps: stretch(self.steps),
            },
        }
    }

    /// Whether it names no more epochs and no more steps than these.
    pub fn is_within(self, epochs: usize, steps: usize) -> bool {
        self.epochs <= epochs && self.steps <= steps
    }

    /// Whether `text` says what it counts: a bare number does not.
    pub(super) fn names_unit(text: &str) -> bool {
        text.contains(':') || text.ends_with("it") || text.ends_with("ep")
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim().replace('_', "");
        if let Some(steps) = text.strip_prefix("iteration:") {
            return Some(Self::iteration(steps.parse().ok()?));
        }
        if let Some(epochs) = text.strip_prefix("epoch:") {
            return Self::parts(epochs, 0);
        }
        match (text.split_once("ep"), text.strip_suffix("it")) {
            (Some((epochs, "")), None) => Self::parts(epochs, 0),
            (Some((epochs, steps)), Some(_)) => Self::parts(epochs, steps.strip_suffix("it")?.parse().ok()?),
            (None, Some(steps)) => Some(Self::iteration(steps.parse().ok()?)),
            (None, None) => Self::parts(&text, 0),
            (Some(_), None) => None,
        }
    }

    fn parts(epochs: &str, steps: usize) -> Option<Self> {
        let (whole, rest) = epochs.split_once('.').unwrap_or((epochs, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(rest) || rest.len() > DIGITS {
            return None;
        }
        let billionths = format!("{rest:0<DIGITS$}").parse().ok()?;
        Some(Self { epochs: whole.parse().ok()?, billionths, steps })
    }
}

impl Value for Point {
    fn parse(text: &str) -> Result<Self, String> {
        Self::read(text)
            .ok_or_else(|| "epochs such as `10` or `1.5ep`, steps such as `500it`, or both: `1ep50it`".into())
    }

    /// Whole epochs as a bare number.
    fn show(&self) -> String {
        if let Some(epochs) = self.whole_epochs() {
            return epochs.to_string();
        }
        let mut text = String::new();
        if (self.epochs, self.billionths) != (0, 0) {
            text.push_str(&self.epochs.to_string());
            if self.billionths > 0 {
                let digits = format!("{:0DIGITS$}", self.billionths);
                text.push('.');
                text.push_str(digits.trim_end_matches('0'));
            }
            text.push_str("ep");
        }
        if self.steps > 0 {
            text.push_str(&format!("{}it", self.steps));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_point_is_read_and_shown_in_one_way() {
        for (text, shown) in [
            ("80", "80"),
            ("epoch:80", "80"),
            ("80ep", "80"),
            ("80.0ep", "80"),
            ("0", "0"),
            ("0it", "0"),
            ("500it", "500it"),
            ("iteration:500", "500it"),
            ("62_500it", "62500it"),
            ("1.5ep", "1.5ep"),
            ("0.5", "0.5ep"),
            ("epoch:1.25", "1.25ep"),
            ("1ep50it", "1ep50it"),
            ("0ep50it", "50it"),
            ("0.000000001ep", "0.000000001ep"),
        ] {
            let point = Point::parse(text).unwrap();
            assert_eq!(point.show(), shown, "{text}");
            assert_eq!(Point::parse(shown), Ok(point), "{text}");
        }
    }

    #[test]
    fn what_is_no_point_is_refused() {
        for text in [
            "",
            "it",
            "ep",
            "-1",
            "-5it",
            "1.5it",
            "1ep2.5it",
            "50it1ep",
            "1e3it",
            "epoch:",
            "iteration:1.5",
            "1.ep",
            ".5ep",
            "1ep50",
            "0.0000000001ep",
            "step:5",
            "1.5.2ep",
            "+3",
            "99999999999999999999it",
            "1epit",
        ] {
            assert!(Point::parse(text).unwrap_err().contains("`500it`"), "{text}");
        }
    }

    #[test]
    fn a_point_at_the_end_of_an_epoch_is_that_epoch_and_any_other_is_a_step() {
        let settled = |text: &str| Point::parse(text).unwrap().settled(390).show();
        let found =
            ["390it", "1ep390it", "0.5ep", "1.5ep195it", "500it", "1ep50it", "7", "0.0001ep", "1ep0it"].map(settled);
        assert_eq!(found, ["1", "2", "195it", "2", "500it", "440it", "7", "0", "1"]);
        // 195.5 steps: the later one.
        assert_eq!(Point::parse("0.5ep").unwrap().settled(391).show(), "196it");
        assert_eq!(Point::parse("0.5ep").unwrap().settled(1).show(), "1");
    }

    #[test]
    fn points_are_stretched_in_what_they_count() {
        let stretched = |text: &str| Point::parse(text).unwrap().stretched(2.5).show();
        assert_eq!(["3", "100it", "0.5ep", "1ep10it"].map(stretched), ["8", "250it", "1.25ep", "3ep25it"]);
    }
}
