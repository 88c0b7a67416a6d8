use super::*;
use crate::net::cost::Cost;
use crate::net::layout::Layout;

const FASHION: Shape = Shape::Image(1, 28, 28);

fn read(layers: &str) -> Result<OwnNetwork> {
    let table: toml::Table = format!("layers = [{layers}]").parse().unwrap();
    parse("mine", &toml::Value::Table(table))
}

fn refused(layers: &str) -> String {
    read(layers).unwrap_err().to_string()
}

#[test]
fn the_example_sweep_describes_a_network_that_builds() {
    let sweep: toml::Table = include_str!("../../../../../sweeps/own-network.toml").parse().unwrap();
    let network = parse("small-residual", &sweep["networks"]["small-residual"]).unwrap();
    let graph = network.build(FASHION, 10).unwrap();
    let names: Vec<String> = Layout::of(&graph).parameters.into_iter().map(|parameter| parameter.name).collect();
    assert_eq!(names[..3], ["layers.0.weight", "layers.1.weight", "layers.1.bias"]);
    for wanted in [
        "layers.3.residual.0.weight",
        "layers.5.shortcut.0.weight",
        "layers.7.residual.3.weight",
        "layers.9.residual.4.bias",
        "layers.15.bias",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} in {names:?}");
    }
    let mut once = names.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), names.len());
    assert_eq!(network.build(Shape::Image(3, 32, 32), 100).unwrap().classes(), 100);
}

#[test]
fn resnet_20_written_out_by_hand_costs_what_the_built_in_one_does() {
    let network = read(
        r#"
        { conv = 16 }, "batch-norm", "relu",
        { repeat = 3, layers = [
          { residual = [{ conv = 16 }, "batch-norm", "relu", { conv = 16 }, "batch-norm"] }, "relu" ] },
        { residual = [{ conv = 32, stride = 2 }, "batch-norm", "relu", { conv = 32 }, "batch-norm"],
          shortcut = [{ conv = 32, kernel = 1, stride = 2 }, "batch-norm"] }, "relu",
        { repeat = 2, layers = [
          { residual = [{ conv = 32 }, "batch-norm", "relu", { conv = 32 }, "batch-norm"] }, "relu" ] },
        { residual = [{ conv = 64, stride = 2 }, "batch-norm", "relu", { conv = 64 }, "batch-norm"],
          shortcut = [{ conv = 64, kernel = 1, stride = 2 }, "batch-norm"] }, "relu",
        { repeat = 2, layers = [
          { residual = [{ conv = 64 }, "batch-norm", "relu", { conv = 64 }, "batch-norm"] }, "relu" ] },
        "global-average-pool", { linear = "classes" }"#,
    )
    .unwrap();
    let input = Shape::Image(3, 32, 32);
    let choice = super::super::zoo::Choice {
        shortcut: tombola_words::value::ShortcutOption::B,
        ..super::super::zoo::Choice::named("resnet")
    };
    let built_in = super::super::zoo::build(&choice, input, 10).unwrap();
    assert_eq!(Cost::of(&network.build(input, 10).unwrap()), Cost::of(&built_in));
}

#[test]
fn two_spellings_of_one_network_have_one_canonical_text() {
    let short = read(r#"{ conv = 8 }, "relu", { repeat = 2, layers = [{ max-pool = 2 }] }, { residual = ["relu"] }"#);
    let long = read(
        r#"{ bias = false, padding = 1, conv = 8, stride = 1, kernel = 3 }, { repeat = 1, layers = ["relu"] },
           { max-pool = 2, stride = 2 }, { stride = 2, max-pool = 2 }, { shortcut = [], residual = ["relu"] }"#,
    );
    assert_eq!(short.as_ref().unwrap(), long.as_ref().unwrap());
    assert_eq!(
        short.unwrap().canonical(),
        "conv(8,kernel=3,stride=1,padding=1,bias=false) relu max-pool(2,stride=2) max-pool(2,stride=2) residual(relu|)"
    );
}

#[test]
fn networks_that_differ_have_different_canonical_texts() {
    let texts: Vec<String> = [
        r#"{ conv = 8 }"#,
        r#"{ conv = 8, stride = 2 }"#,
        r#"{ conv = 8, padding = 0 }"#,
        r#"{ conv = 8, bias = true }"#,
        r#"{ conv = 8, kernel = 5 }"#,
        r#"{ conv = "classes" }"#,
        r#"{ linear = 8 }"#,
        r#"{ linear = 8, bias = false }"#,
        r#"{ max-pool = 8 }"#,
        r#"{ average-pool = 8 }"#,
        r#"{ residual = ["relu"], shortcut = ["flatten"] }"#,
        r#"{ residual = ["relu", "flatten"] }"#,
        r#"{ residual = ["relu"] }, "flatten""#,
    ]
    .into_iter()
    .map(|layers| read(layers).unwrap().canonical())
    .collect();
    let distinct: std::collections::HashSet<&String> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "{texts:?}");
}

