use super::*;
use tombola_words::value::{Point, Value};

fn flag(key: &str, values: &[&str]) -> Flag {
    Axis { field: Field::find(key).unwrap(), values: values.iter().map(ToString::to_string).collect() }
}

fn trials(text: &str, flags: &[Flag]) -> Vec<Settings> {
    Spec::read(Some(text), flags).unwrap().trials().unwrap().into_iter().map(|trial| trial.settings).collect()
}

fn error(text: &str) -> Error {
    Spec::read(Some(text), &[]).and_then(|spec| spec.trials()).unwrap_err()
}

const FILE: &str = r#"
    name = "example"
    dataset = "fashion-mnist"
    epochs = 3
    seed = [1, 2]
    lr-milestones = [1, 2]

    [[grid]]
    network = "lenet-300-100"
    pr = [0.5, 0.75]
    priter = [1, 2]
    zip = [["pr", "priter"]]
    reinit = ["init", "random"]
    exclude = [{ reinit = "random", seed = 2 }]

    [[grid]]
    network = "lenet-5"
    lr-milestones = [[1], [1, 2]]
"#;

#[test]
fn blocks_are_joined_over_what_they_share() {
    let all = trials(FILE, &[]);
    assert_eq!(all.len(), 6 + 4);
    assert!(all.iter().all(|s| s.epochs == 3 && s.dataset == "fashion-mnist"));
    assert!(all[..6].iter().all(|s| s.network == "lenet-300-100" && s.milestones == [1, 2].map(Point::epoch)));
    assert_eq!(all[6].milestones, [Point::epoch(1)]);
}

#[test]
fn flags_win_over_every_block() {
    let all = trials(FILE, &[flag("epochs", &["5"]), flag("seed", &["7"])]);
    assert!(all.iter().all(|s| s.epochs == 5 && s.seed == 7));
    assert_eq!(all.len(), 4 + 2);
}

#[test]
fn flags_alone_are_a_sweep() {
    let spec = Spec::read(None, &[flag("pr", &["0.5", "0.7"]), flag("seed", &["1", "2", "3"])]).unwrap();
    assert_eq!(spec.trials().unwrap().len(), 6);
}

