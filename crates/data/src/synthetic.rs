//! A data set made from nothing: for tests, benchmarks and machines without data.
//!
//! Each class has a smooth random prototype. An image is the prototype of its class, plus smooth noise of the same kind
//! (which is what makes classes resemble each other), plus noise in every pixel. Every image is drawn from its own
//! stream, keyed by what it is for, so image 7 is the same however many images are asked for. Only integers are
//! used, so it is also the same on every machine.

use std::path::Path;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::images::{DataSet, Images, MOST_BYTES, MOST_CLASSES};
use super::places::load;
use tombola_words::catalogue::SYNTHETIC;
use tombola_words::error::{Error, Result};

/// Rows and columns of the coarse grid that smooth fields are stretched from.
const GRID: usize = 4;
/// Largest size of a prototype, in grey levels. With the two below it decides how hard the classes are to tell apart.
const PROTOTYPE: i32 = 72;
/// Largest size of the smooth noise of grey images. It grows with the square root of the channels, because so does the
/// distance between prototypes: colour images would otherwise be no task at all.
const SMOOTH_NOISE: usize = 45;
/// Where that growth ends: as far as grey levels reach from their middle.
const MOST_SMOOTH_NOISE: usize = 128;
/// Largest size of the noise of a pixel.
const PIXEL_NOISE: i32 = 48;

