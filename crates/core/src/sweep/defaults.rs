//! Other defaults than Tombola's own: those of other programs and papers, for experiments that rely on them.
//!
//! They lie under the sweep file, as if its first lines. It may not know of files or flags.

use super::grid::{Axis, Grid};
use super::settings::Field;
use tombola_words::error::{Error, Result};

/// What differs in one of them.
type Different = &'static [(&'static str, &'static str)];

/// Each by its name. Sub-settings of what a sweep does not use are no part of any identity.
const ALL: &[(&str, Different)] =
    &[("tombola", &[]), ("original", ORIGINAL), ("lottery-ticket", LOTTERY_TICKET), ("open-lth", OPEN_LTH)];

/// Frankle and Carbin 2019, "The Lottery Ticket Hypothesis", figure 2, the column of LeNet-300-100.
const LOTTERY_TICKET: Different = &[
    ("batch-size", "60"),
    ("optimizer", "adam"),
    ("learning-rate", "0.0012"),
    ("weight-decay", "0.0"),
    ("schedule", "none"),
    ("scope", "layer"),
    ("output-rate", "0.5"),
    ("reinit", "init"),
];

/// open_lth, `models/cifar_resnet.py` and `datasets/cifar10.py`: default hyper-parameters and what it normalises by.
const OPEN_LTH: Different = &[
    ("batch-size", "128"),
    ("nesterov", "false"),
    ("bn-init", "uniform"),
    ("shortcut", "b"),
    ("augment", "crop-flip"),
    ("input-mean", "imagenet"),
    ("input-std", "imagenet"),
    ("validation-size", "0"),
    ("select", "test"),
    ("reinit", "init"),
];

/// The original script: its argument parser's defaults, and what the program did without being asked.
const ORIGINAL: Different = &[
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
    let Some((_, different)) = ALL.iter().find(|(name, _)| word.as_str() == Some(name)) else {
        let names: Vec<String> = ALL.iter().map(|(name, _)| format!("`{name}`")).collect();
        return Err(Error::input(format!("`defaults`: found `{word}`, expected one of {}", names.join(", ")))
            .hint("`original` are the defaults of the script that Tombola replaces"));
    };
    let mut grid = Grid::default();
    for (key, value) in *different {
        if let Some(field) = Field::find(key) {
            grid.set(Axis { field, values: vec![(*value).to_string()] });
        }
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use crate::sweep::Spec;

    #[test]
    fn every_value_is_one_of_its_setting() {
        for (name, different) in super::ALL {
            let text = format!("defaults = \"{name}\"\nnetwork = \"lenet-5\"\ndataset = \"mnist\"");
            assert!(Spec::read(Some(&text), &[]).unwrap().trials().is_ok(), "{name}");
            assert!(different.iter().all(|(key, _)| crate::sweep::Field::find(key).is_some()), "{name}");
        }
    }

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
