use std::path::Path;

use super::hand_made::{Made, count, dictionary, floats, legacy, zipped as zipped_file};
use super::*;
use crate::net::{Builder, Graph, Layout, Op, Snapshot, initial};
use tombola_words::Shape;
use tombola_words::error::Result;
use tombola_words::value::NormStart;

fn network(classes: usize) -> (Graph, Layout) {
    let mut build = Builder::new(Shape::Image(1, 4, 4));
    let conv = build.conv("features.0", 0, 2, 3, 1).unwrap();
    let norm = build.batch_norm("features.1", conv).unwrap();
    let conv = build.conv("features.3", norm, 2, 3, 1).unwrap();
    let norm = build.batch_norm("features.4", conv).unwrap();
    let pool = build.add("pool", Op::GlobalAveragePool, &[norm]).unwrap();
    build.linear("fc", pool, classes).unwrap();
    let graph = build.finish(classes).unwrap();
    let layout = Layout::of(&graph);
    (graph, layout)
}

/// A state dict of the network: each value tells its tensor and its place.
fn state(layout: &Layout) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let weights = layout.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone()));
    let statistics = layout.buffers.iter().map(|buffer| (buffer.name.clone(), vec![buffer.len]));
    let mut all: Vec<(String, Vec<usize>)> = weights.chain(statistics).collect();
    // As PyTorch orders them: the tensors of a layer beside each other.
    let place = |name: &str| {
        layout.parameters.iter().position(|parameter| pieces::layer_of(&parameter.name) == pieces::layer_of(name))
    };
    all.sort_by_key(|(name, _)| place(name));
    all.into_iter()
        .enumerate()
        .map(|(number, (name, shape))| {
            let values = (0..shape.iter().product::<usize>()).map(|value| (1 + number * 8 + value) as f32 / 8.0);
            (name, shape, values.collect())
        })
        .collect()
}

/// The entries of the state dict under other names.
fn entries(layout: &Layout, name: impl Fn(&str) -> String) -> Vec<(String, Made)> {
    state(layout).into_iter().map(|(own, shape, values)| (name(&own), floats(&shape, &values))).collect()
}

fn read(bytes: &[u8], choices: &Choices) -> Result<Taken> {
    let (graph, layout) = network(3);
    weights(Path::new("a.pth"), bytes, &graph, &layout, choices)
}

/// What the state dict is as a snapshot.
fn expected(layout: &Layout) -> Snapshot {
    let mut snapshot = initial(layout, NormStart::One, 1, 0);
    for (name, _, values) in state(layout) {
        if let Some(parameter) = layout.parameters.iter().find(|parameter| parameter.name == name) {
            snapshot.parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&values));
        }
        if let Some(buffer) = layout.buffers.iter().find(|buffer| buffer.name == name) {
            snapshot.buffers[buffer.range()].copy_from_slice(&values);
        }
    }
    snapshot
}

#[track_caller]
fn same(made: &Made, says: &[&str]) -> Snapshot {
    let (_, layout) = network(3);
    let mut last = None;
    for bytes in [zipped_file(made), legacy(made)] {
        let taken = read(&bytes, &Choices::default()).unwrap();
        let wanted = expected(&layout);
        assert_eq!((&taken.snapshot.parameters, &taken.snapshot.buffers), (&wanted.parameters, &wanted.buffers));
        let notes = taken.notes.join("; ");
        says.iter().for_each(|text| assert!(notes.contains(text), "{text}: {notes}"));
        assert!(!says.is_empty() || notes.is_empty(), "{notes}");
        last = Some(taken.snapshot);
    }
    last.unwrap()
}

#[track_caller]
fn refused(made: &Made, says: &str, cure: &str) {
    for bytes in [zipped_file(made), legacy(made)] {
        let error = read(&bytes, &Choices::default()).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(cure), "{error}");
    }
}

fn as_is(name: &str) -> String {
    name.to_string()
}