#[test]
fn the_complete_file_gives_the_same_trials() {
    let spec = Spec::read(Some(FILE), &[flag("momentum", &["0.5"]), flag("out", &["some where"])]).unwrap();
    let text = spec.to_toml();
    let again = Spec::read(Some(&text), &[]).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(again.trials().unwrap(), spec.trials().unwrap());
    assert_eq!(again.run, spec.run);
    assert_eq!(again.to_toml(), text);
    assert!(text.contains("batch-size = 64"), "defaults are written out");
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest_known_key() {
    let found = error("epochs = 3\nprunning-ratio = 0.5\n");
    assert!(found.message.contains("line 2") && found.message.contains("`prunning-ratio`"), "{found}");
    assert!(found.hint.unwrap().contains("`pruning-ratio`"));
}

#[test]
fn words_of_the_form_that_stand_in_the_wrong_place_are_told_where_they_belong() {
    let refused = |text: &str| Spec::read(Some(text), &[]).and_then(|spec| spec.trials()).unwrap_err();
    for (text, key, hint) in [
        ("[[grid]]\n[[grid.grid]]\nseed = 1", "grid", "blocks do not lie within each other"),
        ("[[grid]]\nname = \"a\"", "name", "move `name` above the first `[[grid]]`"),
        ("exclude = [{ grid = 1 }]", "grid", "blocks do not lie"),
        ("zip = [\"zip\", \"seed\"]", "zip", "name settings"),
    ] {
        let error = refused(text);
        assert!(error.message.contains(&format!("`{key}` cannot stand here")), "{text}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {error:?}");
    }
}

#[test]
fn names_take_the_letters_of_all_scripts() {
    let named = |name: &str| Spec::read(Some(&format!("name = \"{name}\"")), &[]).map(|spec| spec.name.unwrap());
    for name in ["größe-2", "実験.1", "опыт_3", "re\u{301}seau", "a"] {
        assert_eq!(named(name).unwrap(), name);
        assert_eq!(name_of(std::path::Path::new(&format!("sweeps/{name}.toml"))), name);
    }
    let long = "ü".repeat(101);
    for name in ["", ".a", "a/b", "a b", "..", "a\u{202e}b", long.as_str()] {
        let error = named(name).unwrap_err();
        assert!(error.message.contains("expected letters, digits, `-`, `_` and `.`"), "{name}: {error}");
    }
    assert_eq!(name_of(std::path::Path::new("a b.toml")), "a-b");
}

#[test]
fn words_for_a_variation_are_an_axis_and_alterations_are_a_list() {
    let shown = |line: &str| -> Vec<String> {
        let spec = Spec::read(Some(&format!("{line}\nprune-iterations = 0")), &[]).unwrap();
        let again = Spec::read(Some(&spec.to_toml()), &[]).unwrap();
        let shown = |spec: &Spec| -> Vec<String> {
            spec.trials().unwrap().iter().map(|trial| trial.settings.augment.as_ref().unwrap().show()).collect()
        };
        assert_eq!(shown(&again), shown(&spec), "{line}");
        shown(&spec)
    };
    assert_eq!(shown("augment = [\"none\", \"crop-flip\"]"), ["none", "crop-flip"]);
    assert_eq!(shown("augment = [\"flip\", \"cutout:8\"]"), ["[flip, cutout:8]"]);
    assert_eq!(shown("augment = [\"crop:4\", \"flip\"]"), ["crop-flip"]);
    assert_eq!(shown("augment = [\"none\", [\"flip\"]]"), ["none", "[flip]"]);
    assert_eq!(shown("augment = [[\"flip\", \"crop:2\"], [\"randaugment\"]]"), ["[flip, crop:2]", "[randaugment:2:9]"]);
    // As it was written before there were lists.
    let text = Spec::read(Some("augment = [\"none\", \"crop-flip\"]"), &[]).unwrap().to_toml();
    assert!(text.contains("\naugment = [\"none\", \"crop-flip\"]\n"), "{text}");
}

#[test]
fn wrong_values_name_the_line_and_what_was_expected() {
    let found = error("seed = 1\npr = [0.5, 1.0]\n");
    assert!(
        found.message.contains("line 2") && found.message.contains("`1.0`") && found.message.contains("below 1"),
        "{found}"
    );
    let found = error("epochs = 3\nseed = \n");
    assert!(found.message.contains("line 2"), "{found}");
}

#[test]
fn what_says_how_to_run_cannot_be_an_axis() {
    assert!(error("threads = [1, 2]").message.contains("cannot be an axis"));
    assert!(error("[[grid]]\nthreads = 2").hint.unwrap().contains("[[grid]]"));
}

#[test]
fn a_network_with_a_built_in_name_is_refused() {
    assert!(error("[networks.resnet]\nlayers = [\"flatten\"]").message.contains("built-in"));
}

#[test]
fn two_sweeps_differ_in_what_they_ask_for_and_not_in_how_they_are_run() {
    let read = |flags: &[Flag]| Spec::read(Some(FILE), flags).unwrap();
    let spec = read(&[flag("shard", &["1/2"]), flag("workers", &["4"])]);
    assert_eq!(spec.difference(&read(&[flag("shard", &["2/2"]), flag("out", &["elsewhere"])])), None);
    let difference = spec.difference(&read(&[flag("seed", &["1", "2", "3"])])).unwrap();
    assert_eq!(difference, ("seed = [1, 2, 3]".to_string(), "seed = [1, 2]".to_string()));
    assert!(Spec::wrote(&spec.to_toml()) && !Spec::wrote(FILE));
}

#[test]
fn the_complete_file_reads_as_the_same_sweep_however_values_are_spelled() {
    let spellings =
        [("output-rate", "1."), ("seed", "007"), ("pr", "0.50"), ("lr", "1e-3"), ("out", "1.50"), ("out", "1e400")];
    for (key, value) in spellings {
        let spec = Spec::read(None, &[flag(key, &[value])]).unwrap();
        let text = spec.to_toml();
        let again = Spec::read(Some(&text), &[]).unwrap_or_else(|error| panic!("{key} = {value}: {error}"));
        assert_eq!(again.to_toml(), text, "{key} = {value}");
        assert_eq!((again.difference(&spec), &again.run), (None, &spec.run), "{key} = {value}");
    }
}

#[test]
fn the_complete_file_is_toml_whatever_letters_names_have() {
    // A letter and its mark apart, as one system writes the names of files, and one that no font has.
    for text in ["name = \"e\u{301}tude\"", "zip = [[\"\\u001b\", \"\\\"\"]]", "name = \"\u{301}\u{378f}\""] {
        let spec = Spec::read(Some(text), &[]).unwrap();
        let complete = spec.to_toml();
        let again = Spec::read(Some(&complete), &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((again.to_toml(), &again.name), (complete, &spec.name), "{text}");
    }
}

#[test]
fn what_is_left_out_is_read_and_kept_as_settings_show_it() {
    let text = |values: &str| format!("exclude = [{{ lr-milestones = {values} }}]");
    let spec = Spec::read(Some(&text("\"80,  120\"")), &[]).unwrap();
    let complete = spec.to_toml();
    assert!(complete.contains("exclude = [{ lr-milestones = [[80, 120]] }]"), "{complete}");
    assert_eq!(Spec::read(Some(&complete), &[]).unwrap().to_toml(), complete);
    let spec =
        Spec::read(Some("exclude = [{ prune-layers = \"all\", track-masks = \"auto\" }]\nseed = [1, 2]"), &[]).unwrap();
    assert_eq!(Spec::read(Some(&spec.to_toml()), &[]).unwrap().to_toml(), spec.to_toml());
    let error = error(&text("\"eighty\""));
    assert!(error.message.starts_with("line 1: `exclude`: "), "{error}");
}

#[test]
fn two_names_of_one_setting_are_refused_wherever_they_stand_together() {
    let refused = |text: &str, names: &str| {
        let error = Spec::read(Some(text), &[]).unwrap_err();
        assert!(error.message.contains(names) && error.message.contains("given twice"), "{error}");
        error.message
    };
    let both = "`lr` and `learning-rate` are one setting, `learning-rate`";
    assert!(refused("lr = 0.1\nlearning-rate = 0.2", both).starts_with("line 2: "));
    refused("epochs = 3\n[[grid]]\nlr = 0.1\nlearning-rate = 0.1", both);
    refused("weight_decay = 0.1\nweight-decay = 0.2", "`weight_decay` and `weight-decay`");
    refused("exclude = [{ pr = 0.5, pruning-ratio = 0.5 }]\npr = [0.5, 0.7]", "`pr` and `pruning-ratio`");
    // A block says otherwise than what stands above it, whatever it calls the setting; so do flags.
    let spec = Spec::read(Some("lr = 0.1\n[[grid]]\nlearning-rate = 0.2"), &[]).unwrap();
    assert_eq!(spec.trials().unwrap()[0].settings.learning_rate, 0.2);
}
