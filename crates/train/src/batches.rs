//! A data set on a device, as bytes, and the batches that are cut from it.
//!
//! Images stay bytes until a batch is made: then they are gathered, varied and normalised in a few tensor operations,
//! the same on CPU and GPU. They lie as `[image, row, column, channel]`, so a batch is channels-last without a copy.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use tch::{Device, Kind, Tensor};

use tombola_data::images::{DataSet, Element, Images};
use tombola_data::split::{Normalisation, Split};
use tombola_words::stream::stream;

/// Pixels that are added on each side before cropping.
const PADDING: i64 = 4;

/// One part of a data set on a device. Trainings on several threads share it.
#[derive(Debug)]
struct ResidentPart {
    /// `[images, height, width, channels]`, bytes.
    pixels: Mutex<Tensor>,
    /// `[images]`, 64-bit integers: what the loss takes.
    labels: Mutex<Tensor>,
}

impl ResidentPart {
    fn new(images: &Images, device: Device) -> Self {
        let size: Vec<i64> = [images.len()].into_iter().chain(images.layout()).map(|size| size as i64).collect();
        let kind = match images.element {
            Element::Byte => Kind::Uint8,
            Element::Float => Kind::Float,
        };
        let pixels = Tensor::from_data_size(&images.values, &size, kind);
        let labels: Vec<i64> = images.labels.iter().map(|label| i64::from(*label)).collect();
        let labels = Tensor::from_slice(&labels);
        Self { pixels: Mutex::new(pixels.to_device(device)), labels: Mutex::new(labels.to_device(device)) }
    }

    fn view(&self, range: &Range<usize>) -> (Tensor, Tensor) {
        let cut = |tensor: &Mutex<Tensor>| {
            let tensor = tensor.lock().unwrap_or_else(PoisonError::into_inner);
            tensor.narrow(0, range.start as i64, range.len() as i64)
        };
        (cut(&self.pixels), cut(&self.labels))
    }
}

/// A data set on a device: held once a process, whatever the number of trainings.
#[derive(Debug)]
pub struct Resident {
    train: ResidentPart,
    test: ResidentPart,
    test_len: usize,
    device: Device,
}

impl Resident {
    /// Moves a data set to a device.
    pub fn new(data: &DataSet, device: Device) -> Self {
        let (train, test) = (ResidentPart::new(&data.train, device), ResidentPart::new(&data.test, device));
        Self { train, test, test_len: data.test.len(), device }
    }

    /// The three parts of the data as one training sees them.
    pub fn parts(&self, split: &Split, normalisation: &Normalisation) -> Parts {
        let affine = |value: &dyn Fn(f32, f32) -> f32| {
            let channels = normalisation.mean.iter().zip(&normalisation.standard_deviation);
            let values: Vec<f32> = channels.map(|(mean, deviation)| value(*mean, *deviation)).collect();
            Tensor::from_slice(&values).to_device(self.device)
        };
        let scale = affine(&|_, deviation| 1.0 / (255.0 * deviation));
        let shift = affine(&|mean, deviation| -mean / deviation);
        let part = |(pixels, labels): (Tensor, Tensor)| Batches {
            pixels,
            labels,
            scale: scale.shallow_clone(),
            shift: shift.shallow_clone(),
        };
        Parts {
            normalisation: normalisation.clone(),
            train: part(self.train.view(&split.train)),
            validation: part(self.train.view(&split.validation)),
            test: part(self.test.view(&(0..self.test_len))),
        }
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        self.device
    }
}

/// The parts of one training's data.
#[derive(Debug)]
pub struct Parts {
    /// What their images are normalised by.
    pub normalisation: Normalisation,
    /// Trained on.
    pub train: Batches,
    /// Chooses epochs.
    pub validation: Batches,
    /// Reported, never chosen by.
    pub test: Batches,
}

/// One part, ready to be cut into batches.
#[derive(Debug)]
pub struct Batches {
    pixels: Tensor,
    labels: Tensor,
    scale: Tensor,
    shift: Tensor,
}

