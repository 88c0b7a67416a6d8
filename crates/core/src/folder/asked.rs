//! What a results folder says it is of: its `sweep.toml`.

use std::path::Path;

use super::foreign::holds;
use super::loaded::{loaded_in, loaded_of};
use super::written::{run_flags, text_in};
use crate::plan::{Plan, grow};
use crate::sweep::{Flag, Spec};
use tombola_words::error::{Error, Result};

/// What a results folder says it is of.
///
/// # Errors
/// When there is no such file, or it is not what was written.
pub fn spec_of(folder: &Path) -> Result<Spec> {
    let path = folder.join("sweep.toml");
    let text = text_in(folder)?.ok_or_else(|| {
        let error = Error::input(format!("there is no `{}`", path.display()));
        match holds(folder, "journal") {
            Ok(true) => error.hint(format!("run the sweep again with `{}`, which writes it anew", run_flags(folder))),
            _ => error.hint("give a results folder, such as `results/quickstart`"),
        }
    })?;
    complete(&text, &[]).map_err(|error| error.at(format!("`{}`", path.display())))
}

/// A complete sweep file, and flags. It has the words of the sweep file that it was made of, which lay elsewhere; but it notes
/// where the files are that it was loaded from.
///
/// # Errors
/// As [`Spec::read`].
pub fn complete(text: &str, flags: &[Flag]) -> Result<Spec> {
    let mut spec = Spec::read(Some(text), flags)?;
    spec.places = loaded_in(text)?.into_iter().map(|(word, file)| (word, file.place)).collect();
    Ok(spec)
}

/// The plan of what a results folder says it is of. Files that it was loaded from are not opened where the folder knows them.
///
/// # Errors
/// As [`spec_of`], and when a file that the folder does not know cannot be read.
pub fn plan_of(folder: &Path) -> Result<Plan> {
    grow(&spec_of(folder)?, &loaded_of(folder)?)
}
