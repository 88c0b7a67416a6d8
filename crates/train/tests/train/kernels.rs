//! Own kernels give what libtorch's operations give: outputs, gradients of everything, running statistics.

use std::sync::Arc;

use rand::Rng;
use tch::{Device, Kind, Tensor};
use tombola_core::net::zoo::{Choice, build};
use tombola_core::net::{Builder, Graph, Layout, Op, Role, Snapshot, initial};
use tombola_train::network::arena::{Arena, to_vec};
use tombola_train::network::forward::Forward;
use tombola_words::Shape;
use tombola_words::stream::stream;
use tombola_words::value::{NormStart, Precision, ShortcutOption};

/// What one pass gave.
struct Pass {
    scores: Vec<f32>,
    /// Empty in evaluation.
    gradient: Vec<f32>,
    buffers: Vec<f32>,
}

fn pass(forward: &Forward, layout: &Arc<Layout>, state: &Snapshot, images: &Tensor, how: (Precision, bool)) -> Pass {
    let (precision, training) = how;
    let mut arena = Arena::new(Arc::clone(layout), state, Device::Cpu).unwrap();
    arena.precision = precision;
    let run = |arena: &mut Arena| forward.run(arena, images, training);
    if !training {
        let scores = tch::no_grad(|| run(&mut arena));
        return Pass { scores: to_vec(&scores.flatten(0, -1)), gradient: Vec::new(), buffers: to_vec(&arena.buffers) };
    }
    let scores = run(&mut arena);
    let labels = Tensor::arange(images.size()[0], (Kind::Int64, Device::Cpu)).remainder(5);
    let loss = scores.cross_entropy_for_logits(&labels);
    let gradient = to_vec(&Tensor::run_backward(&[loss], &[&arena.weights], false, false)[0]);
    Pass { scores: to_vec(&scores.detach().flatten(0, -1)), gradient, buffers: to_vec(&arena.buffers) }
}

fn state(layout: &Layout, seed: u64) -> Snapshot {
    let mut state = initial(layout, NormStart::Uniform, seed, 0);
    let mut numbers = stream(seed, "test", &[]);
    for parameter in layout.parameters.iter().filter(|parameter| !parameter.role.is_connection()) {
        for value in &mut state.parameters[parameter.range()] {
            *value += numbers.random_range(if parameter.role == Role::NormScale { -0.5..0.5 } else { -0.3..0.3 });
        }
    }
    for buffer in &layout.buffers {
        for value in &mut state.buffers[buffer.range()] {
            *value += numbers.random_range(if buffer.start == 0.0 { -1.0..1.0 } else { -0.5..2.0 });
        }
    }
    state
}

fn images([count, channels, height, width]: [i64; 4], offset: f32) -> Tensor {
    let mut numbers = stream(7, "test images", &[]);
    let values: Vec<f32> =
        (0..count * channels * height * width).map(|_| numbers.random_range(-1.0..1.0) + offset).collect();
    Tensor::from_slice(&values).view([count, height, width, channels]).permute([0, 3, 1, 2])
}

/// Norm of the difference as a share of the norm.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-12)
}

fn networks() -> Vec<(String, Graph, [i64; 4])> {
    let zoo = |name: &str, depth, shortcut, image: [i64; 4]| {
        let choice = Choice { depth, width: 5, shortcut, ..Choice::named(name) };
        let shape = Shape::Image(image[1] as usize, image[2] as usize, image[3] as usize);
        (format!("{name} {shortcut:?}"), build(&choice, shape, 10).unwrap(), image)
    };
    // A single channel, odd sizes, a shift far from what the running mean says, and an addition whose sides share an input.
    let mut odd = Builder::new(Shape::Image(1, 7, 5));
    let norm = odd.batch_norm("first", 0).unwrap();
    let one = odd.relu(norm).unwrap();
    let wide = odd.conv("wide", one, 300, 3, 1).unwrap();
    let wide = odd.batch_norm("wide-norm", wide).unwrap();
    let wide = odd.relu(wide).unwrap();
    let back = odd.conv("back", wide, 1, 1, 1).unwrap();
    let a = odd.batch_norm("a", back).unwrap();
    let b = odd.batch_norm("b", back).unwrap();
    let sum = odd.add("sum", Op::Add, &[a, b]).unwrap();
    let last = odd.relu(sum).unwrap();
    let pooled = odd.add("pool", Op::GlobalAveragePool, &[last]).unwrap();
    odd.linear("fc", pooled, 10).unwrap();
    vec![
        zoo("resnet", 14, ShortcutOption::A, [9, 3, 16, 16]),
        zoo("resnet", 8, ShortcutOption::B, [8, 3, 15, 17]),
        zoo("resnetb", 11, ShortcutOption::A, [8, 1, 12, 12]),
        zoo("resnetb", 20, ShortcutOption::A, [6, 3, 12, 12]),
        zoo("vgg-11", 0, ShortcutOption::A, [4, 3, 32, 32]),
        ("odd".to_string(), odd.finish(10).unwrap(), [11, 1, 7, 5]),
    ]
}