impl Batches {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.size().first().map_or(0, |count| *count as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Images that stand beside each other, as they are: `[images, channels, height, width]`, and their labels.
    pub fn range(&self, range: Range<usize>) -> (Tensor, Tensor) {
        let (start, length) = (range.start as i64, range.len() as i64);
        (self.normalised(&self.pixels.narrow(0, start, length)), self.labels.narrow(0, start, length))
    }

    /// The images at `indices` (`[images]`, 64-bit integers), varied if asked, and their labels.
    pub fn gather(&self, indices: &Tensor, variation: Option<&Variation>) -> (Tensor, Tensor) {
        let pixels = self.pixels.index_select(0, indices);
        let pixels = match variation {
            Some(variation) => variation.apply(&pixels, indices),
            None => pixels,
        };
        (self.normalised(&pixels), self.labels.index_select(0, indices))
    }

    fn normalised(&self, pixels: &Tensor) -> Tensor {
        let values = pixels.to_kind(Kind::Float).g_mul_(&self.scale).g_add_(&self.shift);
        values.permute([0, 3, 1, 2])
    }

    /// The order of the images in an epoch (`[images]`): another one for each seed and epoch.
    pub fn order(&self, seed: u64, epoch: usize) -> Tensor {
        let mut order: Vec<i64> = (0..self.len() as i64).collect();
        let mut numbers = stream(seed, "data order", &[epoch as u64]);
        for last in (1..order.len()).rev() {
            order.swap(last, numbers.random_range(0..=last));
        }
        Tensor::from_slice(&order).to_device(self.labels.device())
    }
}

/// How the images of one epoch are varied: padded by four black pixels, cropped back at random, flipped or not.
///
/// Each image has numbers of its own, whatever batch it comes in.
#[derive(Debug)]
pub struct Variation {
    /// First row and column of the crop, 0 to 8, and whether it is flipped: `[images]` each, 64-bit integers.
    top: Tensor,
    left: Tensor,
    flipped: Tensor,
}

impl Variation {
    /// The variation of `count` images in an epoch.
    pub fn new(count: usize, seed: u64, epoch: usize, device: Device) -> Self {
        let mut numbers = stream(seed, "augmentation", &[epoch as u64]);
        let offsets = 2 * PADDING + 1;
        let draws: Vec<(i64, i64, i64)> = (0..count)
            .map(|_| (numbers.random_range(0..offsets), numbers.random_range(0..offsets), numbers.random_range(0..2)))
            .collect();
        let tensor = |part: &dyn Fn(&(i64, i64, i64)) -> i64| {
            Tensor::from_slice(&draws.iter().map(part).collect::<Vec<i64>>()).to_device(device)
        };
        Self { top: tensor(&|draw| draw.0), left: tensor(&|draw| draw.1), flipped: tensor(&|draw| draw.2) }
    }

    /// The same numbers in tensors of their own.
    pub fn copy(&self) -> Self {
        Self { top: self.top.copy(), left: self.left.copy(), flipped: self.flipped.copy() }
    }

    /// Takes the numbers of another epoch, in the tensors that it has.
    pub fn take(&mut self, other: &Self) {
        self.top.copy_(&other.top);
        self.left.copy_(&other.left);
        self.flipped.copy_(&other.flipped);
    }

