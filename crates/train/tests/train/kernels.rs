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
                let how = (Precision::Fp32, training);
                let fused = pass(&Forward::new(Arc::clone(&graph), &layout), &layout, &state, &images, how);
                let plain = Forward::new(Arc::clone(&graph), &layout).unfused();
                let plain = pass(&plain, &layout, &state, &images, how);
                let about = format!("{name}, training {training}");
                assert!(distance(&fused.scores, &plain.scores) < 1e-4, "{about}");
                assert!(distance(&fused.buffers, &plain.buffers) < 1e-4, "{about}");
                // Where the kernel adds up, the last digits are others: else this would compare nothing.
                let differ = !training || fused.gradient != plain.gradient;
                assert!(differ, "{about}: the kernel was not used");
                for parameter in layout.parameters.iter().filter(|_| training) {
                    let part = |pass: &Pass| pass.gradient[parameter.range()].to_vec();
                    let (own, other) = (part(&fused), part(&plain));
                    // Gradients that cancel out (of weights before a batch norm, say) are nothing but rounding.
                    let all = distance(&fused.gradient, &plain.gradient);
                    let close = distance(&own, &other) < 3e-3 || all < 1e-4;
                    assert!(close, "{about}: {}: {}", parameter.name, distance(&own, &other));
                }
            }
        }
    }
}

/// A batch norm and a ReLU, with a shortcut between them if so asked, whose whole output is the network's.
fn chain(channels: usize, side: usize, with_shortcut: bool) -> Graph {
    let mut build = Builder::new(Shape::Image(channels, side, side));
    let mut last = build.batch_norm("norm", 0).unwrap();
    if with_shortcut {
        last = build.add("sum", Op::Add, &[last, 0]).unwrap();
    }
    let relu = build.relu(last).unwrap();
    build.add("flat", Op::Flatten, &[relu]).unwrap();
    build.finish(channels * side * side).unwrap()
}

/// Half the distance of two neighbours among numbers of eight bits, as a share of the number: what one rounding may cost.
const ROUNDING: f64 = 1.0 / 256.0;

#[test]
fn a_chain_in_half_precision_rounds_what_it_gives_once() {
    tch::set_num_threads(1);
    for (channels, side, with_shortcut) in [(1, 9, false), (5, 7, true), (16, 4, false), (48, 3, true)] {
        let graph = Arc::new(chain(channels, side, with_shortcut));
        let layout = Arc::new(Layout::of(&graph));
        let size = [9, channels as i64, side as i64, side as i64];
        let all = state(&layout, 3);
        // What goes in is rounded already, so that nothing but the chain itself rounds.
        let rounded = |tensor: Tensor| tensor.to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let images = rounded(images(size, 0.5));
        let exact = |values: &Tensor| values.to_kind(Kind::Double);
        let [scale, shift] =
            [0, 1].map(|number| exact(&Tensor::from_slice(&all.parameters[layout.parameters[number].range()])));
        let [mean, variance] =
            [0, 1].map(|number| exact(&Tensor::from_slice(&all.buffers[layout.buffers[number].range()])));
        let cotangent = {
            let mut numbers = stream(9, "test cotangent", &[]);
            let count = size.iter().product::<i64>();
            let values: Vec<f32> = (0..count).map(|_| numbers.random_range(-1.0..1.0)).collect();
            rounded(Tensor::from_slice(&values)).view([size[0], -1])
        };
        for training in [true, false] {
            let about = format!("{channels} channels, shortcut {with_shortcut}, training {training}");
            // In float64 by libtorch, from the same rounded numbers.
            let truth = {
                let x = exact(&images).set_requires_grad(true);
                let [scale, shift] = [&scale, &shift].map(|values| values.copy().set_requires_grad(true));
                let (mean, variance) = (mean.copy(), variance.copy());
                let normed =
                    x.batch_norm(Some(&scale), Some(&shift), Some(&mean), Some(&variance), training, 0.1, 1e-5, false);
                let y = if with_shortcut { normed + &x } else { normed }.relu().flatten(1, -1);
                let loss = (&y * exact(&cotangent)).sum(Kind::Double);
                let gradients = Tensor::run_backward(&[loss], &[&x, &scale, &shift], false, false);
                (y.detach(), gradients)
            };
            let mut arena = Arena::new(Arc::clone(&layout), &all, Device::Cpu).unwrap();
            arena.precision = Precision::Bf16;
            let forward = Forward::new(Arc::clone(&graph), &layout);
            let (found, gradients) = if training {
                let x = images.copy().set_requires_grad(true);
                let y = forward.run(&mut arena, &x, true);
                let loss = (&y * &cotangent).sum(Kind::Float);
                (y.detach(), Tensor::run_backward(&[loss], &[&x, &arena.weights], false, false))
            } else {
                // Nothing is learnt in evaluation: otherwise libtorch's operations run.
                (tch::no_grad(|| forward.run(&mut arena, &images, false)), Vec::new())
            };
            // Sums of some hundred float32 numbers stand before the rounding: some units of their last places.
            let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
            let is_close = |found: &Tensor, truth: &Tensor, rounded: &Tensor| {
                let allowed = rounded * ROUNDING + 1e-5 * largest(truth);
                ((exact(found) - truth).abs() - allowed).max().double_value(&[]) <= 0.0
            };
            assert!(is_close(&found, &truth.0, &truth.0.abs()), "{about}");
            if training {
                // What comes in is read by the shortcut too, whose gradient is exact: the other is rounded, and so is their sum.
                let passed = exact(&cotangent) * truth.0.gt(0.0);
                let shortcut = if with_shortcut { passed.reshape(size) } else { truth.1[0].zeros_like() };
                let rounded = (&truth.1[0] - shortcut).abs() + truth.1[0].abs() * f64::from(u8::from(with_shortcut));
                let of_image = gradients[0].reshape(size);
                assert!(is_close(&of_image, &truth.1[0], &rounded), "{about}: gradient of what comes in");
                // Scale and shift have float32 gradients: sums over all pixels, of numbers that are exact.
                for (number, truth) in truth.1[1..].iter().enumerate() {
                    let range = layout.parameters[number].range();
                    let own = exact(&gradients[1].narrow(0, range.start as i64, range.len() as i64));
                    let terms = exact(&cotangent).abs().sum(Kind::Double).double_value(&[]) / channels as f64;
                    let error = largest(&(own - truth));
                    assert!(error <= 1e-5 * terms, "{about}: gradient {number} is off by {error}");
                }
            }
        }
    }
}

