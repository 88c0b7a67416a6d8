//! What the process that does the checks tells the one that watches it, a line of JSON each; and how a result is told to people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tombola_words::error::ignored;

/// How a check ended, in the words of `doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckLevel {
    /// As it should be.
    Pass,
    /// Trainings are right, but slower than they could be.
    Warn,
    /// Trainings here may be wrong, or do not end.
    Fail,
    /// Not checked.
    Skip,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Which one.
    pub check: String,
    /// How it ended.
    pub level: CheckLevel,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// What was found one by one: a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// Figures, with what they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
}

impl CheckResult {
    fn new(level: CheckLevel, found: impl Into<String>) -> Self {
        let (check, details, figures) = (String::new(), Vec::new(), BTreeMap::new());
        Self { check, level, found: found.into(), cure: None, details, figures, seconds: 0.0 }
    }

    /// As it should be.
    pub fn pass(found: impl Into<String>) -> Self {
        Self::new(CheckLevel::Pass, found)
    }

    /// Right, but slow.
    pub fn warn(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), ..Self::new(CheckLevel::Warn, found) }
    }

    /// Wrong.
    pub fn fail(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), ..Self::new(CheckLevel::Fail, found) }
    }

    /// Not checked, and why.
    pub fn skip(found: impl Into<String>) -> Self {
        Self::new(CheckLevel::Skip, found)
    }

    /// The same with what was found one by one.
    #[must_use]
    pub fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// For people: a line, and below it, where something is wrong, what was found one by one and the cure.
    pub fn text(&self) -> String {
        let word = match self.level {
            CheckLevel::Pass => "PASS",
            CheckLevel::Warn => "WARN",
            CheckLevel::Fail => "FAIL",
            CheckLevel::Skip => "SKIP",
        };
        let mut text = format!("{word}  {:<14}{:>6.1} s  {}\n", self.check, self.seconds, self.found);
        let mut below = |line: &str| {
            ignored(writeln!(text, "      {:<14}          {line}", ""), "writing to a text does not fail");
        };
        let shown = self.level == CheckLevel::Fail || !self.figures.is_empty();
        self.details.iter().filter(|_| shown).for_each(|line| below(line));
        if let Some(cure) = &self.cure {
            below(&format!("cure: {cure}"));
        }
        text
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckWord {
    /// A check begins.
    Begin(String),
    /// Where it is.
    Step(String),
    /// It has ended.
    Done(CheckResult),
}

impl CheckWord {
    /// As a line.
    pub fn line(&self) -> String {
        // Values of these types are written without fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a line tells; nothing where it is something else, as a warning of a library.
    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back_and_others_are_passed_over() {
        let result = CheckResult { check: "half".into(), ..CheckResult::warn("slow", "use fp32") };
        for told in [CheckWord::Begin("half".into()), CheckWord::Step("lenet-5".into()), CheckWord::Done(result)] {
            assert_eq!(CheckWord::read(&told.line()), Some(told));
        }
        assert_eq!(CheckWord::read("[W1127 Warning: something"), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_details_and_the_cure_and_what_is_right_in_a_line() {
        let mut result = CheckResult::fail("wrong", "see").with(vec!["one".into()]);
        result.check = "steps".into();
        let text = result.text();
        assert!(text.starts_with("FAIL  steps") && text.contains(" one\n") && text.contains("cure: see\n"), "{text}");
        assert_eq!(CheckResult::pass("all").with(vec!["one".into()]).text().lines().count(), 1);
    }
}
