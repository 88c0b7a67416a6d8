use super::*;
use crate::net::cost::Cost;
use crate::net::layout::Layout;
use tombola_words::Axes;

const CIFAR: Shape = Shape::Image(3, 32, 32);
const MNIST: Shape = Shape::Image(1, 28, 28);

fn cost(choice: &Choice, input: Shape) -> Cost {
    Cost::of(&build(choice, input, 10).unwrap())
}

fn parameter_names(choice: &Choice) -> Vec<String> {
    Layout::of(&build(choice, CIFAR, 10).unwrap()).parameters.into_iter().map(|p| p.name).collect()
}

#[test]
fn pitfall_10_resnet_20_has_the_published_number_of_parameters() {
    let a = cost(&Choice::named("resnet"), CIFAR);
    assert_eq!(a.parameters, 269_722);
    let b = cost(&Choice { shortcut: ShortcutOption::B, ..Choice::named("resnet") }, CIFAR);
    assert_eq!(b.convolution_weights - a.convolution_weights, 2_560);
    // Scale and shift of the two shortcuts' batch norms come on top.
    assert_eq!(b.parameters, 269_722 + 2_560 + 2 * (32 + 64));
    assert_eq!((a.macs, b.macs), (40_551_040, 40_813_184));
}

#[test]
fn resnetb_20_is_the_network_of_the_slimming_programs() {
    let cost = cost(&Choice::named("resnetb"), CIFAR);
    assert_eq!((cost.parameters, cost.convolution_weights, cost.norm_channels), (219_482, 214_192, 1_360));
}

#[test]
fn published_sizes_of_the_other_networks() {
    let parameters = |name: &str, input| cost(&Choice::named(name), input).parameters;
    assert_eq!(parameters("lenet-300-100", MNIST), 266_610);
    assert_eq!(parameters("lenet-5", MNIST), 61_706);
    assert_eq!(parameters("conv-2", CIFAR), 4_301_642);
    assert_eq!(parameters("conv-4", CIFAR), 2_425_930);
    // The paper's table says 1.7 million, which its own description does not give: three poolings leave 4x4x256.
    assert_eq!(parameters("conv-6", CIFAR), 2_262_602);
    assert_eq!(parameters("vgg-16", CIFAR), 14_724_042);
    assert_eq!(parameters("vgg-19", CIFAR), 20_035_018);
    // With 3x3 stem and 10 classes; the ImageNet form follows below.
    assert_eq!(parameters("resnet-18", CIFAR), 11_173_962);
}