/// What half precision costs a whole network, by its number of nodes: each rounds once, independently of the others, so errors
/// add up as the root of their number; twice that leaves nothing to chance.
fn in_a_row(nodes: usize) -> f64 {
    2.0 * (nodes as f64).sqrt() * ROUNDING
}

#[test]
fn in_half_precision_one_operation_is_as_close_to_the_exact_result_as_three() {
    tch::set_num_threads(1);
    for (name, graph, size) in networks() {
        let layout = Arc::new(Layout::of(&graph));
        let graph = Arc::new(graph);
        for (seed, offset) in [(1, 0.0), (2, 3.0)] {
            let (state, images) = (state(&layout, seed), images(size, offset));
            let forward = || Forward::new(Arc::clone(&graph), &layout);
            for training in [true, false] {
                let about = format!("{name}, training {training}");
                let exact = pass(&forward().unfused(), &layout, &state, &images, (Precision::Fp32, training));
                let found = |forward: Forward| pass(&forward, &layout, &state, &images, (Precision::Bf16, training));
                let (fused, plain) = (found(forward()), found(forward().unfused()));
                let allowed = in_a_row(graph.nodes.len());
                for pass in [&fused, &plain] {
                    let error = distance(&pass.scores, &exact.scores);
                    assert!(error > 0.0 && error < allowed, "{about}: {error}, allowed {allowed}");
                    // A batch moves the statistics by a tenth of its own.
                    assert!(distance(&pass.buffers, &exact.buffers) < 0.1 * allowed, "{about}");
                }
                if training {
                    // A ReLU that decides otherwise makes a whole value of a rounding, so gradients are farther off, in both.
                    let [own, others] = [&fused, &plain].map(|pass| distance(&pass.gradient, &exact.gradient));
                    assert!(own < 1.3 * others, "{about}: {own}, {others}");
                }
            }
        }
    }
}

#[test]
fn a_batch_of_one_value_a_channel_moves_statistics_by_a_variance_of_0() {
    tch::set_num_threads(1);
    let mut build = Builder::new(Shape::Image(2, 3, 3));
    let conv = build.conv("conv", 0, 6, 3, 1).unwrap();
    let pool = build.add("pool", Op::max_pool(3, 3, 0), &[conv]).unwrap();
    let norm = build.batch_norm("norm", pool).unwrap();
    let relu = build.relu(norm).unwrap();
    let flat = build.add("flat", Op::Flatten, &[relu]).unwrap();
    let fc = build.linear("fc", flat, 8).unwrap();
    let norm = build.batch_norm("vector", fc).unwrap();
    build.linear("last", norm, 5).unwrap();
    let graph = Arc::new(build.finish(5).unwrap());
    let layout = Arc::new(Layout::of(&graph));
    let (state, images) = (state(&layout, 1), images([1, 2, 3, 3], 0.0));
    for precision in [Precision::Fp32, Precision::Bf16] {
        let forward = || Forward::new(Arc::clone(&graph), &layout);
        let fused = pass(&forward(), &layout, &state, &images, (precision, true));
        let plain = pass(&forward().unfused(), &layout, &state, &images, (precision, true));
        for (about, found) in [("kernel", &fused), ("libtorch", &plain)] {
            let values = found.scores.iter().chain(&found.gradient).chain(&found.buffers);
            assert!(values.into_iter().all(|value| value.is_finite()), "{about}, {precision:?}");
            for buffer in layout.buffers.iter().filter(|buffer| buffer.start == 1.0) {
                for position in buffer.range() {
                    let expected = 0.9 * state.buffers[position];
                    let error = (found.buffers[position] - expected).abs();
                    assert!(error <= 1e-6 * expected, "{about}, {precision:?}: {}", buffer.name);
                }
            }
        }
        // The mean moves by what came in, the same in both.
        let moved = fused.buffers.iter().zip(&state.buffers).filter(|(new, old)| new != old).count();
        assert_eq!(moved, layout.buffer_len);
        assert!(distance(&fused.buffers, &plain.buffers) < 1e-6, "{precision:?}");
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
