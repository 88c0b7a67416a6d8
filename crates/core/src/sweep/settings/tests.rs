use super::*;
use tombola_words::value::Point;
use tombola_words::{DataForm, DataShape};

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
        ("filter", "low-pass"),
        ("filter", "high-pass"),
        ("augment", "none"),
        ("augment", "[flip, crop:4]"),
        ("augment", "[crop:4, flip, cutout:8]"),
        ("augment", "randaugment"),
        ("input-mean", "cifar-10"),
        ("input-std", "[0.25]"),
        ("weight-decay-on", "weights"),
        ("clip-norm", "1"),
        ("average", "0.999"),
        ("label-smoothing", "0.1"),
        ("mixup", "0.2"),
        ("cutmix", "1"),
        ("class-weights", "balanced"),
        ("last-batch", "join"),
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
fn settings_that_came_later_leave_identities_as_they_were() {
    // As it stood before there were recipes: for data that are varied in the usual way and warmed up.
    let settings = Settings { warmup_epochs: Point::epoch(2), ..Settings::default() }.resolve().unwrap();
    let identity = settings.identity(Decides::Training);
    assert!(identity.contains("augment=crop-flip\nepochs=160\n"), "{identity}");
    for key in [
        "filter",
        "filter-sigma",
        "input-mean",
        "input-std",
        "weight-decay-on",
        "clip-norm",
        "average",
        "label-smoothing",
        "mixup",
        "cutmix",
        "class-weights",
        "last-batch",
        "warmup-start",
        "schedule-after-warmup",
    ] {
        assert!(!identity.contains(&format!("{key}=")), "{key}");
    }
    assert!(!settings.identity(Decides::Pruning).contains("distill"));
    let mut listed = Settings::default();
    Field::find("augment").unwrap().assign(&mut listed, "[crop:4, flip]").unwrap();
    let usual = Settings::default().resolve().unwrap();
    assert_eq!(listed.resolve().unwrap().identity(Decides::Training), usual.identity(Decides::Training));
}

#[test]
fn the_width_of_a_filter_decides_where_there_is_a_filter() {
    let of = |filter: &str, sigma: &str| {
        let mut settings = Settings { dataset: "mnist".to_string(), ..Settings::default() };
        for (key, text) in [("filter", filter), ("sigma", sigma)] {
            Field::find(key).unwrap().assign(&mut settings, text).unwrap();
        }
        settings.resolve().map(|settings| settings.identity(Decides::Training))
    };
    assert_eq!(of("none", "3").unwrap(), of("none", "1").unwrap());
    assert_eq!(of("lowpass", "3").unwrap(), of("low-pass", "3.0").unwrap());
    assert_eq!(of("highpass", "1").unwrap(), of("high-pass", "1").unwrap());
    assert_ne!(of("high-pass", "3").unwrap(), of("high-pass", "1").unwrap());
    assert!(of("low-pass", "1").unwrap().contains("filter=low-pass\nfilter-sigma=1.0\n"));
    for sigma in ["0", "-1", "nan"] {
        let mut settings = Settings::default();
        let error = Field::find("filter-sigma").unwrap().assign(&mut settings, sigma).unwrap_err();
        assert!(error.message.contains("expected a number"), "{error}");
    }
}

#[test]
fn a_filter_of_what_has_no_grey_is_refused_before_anything_is_trained() {
    let made = |shape: &[usize]| Settings {
        dataset: "synthetic".to_string(),
        synthetic_shape: shape.to_vec(),
        filter: ImageFilter::LowPass,
        ..Settings::default()
    };
    assert!(made(&[1, 8, 8]).resolve().is_ok() && made(&[3, 8, 8]).resolve().is_ok());
    let error = made(&[2, 8, 8]).resolve().unwrap_err();
    assert!(error.message.contains("data set `synthetic`: `filter`: `low-pass`"), "{error}");
    assert!(error.message.contains("2 channels") && error.hint.is_some(), "{error}");
    let wide = Settings { filter_sigma: 50.0, ..made(&[1, 8, 8]) };
    assert!(wide.resolve().unwrap_err().message.contains("`filter-sigma`: 50.0 is so wide"));
    let with = |shape: &[usize], bytes| {
        let form = DataForm {
            content: String::new(),
            shape: DataShape(shape.to_vec()),
            bytes,
            classes: 2,
            train: 100,
            validation: 0,
            test: 10,
        };
        let own = OwnData { form: Some(form), ..OwnData::at("own.npz".into()) };
        Settings { dataset: own.name.clone(), own_set: Some(Arc::new(own)), ..made(&[1, 8, 8]) }.resolve()
    };
    assert!(with(&[3, 8, 8], true).is_ok());
    assert!(with(&[3, 8, 8], false).unwrap_err().message.contains("no bytes"));
    assert!(with(&[20], true).unwrap_err().message.contains("rows of 20"));
}

