//! Every built-in network beside its counterpart in PyTorch (`tests/reference/counterparts.py`): torchvision's and timm's where
//! they have it. From the same weights the same scores in evaluation and in training, gradients of all parameters, and running
//! statistics: in double precision to the rounding of what is compared, and in float32, as trainings compute.
//!
//! `TOMBOLA_TEST_PYTHON` names a Python that has torch, torchvision, timm and safetensors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use safetensors::SafeTensors;
use tch::{Device, Kind, Reduction, Tensor};
use tombola_core::net::op::Real;
use tombola_core::net::zoo::{self, Choice};
use tombola_core::net::{Layout, Op};
use tombola_train::network::arena::Arena;
use tombola_train::network::forward::Forward;
use tombola_words::Shape;
use tombola_words::value::{ShortcutOption, Value};

use super::inputs::{filled, images, labels, path};

/// Images of a pass.
const BATCH: usize = 4;
/// Greatest distance in double precision, of values that were rounded to float32.
const EXACT: f64 = 1e-6;
/// Greatest distance of a float32 run, where PyTorch's own is not further off: of scores, losses and statistics; and of gradients,
/// which jump where rounding takes a value over the kink of a ReLU, and in deep networks on four images some always does. Without
/// such a jump they are off by 1e-5 and less.
const SINGLE: [f64; 2] = [1e-4, 1e-1];
/// How many times further from double precision than PyTorch's float32 run ours may be.
const SLACK: f64 = 8.0;

/// Network, depth, width, shortcut, size of the images. From 64 pixels on, networks of ImageNet begin as there.
const CASES: [(&str, usize, usize, &str, usize); 36] = [
    ("lenet-300-100", 0, 0, "A", 12),
    ("lenet-5", 0, 0, "A", 16),
    ("conv-2", 0, 0, "A", 12),
    ("conv-4", 0, 0, "A", 12),
    ("conv-6", 0, 0, "A", 16),
    ("vgg-11", 0, 0, "A", 32),
    ("vgg-13", 0, 0, "A", 32),
    ("vgg-16", 0, 0, "A", 32),
    ("vgg-19", 0, 0, "A", 32),
    ("resnet-18", 0, 0, "A", 16),
    ("resnet-50", 0, 0, "A", 16),
    ("resnet-18", 0, 0, "A", 64),
    ("resnet", 8, 6, "A", 16),
    ("resnet", 14, 8, "B", 16),
    ("resnetb", 20, 8, "A", 16),
    ("mlp", 0, 0, "A", 12),
    ("alexnet", 0, 0, "A", 32),
    ("alexnet", 0, 0, "A", 64),
    ("vgg-11-plain", 0, 0, "A", 32),
    ("vgg-13-plain", 0, 0, "A", 32),
    ("vgg-16-plain", 0, 0, "A", 32),
    ("vgg-19-plain", 0, 0, "A", 32),
    ("resnet-34", 0, 0, "A", 16),
    ("resnet-101", 0, 0, "A", 16),
    ("resnet-152", 0, 0, "A", 16),
    ("resnext-50", 0, 0, "A", 16),
    ("wide-resnet", 16, 2, "A", 16),
    ("densenet-bc", 22, 6, "A", 16),
    ("mobilenet-v2", 0, 0, "A", 16),
    ("mobilenet-v2", 0, 0, "A", 64),
    ("convnext", 6, 8, "A", 16),
    ("convnext", 12, 12, "A", 64),
    ("vit", 2, 24, "A", 16),
    ("vit", 3, 128, "A", 16),
    ("vit", 1, 192, "A", 64),
    ("resnet", 8, 5, "A", 15),
];