#[test]
fn a_state_dict_of_either_form_is_the_same_network_and_needs_no_note() {
    let (_, layout) = network(3);
    same(&dictionary(entries(&layout, as_is)), &[]);
    let with_count =
        entries(&layout, as_is).into_iter().chain([("features.1.num_batches_tracked".to_string(), count(7))]);
    assert_eq!(same(&dictionary(with_count), &[]).batches, 7);
}

#[test]
fn words_before_all_names_are_left_out_in_any_order_and_number() {
    let (_, layout) = network(3);
    for prefix in ["module.", "_orig_mod.", "model.", "module._orig_mod.module.", "net.module.backbone.", "x.y.z."] {
        same(&dictionary(entries(&layout, |name| format!("{prefix}{name}"))), &[]);
    }
    // Data-parallel training of a part.
    same(&dictionary(entries(&layout, |name| name.replace("features.", "features.module."))), &[]);
}

#[test]
fn the_dictionary_of_the_network_is_found_beside_others_and_told() {
    let (_, layout) = network(3);
    let weights = || dictionary(entries(&layout, |name| format!("module.{name}")));
    for wrapper in ["state_dict", "model_state_dict", "net", "anything"] {
        let made = dictionary([("epoch", Made::Number(3)), (wrapper, weights()), ("best_prec1", floats(&[], &[0.5]))]);
        same(&made, &[&format!("those of `{wrapper}`")]);
        same(&dictionary([("deep", dictionary([("er", made)]))]), &[&format!("those of `deep.er.{wrapper}`")]);
    }
    // What an optimiser keeps under the same names is no network, and an average is taken last.
    let other = dictionary(entries(&layout, as_is).into_iter().map(|(name, made)| match made {
        Made::Tensor(kind, shape, bytes) => (name, Made::Tensor(kind, shape, vec![0; bytes.len()])),
        made => (name, made),
    }));
    let made =
        dictionary([("optimizer", dictionary([("momentum", other.clone())])), ("momentum_buffers", other.clone())]);
    refused(&made, "no tensors by name", "state dict");
    let made = dictionary([("ema", other.clone()), ("optimizer", other.clone()), ("state_dict", weights())]);
    same(&made, &["those of `state_dict`; `ema` would fit as well"]);
    // In one dictionary, too.
    let both = entries(&layout, |name| format!("model.{name}")).into_iter();
    let Made::Dictionary(zeros) = other else { unreachable!() };
    let both = both.chain(zeros.into_iter().map(|(name, made)| (format!("model_ema.{name}"), made)));
    same(&dictionary(both), &["those of `model.*`; `model_ema.*` would fit as well"]);
}

#[test]
fn other_types_are_converted_and_whole_numbers_refused() {
    let (_, layout) = network(3);
    let of = |kind: &'static str, bytes: fn(f32) -> Vec<u8>| {
        dictionary(state(&layout).into_iter().map(|(name, shape, values)| {
            (name, Made::Tensor(kind, shape, values.into_iter().flat_map(bytes).collect()))
        }))
    };
    same(&of("Double", |value| f64::from(value).to_le_bytes().to_vec()), &["float64 became float32"]);
    same(&of("BFloat16", |value| value.to_le_bytes()[2..].to_vec()), &["bfloat16 became float32"]);
    refused(&of("Char", |_| vec![1]), "holds int8 values", "quantised");
}

#[test]
fn what_the_network_has_not_is_named_and_what_it_lacks_refused() {
    let (_, layout) = network(3);
    let extra = ["total_ops", "features.0.total_params", "features.1.select.indexes"];
    let extra = extra.map(|name| (name.to_string(), Made::Tensor("Double", vec![1], vec![0; 8])));
    let made = dictionary(entries(&layout, as_is).into_iter().chain(extra));
    same(&made, &["3 tensors that the network has not are left out: `total_ops`"]);
    let lacks = entries(&layout, as_is).into_iter().filter(|(name, _)| !name.starts_with("features.3"));
    refused(&dictionary(lacks), "1 of 12 tensors are missing: `features.3.weight`", "--network");
    let other = entries(&layout, as_is).into_iter().map(|(name, made)| match name.as_str() {
        "features.0.weight" => (name, floats(&[1, 1], &[0.0])),
        _ => (name, made),
    });
    refused(&dictionary(other), "`features.0.weight` is [1, 1], expected [2, 1, 3, 3]", "--network");
}

