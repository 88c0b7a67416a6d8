//! The one error type: what went wrong, what was found, what was expected, and the cure.
//!
//! It knows nothing of the rest of the program. Every layer builds its errors here, so that each message that
//! reaches a user has the same form and each kind of failure the same exit code.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault a failure is, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A flag, a sweep file or a data file is wrong: exit code 2.
    Input,
    /// The machine lacks something: a library, a device, space, a permission: exit code 3.
    Environment,
    /// One training went wrong; the rest of the sweep goes on: exit code 1 at the end.
    Training,
    /// Asked to stop; everything written so far is kept: exit code 75 ("run me again").
    Interrupted,
}

impl Kind {
    /// The exit code of the process when an error of this kind ends it.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Training => 1,
            Kind::Input => 2,
            Kind::Environment => 3,
            Kind::Interrupted => 75,
        }
    }
}

/// A failure with its cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Whose fault it is.
    pub kind: Kind,
    /// What went wrong: names the thing, what was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// A wrong flag, sweep file or data file.
    pub fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into(), hint: None }
    }

    /// Something that the machine lacks or refuses.
    pub fn environment(message: impl Into<String>) -> Self {
        Self { kind: Kind::Environment, message: message.into(), hint: None }
    }

    /// One training that went wrong.
    pub fn training(message: impl Into<String>) -> Self {
        Self { kind: Kind::Training, message: message.into(), hint: None }
    }

    /// A stop that was asked for.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { kind: Kind::Interrupted, message: message.into(), hint: None }
    }

    /// A file or folder that could not be read, written or made. `doing` is a verb: "read", "write", "create".
    pub fn file(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let error = Self::environment(format!("cannot {doing} `{}`: {source}", path.display()));
        match source.kind() {
            ErrorKind::NotFound => Self { kind: Kind::Input, ..error }.hint("check the path"),
            ErrorKind::IsADirectory => Self { kind: Kind::Input, ..error }.hint("give a file, not a folder"),
            ErrorKind::NotADirectory => {
                Self { kind: Kind::Input, ..error }.hint("a part of the path is a file: check it")
            }
            ErrorKind::AlreadyExists => Self { kind: Kind::Input, ..error }.hint("a file of that name is in the way"),
            ErrorKind::InvalidInput => Self { kind: Kind::Input, ..error }.hint("give a file that lies on a disk"),
            ErrorKind::FileTooLarge => error.hint(
                "`ulimit -f` limits how large a file may get: raise it and run the same command again; everything written before stays readable",
            ),
            ErrorKind::PermissionDenied => error.hint("give yourself the permission, or choose another place"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::WriteZero => {
                error.hint("free some space and run the same command again; everything written before stays readable")
            }
            _ => error,
        }
    }

    /// Adds the cure.
    #[must_use]
    pub fn hint(mut self, cure: impl Into<String>) -> Self {
        self.hint = Some(cure.into());
        self
    }

    /// Puts the place where it happened before the message: "`sweep.toml`, line 3: …".
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Puts a path before the message, unless that names it, or what lies below it, already.
    #[must_use]
    pub fn at_path(self, path: &Path) -> Self {
        let path = path.display().to_string();
        let is_named = ["`", "/"].iter().any(|behind| self.message.contains(&format!("`{path}{behind}")));
        if is_named { self } else { self.at(format!("`{path}`")) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Line breaks are meant: messages of other libraries have several lines.
        for (index, line) in self.message.split('\n').enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line.split('\t').map(printable).collect::<Vec<_>>().join("\t"))?;
        }
        match &self.hint {
            Some(cure) => write!(f, "\n\nhint: {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// A text with its control characters escaped: names of files may hold what moves the cursor of a terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Lets go of a failure that makes no difference. The reason is for whoever reads the code.
pub fn ignored<T, E>(_result: std::result::Result<T, E>, _reason: &'static str) {}

/// What happened, of the text of a panic with which libtorch's bindings tell an error: libtorch appends its own stack to the first line,
/// and the bindings write line breaks escaped.
pub fn first_line(text: &str) -> &str {
    let line = text.split("\\n").next().unwrap_or(text).lines().next().unwrap_or(text);
    line.trim_start_matches("called `Result::unwrap()` on an `Err` value: ").trim_start_matches("Torch(\"")
}

/// The known word nearest to a mistyped one, if one is near enough to be meant.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (length, most) = (found.chars().count(), |word: &str| 2.max(word.len() / 3));
    known
        .into_iter()
        // As far apart as their lengths differ: comparing takes time and memory by the product of both.
        .filter(|word| length.abs_diff(word.chars().count()) <= most(word))
        .map(|word| (strsim::damerau_levenshtein(found, word), word))
        .filter(|(distance, word)| *distance <= most(word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_follows_the_message_after_a_blank_line() {
        let error = Error::input("`epoch` is not a setting").hint("did you mean `epochs`?");
        assert_eq!(error.to_string(), "`epoch` is not a setting\n\nhint: did you mean `epochs`?");
        assert_eq!(error.kind.exit_code(), 2);
    }

    #[test]
    fn a_path_is_put_before_a_message_that_does_not_name_it() {
        let at = |message: &str| Error::input(message).at_path(Path::new("a/b")).message;
        assert_eq!(at("there is one class"), "`a/b`: there is one class");
        assert_eq!(at("`a/b`: no file"), "`a/b`: no file");
        assert_eq!(at("row 3 of `a/b/train.csv` is none"), "row 3 of `a/b/train.csv` is none");
        assert_eq!(at("`a/bc` is none"), "`a/b`: `a/bc` is none");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[0m\r\nb"), "a\\u{1b}[0m\\r\\nb");
        assert_eq!(Error::input("two\nlines\u{1b}").to_string(), "two\nlines\\u{1b}");
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["epochs", "seed", "pruning-ratio"];
        assert_eq!(nearest("epoch", known), Some("epochs"));
        assert_eq!(nearest("prunning-ratio", known), Some("pruning-ratio"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn a_word_that_fills_memory_is_compared_with_nothing() {
        assert_eq!(nearest(&"e".repeat(1 << 28), ["epochs", "seed"]), None);
    }
}
