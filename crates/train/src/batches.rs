//! A data set on a device, as bytes or numbers, and the batches that are cut from it.
//!
//! Images stay bytes until a batch is made: then they are gathered, varied and normalised in a few tensor operations,
//! the same on CPU and GPU. They lie as `[image, row, column, channel]`, so a batch is channels-last without a copy. What does not
//! fit onto the device is read ahead (`ahead.rs`), and gives the same batches.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng;
use tch::{Device, Kind, Tensor};

use crate::ahead::{Ahead, ReadFailure};
use crate::augment::Variation;
use crate::data_part::{PartName, kind, sizes, strides};
use tombola_data::split::{Normalisation, Split};
use tombola_data::{DataSet, Images, ValueKind};
use tombola_words::error::Error;
use tombola_words::stream::stream;

/// One part of a data set on a device. Trainings on several threads share it.
#[derive(Debug)]
struct ResidentPart {
    name: PartName,
    /// `[images, height, width, channels]`, bytes or numbers; nothing where they are read when they are needed.
    pixels: Option<Mutex<Tensor>>,
    /// `[images]`, 64-bit integers: what the loss takes.
    labels: Mutex<Tensor>,
}

impl ResidentPart {
    fn new(name: PartName, images: &Images, device: Device, holds: bool) -> Self {
        let pixels = holds.then(|| {
            let (size, kind) = (sizes(images.len(), images), kind(images));
            // SAFETY: the values are neither changed nor freed while their data set lives, and whoever has a tensor of them (here and
            // in `Batches`) holds the set as well. libtorch only reads them.
            let own = unsafe { Tensor::from_blob(images.values.as_ptr(), &size, &strides(&size), kind, Device::Cpu) };
            Mutex::new(own.to_device(device))
        });
        let labels: Vec<i64> = images.labels.iter().map(|label| i64::from(*label)).collect();
        Self { name, pixels, labels: Mutex::new(Tensor::from_slice(&labels).to_device(device)) }
    }
}

/// A data set on a device: held once a process, whatever the number of trainings.
#[derive(Debug)]
pub struct Resident {
    data: Arc<DataSet>,
    train: ResidentPart,
    validation: Option<ResidentPart>,
    test: ResidentPart,
    device: Device,
    failure: ReadFailure,
}

impl Resident {
    /// Moves a data set to a device.
    pub fn new(data: impl Into<Arc<DataSet>>, device: Device) -> Self {
        Self::within(data.into(), device, None)
    }

    /// As [`Resident::new`], unless the set has more than `room` bytes: then its examples are read when they are needed.
    pub fn within(data: Arc<DataSet>, device: Device, room: Option<u64>) -> Self {
        let holds = !data.reads_ahead() && room.is_none_or(|room| data.bytes() <= room);
        let part = |name: PartName| Some(ResidentPart::new(name, name.of(&data)?, device, holds));
        let always = |name, images| ResidentPart::new(name, images, device, holds);
        Self {
            train: always(PartName::Train, &data.train),
            validation: part(PartName::Validation),
            test: always(PartName::Test, &data.test),
            data,
            device,
            failure: ReadFailure::default(),
        }
    }

    /// The three parts of the data as one training sees them.
    pub fn parts(&self, split: &Split, normalisation: &Normalisation) -> Parts {
        let unit = match self.data.train.element {
            ValueKind::Byte => 255.0,
            ValueKind::Float => 1.0,
        };
        let affine = |value: &dyn Fn(f32, f32) -> f32| {
            let channels = normalisation.mean.iter().zip(&normalisation.standard_deviation);
            let values: Vec<f32> = channels.map(|(mean, deviation)| value(*mean, *deviation)).collect();
            Tensor::from_slice(&values).to_device(self.device)
        };
        let scale = affine(&|_, deviation| 1.0 / (unit * deviation));
        let shift = affine(&|mean, deviation| -mean / deviation);
        let part = |part: &ResidentPart, range: &Range<usize>| {
            let cut = |tensor: &Mutex<Tensor>| {
                let tensor = tensor.lock().unwrap_or_else(PoisonError::into_inner);
                tensor.narrow(0, range.start as i64, range.len() as i64)
            };
            Batches {
                data: Arc::clone(&self.data),
                part: part.name,
                first: range.start,
                pixels: part.pixels.as_ref().map(cut),
                labels: cut(&part.labels),
                scale: scale.shallow_clone(),
                shift: shift.shallow_clone(),
                failure: self.failure.clone(),
            }
        };
        let validation = match &self.validation {
            Some(own) if split.has_own_validation => part(own, &split.validation),
            _ => part(&self.train, &split.validation),
        };
        Parts {
            normalisation: normalisation.clone(),
            train: part(&self.train, &split.train),
            validation,
            test: part(&self.test, &(0..self.data.test.len())),
            failure: self.failure.clone(),
        }
    }

    /// Whether its examples are read when they are needed.
    pub fn reads_ahead(&self) -> bool {
        self.train.pixels.is_none()
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
    failure: ReadFailure,
}

impl Parts {
    /// Why examples could not be read since this was last asked: what was computed with them is worth nothing.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<(), Error> {
        self.failure.check()
    }
}

/// One part, ready to be cut into batches.
#[derive(Debug)]
pub struct Batches {
    /// What the pixels may lie in.
    data: Arc<DataSet>,
    part: PartName,
    /// The first example of the part that is one of these.
    first: usize,
    pixels: Option<Tensor>,
    labels: Tensor,
    scale: Tensor,
    shift: Tensor,
    failure: ReadFailure,
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

