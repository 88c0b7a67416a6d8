//! A data set on a device, as bytes, and the batches that are cut from it.
//!
//! Images stay bytes until a batch is made: then they are gathered, varied and normalised in a few tensor operations,
//! the same on CPU and GPU. They lie as `[image, row, column, channel]`, so a batch is channels-last without a copy.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use tch::{Device, Kind, Tensor};

use crate::augment::Variation;
use tombola_data::images::{DataSet, Images};
use tombola_data::split::{Normalisation, Split};
use tombola_words::stream::stream;

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
        let (channels, height, width) = images.dimensions();
        let size = [images.len() as i64, height as i64, width as i64, channels as i64];
        let pixels = Tensor::from_data_size(&images.pixels, &size, Kind::Uint8);
        let labels = Tensor::from_slice(&images.labels).to_kind(Kind::Int64);
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

    /// The label of each image: `[images]`, 64-bit integers.
    pub fn labels(&self) -> &Tensor {
        &self.labels
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
        let images = self.normalised(&pixels);
        let images = match variation {
            Some(variation) => variation.hide(images, indices),
            None => images,
        };
        (images, self.labels.index_select(0, indices))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 6 * 5 * 2).map(|i| (i * 31 % 251) as u8).collect();
        Images::new(pixels, vec![0; count], (2, 6, 5), 2).unwrap()
    }

    fn parts(count: usize) -> (Images, Parts) {
        let data = DataSet::new("test", images(count), images(count)).unwrap();
        let split = Split { train: 0..count - 1, validation: count - 1..count };
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
