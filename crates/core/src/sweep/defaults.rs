//! Other defaults than Tombola's own: those of the original script, for commands that rely on them.
//!
//! They lie under the sweep file, as if its first lines. It may not know of files or flags.

use super::grid::{Axis, Grid};
use super::settings::Field;
use tombola_words::error::{Error, Result};

/// The word for the defaults of the original script.
const ORIGINAL: &str = "original";

/// What differs there: an argument parser's defaults, and what the program did without being asked.
const OF_THE_ORIGINAL: &[(&str, &str)] = &[
    ("batch-size", "256"),
    ("schedule", "none"),
    ("step-epochs", "1"),
    ("cycle-epochs", "5"),
    ("cycle-factor", "2"),
    ("prune-iterations", "0"),
    ("prune-layers", "conv"),
    ("draw", "best"),
];

/// The defaults of a name, as a grid of fixed settings.
///
/// # Errors
/// When there are none of that name.
pub(super) fn named(word: &toml::Value) -> Result<Grid> {
    match word.as_str() {
        Some(ORIGINAL) => Ok(original()),
        Some("tombola") => Ok(Grid::default()),
        _ => Err(Error::input(format!("`defaults`: found `{word}`, expected `{ORIGINAL}` or `tombola`"))
            .hint("`original` are the defaults of the script that Tombola replaces")),
    }
}

fn original() -> Grid {
    let mut grid = Grid::default();
    for (key, value) in OF_THE_ORIGINAL {
        if let Some(field) = Field::find(key) {
            grid.set(Axis { field, values: vec![(*value).to_string()] });
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use crate::sweep::Spec;

    #[test]
    fn the_originals_defaults_lie_under_what_is_asked() {
        let settings = |text: &str| Spec::read(Some(text), &[]).unwrap().trials().unwrap()[0].settings.clone();
        let plain = settings("defaults = \"original\"");
        assert_eq!((plain.batch_size, plain.prune_iterations, plain.epochs), (256, 0, 160));
        let asked = settings("defaults = \"original\"\nbs = 64\npriter = 1");
        assert_eq!((asked.batch_size, asked.prune_iterations), (64, 1));
        assert_eq!(settings("defaults = \"tombola\""), settings(""));
        assert!(Spec::read(Some("defaults = \"other\""), &[]).unwrap_err().message.contains("line 1"));
    }
}