#[test]
fn resnets_of_imagenet_have_the_sizes_of_torchvision() {
    let cost = |name: &str| Cost::of(&build(&Choice::named(name), Shape::Image(3, 224, 224), 1000).unwrap());
    assert_eq!((cost("resnet-18").parameters, cost("resnet-18").macs), (11_689_512, 1_814_073_344));
    assert_eq!((cost("resnet-50").parameters, cost("resnet-50").macs), (25_557_032, 4_089_184_256));
    let names = Layout::of(&build(&Choice::named("resnet-50"), Shape::Image(3, 224, 224), 1000).unwrap());
    let names: Vec<String> = names.parameters.into_iter().map(|p| p.name).collect();
    for name in ["conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias", "fc.bias"] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn published_sizes_of_the_networks_that_scale() {
    let cifar = |name: &str| cost(&Choice::named(name), CIFAR).parameters;
    // WRN-28-10 and DenseNet-BC-100-12.
    assert_eq!((cifar("wide-resnet"), cifar("densenet-bc")), (36_479_194, 769_162));
    let scaled = |name: &str, depth, width| cost(&Choice { depth, width, ..Choice::named(name) }, CIFAR).parameters;
    assert_eq!((scaled("wide-resnet", 16, 4), scaled("wide-resnet", 40, 4)), (2_748_890, 8_949_210));
    assert_eq!((scaled("densenet-bc", 250, 24), scaled("densenet-bc", 190, 40)), (15_324_406, 25_624_430));
    let mlp = |hidden: &[usize]| cost(&Choice { hidden: hidden.to_vec(), ..Choice::named("mlp") }, MNIST).parameters;
    assert_eq!((mlp(&[300, 100]), mlp(&[]), mlp(&[500, 300, 10])), (266_610, 7_850, 545_920));
}

#[test]
fn networks_of_torchvision_and_timm_have_their_sizes() {
    let imagenet = |name: &str, depth, width| {
        let choice = Choice { depth, width, ..Choice::named(name) };
        Cost::of(&build(&choice, Shape::Image(3, 224, 224), 1000).unwrap()).parameters
    };
    for (name, parameters) in [
        ("resnet-34", 21_797_672),
        ("resnet-101", 44_549_160),
        ("resnet-152", 60_192_808),
        ("resnext-50", 25_028_904),
        ("mobilenet-v2", 3_504_872),
        ("alexnet", 61_100_840),
    ] {
        assert_eq!(imagenet(name, 0, 0), parameters, "{name}");
    }
    // `convnext_tiny`.
    assert_eq!(imagenet("convnext", 18, 96), 28_589_128);
    // `vit_tiny_patch16_224` and `vit_base_patch16_224`.
    assert_eq!((imagenet("vit", 12, 192), imagenet("vit", 12, 768)), (5_717_416, 86_567_656));
    assert_eq!(cost(&Choice::named("mobilenet-v2"), CIFAR).parameters, 2_236_682);
    assert_eq!(cost(&Choice::named("alexnet"), CIFAR).parameters, 23_272_266);
}

#[test]
fn the_page_on_networks_has_them_all_with_their_parameters() {
    let page = include_str!("../../../../../docs/networks.md");
    let row = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `{name}`")));
    for name in names() {
        let cells: Vec<&str> = row(name).unwrap_or_else(|| panic!("`{name}`")).split('|').map(str::trim).collect();
        let parameters = cost(&Choice::named(name), CIFAR).parameters.to_string();
        assert_eq!(cells[3].replace(',', ""), parameters, "{name}");
        let (depth, width) = usual_size(name);
        for (key, number, used) in [("depth", depth, uses_depth(name)), ("width", width, uses_width(name))] {
            assert_eq!(cells[2].contains(&format!("`{key}` = {number}")), used, "{name}: {key}");
        }
    }
}

#[test]
fn vgg_19_costs_the_published_multiply_adds() {
    assert_eq!(cost(&Choice::named("vgg-19"), CIFAR).macs, 398_136_320);
}

#[test]
fn every_network_builds_for_usual_images_and_names_each_parameter_once() {
    for name in names() {
        for input in [MNIST, CIFAR, Shape::Image(1, 32, 32), Shape::Image(3, 64, 64), Shape::Image(2, 40, 24)] {
            for classes in [2, 10, 100] {
                let graph = build(&Choice::named(name), input, classes).unwrap();
                assert_eq!((graph.input(), graph.classes()), (input, classes), "{name}");
                let layout = Layout::of(&graph);
                let mut names: Vec<&str> = layout.parameters.iter().map(|p| p.name.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), layout.parameters.len(), "{name}");
            }
        }
    }
}

#[test]
fn parameters_carry_the_names_of_pytorch_programs() {
    let names = parameter_names(&Choice { shortcut: ShortcutOption::B, ..Choice::named("resnet") });
    assert_eq!(names[..3], ["conv1.weight", "bn1.weight", "bn1.bias"]);
    assert_eq!(names[3..6], ["layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias"]);
    for wanted in ["layer2.0.downsample.0.weight", "layer3.0.downsample.1.bias", "layer3.2.bn2.bias", "fc.bias"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted}");
    }
    assert!(!names.iter().any(|name| name.starts_with("layer1.0.downsample")));
    let names = parameter_names(&Choice::named("resnetb"));
    assert_eq!(names[..3], ["conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias"]);
    assert!(names.iter().any(|name| name == "layer1.0.downsample.0.weight"));
    let names = parameter_names(&Choice::named("vgg-11"));
    assert_eq!(names[..2], ["features.0.weight", "features.1.weight"]);
    assert_eq!(names[3], "features.4.weight");
    assert_eq!(names[names.len() - 1], "classifier.bias");
}

#[test]
fn depth_and_width_scale_the_residual_networks() {
    let deep = Choice { depth: 56, ..Choice::named("resnet") };
    assert_eq!(cost(&deep, CIFAR).parameters, 853_018);
    let wide = build(&Choice { width: 5, ..Choice::named("resnet") }, CIFAR, 10).unwrap();
    assert_eq!(wide.nodes[1].shape, Shape::Image(5, 32, 32));
    assert!(build(&Choice { depth: 11, ..Choice::named("resnetb") }, MNIST, 10).is_ok());
}

#[test]
fn an_impossible_depth_is_refused_with_the_rule_and_its_neighbours() {
    let refused = |name: &str, depth| build(&Choice { depth, ..Choice::named(name) }, CIFAR, 10).unwrap_err();
    let error = refused("resnet", 21).to_string();
    assert!(error.contains("6n+2 (8, 14, 20, …") && error.contains("20 and 26"), "{error}");
    let error = refused("resnetb", 0).to_string();
    assert!(error.contains("9n+2 (11, 20, 29, …") && error.contains("nearest depth is 11"), "{error}");
    let error = refused("wide-resnet", 20).to_string();
    assert!(error.contains("6n+4 (10, 16, 22, …") && error.contains("16 and 22"), "{error}");
    let error = refused("convnext", 20).to_string();
    assert!(error.contains("6n (6, 12, 18, …, at most 4998)") && error.contains("18 and 24"), "{error}");
    let error = refused("vit", 0).to_string();
    assert!(error.contains("a whole number (1, 2, 3, …, at most 5000)"), "{error}");
    let error = refused("resnet", usize::MAX).to_string();
    assert!(error.contains("at most 5000") && error.contains("nearest depth is 5000"), "{error}");
}