#[test]
fn norm_shortcut_and_relu_in_one_are_what_they_are_one_by_one() {
    tch::set_num_threads(1);
    for (name, graph, size) in networks() {
        let layout = Arc::new(Layout::of(&graph));
        let graph = Arc::new(graph);
        for (seed, offset) in [(1, 0.0), (2, 3.0)] {
            let (state, images) = (state(&layout, seed), images(size, offset));
            for training in [true, false] {
                for (precision, allowed) in [(Precision::Fp32, 1e-4), (Precision::Bf16, 0.25)] {
                    let how = (precision, training);
                    let fused = pass(&Forward::new(Arc::clone(&graph), &layout), &layout, &state, &images, how);
                    let plain = Forward::new(Arc::clone(&graph), &layout).unfused();
                    let plain = pass(&plain, &layout, &state, &images, how);
                    let about = format!("{name}, {precision:?}, training {training}");
                    assert!(distance(&fused.scores, &plain.scores) < allowed, "{about}");
                    assert!(distance(&fused.buffers, &plain.buffers) < allowed.min(0.02), "{about}");
                    // Where the kernel adds up, the last digits are others: else this would compare nothing.
                    let differ = !training || fused.gradient != plain.gradient;
                    assert!(differ, "{about}: the kernel was not used");
                    for parameter in layout.parameters.iter().filter(|_| training) {
                        let part = |pass: &Pass| pass.gradient[parameter.range()].to_vec();
                        let (own, other) = (part(&fused), part(&plain));
                        // Gradients that cancel out (of weights before a batch norm, say) are nothing but rounding.
                        let all = distance(&fused.gradient, &plain.gradient);
                        let close = distance(&own, &other) < 30.0 * allowed || all < allowed;
                        assert!(close, "{about}: {}: {}", parameter.name, distance(&own, &other));
                    }
                }
            }
        }
    }
}

#[test]
fn in_half_precision_one_operation_is_closer_to_the_exact_result_than_three() {
    tch::set_num_threads(1);
    for (name, graph, size) in networks().into_iter().take(3) {
        let layout = Arc::new(Layout::of(&graph));
        let graph = Arc::new(graph);
        let (state, images) = (state(&layout, 1), images(size, 0.0));
        let forward = || Forward::new(Arc::clone(&graph), &layout);
        let exact = pass(&forward().unfused(), &layout, &state, &images, (Precision::Fp32, true));
        let error = |forward: Forward| {
            let found = pass(&forward, &layout, &state, &images, (Precision::Bf16, true));
            distance(&found.gradient, &exact.gradient)
        };
        let (fused, plain) = (error(forward()), error(forward().unfused()));
        assert!(fused < 1.3 * plain && fused > 0.0, "{name}: {fused}, {plain}");
    }
}

#[test]
fn what_is_not_a_number_stays_none() {
    tch::set_num_threads(1);
    let (_, graph, size) = networks().remove(0);
    let layout = Arc::new(Layout::of(&graph));
    let graph = Arc::new(graph);
    for (precision, training) in
        [(Precision::Fp32, true), (Precision::Bf16, true), (Precision::Fp32, false), (Precision::Bf16, false)]
    {
        let mut broken = state(&layout, 1);
        broken.parameters[3] = f32::NAN;
        let forward = Forward::new(Arc::clone(&graph), &layout);
        let found = pass(&forward, &layout, &broken, &images(size, 0.0), (precision, training));
        assert!(found.scores.iter().all(|score| score.is_nan()), "{precision:?} {training}");
    }
}

#[test]
fn images_that_lie_otherwise_give_the_same() {
    tch::set_num_threads(1);
    let (_, graph, size) = networks().remove(1);
    let layout = Arc::new(Layout::of(&graph));
    let graph = Arc::new(graph);
    let (state, images) = (state(&layout, 1), images(size, 0.0));
    let run = |images: &Tensor| {
        pass(&Forward::new(Arc::clone(&graph), &layout), &layout, &state, images, (Precision::Fp32, true))
    };
    let (last, first) = (run(&images), run(&images.contiguous()));
    assert!(distance(&last.scores, &first.scores) < 1e-5 && distance(&last.gradient, &first.gradient) < 1e-4);
}