#[test]
fn built_in_networks_are_those_of_pytorch() {
    let known: BTreeSet<&str> = CASES.iter().map(|case| case.0).collect();
    assert_eq!(known, zoo::names().iter().copied().collect(), "networks without a counterpart");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("counterparts");
    std::fs::create_dir_all(&folder).unwrap();
    if !recorded(&folder) {
        return;
    }
    for (number, case) in CASES.iter().enumerate() {
        let bytes = std::fs::read(folder.join(format!("{number}.safetensors"))).unwrap();
        compared(case, &tensors(&bytes));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Has PyTorch compute all cases; not where there is no Python that could.
fn recorded(folder: &Path) -> bool {
    let python = std::env::var("TOMBOLA_TEST_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let modules = "torch, torchvision, timm, safetensors, numpy";
    let has_all = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if !has_all.is_ok_and(|output| output.status.success()) {
        skipped("built_in_networks_are_those_of_pytorch", &format!("`{python}` has not all of {modules}"));
        return false;
    }
    let cases =
        CASES.iter().map(|(name, depth, width, shortcut, size)| format!("{name}:{depth}:{width}:{shortcut}:{size}"));
    let output = Command::new(&python).arg("-B").arg(path("counterparts.py")).arg(folder).args(cases).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Notes that a test could not run here, for `scripts/test` to list.
fn skipped(name: &str, reason: &str) {
    use std::io::Write;
    eprintln!("skipped: {name}: {reason}");
    if let Some(path) = std::env::var_os("TOMBOLA_SKIPPED_TESTS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{name}: {reason}").unwrap();
    }
}

/// Values of each tensor, by name.
type Named = BTreeMap<String, Vec<f64>>;

fn tensors(bytes: &[u8]) -> Named {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let values = |data: &[u8]| -> Vec<f64> {
        data.chunks_exact(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect()
    };
    file.tensors().into_iter().map(|(name, tensor)| (name, values(tensor.data()))).collect()
}

fn compared(&(name, depth, width, shortcut, size): &(&str, usize, usize, &str, usize), expected: &Named) {
    let shortcut = ShortcutOption::parse(shortcut).unwrap();
    let choice = Choice { depth, width, shortcut, ..Choice::named(name) };
    let mut graph = zoo::build(&choice, Shape::Image(3, size, size), 10).unwrap();
    // Nothing is left out at random.
    for node in &mut graph.nodes {
        if let Op::Dropout { rate, .. } = &mut node.op {
            *rate = Real(0.0);
        }
    }
    let (layout, graph) = (Arc::new(Layout::of(&graph)), Arc::new(graph));
    let pixels = images("counterparts", BATCH, [3, size, size]);
    let about = format!("{name} of depth {depth}, width {width} for {size} pixels");

    let mut arena = Arena::new(Arc::clone(&layout), &filled(&layout, ""), Device::Cpu).unwrap();
    let forward = Forward::new(Arc::clone(&graph), &layout);
    let own = ["rounding", "rounding of gradients"].map(|name| SLACK * expected[name][0]);
    let allowed = [0, 1].map(|place| f64::max(SINGLE[place], own[place]));
    check(&about, expected, &passed(&forward, &mut arena, &layout, &pixels), allowed);

    let mut arena = Arena::new(Arc::clone(&layout), &filled(&layout, ""), Device::Cpu).unwrap();
    arena.weights = arena.weights.detach().to_kind(Kind::Double).set_requires_grad(true);
    arena.buffers = arena.buffers.to_kind(Kind::Double);
    let forward = Forward::new(graph, &layout).unfused();
    check(&about, expected, &passed(&forward, &mut arena, &layout, &pixels.to_kind(Kind::Double)), [EXACT; 2]);
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

/// What a network makes of images, in the order and under the names of PyTorch.
fn passed(forward: &Forward, arena: &mut Arena, layout: &Layout, pixels: &Tensor) -> Named {
    let mut found = Named::new();
    let scores = tch::no_grad(|| forward.run(arena, pixels, false));
    found.insert("evaluation".to_string(), values(&scores));
    let scores = forward.run(arena, pixels, true);
    let loss = scores.cross_entropy_loss::<Tensor>(&labels(BATCH), None, Reduction::Mean, -100, 0.0);
    let gradient = values(&Tensor::run_backward(&[&loss], &[&arena.weights], false, false).remove(0));
    found.insert("training".to_string(), values(&scores));
    found.insert("loss".to_string(), values(&loss.reshape([1])));
    for parameter in &layout.parameters {
        let own = parameter.to_pytorch(&gradient[parameter.range()]);
        found.insert(format!("gradient {}", parameter.name), own);
    }
    let statistics = values(&arena.buffers);
    for buffer in &layout.buffers {
        found.insert(format!("buffer {}", buffer.name), statistics[buffer.range()].to_vec());
    }
    found
}

/// Gradients are compared as one, everything else tensor by tensor: a tensor may have a gradient of nothing but rounding, such as
/// that of a bias before a batch norm.
fn check(about: &str, expected: &Named, found: &Named, [allowed, of_gradients]: [f64; 2]) {
    let names =
        |named: &Named| -> Vec<String> { named.keys().filter(|key| !key.starts_with("rounding")).cloned().collect() };
    assert_eq!(names(found), names(expected), "{about}: names differ");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let (mut off, mut whole) = (0.0, 0.0);
    for (name, found) in found {
        let expected = &expected[name];
        assert_eq!(found.len(), expected.len(), "{about}: `{name}`");
        let distance = norm(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
        let own = norm(&mut expected.iter().copied());
        if name.starts_with("gradient") {
            off += distance * distance;
            whole += own * own;
        } else {
            assert!(distance <= allowed * own, "{about}: `{name}` is off by {:e}, allowed {allowed:e}", distance / own);
        }
    }
    let share = (off / whole).sqrt();
    println!("{about}: gradients are off by {share:.1e}, allowed {of_gradients:.1e}");
    assert!(share <= of_gradients, "{about}: gradients are off by {share:e}, allowed {of_gradients:e}");
}