#[test]
fn recipes_that_cannot_be_are_refused() {
    for (keys, said) in [
        (&[("mixup", "0.2"), ("batch-size", "1")][..], "batch-size"),
        (&[("cutmix", "1"), ("batch-size", "1")], "batch-size"),
        (&[("distill", "0.5"), ("prune-iterations", "0")], "distill"),
        (&[("schedule-after-warmup", "true"), ("warmup-epochs", "160")], "warm-up"),
        (&[("class-weights", "[0, 0]")], "class-weights"),
    ] {
        let mut settings = Settings::default();
        for (key, text) in keys {
            Field::find(key).unwrap().assign(&mut settings, text).unwrap();
        }
        let error = settings.resolve().unwrap_err();
        assert!(error.message.contains(said) && error.hint.is_some(), "{error}");
    }
    for (key, text) in [("average", "1"), ("input-std", "[0.5, 0]"), ("input-mean", "inf"), ("distill", "1.1")] {
        assert!(set(key, text).unwrap_err().message.contains(text), "{key}");
    }
    // Of numbers that are no bytes.
    for (key, text) in [("input-mean", "[-9.5, 3e4]"), ("input-std", "1234.5"), ("input-std", "[0.5, 1e-9]")] {
        assert!(set(key, text).is_ok(), "{key}");
    }
}

/// Settings with these words.
fn assigned(words: &[(&str, &str)]) -> Result<Settings> {
    let mut settings = Settings::default();
    words.iter().try_for_each(|(key, text)| Field::find(key).unwrap().assign(&mut settings, text))?;
    settings.resolve()
}

#[test]
fn pitfall_29_settings_of_changing_masks_decide_where_masks_change_and_nowhere_else() {
    let others = [
        ("mask-every", "50"),
        ("mask-from", "9"),
        ("mask-until", "0.5"),
        ("start-ratio", "0.1"),
        ("drop-share", "0.2"),
    ];
    let plain = assigned(&[]).unwrap().identity(Decides::Pruning);
    for (key, text) in others {
        assert_eq!(assigned(&[(key, text)]).unwrap().identity(Decides::Pruning), plain, "{key}");
    }
    assert!(!plain.contains("mask-") && !plain.contains("while") && !plain.contains("start-ratio"), "{plain}");
    for (rule, without) in [("gradual", "drop-share"), ("rigl", "mask-from start-ratio")] {
        let base = assigned(&[("while-training", rule)]).unwrap();
        let (identity, training) = (base.identity(Decides::Pruning), base.identity(Decides::Training));
        assert_eq!(training, assigned(&[]).unwrap().identity(Decides::Training));
        assert_ne!(identity, plain);
        for (key, text) in others {
            let other = assigned(&[("while-training", rule), (key, text)]).unwrap().identity(Decides::Pruning);
            assert_eq!(other == identity, without.split(' ').any(|one| one == key), "{rule}, {key}");
        }
    }
    let rigl = assigned(&[("while-training", "rigl")]).unwrap();
    assert_eq!(rigl.criterion, Some(Criterion::Random));
    assert_eq!(assigned(&[("while-training", "gradual")]).unwrap().criterion, Some(Criterion::Magnitude));
}

#[test]
fn masks_that_change_are_refused_where_they_cannot() {
    for (words, said) in [
        (&[("prune-iterations", "3")][..], "`prune-iterations` 3"),
        (&[("prune-iterations", "0")], "`prune-iterations` 0"),
        (&[("pruning-type", "structured")], "`pruning-type` `structured`"),
        (&[("load-mask", "mask.npz")], "`load-mask` `mask.npz`"),
        (&[("criterion", "lamp")], "`criterion` `lamp`"),
        (&[("draw", "early-bird")], "`draw` `early-bird`"),
        (&[("control", "random-mask")], "`control` `random-mask`"),
        (&[("budget", "flops")], "`budget` `flops`"),
        (&[("average", "0.99")], "`average` 0.99"),
        (&[("start-ratio", "0.6")], "`start-ratio` 0.6"),
        (&[("mask-from", "84480")], "after 84480 steps, expected one before step 84480"),
        (&[("mask-from", "5280"), ("reinit", "none"), ("fine-tune-epochs", "10")], "before step 5280"),
    ] {
        let error = assigned(&[&[("while-training", "gradual")], words].concat()).unwrap_err();
        assert!(error.message.contains(said) && error.hint.is_some(), "{error}");
    }
    let rigl = |words: &[(&str, &str)]| assigned(&[&[("while-training", "rigl")], words].concat());
    assert!(rigl(&[("mask-every", "84480")]).unwrap_err().message.contains("`mask-every`"));
    assert!(rigl(&[("criterion", "snip"), ("scope", "erk"), ("distill", "0.5")]).is_ok());
    for (key, text) in [("mask-until", "0"), ("drop-share", "1.1"), ("mask-every", "0"), ("start-ratio", "1")] {
        assert!(set(key, text).unwrap_err().message.contains(text), "{key}");
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
