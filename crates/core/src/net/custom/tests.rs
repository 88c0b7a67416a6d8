use super::*;
use crate::net::cost::Cost;
use tombola_words::Axes;

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
        r#"{ conv = 8, kernel = [3, 1] }"#,
        r#"{ conv = 8, kernel = [1, 3] }"#,
        r#"{ conv = 8, dilation = 2 }"#,
        r#"{ conv = 8, groups = 2 }"#,
        r#"{ conv = 8, groups = "depthwise" }"#,
        r#"{ conv = 8, transposed = true }"#,
        r#"{ conv = 8, transposed = true, output-padding = 1 }"#,
        r#"{ max-pool = 8, padding = 1 }"#,
        r#"{ max-pool = [8, 1] }"#,
        r#"{ concat = [["relu"], ["flatten"]] }"#,
        r#"{ concat = [["relu", "flatten"], []] }"#,
        r#"{ scale = ["relu"] }"#,
        r#"{ dropout = 0.5 }"#,
        r#"{ dropout = 0.25 }"#,
        r#"{ drop-path = 0.5 }"#,
        r#"{ group-norm = 8 }"#,
        r#"{ pad = 1 }"#,
        r#"{ pad = [1, 0] }"#,
        r#"{ upsample = 2 }"#,
        r#"{ upsample = 2, mode = "bilinear" }"#,
        r#"{ channel-shuffle = 2 }"#,
        r#"{ attention = 2 }"#,
        r#"{ attention = 2, bias = false }"#,
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
        (r#"{ conv = 3, groups = "depth" }"#, "`groups = \"depth\"`", "`\"depthwise\"`"),
        (r#"{ conv = 3, output-padding = 1 }"#, "transposed convolutions", "`transposed = true`"),
        (r#"{ conv = 3, kernel = [3, 1, 1] }"#, "`kernel` has 3 numbers", "`[height, width]`"),
        (r#"{ gelu = true }"#, "`gelu` takes no value", "\"gelu\""),
        (r#""dropout""#, "`dropout` needs a value", "{ dropout = 0.5 }"),
        (r#"{ concat = [["relu"]] }"#, "no list of two branches", "{ concat = [["),
        (r#"{ concat = [[], ["gleu"]] }"#, "in its branch 2, layer 1: `gleu`", "did you mean `gelu`?"),
        (r#"{ scale = ["sigmod"] }"#, "layer 1 of network `mine`, in its branch, layer 1: `sigmod`", "`sigmoid`"),
        (r#"{ upsample = 2, mode = "cubic" }"#, "`mode` is \"cubic\"", "`\"bilinear\"`"),
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
    for layers in ["{ dropout = 1.0 }", "{ drop-path = -0.1 }", "{ dropout = 1 }", "{ dropout = nan }"] {
        assert!(refused(layers).contains("expected a number from 0 up to, but not, 1"), "{layers}");
    }
    assert!(refused("{ conv = 8, kernel = [3, 0] }").contains("expected a whole number from 1 to 64"));
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
fn layers_of_images_on_signals_or_rows_are_refused_with_a_cure() {
    let signal = Shape::of_images(Axes::of(&[1, 3, 64]).unwrap());
    let layers = r#"{ conv = 8 }, "relu", "flatten", { linear = "classes" }"#;
    for (input, said) in
        [(signal, "for signals of 3x64: layer `layers.0`: "), (Shape::Vector(11), "for rows of 11: layer")]
    {
        let text = read(layers).unwrap().build(input, 10).unwrap_err().to_string();
        assert!(text.contains(said) && text.contains("`tombola.from_torch`"), "{text}");
        assert!(read(r#""flatten", { linear = "classes" }"#).unwrap().build(input, 10).is_ok());
    }
}

fn parameters(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    Layout::of(graph).parameters.into_iter().map(|parameter| (parameter.name, parameter.shape)).collect()
}

#[test]
fn every_word_is_a_layer_with_the_parameters_of_pytorch() {
    let words: Vec<String> = layer::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let on_images = words.iter().filter(|word| {
        !["\"tokens\"", "\"positions\"", "\"flatten\"", "\"global-average-pool\""].contains(&word.as_str())
    });
    let on_images = on_images.cloned().collect::<Vec<_>>().join(", ");
    let network =
        read(&format!(r#"{{ conv = 8 }}, {on_images}, "global-average-pool", {{ linear = "classes" }}"#)).unwrap();
    assert_eq!(network.canonical().split(' ').count(), words.len() - 4 + 3);
    let network = network.build(FASHION, 10).unwrap();
    let others: usize = parameters(&network).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // Convolution, batch norm, layer norm, RMS norm, one slope, linear layer.
    assert_eq!(others, 8 * 9 + 16 + 16 + 8 + 1 + 90);
}

#[test]
fn convolutions_have_groups_dilation_and_two_sides() {
    let network = read(
        r#"{ conv = 8, kernel = [5, 3], stride = [2, 1] }, { conv = 16, groups = "depthwise", dilation = 2 },
           { conv = 12, groups = 4, kernel = 1 }, { conv = 6, transposed = true, stride = 2, output-padding = 1, groups = 2 },
           { max-pool = [3, 1], stride = 2, padding = [1, 0] }, { pad = [0, 2] }, { upsample = 2 }, { channel-shuffle = 3 },
           "flatten", { linear = "classes" }"#,
    );
    let graph = network.unwrap().build(FASHION, 10).unwrap();
    let shapes: Vec<Shape> = graph.nodes.iter().skip(1).map(|node| node.shape).take(8).collect();
    assert_eq!(
        shapes,
        [(8, 14, 28), (16, 14, 28), (12, 14, 28), (6, 28, 56), (6, 14, 28), (6, 14, 32), (6, 28, 64), (6, 28, 64)]
            .map(|(channels, height, width)| Shape::Image(channels, height, width))
    );
    assert_eq!(graph.selections[0], [0, 2, 4, 1, 3, 5]);
    let shapes: Vec<Vec<usize>> = parameters(&graph).into_iter().map(|(_, shape)| shape).take(4).collect();
    assert_eq!(shapes, [vec![8, 1, 5, 3], vec![16, 1, 3, 3], vec![12, 4, 1, 1], vec![12, 3, 3, 3]]);
}

#[test]
fn branches_are_joined_and_scale_their_input() {
    let network = read(
        r#"{ conv = 8 }, { concat = [[], [{ conv = 4 }, "relu"], [{ conv = 4, kernel = 1 }]] },
           { scale = ["global-average-pool", { linear = 4 }, "silu", { linear = 16 }, "sigmoid"] },
           { residual = [{ conv = 16 }, { drop-path = 0.1 }] }, { dropout = 0.5 },
           "global-average-pool", { linear = "classes" }"#,
    );
    let graph = network.unwrap().build(FASHION, 10).unwrap();
    let names: Vec<String> = parameters(&graph).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names[..6],
        [
            "layers.0.weight",
            "layers.1.concat.1.0.weight",
            "layers.1.concat.2.0.weight",
            "layers.2.scale.1.weight",
            "layers.2.scale.1.bias",
            "layers.2.scale.3.weight"
        ]
    );
    let refused = |layers: &str| read(layers).unwrap().build(FASHION, 10).unwrap_err().to_string();
    let text = refused(r#"{ conv = 8 }, { scale = ["global-average-pool", { linear = 4 }] }"#);
    assert!(text.contains("`layers.1`: cannot match") && text.contains("one value a channel"), "{text}");
    let text = refused(r#"{ conv = 1 }, { scale = [{ conv = 4 }] }"#);
    assert!(text.contains("larger than its input of 1x28x28"), "{text}");
    let text = refused(r#"{ concat = [[{ conv = 4 }], [{ conv = 4, stride = 2 }]] }"#);
    assert!(text.contains("cannot join") && text.contains("compare their strides"), "{text}");
    let text = refused(r#"{ conv = 8 }, { channel-shuffle = 3 }"#);
    assert!(text.contains("cannot deal out 8 channels among 3 groups"), "{text}");
}

#[test]
fn a_small_transformer_is_a_list_of_layers() {
    let layers = r#"
        { conv = 32, kernel = 4, stride = 4, padding = 0, bias = true }, "tokens", "positions",
        { repeat = 2, layers = [
          { residual = ["layer-norm", { attention = 4 }, { drop-path = 0.1 }] },
          { residual = ["layer-norm", { linear = 64 }, "gelu", { linear = 32 }] } ] },
        "layer-norm", "global-average-pool", { linear = "classes" }"#;
    let graph = read(layers).unwrap().build(FASHION, 10).unwrap();
    let found: Vec<(String, Vec<usize>)> = parameters(&graph).into_iter().take(7).collect();
    let expected: [(&str, &[usize]); 7] = [
        ("layers.0.weight", &[32, 1, 4, 4]),
        ("layers.0.bias", &[32]),
        ("layers.2.positions", &[1, 49, 32]),
        ("layers.3.residual.0.weight", &[32]),
        ("layers.3.residual.0.bias", &[32]),
        ("layers.3.residual.1.qkv.weight", &[96, 32]),
        ("layers.3.residual.1.qkv.bias", &[96]),
    ];
    assert_eq!(found, expected.map(|(name, shape)| (name.to_string(), shape.to_vec())));
    let refused =
        |from: &str, to: &str| read(&layers.replacen(from, to, 1)).unwrap().build(FASHION, 10).unwrap_err().to_string();
    let text = refused("{ attention = 4 }", "{ attention = 5 }");
    assert!(text.contains("cannot divide 32 features into 5 heads"), "{text}");
    let text = refused("\"tokens\", ", "");
    assert!(
        text.contains("`layers.1`: needs tokens, but its input is 32x7x7") && text.contains("\"tokens\""),
        "{text}"
    );
    let text = refused("\"layer-norm\", { attention", "\"batch-norm\", { attention");
    assert!(text.contains("`batch-norm` cannot read tokens") && text.contains("before `\"tokens\"`"), "{text}");
}

#[test]
fn the_largest_numbers_that_can_be_written_overflow_nothing() {
    let grown = "{ repeat = 9000, layers = [{ conv = 65536, kernel = 1, padding = 64 }] }";
    let text =
        read(&format!(r#"{grown}, "flatten", {{ linear = "classes" }}"#)).unwrap().build(FASHION, 10).unwrap_err();
    assert!(text.message.contains("allowed"), "{text}");
    for doubled in ["{ upsample = 64 }", "{ concat = [[], []] }", "{ conv = 4, transposed = true, stride = 64 }"] {
        let network = read(&format!("{{ repeat = 2000, layers = [{doubled}] }}")).unwrap();
        assert!(network.build(FASHION, 10).unwrap_err().message.contains("allowed"), "{doubled}");
    }
}

#[test]
fn a_network_survives_the_journey_to_a_worker() {
    let network = read(
        r#"{ residual = [{ conv = 8 }], shortcut = [{ conv = 8, groups = "depthwise" }] }, { dropout = 0.3 }, "elu",
           { concat = [[], [{ attention = 2 }]] }, { linear = "classes" }"#,
    )
    .unwrap();
    let bytes = rmp_serde::to_vec(&network).unwrap();
    assert_eq!(rmp_serde::from_slice::<OwnNetwork>(&bytes).unwrap(), network);
}