/// Makes `train` + `test` images of `shape` (channels, height, width). Labels go round the classes in order, so every
/// class has as many images as any other, give or take one.
///
/// # Errors
/// A size of 0, more than 65,535 classes, more than 4 GiB of pixels.
pub fn synthetic(shape: (usize, usize, usize), classes: usize, train: usize, test: usize) -> Result<DataSet> {
    let (channels, height, width) = shape;
    let sizes = [
        ("channels", channels),
        ("height", height),
        ("width", width),
        ("classes", classes),
        ("training images", train),
        ("test images", test),
    ];
    if let Some((what, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(Error::input(format!("the synthetic data set is asked for 0 {what}; expected at least 1")));
    }
    if classes > MOST_CLASSES {
        return Err(Error::input(format!(
            "the synthetic data set is asked for {classes} classes; expected at most {MOST_CLASSES}"
        )));
    }
    let bytes = [channels, height, width]
        .iter()
        .try_fold((train as u64).saturating_add(test as u64), |bytes, &size| bytes.checked_mul(size as u64));
    if bytes.is_none_or(|bytes| bytes > MOST_BYTES) {
        return Err(Error::input(format!(
            "{train} + {test} synthetic images of {channels}x{height}x{width} need more than {MOST_BYTES} bytes"
        ))
        .hint("ask for fewer or smaller images"));
    }
    let prototypes: Vec<Vec<i32>> =
        (0..classes).map(|class| smooth(&mut stream("prototype", shape, class), shape, PROTOTYPE)).collect();
    let part = |purpose, count: usize| {
        let mut pixels = Vec::with_capacity(count * channels * height * width);
        let mut labels = Vec::with_capacity(count);
        for index in 0..count {
            let class = index % classes;
            labels.push(class as u16);
            append_image(&prototypes[class], &mut stream(purpose, shape, index), shape, &mut pixels);
        }
        Images::new(pixels, labels, shape, classes)
    };
    DataSet::new(SYNTHETIC, part("train", train)?, part("test", test)?)
}

/// The stream of one thing of one purpose.
fn stream(purpose: &str, (channels, height, width): (usize, usize, usize), index: usize) -> ChaCha8Rng {
    let mut key = blake3::Hasher::new_derive_key("tombola synthetic images 1");
    for number in [channels, height, width, index] {
        key.update(&(number as u64).to_le_bytes());
    }
    key.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(*key.finalize().as_bytes())
}

/// Even over -size..=size, but for a bias below one in a million.
fn even(random: &mut ChaCha8Rng, size: i32) -> i32 {
    ((u64::from(random.next_u32()) * (2 * size as u64 + 1)) >> 32) as i32 - size
}

/// A field `[height, width, channels]` within -size..=size: a coarse random grid, stretched linearly.
fn smooth(random: &mut ChaCha8Rng, (channels, height, width): (usize, usize, usize), size: i32) -> Vec<i32> {
    let grid: Vec<i32> = (0..GRID * GRID * channels).map(|_| even(random, size)).collect();
    let at = |row: usize, column: usize, channel: usize| i64::from(grid[(row * GRID + column) * channels + channel]);
    let mut field = Vec::with_capacity(channels * height * width);
    for row in 0..height {
        let (above, below, row_part) = between(row, height);
        for column in 0..width {
            let (left, right, column_part) = between(column, width);
            for channel in 0..channels {
                let blend = |row| at(row, left, channel) * (UNIT - column_part) + at(row, right, channel) * column_part;
                let value = blend(above) * (UNIT - row_part) + blend(below) * row_part;
                field.push((value / (UNIT * UNIT)) as i32);
            }
        }
    }
    field
}

/// One in the fixed-point numbers of [`between`].
const UNIT: i64 = 256;

/// Between which two of the [`GRID`] lines a row or column lies, and how far on its way to the second, of [`UNIT`].
fn between(position: usize, length: usize) -> (usize, usize, i64) {
    // A single pixel lies on the first line; otherwise the first and last pixels lie on the first and last lines.
    let place = position as u64 * (GRID as u64 - 1) * UNIT as u64 / (length as u64 - 1).max(1);
    let line = (place / UNIT as u64) as usize;
    (line, (line + 1).min(GRID - 1), (place % UNIT as u64) as i64)
}

fn append_image(prototype: &[i32], random: &mut ChaCha8Rng, shape: (usize, usize, usize), pixels: &mut Vec<u8>) {
    let size = SMOOTH_NOISE.pow(2).saturating_mul(shape.0).isqrt().min(MOST_SMOOTH_NOISE);
    let noise = smooth(random, shape, size as i32);
    for (value, noise) in prototype.iter().zip(noise) {
        pixels.push((128 + value + noise + even(random, PIXEL_NOISE)).clamp(0, 255) as u8);
    }
}

/// The data set `name`: made where it is the one that is made, by its shape, classes and training images, else read.
///
/// # Errors
/// As [`synthetic`] and [`load`].
pub fn load_or_make(
    name: &str,
    (shape, classes, size): (&[usize], usize, usize),
    data_dir: Option<&Path>,
) -> Result<DataSet> {
    match (name, shape) {
        ("synthetic", &[channels, height, width]) => {
            synthetic((channels, height, width), classes, size, size.div_ceil(2))
        }
        _ => load(name, data_dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::error::Kind;

    #[test]
    fn images_are_the_same_every_time_and_on_every_machine() {
        let fingerprint = |shape, classes| synthetic(shape, classes, 20, 10).unwrap().fingerprint;
        assert_eq!(fingerprint((3, 8, 6), 5), fingerprint((3, 8, 6), 5));
        assert_eq!(&fingerprint((3, 8, 6), 5)[..16], "e23c27cd970b34af");
    }

    #[test]
    fn an_image_does_not_depend_on_how_many_are_made() {
        let mut many = synthetic((1, 9, 7), 4, 50, 9).unwrap();
        let few = synthetic((1, 9, 7), 4, 6, 3).unwrap();
        many.train.truncate(6);
        many.test.truncate(3);
        assert_eq!((many.train, many.test), (few.train, few.test));
    }

    #[test]
    fn classes_are_balanced_and_the_parts_share_no_image() {
        let data = synthetic((1, 8, 8), 3, 31, 30).unwrap();
        assert_eq!(data.train.images_per_class(), [11, 10, 10]);
        assert_eq!(data.test.images_per_class(), [10, 10, 10]);
        let train: Vec<_> = (0..31).map(|index| data.train.example(index)).collect();
        assert!((0..30).all(|index| !train.contains(&data.test.example(index))));
    }

    #[test]
    fn zero_and_huge_sizes_are_refused() {
        for (shape, classes, train, test, part) in [
            ((0, 8, 8), 2, 9, 9, "0 channels"),
            ((1, 0, 8), 2, 9, 9, "0 height"),
            ((1, 8, 0), 2, 9, 9, "0 width"),
            ((1, 8, 8), 0, 9, 9, "0 classes"),
            ((1, 8, 8), 2, 0, 9, "0 training images"),
            ((1, 8, 8), 2, 9, 0, "0 test images"),
            ((1, 8, 8), 65_536, 9, 9, "65536 classes; expected at most 65535"),
            ((3, 224, 224), 10, 50_000, 9, "need more than 4294967296 bytes"),
            ((usize::MAX, 2, 2), 10, 9, 9, "need more than"),
            ((1, 8, 8), 10, usize::MAX, 9, "need more than"),
        ] {
            let error = synthetic(shape, classes, train, test).unwrap_err();
            assert_eq!(error.kind, Kind::Input);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn the_smallest_images_can_be_made() {
        assert_eq!(synthetic((1, 1, 1), 256, 1, 1).unwrap().train.values.len(), 1);
        assert_eq!(synthetic((2, 1, 5), 2, 2, 2).unwrap().test.values.len(), 20);
    }

    /// Test accuracy of a network with one hidden layer of 64 units after `epochs` of plain SGD, batches of 10.
    fn accuracy(data: &DataSet, epochs: usize) -> f64 {
        const HIDDEN: usize = 64;
        const RATE: f32 = 0.1;
        let (inputs, classes) = (data.train.shape.size(), data.train.classes);
        let mut random = stream("weights of the test", (1, 1, 1), 0);
        let mut weights = |rows: usize, columns: usize| -> Vec<f32> {
            let bound = (6.0 / columns as f32).sqrt();
            (0..rows * columns).map(|_| even(&mut random, 1000) as f32 / 1000.0 * bound).collect()
        };
        let (mut first, mut second) = (weights(HIDDEN, inputs), weights(classes, HIDDEN));
        let input = |images: &Images, index| -> Vec<f32> {
            images.example(index).unwrap().iter().map(|&pixel| (f32::from(pixel) - 128.0) / 50.0).collect()
        };
        let times = |weights: &[f32], vector: &[f32]| -> Vec<f32> {
            weights.chunks_exact(vector.len()).map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
        };
        let forward = |first: &[f32], second: &[f32], pixels: &[f32]| {
            let hidden: Vec<f32> = times(first, pixels).iter().map(|value| value.max(0.0)).collect();
            let outputs = times(second, &hidden);
            (hidden, outputs)
        };
        const BATCH: usize = 10;
        for _ in 0..epochs {
            for start in (0..data.train.len()).step_by(BATCH) {
                let (mut first_step, mut second_step) = (vec![0.0; first.len()], vec![0.0; second.len()]);
                for index in start..start + BATCH {
                    let pixels = input(&data.train, index);
                    let (hidden, outputs) = forward(&first, &second, &pixels);
                    let most = outputs.iter().copied().fold(f32::MIN, f32::max);
                    let mut error: Vec<f32> = outputs.iter().map(|value| (value - most).exp()).collect();
                    let sum: f32 = error.iter().sum();
                    error.iter_mut().for_each(|value| *value /= sum);
                    error[usize::from(data.train.labels[index])] -= 1.0;
                    for unit in 0..HIDDEN {
                        let back: f32 = (0..classes).map(|class| error[class] * second[class * HIDDEN + unit]).sum();
                        for class in 0..classes {
                            second_step[class * HIDDEN + unit] += error[class] * hidden[unit];
                        }
                        if hidden[unit] > 0.0 {
                            let row = &mut first_step[unit * inputs..][..inputs];
                            row.iter_mut().zip(&pixels).for_each(|(step, pixel)| *step += back * pixel);
                        }
                    }
                }
                let rate = RATE / BATCH as f32;
                first.iter_mut().zip(first_step).for_each(|(weight, step)| *weight -= rate * step);
                second.iter_mut().zip(second_step).for_each(|(weight, step)| *weight -= rate * step);
            }
        }
        let right = |&index: &usize| {
            let outputs = forward(&first, &second, &input(&data.test, index)).1;
            let best = (0..classes).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]));
            best == Some(usize::from(data.test.labels[index]))
        };
        (0..data.test.len()).filter(right).count() as f64 / data.test.len() as f64
    }

    #[test]
    fn a_small_network_learns_the_classes_in_two_epochs_but_not_to_perfection() {
        for shape in [(1, 14, 14), (3, 8, 8)] {
            let data = synthetic(shape, 10, 1000, 500).unwrap();
            let found = accuracy(&data, 2);
            assert!((0.95..1.0).contains(&found), "{shape:?}: {found}");
        }
    }
}