    /// Varies `pixels` (`[images, height, width, channels]`), which are the images at `indices`.
    fn apply(&self, pixels: &Tensor, indices: &Tensor) -> Tensor {
        let (count, height, width, _) = pixels.size4().unwrap_or((0, 0, 0, 0));
        let device = pixels.device();
        let of_image = |numbers: &Tensor| numbers.index_select(0, indices).unsqueeze(1);
        let rows = Tensor::arange(height, (Kind::Int64, device)).unsqueeze(0) + of_image(&self.top);
        let columns = Tensor::arange(width, (Kind::Int64, device)).unsqueeze(0);
        // A flipped image reads its columns from the right: width - 1 - column.
        let flipped = of_image(&self.flipped);
        let columns: Tensor = &columns + &flipped * (width - 1 - &columns * 2) + of_image(&self.left);
        let images = Tensor::arange(count, (Kind::Int64, device)).view([count, 1, 1]);
        let padded = pixels.constant_pad_nd([0, 0, PADDING, PADDING, PADDING, PADDING]);
        padded.index(&[Some(images), Some(rows.unsqueeze(2)), Some(columns.unsqueeze(1))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 6 * 5 * 2).map(|i| (i * 31 % 251) as u8).collect();
        Images::new(pixels, vec![0; count], (2, 6, 5), 2).unwrap()
    }

    fn parts(count: usize) -> (Images, Parts) {
        let data = DataSet::new("test", images(count), images(count)).unwrap();
        let split = Split::of(0..count - 1, count - 1..count);
        let normalisation = Normalisation { mean: vec![0.5, 0.25], standard_deviation: vec![0.5, 0.2] };
        (images(count), Resident::new(&data, Device::Cpu).parts(&split, &normalisation))
    }

    /// The value of one pixel by the definition.
    fn expected(images: &Images, image: usize, channel: usize, row: i64, column: i64) -> f32 {
        let inside = (0..6).contains(&row) && (0..5).contains(&column);
        let byte =
            if inside { images.pixels[((image * 6 + row as usize) * 5 + column as usize) * 2 + channel] } else { 0 };
        let (mean, deviation) = [(0.5, 0.5), (0.25, 0.2)][channel];
        (f32::from(byte) / 255.0 - mean) / deviation
    }

    #[test]
    fn a_batch_holds_the_normalised_images_it_names() {
        let (images, parts) = parts(7);
        let (batch, labels) = parts.train.gather(&Tensor::from_slice(&[3i64, 0]), None);
        assert_eq!((batch.size(), labels.size()), (vec![2, 2, 6, 5], vec![2]));
        for (place, image) in [3, 0].into_iter().enumerate() {
            for channel in 0..2 {
                let value = batch.double_value(&[place as i64, channel, 4, 2]) as f32;
                assert!((value - expected(&images, image, channel as usize, 4, 2)).abs() < 1e-5);
            }
        }
        assert_eq!(parts.validation.range(0..1).0.double_value(&[0, 1, 0, 0]) as f32, {
            let (batch, _) = parts.test.range(6..7);
            batch.double_value(&[0, 1, 0, 0]) as f32
        });
    }

    #[test]
    fn a_varied_image_is_the_padded_image_cropped_and_flipped() {
        let (images, parts) = parts(30);
        let variation = Variation::new(29, 7, 3, Device::Cpu);
        let chosen: Vec<i64> = (0..29).rev().collect();
        let (batch, _) = parts.train.gather(&Tensor::from_slice(&chosen), Some(&variation));
        let of = |numbers: &Tensor, image: i64| numbers.int64_value(&[image]);
        let (mut flips, mut moves) = (0, 0);
        for (place, &image) in chosen.iter().enumerate() {
            let (top, left, flipped) =
                (of(&variation.top, image), of(&variation.left, image), of(&variation.flipped, image));
            flips += flipped;
            moves += i64::from((top, left) != (4, 4));
            for (row, column) in [(0, 0), (2, 3), (5, 4)] {
                let from = if flipped == 1 { 4 - column } else { column };
                let value = batch.double_value(&[place as i64, 1, row, column]) as f32;
                let truth = expected(&images, image as usize, 1, row + top - 4, from + left - 4);
                assert!((value - truth).abs() < 1e-5, "image {image}, {row}, {column}");
            }
        }
        assert!(flips > 3 && flips < 26 && moves > 20);
    }

    #[test]
    fn pitfall_16_variation_belongs_to_the_image_not_to_its_batch() {
        let (_, parts) = parts(10);
        let variation = Variation::new(9, 1, 1, Device::Cpu);
        let (one, _) = parts.train.gather(&Tensor::from_slice(&[5i64]), Some(&variation));
        let (many, _) = parts.train.gather(&Tensor::from_slice(&[2i64, 5, 1]), Some(&variation));
        assert_eq!(one.get(0), many.get(1));
    }

    #[test]
    fn pitfall_16_the_order_is_a_permutation_of_its_own_for_each_seed_and_epoch() {
        let (_, parts) = parts(40);
        let orders: Vec<Vec<i64>> = [(1, 0), (1, 1), (2, 0), (1, 0)]
            .map(|(seed, epoch)| Vec::try_from(parts.train.order(seed, epoch)).unwrap())
            .into();
        assert!(orders[0] == orders[3] && orders[0] != orders[1] && orders[0] != orders[2]);
        let mut sorted = orders[1].clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..39).collect::<Vec<i64>>());
    }
}