#[test]
fn an_absurd_size_is_refused_before_anything_is_allocated() {
    for width in [0, WIDEST + 1, usize::MAX] {
        let error = build(&Choice { width, ..Choice::named("resnet") }, CIFAR, 10).unwrap_err();
        assert!(error.message.contains("width"), "{error}");
    }
    let huge = Choice { width: WIDEST, depth: 4994, ..Choice::named("resnet") };
    let error = build(&huge, CIFAR, 10).unwrap_err();
    assert!(error.message.contains("parameters"), "{error}");
    assert!(build(&Choice::named("lenet-5"), CIFAR, usize::MAX).is_err());
}

#[test]
fn a_width_that_heads_do_not_divide_is_refused() {
    let error = build(&Choice { width: 100, ..Choice::named("vit") }, CIFAR, 10).unwrap_err();
    assert!(error.message.contains("`width = 100`") && error.hint.unwrap().contains("multiple of 64"));
    assert!(build(&Choice { width: 24, ..Choice::named("vit") }, CIFAR, 10).is_ok());
}

#[test]
fn images_too_small_for_a_network_are_refused_with_the_layer() {
    let error = build(&Choice::named("vgg-16"), Shape::Image(1, 8, 8), 10).unwrap_err();
    assert!(error.message.contains("`vgg-16` for images of 1x8x8: layer `features."), "{error}");
    assert!(build(&Choice::named("vgg-16"), Shape::Image(1, 16, 16), 10).is_ok());
}

#[test]
fn what_is_no_image_is_read_by_fully_connected_networks_alone() {
    let signal = Shape::of_images(Axes::of(&[1, 3, 64]).unwrap());
    for (input, found, cure) in [
        (signal, "signals of 3x64", "with 1-D convolutions (`tombola.from_torch`)"),
        (Shape::Vector(11), "rows of 11", "own (`t"),
    ] {
        for name in names() {
            let built = build(&Choice::named(name), input, 5);
            if ["lenet-300-100", "mlp"].contains(name) {
                assert_eq!(built.unwrap().nodes[1].shape, Shape::Vector(input.size()), "{name}");
                continue;
            }
            let error = built.unwrap_err();
            let said = format!(
                "network `{name}` for {found}: it needs images (channels, height, width), and the data are {found}"
            );
            assert_eq!(error.message, said);
            let hint = error.hint.unwrap();
            assert!(hint.contains("`lenet-300-100` or `mlp`") && hint.contains(cure), "{hint}");
        }
    }
}

#[test]
fn names_are_found_however_they_are_written() {
    for (written, name) in [("vgg16", "vgg-16"), ("VGG_19", "vgg-19"), ("ResNet", "resnet"), ("lenet5", "lenet-5")] {
        assert_eq!(canonical_name(written).unwrap(), name);
    }
    assert_eq!(canonical_name("res-net").unwrap(), "resnet");
    assert_eq!(canonical_name("preresnet").unwrap(), "resnetb");
    for (wrong, hint) in [
        ("resnt", "`resnet`"),
        ("densenet-bc-40", "`depth = 40`"),
        ("resnet-56", "`depth = 56`"),
        ("transformer", "lenet-300-100"),
    ] {
        let error = canonical_name(wrong).unwrap_err();
        assert!(error.message.contains(wrong) && error.hint.as_deref().unwrap().contains(hint), "{error}");
    }
}

#[test]
fn settings_that_do_not_matter_are_known() {
    let used = |name| [uses_depth(name), uses_width(name), uses_shortcut(name)];
    assert_eq!(used("resnet"), [true, true, true]);
    assert_eq!(used("resnetb"), [true, true, false]);
    assert_eq!(used("vgg16"), [false, false, false]);
    assert_eq!(used("vit"), [true, true, false]);
    assert_eq!(names().iter().filter(|name| uses_hidden(name)).collect::<Vec<_>>(), [&"mlp"]);
    assert_eq!((usual_size("resnetb"), usual_size("lenet-5"), least_depth("wide-resnet")), ((20, 16), (20, 16), 10));
    let plain = build(&Choice::named("vgg-16"), CIFAR, 10).unwrap();
    let odd = Choice { depth: 3, width: 0, shortcut: ShortcutOption::B, ..Choice::named("vgg-16") };
    assert_eq!(build(&odd, CIFAR, 10).unwrap(), plain);
}
