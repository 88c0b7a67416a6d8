//! Data of the user's own that a sweep names: where they lie, and what they are. It may not know of sweeps.

use std::path::{Path, PathBuf};

use tombola_data::own;
use tombola_words::error::Result;
use tombola_words::{DataForm, DataOptions, speech};

/// Where the data at `path` lie, which starts from `base` if it is relative, and their form, and the names of
/// their classes. What is odd about them is told.
///
/// # Errors
/// When they cannot be read, or are no data set.
pub(super) fn look(base: &Path, path: &Path, options: &DataOptions) -> Result<(PathBuf, DataForm, Vec<String>)> {
    let place = base.join(at_home(path));
    let found = own::take(&place, options)?;
    for note in &found.notes {
        speech::say(format!("note: `{}`: {note}", place.display()));
    }
    Ok((place, found.form, found.classes))
}

/// A path with `~` written out: a shell does so in a flag, and nobody in a file.
fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) if !home.is_empty() => Path::new(&home).join(rest),
        _ => path.to_path_buf(),
    }
}
