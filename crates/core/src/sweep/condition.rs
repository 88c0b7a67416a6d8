//! Conditions that trials have to meet: `where = "epochs > 10 and learning-rate > 0.1"`.
//!
//! Two settings or values are compared, and comparisons joined by `and`, `or`, `not` and parentheses. It may not know of files.

use super::settings::{FIELDS, Field, Settings};
use super::spellings::{SPELLINGS, Spelling};
use tombola_words::error::{Error, Result};

/// Parentheses within each other.
const MOST_NESTED: usize = 64;

/// A condition, as it was written and as it is read.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    root: Clause,
}

#[derive(Debug, Clone)]
enum Clause {
    All(Vec<Clause>),
    Any(Vec<Clause>),
    Not(Box<Clause>),
    Compared(Operand, Comparison, Operand),
}

#[derive(Clone)]
enum Operand {
    Setting(&'static Field),
    /// A word for a setting that says it otherwise, such as `density`.
    Spelled(&'static Spelling),
    Value(String),
}

impl std::fmt::Debug for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setting(field) => f.write_str(field.key),
            Self::Spelled(spelling) => f.write_str(spelling.word),
            Self::Value(value) => f.write_str(value),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

const COMPARISONS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Less),
    (">", Comparison::More),
    ("=", Comparison::Equal),
];

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it is none; the message names what was found where something else was expected.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = |message: String| {
            Error::input(format!("`where`: {message}, in `{text}`"))
                .hint("for example `epochs > 10 and (learning-rate >= 0.1 or network == \"conv-2\")`")
        };
        let tokens = tokens(text).map_err(wrong)?;
        let mut reader = TokenReader { tokens: &tokens, at: 0, nested: 0 };
        let root = reader.any().map_err(wrong)?;
        match reader.tokens.get(reader.at) {
            None => Ok(Self { text: text.to_string(), root }),
            Some(more) => Err(wrong(format!("found `{more}` after a whole condition"))),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a trial meets it.
    ///
    /// # Errors
    /// When two values have no order.
    pub fn holds(&self, settings: &Settings) -> Result<bool> {
        self.root.holds(settings).map_err(|error| error.at(format!("`where = \"{}\"`", self.text)))
    }
}

impl Clause {
    fn holds(&self, settings: &Settings) -> Result<bool> {
        match self {
            Self::All(parts) => parts.iter().try_fold(true, |all, part| Ok(all && part.holds(settings)?)),
            Self::Any(parts) => parts.iter().try_fold(false, |any, part| Ok(any || part.holds(settings)?)),
            Self::Not(part) => Ok(!part.holds(settings)?),
            Self::Compared(one, comparison, other) => compare(one, *comparison, other, settings),
        }
    }
}

fn compare(one: &Operand, comparison: Comparison, other: &Operand, settings: &Settings) -> Result<bool> {
    // A value beside a setting is read as that setting reads it: `0.10` is `0.1`, `u` is `unstructured`.
    let shown = |own: &Operand, beside: &Operand| match (own, beside) {
        (Operand::Setting(field), _) => (field.show)(settings),
        (Operand::Spelled(spelling), _) => spelling.said(settings),
        (Operand::Value(text), Operand::Setting(field)) => {
            let mut read = settings.clone();
            let known = (field.set)(&mut read, text).is_ok();
            if known { (field.show)(&read) } else { text.clone() }
        }
        // `sr == true` is of the pull that the bare word means.
        (Operand::Value(text), Operand::Spelled(spelling)) => {
            let mut read = settings.clone();
            let meant = spelling.meaning(text).ok().zip(spelling.field());
            match meant.filter(|(value, field)| (field.set)(&mut read, value).is_ok()) {
                Some(_) => spelling.said(&read),
                None => text.clone(),
            }
        }
        (Operand::Value(text), Operand::Value(_)) => text.clone(),
    };
    let (left, right) = (shown(one, other), shown(other, one));
    let numbers = left.parse::<f64>().ok().zip(right.parse::<f64>().ok());
    let order = numbers.and_then(|(left, right)| left.partial_cmp(&right));
    match (comparison, order) {
        (Comparison::Equal, order) => Ok(order.map_or(left == right, std::cmp::Ordering::is_eq)),
        (Comparison::Unequal, order) => Ok(order.map_or(left != right, std::cmp::Ordering::is_ne)),
        (Comparison::Less, Some(order)) => Ok(order.is_lt()),
        (Comparison::AtMost, Some(order)) => Ok(order.is_le()),
        (Comparison::More, Some(order)) => Ok(order.is_gt()),
        (Comparison::AtLeast, Some(order)) => Ok(order.is_ge()),
        (_, None) => Err(Error::input(format!(
            "`{left}` and `{right}` ({one:?}, {other:?}) are not two numbers, and only those have an order"
        ))
        .hint("compare with `==` or `!=`, or give the setting a number")),
    }
}