#[test]
fn masks_of_pytorch_and_of_open_lth_are_the_mask_of_the_network() {
    let (graph, layout) = network(3);
    let (conv, all) = ("features.0.weight", state(&layout));
    let ones: Vec<f32> = (0..18).map(|place| if place % 3 == 0 { 0.0 } else { 1.0 }).collect();
    let mask = floats(&[2, 1, 3, 3], &ones);
    let pytorch =
        entries(
            &layout,
            |name| if name == conv { "module.features.0.weight_orig".into() } else { format!("module.{name}") },
        );
    let pytorch = pytorch.into_iter().chain([("module.features.0.weight_mask".to_string(), mask.clone())]);
    let open = entries(&layout, |name| format!("model.{name}"));
    let open = open.into_iter().chain([("mask_features___0___weight".to_string(), mask)]);
    let open = dictionary([("ep", Made::Number(1)), ("it", Made::Number(2)), ("model_state_dict", dictionary(open))]);
    for made in [dictionary(pytorch), open] {
        for bytes in [zipped_file(&made), legacy(&made)] {
            let taken = weights(Path::new("a.pth"), &bytes, &graph, &layout, &Choices::default()).unwrap();
            assert!(
                taken.notes.join("; ").contains("1 mask of the file: 54 of 60 weights are alive"),
                "{:?}",
                taken.notes
            );
            let parameter = layout.parameters.iter().find(|parameter| parameter.name == conv).unwrap();
            let found = parameter.to_pytorch(&taken.snapshot.parameters[parameter.range()]);
            let wanted: Vec<f32> = all[0].2.iter().zip(&ones).map(|(value, one)| value * one).collect();
            assert_eq!(found, wanted);
            let bits = taken.snapshot.mask.unwrap();
            let alive: Vec<f32> = parameter.range().map(|place| f32::from(u8::from(bits.get(place)))).collect();
            assert_eq!(parameter.to_pytorch(&alive), ones);
            assert_eq!(bits.count(), bits.len() - 6);
        }
    }
}

#[test]
fn other_names_are_matched_by_shape_and_order_where_that_is_clear() {
    let (_, layout) = network(3);
    same(&dictionary(entries(&layout, |name| name.replace("fc.", "linear."))), &["`linear` for `fc`"]);
    let feature = |name: &str| name.replace("features.", "module.feature.");
    same(&dictionary(entries(&layout, feature)), &["by shape and order: `feature.*` for `features.*`"]);
    let all_other = |name: &str| {
        let pairs = [
            ("features.0", "stem"),
            ("features.1", "norm"),
            ("features.3", "block.conv"),
            ("features.4", "block.norm"),
            ("fc", "head"),
        ];
        let (ours, theirs) = pairs.iter().find(|(ours, _)| name.starts_with(&format!("{ours}."))).unwrap();
        name.replacen(ours, theirs, 1)
    };
    same(&dictionary(entries(&layout, all_other)), &["`stem` for `features.0`", "`block.norm` for `features.4`"]);
    // The same shapes in another order would be another network, without a word.
    let mut turned = entries(&layout, all_other);
    turned.rotate_left(5);
    refused(&dictionary(turned), "none of the 12 tensors", "load-names");
}

