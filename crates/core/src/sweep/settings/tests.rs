use super::*;

fn set(key: &str, text: &str) -> Result<Settings> {
    let mut settings = Settings::default();
    Field::find(key).unwrap().assign(&mut settings, text)?;
    settings.resolve()
}

#[test]
fn no_key_or_alias_is_used_twice() {
    let mut words: Vec<&str> = FIELDS.iter().flat_map(|f| f.aliases.iter().copied().chain([f.key])).collect();
    words.sort_unstable();
    let count = words.len();
    words.dedup();
    assert_eq!(words.len(), count);
}

#[test]
fn every_default_is_read_back_from_what_is_shown() {
    let mut read = Settings::default();
    for field in FIELDS.iter().filter(|field| field.key != "out" && field.key != "data-dir") {
        let shown = (field.show)(&Settings::default());
        (field.set)(&mut read, &shown).unwrap_or_else(|e| panic!("{}: {shown}: {e}", field.key));
    }
    assert_eq!(read, Settings::default());
}

#[test]
fn the_seeds_spellings_are_known() {
    for word in
        ["pr", "priter", "prunety", "o", "w-decay", "sched", "lr-update-epochs", "lr_update_epochs", "model", "lr"]
    {
        assert!(Field::find(word).is_some(), "{word}");
    }
}

#[test]
fn values_out_of_bounds_name_the_setting_and_the_bounds() {
    for (key, text) in [
        ("pr", "1"),
        ("pr", "1.5"),
        ("pr", "-0.1"),
        ("batch-size", "0"),
        ("epochs", "0"),
        ("momentum", "1"),
        ("workers", "0"),
    ] {
        let error = set(key, text).unwrap_err();
        assert!(error.message.contains(text) && error.message.contains("expected"), "{error}");
    }
    assert!(set("draw", "epoch:200").unwrap_err().message.contains("160 epochs"));
    assert!(set("o", "sdg").unwrap_err().hint.unwrap().contains("`sgd`"));
}

#[test]
fn settings_that_make_no_difference_are_no_part_of_the_identity() {
    let mut adam = Settings { optimizer: Optimizer::Adam, ..Settings::default() };
    let before = adam.identity(Decides::Training);
    adam.momentum = 0.5;
    assert_eq!(adam.identity(Decides::Training), before);
    adam.beta1 = 0.8;
    assert_ne!(adam.identity(Decides::Training), before);
}

#[test]
fn pitfall_29_every_setting_that_decides_a_training_changes_its_identity() {
    let base = Settings::default().resolve().unwrap();
    let others = [
        ("network", "lenet-5"),
        ("depth", "29"),
        ("width", "8"),
        ("bn-init", "uniform"),
        ("dataset", "mnist"),
        ("train-limit", "9"),
        ("validation-size", "7"),
        ("augment", "none"),
        ("epochs", "161"),
        ("batch-size", "65"),
        ("optimizer", "adam"),
        ("learning-rate", "0.2"),
        ("momentum", "0.8"),
        ("nesterov", "false"),
        ("weight-decay", "0"),
        ("schedule", "cosine"),
        ("gamma", "0.2"),
        ("lr-milestones", "[70]"),
        ("warmup-epochs", "1"),
        ("init-seed", "9"),
        ("order-seed", "9"),
        ("augment-seed", "9"),
        ("seed", "2"),
        ("select", "test"),
    ];
    let mut seen = vec![base.identity(Decides::Training)];
    for (key, text) in others {
        let mut settings = Settings::default();
        Field::find(key).unwrap().assign(&mut settings, text).unwrap();
        let identity = settings.resolve().unwrap().identity(Decides::Training);
        assert!(!seen.contains(&identity), "{key} makes no difference");
        seen.push(identity);
    }
}

#[test]
fn the_rate_of_a_level_reaches_the_ratio_after_all_levels() {
    // The seed: four levels of .50, .70, .90 prune .1591, .2599, .4377 of the weights alive.
    for (ratio, rate) in [(0.5, 0.1591), (0.7, 0.2599), (0.9, 0.4377)] {
        let settings = Settings { pruning_ratio: ratio, prune_iterations: 4, ..Settings::default() };
        assert!((settings.rate() - rate).abs() < 5e-5);
    }
    let half = |ratio, n| Settings { pruning_ratio: ratio, prune_iterations: n, ..Settings::default() }.rate();
    assert_eq!(half(0.5, 1), half(0.875, 3));
}
