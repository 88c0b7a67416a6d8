//! Settings that were given and that no trial looks at, such as a `momentum` beside `adam`: said, so that nobody takes a comparison
//! for one of values that changed nothing. It may not know of files or plans.

use std::collections::BTreeSet;

use super::settings::{Decides, FIELDS, SEEDS, Settings};

/// What to do about such a setting.
pub const IDLE_CURE: &str = "leave it out, or give what it goes with (see `tombola settings`)";

/// What is said of those settings whose keys were `given`, by the settings of all trials. Seeds and values that are the default say
/// nothing.
pub(super) fn idle<'s>(
    given: &BTreeSet<&'static str>,
    trials: impl Iterator<Item = &'s Settings> + Clone,
) -> Vec<String> {
    let plain = Settings::default();
    // These shape the trials before any is there, or masks that are only watched.
    let shapes = ["levels", "round-rates", "ratios"];
    let fields = FIELDS.iter().filter(|field| {
        given.contains(field.key)
            && !shapes.contains(&field.key)
            && field.decides != Decides::Run
            && !SEEDS.contains(&field.key)
    });
    let said = fields.filter_map(|field| {
        if trials.clone().any(|settings| (field.matters)(settings)) {
            return None;
        }
        let default = (field.show)(&plain);
        let mut values: Vec<String> = Vec::new();
        for value in
            trials.clone().map(|settings| (field.show)(settings)).filter(|value| *value != default && value != "auto")
        {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let shown = match values.as_slice() {
            [] => return None,
            [one] => format!("is {one}"),
            several => format!("has {} values", several.len()),
        };
        Some(format!("`{}` {shown} and changes nothing: no trial of this sweep looks at it", field.key))
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use crate::sweep::Spec;

    fn said(text: &str) -> Vec<String> {
        let spec = Spec::read(Some(text), &[]).unwrap();
        let trials = spec.trials().unwrap();
        spec.idle(trials.iter().map(|trial| &trial.settings))
    }

    #[test]
    fn what_no_trial_looks_at_is_said_and_defaults_presets_and_seeds_are_not() {
        assert_eq!(
            said("optimizer = \"adam\"\nmomentum = 0.5"),
            ["`momentum` is 0.5 and changes nothing: no trial of this sweep looks at it"]
        );
        assert_eq!(said("optimizer = [\"adam\", \"sgd\"]\nmomentum = 0.5"), [""; 0]);
        assert_eq!(said("optimizer = \"adam\"\nmomentum = 0.9\naugment = \"none\"\naugment-seed = 3"), [""; 0]);
        assert_eq!(said("round-rates = false\nprune-rate = 0.2\nlevels = 3"), [""; 0]);
        assert_eq!(said("defaults = \"original\"\nprune-iterations = 0"), [""; 0]);
        assert_eq!(said("while-training = \"rigl\"\nstart-ratio = 0.3\nwithin = 2").len(), 2);
        let values = said("optimizer = \"adam\"\nmomentum = [0.5, 0.7]");
        assert_eq!(values, ["`momentum` has 2 values and changes nothing: no trial of this sweep looks at it"]);
    }

    #[test]
    fn a_complete_sweep_says_nothing_of_what_it_only_writes_out() {
        let spec = Spec::read(Some("optimizer = \"adam\"\nmomentum = 0.5"), &[]).unwrap();
        assert!(said(&spec.to_toml()).is_empty());
    }
}