#[test]
fn a_file_of_pairs_says_what_names_mean() {
    let (_, layout) = network(3);
    let pairs =
        NamePairs::read(Path::new("n.toml"), b"\"b\" = \"features.0\"\n\"a\" = \"features.3\"\n\"gone\" = \"fc\"")
            .unwrap();
    let theirs = |name: &str| name.replace("features.3.", "a.").replace("features.0.", "b.");
    let choices = Choices { names: Some(pairs), ..Choices::default() };
    let taken = read(&zipped_file(&dictionary(entries(&layout, theirs))), &choices).unwrap();
    assert_eq!(taken.snapshot.parameters, expected(&layout).parameters);
    assert_eq!(taken.notes, ["`load-names` has names that the file has not: `gone`"]);
}

#[test]
fn another_number_of_classes_keeps_the_initial_output_layer_where_that_is_asked_for() {
    let (graph, layout) = network(5);
    for name in ["fc.", "linear."] {
        let made = zipped_file(&dictionary(entries(&network(3).1, |own| own.replace("fc.", name))));
        let error = weights(Path::new("a.pth"), &made, &graph, &layout, &Choices::default()).unwrap_err();
        assert!(error.message.contains("all but the output layer fits"), "{error}");
        assert!(error.hint.unwrap().contains("load-head = \"new\""));
        let new = initial(&layout, NormStart::One, 4, 0);
        let choices = Choices { new_head: Some(new.clone()), ..Choices::default() };
        let taken = weights(Path::new("a.pth"), &made, &graph, &layout, &choices).unwrap();
        let small = expected(&network(3).1);
        for parameter in &layout.parameters {
            let wanted = if parameter.name.starts_with("fc") { &new.parameters } else { &small.parameters };
            assert_eq!(taken.snapshot.parameters[parameter.range()], wanted[parameter.range()], "{}", parameter.name);
        }
        assert!(taken.notes.join("; ").contains("`fc` keeps its initial weights"));
    }
}

#[test]
fn a_bias_before_a_batch_norm_is_a_smaller_mean() {
    let (_, layout) = network(3);
    let bias = [("features.3.bias".to_string(), floats(&[2], &[0.5, -1.0]))];
    let taken =
        read(&zipped_file(&dictionary(entries(&layout, as_is).into_iter().chain(bias))), &Choices::default()).unwrap();
    let mean = layout.buffers.iter().find(|buffer| buffer.name == "features.4.running_mean").unwrap();
    let mut wanted = expected(&layout);
    let means = &mut wanted.buffers[mean.range()];
    means[0] -= 0.5;
    means[1] += 1.0;
    assert_eq!(taken.snapshot.buffers, wanted.buffers);
    assert!(taken.notes.join("; ").contains("1 bias"), "{:?}", taken.notes);
}

#[test]
fn whole_modules_scripts_and_old_archives_are_refused_with_the_lines_that_cure() {
    let module = Made::Object("models.resnet", "ResNet");
    refused(
        &module,
        "an object of the class `models.resnet.ResNet`",
        "torch.save(network.state_dict(), \"a-state.pth\")",
    );
    refused(&dictionary([("net", module)]), "`net` in it is an object", "weights_only=False)[\"net\"]");
    let script = [("a/data.pkl", &b"\x80\x02}."[..]), ("a/constants.pkl", b"")];
    let script =
        zipped::archive(script.into_iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())), "").unwrap();
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, says, cure) in [
        (script, "TorchScript", "torch.jit.load("),
        (tar, "before version 0.1.10", "torch.load("),
        (b"\x80\x02}q\x00.".to_vec(), "not one of `torch.save`", "state dict"),
    ] {
        let error = read(&bytes, &Choices::default()).unwrap_err();
        assert!(error.message.contains(says) && error.hint.as_deref().unwrap().contains(cure), "{error}");
    }
}

#[test]
fn every_beginning_of_an_old_file_is_refused() {
    let (_, layout) = network(3);
    let bytes = legacy(&dictionary(entries(&layout, as_is)));
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length], &Choices::default()).is_err(), "{length}");
    }
}