/// Words, texts in quotes, comparisons and parentheses.
fn tokens(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let comparison = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign)).map(|(sign, _)| sign.len());
        let length = if let Some(length) = comparison {
            length
        } else if "()".contains(first) {
            1
        } else if "\"'".contains(first) {
            rest[1..].find(first).ok_or_else(|| format!("found no end of `{rest}`"))? + 2
        } else {
            let end = |letter: char| letter.is_whitespace() || "()<>=!\"'".contains(letter);
            match rest.find(end) {
                Some(0) => return Err(format!("found `{first}`")),
                Some(end) => end,
                None => rest.len(),
            }
        };
        tokens.push(rest[..length].to_string());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// Reads tokens from the left.
struct TokenReader<'t> {
    tokens: &'t [String],
    at: usize,
    nested: usize,
}

impl TokenReader<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let next = self.tokens.get(self.at).is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(next);
        next
    }

    fn any(&mut self) -> std::result::Result<Clause, String> {
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err(format!("found more than {MOST_NESTED} conditions within each other"));
        }
        let mut parts = vec![self.all()?];
        while self.takes("or") {
            parts.push(self.all()?);
        }
        self.nested -= 1;
        Ok(Clause::Any(parts))
    }

    fn all(&mut self) -> std::result::Result<Clause, String> {
        let mut parts = vec![self.one()?];
        while self.takes("and") {
            parts.push(self.one()?);
        }
        Ok(Clause::All(parts))
    }

    fn one(&mut self) -> std::result::Result<Clause, String> {
        let mut negated = false;
        while self.takes("not") {
            negated = !negated;
        }
        let part = if self.takes("(") {
            let inner = self.any()?;
            if !self.takes(")") {
                return Err("found a `(` without its `)`".to_string());
            }
            inner
        } else {
            let left = self.operand()?;
            let sign = self.tokens.get(self.at).cloned().unwrap_or_default();
            let known = COMPARISONS.iter().find(|(known, _)| *known == sign).map(|(_, comparison)| *comparison);
            let comparison = known.ok_or_else(|| format!("found `{sign}` after `{left:?}`, expected a comparison"))?;
            self.at += 1;
            let right = self.operand()?;
            if let (Operand::Value(left), Operand::Value(right)) = (&left, &right) {
                return Err(format!("neither `{left}` nor `{right}` is a setting"));
            }
            Clause::Compared(left, comparison, right)
        };
        Ok(if negated { Clause::Not(Box::new(part)) } else { part })
    }

    fn operand(&mut self) -> std::result::Result<Operand, String> {
        let token = self.tokens.get(self.at).ok_or("found its end, expected a setting or a value")?;
        if COMPARISONS.iter().any(|(sign, _)| sign == token) || ["(", ")", "and", "or", "not"].contains(&token.as_str())
        {
            return Err(format!("found `{token}`, expected a setting or a value"));
        }
        self.at += 1;
        match token.strip_prefix(['"', '\'']) {
            Some(quoted) => Ok(Operand::Value(quoted[..quoted.len() - 1].to_string())),
            None => {
                let named = |field: &&Field| field.key == token || field.aliases.contains(&token.as_str());
                let setting = FIELDS.iter().find(named).map(Operand::Setting);
                let spelled = || SPELLINGS.iter().find(|spelling| spelling.word == token).map(Operand::Spelled);
                Ok(setting.or_else(spelled).unwrap_or_else(|| Operand::Value(token.clone())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Result<bool> {
        let settings = Settings { epochs: 20, learning_rate: 0.1, network: "conv-2".into(), ..Settings::default() };
        Condition::read(text)?.holds(&settings)
    }

    #[test]
    fn comparisons_are_joined_as_in_other_languages() {
        for (text, expected) in [
            ("epochs > 10 and learning-rate > 0.1", false),
            ("epochs > 10 and learning-rate >= 0.10", true),
            ("epochs>10 or lr>0.1", true),
            ("epochs < 10 and lr < 1 or network == conv-2", true),
            ("epochs < 10 and (lr < 1 or network == conv-2)", false),
            ("not epochs < 10", true),
            ("network != \"conv-2\"", false),
            ("prunety = u", true),
            ("10 < epochs", true),
            ("init-seed == auto", true),
            ("density > 0.4 and density <= 0.5", true),
            ("density == 0.50", true),
            ("nest == 1", true),
            ("sr > 0", false),
            ("sr == true", false),
            ("not sr == true and density != 0.4", true),
        ] {
            assert_eq!(holds(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_was_found() {
        for (text, said) in [
            ("", "expected a setting"),
            ("epochs", "expected a comparison"),
            ("epochs > ", "found its end"),
            ("epochs > 10 lr", "after a whole condition"),
            ("(epochs > 10", "without its `)`"),
            ("epoch > 10", "neither `epoch` nor `10` is a setting"),
            ("epochs > \"x", "found no end"),
            ("epochs ! 3", "found `!`"),
            ("network > 3", "only those have an order"),
            ("depth > 3", "`auto` and `3`"),
        ] {
            let error = holds(text).expect_err(text);
            assert!(error.message.contains(said) && error.hint.is_some(), "{text}: {error}");
        }
        assert!(Condition::read(&"(".repeat(100_000)).is_err());
        assert!(Condition::read(&format!("{}epochs > 1", "not ".repeat(100_000))).is_ok());
    }
}