    /// Begins to read batches of the images at `order`, of so many each, where they are not on the device.
    pub fn ahead(&self, order: &[i64], counts: Vec<usize>) -> Option<Ahead> {
        if self.pixels.is_some() {
            return None;
        }
        let places = order.iter().map(|place| self.first + *place as usize).collect();
        Some(Ahead::begin(&self.data, self.part, places, counts, self.labels.device(), &self.failure))
    }

    /// Images that stand beside each other, as they are: `[images, channels, height, width]`, and their labels.
    pub fn range(&self, range: Range<usize>) -> (Tensor, Tensor) {
        let pixels = match &self.pixels {
            Some(pixels) => pixels.narrow(0, range.start as i64, range.len() as i64),
            None => {
                let order: Vec<i64> = range.clone().map(|place| place as i64).collect();
                self.ahead(&order, vec![range.len()]).map_or_else(Tensor::new, |mut ahead| ahead.next_batch())
            }
        };
        self.range_of(&pixels, range)
    }

    fn range_of(&self, pixels: &Tensor, range: Range<usize>) -> (Tensor, Tensor) {
        (self.normalised(pixels), self.labels.narrow(0, range.start as i64, range.len() as i64))
    }

    /// All images in their order, `batch` at a time, as [`Batches::range`] has them.
    pub fn each(&self, batch: usize, mut see: impl FnMut(&Tensor, &Tensor)) {
        let starts = || (0..self.len()).step_by(batch.max(1));
        let ranges: Vec<Range<usize>> = starts().map(|start| start..(start + batch).min(self.len())).collect();
        let order: Vec<i64> = if self.pixels.is_some() { Vec::new() } else { (0..self.len() as i64).collect() };
        let mut ahead = self.ahead(&order, ranges.iter().map(ExactSizeIterator::len).collect());
        for range in ranges {
            let (images, labels) = match &mut ahead {
                Some(ahead) => self.range_of(&ahead.next_batch(), range),
                None => self.range(range),
            };
            see(&images, &labels);
        }
    }

    /// The images at `indices` (`[images]`, 64-bit integers), varied if asked, and their labels. `read` are those images where they
    /// are not on the device.
    pub fn gather(&self, indices: &Tensor, read: Option<&Tensor>, variation: Option<&Variation>) -> (Tensor, Tensor) {
        let pixels = match (&self.pixels, read) {
            (_, Some(read)) => read.shallow_clone(),
            (Some(pixels), None) => pixels.index_select(0, indices),
            (None, None) => {
                let order = Vec::<i64>::try_from(indices).unwrap_or_default();
                let counts = vec![order.len()];
                self.ahead(&order, counts).map_or_else(Tensor::new, |mut ahead| ahead.next_batch())
            }
        };
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
        let values = match pixels.kind() {
            // Not in place: these may be the very numbers of the set.
            Kind::Float => pixels * &self.scale + &self.shift,
            _ => pixels.to_kind(Kind::Float).g_mul_(&self.scale).g_add_(&self.shift),
        };
        match values.dim() {
            4 => values.permute([0, 3, 1, 2]),
            3 => values.permute([0, 2, 1]),
            _ => values,
        }
    }

    /// The order of the images in an epoch: another one for each seed and epoch.
    pub fn order(&self, seed: u64, epoch: usize) -> Vec<i64> {
        let mut order: Vec<i64> = (0..self.len() as i64).collect();
        let mut numbers = stream(seed, "data order", &[epoch as u64]);
        for last in (1..order.len()).rev() {
            order.swap(last, numbers.random_range(0..=last));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 6 * 5 * 2).map(|i| (i * 31 % 251) as u8).collect();
        Images::new(pixels, vec![0_u8; count], (2, 6, 5), 2).unwrap()
    }

    fn parts(count: usize) -> (Images, Parts) {
        let data = DataSet::new("test", images(count), images(count)).unwrap();
        let split = Split::of(0..count - 1, count - 1..count);
        let normalisation = Normalisation { mean: vec![0.5, 0.25], standard_deviation: vec![0.5, 0.2] };
        (images(count), Resident::new(data, Device::Cpu).parts(&split, &normalisation))
    }

    /// The value of one pixel by the definition.
    fn expected(images: &Images, image: usize, channel: usize, row: i64, column: i64) -> f32 {
        let inside = (0..6).contains(&row) && (0..5).contains(&column);
        let byte =
            if inside { images.values[((image * 6 + row as usize) * 5 + column as usize) * 2 + channel] } else { 0 };
        let (mean, deviation) = [(0.5, 0.5), (0.25, 0.2)][channel];
        (f32::from(byte) / 255.0 - mean) / deviation
    }

    #[test]
    fn a_batch_holds_the_normalised_images_it_names() {
        let (images, parts) = parts(7);
        let (batch, labels) = parts.train.gather(&Tensor::from_slice(&[3i64, 0]), None, None);
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
        let orders: Vec<Vec<i64>> =
            [(1, 0), (1, 1), (2, 0), (1, 0)].map(|(seed, epoch)| parts.train.order(seed, epoch)).into();
        assert!(orders[0] == orders[3] && orders[0] != orders[1] && orders[0] != orders[2]);
        let mut sorted = orders[1].clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..39).collect::<Vec<i64>>());
    }
}