#[test]
fn what_is_not_known_is_refused_with_its_place_and_the_nearest_word() {
    for (layers, place, hint) in [
        (r#""rlu""#, "layer 1 of network `mine`: `rlu`", "did you mean `relu`?"),
        (r#""relu", { cnv = 3 }"#, "layer 2 of network `mine`: `cnv`", "did you mean `conv`?"),
        (r#"{ conv = 3, kernal = 3 }"#, "layer 1 of network `mine`: `kernal`", "did you mean `kernel`?"),
        (r#"{ linear = 3, stride = 3 }"#, "`stride`", "the keys are `linear`, `bias`"),
        (r#""conv""#, "`conv` needs a value", "{ conv = 16"),
        (r#"{ relu = true }"#, "`relu` takes no value", "\"relu\""),
        (r#"{ conv = 3, linear = 4 }"#, "both `conv` and `linear`", "two layers"),
        (r#"7"#, "found a whole number", "`conv`, `linear`"),
        (r#"{ linear = "clases" }"#, "`linear = \"clases\"`", "`\"classes\"`"),
        (r#"{ repeat = 3 }"#, "`repeat` has no `layers`", "layers ="),
        (r#"{ residual = [] }"#, "layer 1 of network `mine`, in its residual branch has an empty list", "at least one"),
        (
            r#""relu", "relu", "relu", { residual = ["relu", "batchnorm"] }"#,
            "layer 4 of network `mine`, in its residual branch, layer 2: `batchnorm`",
            "did you mean `batch-norm`?",
        ),
        (
            r#"{ repeat = 2, layers = [{ residual = ["relu"], shortcut = [{ con = 1 }] }] }"#,
            "layer 1 of network `mine`, in what it repeats, layer 1, in its shortcut, layer 1: `con`",
            "did you mean `conv`?",
        ),
    ] {
        let text = refused(layers);
        assert!(text.contains(place) && text.contains(hint), "{layers}: {text}");
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    for layers in [
        "{ conv = 0 }",
        "{ conv = -1 }",
        "{ conv = 70000 }",
        "{ conv = 1.5 }",
        "{ conv = 8, kernel = 0 }",
        "{ conv = 8, stride = 0 }",
        "{ conv = 8, padding = 9223372036854775807 }",
        "{ max-pool = 65 }",
        "{ repeat = 0, layers = [\"relu\"] }",
    ] {
        assert!(refused(layers).contains("expected a whole number from"), "{layers}");
    }
    assert!(refused("{ conv = 8, bias = 1 }").contains("expected `true` or `false`"));
}

#[test]
fn a_table_that_is_no_network_is_refused() {
    let refused = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        parse("mine", &table["mine"]).unwrap_err().to_string()
    };
    assert!(refused("mine = 3").contains("network `mine` is a whole number, not a table"));
    assert!(refused("[mine]").contains("has no `layers`"));
    assert!(refused("mine = { layers = 3 }").contains("found a whole number where a list of layers was expected"));
    assert!(refused("mine = { layers = [] }").contains("empty list"));
    assert!(refused("mine = { layer = [] }").contains("did you mean `layers`?"));
    let taken = parse("vgg16", &toml::Value::Table(toml::Table::new())).unwrap_err();
    assert!(taken.message.contains("built-in network `vgg-16`"), "{taken}");
}

#[test]
fn repetitions_and_nesting_without_end_are_refused_without_being_built() {
    let nested =
        |times: usize, open: &str, close: &str| format!("{}\"relu\"{}", open.repeat(times), close.repeat(times));
    let text = refused(&nested(8, "{ repeat = 10000, layers = [", "] }"));
    assert!(text.contains("more than the 10000 allowed"), "{text}");
    let text = refused(&["{ repeat = 9000, layers = [\"relu\"] }"; 3].join(","));
    assert!(text.contains("layer 2 of network `mine`: with this layer the network has 18000"), "{text}");
    assert!(read(&nested(16, "{ residual = [", "] }")).is_ok());
    let text = refused(&nested(17, "{ residual = [", "] }"));
    assert!(text.contains("more than 16 deep"), "{text}");
}

#[test]
fn a_network_that_does_not_fit_together_is_refused_with_the_layer_and_a_cure() {
    let refused = |layers: &str| read(layers).unwrap().build(FASHION, 10).unwrap_err().to_string();
    let text = refused(r#"{ residual = [{ conv = 8 }] }, "global-average-pool", { linear = "classes" }"#);
    assert!(text.contains("network `mine` for images of 1x28x28: layer `layers.0`: cannot add"), "{text}");
    assert!(text.contains("hint: give the block a shortcut"), "{text}");
    let text = refused(r#"{ residual = [{ linear = 4 }] }"#);
    assert!(text.contains("layer `layers.0.residual.0`: needs a vector") && text.contains("counted from 0"), "{text}");
    let text = refused(r#""flatten", { linear = 7 }"#);
    assert!(text.contains("`layers.1` with shape 7, but the data has 10 classes"), "{text}");
}

#[test]
fn the_largest_numbers_that_can_be_written_overflow_nothing() {
    let grown = "{ repeat = 9000, layers = [{ conv = 65536, kernel = 1, padding = 64 }] }";
    let text =
        read(&format!(r#"{grown}, "flatten", {{ linear = "classes" }}"#)).unwrap().build(FASHION, 10).unwrap_err();
    assert!(text.message.contains("allowed"), "{text}");
}

#[test]
fn a_network_survives_the_journey_to_a_worker() {
    let network = read(r#"{ residual = [{ conv = 8 }], shortcut = [{ conv = 8 }] }, { linear = "classes" }"#).unwrap();
    let bytes = rmp_serde::to_vec(&network).unwrap();
    assert_eq!(rmp_serde::from_slice::<OwnNetwork>(&bytes).unwrap(), network);
}
