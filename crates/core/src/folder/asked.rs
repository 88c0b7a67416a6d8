//! What a results folder says it is of: its `sweep.toml`.

use std::path::Path;

use crate::plan::{Plan, grow};
use crate::sweep::Spec;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// What a results folder says it is of.
///
/// # Errors
/// When there is no such file, or it is wrong.
pub fn spec_of(folder: &Path) -> Result<Spec> {
    let path = folder.join("sweep.toml");
    let text = regular::read_to_string(&path).map_err(|error| {
        Error::file("read", &path, &error).hint("give a results folder, such as `results/quickstart`")
    })?;
    Spec::read(Some(&text), &[]).map_err(|error| error.at(format!("`{}`", path.display())))
}

/// The plan of what a results folder says it is of.
///
/// # Errors
/// As [`spec_of`].
pub fn plan_of(folder: &Path) -> Result<Plan> {
    grow(&spec_of(folder)?)
}
