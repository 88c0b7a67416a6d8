//! What varies the images of one epoch: numbers of each image, and what they do to the images of a batch.

use rand::Rng;
use tch::{Device, Kind, Tensor};

use super::drawn::{CHOICE_NUMBERS, CHOICES, bits, of_image, step};
use super::{colour, geometry};
use tombola_words::stream::stream;
use tombola_words::value::{Alteration, Augment};

/// Pixels that are added on each side before cropping, in the usual variation.
const PADDING: usize = 4;

/// How the images of one epoch are varied.
///
/// Each image has numbers of its own, whatever batch it comes in.
#[derive(Debug)]
pub struct Variation(Vec<VariedBy>);

/// One alteration, and its numbers of all images.
#[derive(Debug)]
struct VariedBy {
    alteration: Alteration,
    /// `[images, numbers]`, float32.
    numbers: Tensor,
}

impl Variation {
    /// The usual variation of `count` images in an epoch: padded by four black pixels, cropped back at random, flipped or not.
    pub fn new(count: usize, seed: u64, epoch: usize, device: Device) -> Self {
        let mut numbers = stream(seed, "augmentation", &[epoch as u64]);
        let offsets = 2 * PADDING as i64 + 1;
        let draws: Vec<[i64; 3]> = (0..count)
            .map(|_| [numbers.random_range(0..offsets), numbers.random_range(0..offsets), numbers.random_range(0..2)])
            .collect();
        let part = |alteration: Alteration, chosen: &dyn Fn(&[i64; 3]) -> Vec<f64>| {
            VariedBy::of(alteration, &draws.iter().map(chosen).collect::<Vec<_>>(), device)
        };
        Self(vec![
            part(Alteration::Crop(PADDING), &|draw| vec![draw[0] as f64, draw[1] as f64]),
            part(Alteration::Flip, &|draw| vec![draw[2] as f64]),
        ])
    }

    /// What is asked for, of `count` images of `size` (height, width); nothing where images are not varied.
    pub fn of(
        augment: &Augment,
        size: (usize, usize),
        count: usize,
        seed: u64,
        epoch: usize,
        device: Device,
    ) -> Option<Self> {
        let list = match augment {
            Augment::None => return None,
            Augment::CropFlip => return Some(Self::new(count, seed, epoch, device)),
            Augment::List(list) => list,
        };
        let of = |(place, alteration): (usize, &Alteration)| {
            let mut numbers = stream(seed, "augmentation", &[epoch as u64, place as u64]);
            let draws: Vec<Vec<f64>> = (0..count).map(|_| of_image(*alteration, size, &mut numbers)).collect();
            VariedBy::of(*alteration, &draws, device)
        };
        Some(Self(list.iter().enumerate().map(of).collect()))
    }

    /// One of numbers that are known: for each alteration those of each image, as `drawn::of_image` draws them.
    pub fn given(given: &[(Alteration, Vec<Vec<f64>>)]) -> Self {
        Self(given.iter().map(|(alteration, draws)| VariedBy::of(*alteration, draws, Device::Cpu)).collect())
    }

    /// The same numbers in tensors of their own.
    pub fn copy(&self) -> Self {
        let copy = |by: &VariedBy| VariedBy { alteration: by.alteration, numbers: by.numbers.copy() };
        Self(self.0.iter().map(copy).collect())
    }

    /// Takes the numbers of another epoch, in the tensors that it has.
    pub fn take(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.numbers.copy_(&other.numbers));
    }

    /// Varies `pixels` (`[images, height, width, channels]`), which are the images at `indices`.
    pub fn apply(&self, pixels: &Tensor, indices: &Tensor) -> Tensor {
        // What only moves pixels is done in one.
        let mut pixels = pixels.shallow_clone();
        let mut rest = self.0.as_slice();
        while let [by, after @ ..] = rest {
            rest = after;
            let numbers = by.numbers.index_select(0, indices);
            pixels = match (by.alteration, after) {
                (Alteration::Crop(padding), [next, after @ ..]) if next.alteration == Alteration::Flip => {
                    rest = after;
                    placed(&pixels, padding, Some(&numbers), Some(&next.numbers.index_select(0, indices)))
                }
                (Alteration::Crop(padding), _) => placed(&pixels, padding, Some(&numbers), None),
                (Alteration::Flip, _) => placed(&pixels, 0, None, Some(&numbers)),
                (Alteration::Cutout(_), _) => pixels,
                (Alteration::ResizedCrop(_), _) => geometry::resized(&pixels, &numbers),
                (Alteration::Rotate(_), _) => geometry::mapped(&pixels, &numbers),
                (Alteration::Colour(_), _) => jittered(&pixels, &numbers),
                (Alteration::RandAugment(count, magnitude), _) => chosen(&pixels, &numbers, count, magnitude),
            };
        }
        pixels
    }

    /// Hides squares of `images` (`[images, channels, height, width]`, normalised), which are those at `indices`: 0 is the mean of
    /// what they are normalised by. So it comes after all else, as in the program of its authors.
    pub fn hide(&self, images: Tensor, indices: &Tensor) -> Tensor {
        let hidden = self.0.iter().filter(|by| matches!(by.alteration, Alteration::Cutout(_)));
        hidden.fold(images, |images, by| {
            let (_, _, height, width) = images.size4().unwrap_or((0, 0, 0, 0));
            let numbers = by.numbers.index_select(0, indices);
            let inside = |length: i64, first: i64| {
                let places = Tensor::arange(length, (Kind::Float, images.device())).unsqueeze(0);
                let number = |place: i64| numbers.select(1, place).unsqueeze(1);
                places.ge_tensor(&number(first)).logical_and(&places.lt_tensor(&number(first + 1)))
            };
            let square = inside(height, 0).unsqueeze(2).logical_and(&inside(width, 2).unsqueeze(1));
            images * square.logical_not().to_kind(Kind::Float).unsqueeze(1)
        })
    }
}

impl VariedBy {
    fn of(alteration: Alteration, draws: &[Vec<f64>], device: Device) -> Self {
        let width = draws.first().map_or(0, Vec::len);
        let all: Vec<f32> = draws.iter().flatten().map(|number| *number as f32).collect();
        let numbers = Tensor::from_slice(&all).view([draws.len() as i64, width as i64]).to_device(device);
        Self { alteration, numbers }
    }
}

fn placed(pixels: &Tensor, padding: usize, crop: Option<&Tensor>, flip: Option<&Tensor>) -> Tensor {
    let count = pixels.size().first().copied().unwrap_or(0);
    let number = |numbers: Option<&Tensor>, place: i64| match numbers {
        Some(numbers) => numbers.select(1, place).to_kind(Kind::Int64),
        None => Tensor::zeros([count], (Kind::Int64, pixels.device())),
    };
    geometry::placed(pixels, padding as i64, &number(crop, 0), &number(crop, 1), &number(flip, 0))
}

/// Brightness, contrast and saturation in one of six orders for each image (`ColorJitter`).
fn jittered(pixels: &Tensor, numbers: &Tensor) -> Tensor {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let order = numbers.select(1, 6).view([-1, 1, 1, 1]);
    let mut pixels = pixels.shallow_clone();
    for turn in 0..3 {
        let factors = |which: i64| numbers.narrow(1, 2 * which, 2);
        let changed = [
            colour::brightness(&pixels, &factors(0)),
            colour::contrast(&pixels, &factors(1)),
            colour::saturation(&pixels, &factors(2)),
        ];
        for (number, order_of) in ORDERS.iter().enumerate() {
            pixels = changed[order_of[turn]].where_self(&order.eq(number as f64), &pixels);
        }
    }
    pixels
}

/// What `RandAugment` chose, one after the other: all is computed for all images, and each takes its own.
fn chosen(pixels: &Tensor, numbers: &Tensor, count: usize, magnitude: usize) -> Tensor {
    let mut pixels = pixels.shallow_clone();
    for number in 0..count {
        let numbers = numbers.narrow(1, (number * CHOICE_NUMBERS) as i64, CHOICE_NUMBERS as i64);
        let choice = numbers.select(1, 0).view([-1, 1, 1, 1]);
        let factors = numbers.narrow(1, 7, 2);
        let moved = geometry::mapped(&pixels, &numbers.narrow(1, 1, 6));
        let before = pixels.shallow_clone();
        for (place, name) in CHOICES.iter().enumerate() {
            let changed = match *name {
                "Identity" => continue,
                "Brightness" => colour::brightness(&before, &factors),
                "Color" => colour::saturation(&before, &factors),
                "Contrast" => colour::contrast(&before, &factors),
                "Sharpness" => colour::sharpness(&before, &factors),
                "Posterize" => colour::posterized(&before, bits(magnitude)),
                "Solarize" => colour::solarized(&before, step(255.0, 0.0, magnitude)),
                "AutoContrast" => colour::autocontrasted(&before),
                "Equalize" => colour::equalized(&before),
                _ => moved.shallow_clone(),
            };
            pixels = changed.where_self(&choice.eq(place as f64), &pixels);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made-up bytes: `count` images of six rows, five columns and two channels.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count * 6 * 5 * 2).map(|i| (i * 31 % 251) as u8).collect()
    }

    fn varied(variation: &Variation, images: &[u8], chosen: &[i64]) -> Tensor {
        let all = Tensor::from_data_size(images, &[(images.len() / 60) as i64, 6, 5, 2], Kind::Uint8);
        let indices = Tensor::from_slice(chosen);
        variation.apply(&all.index_select(0, &indices), &indices)
    }

    #[test]
    fn a_varied_image_is_the_padded_image_cropped_and_flipped() {
        let images = bytes(30);
        let variation = Variation::new(30, 7, 3, Device::Cpu);
        let chosen: Vec<i64> = (0..30).rev().collect();
        let batch = varied(&variation, &images, &chosen);
        let of = |by: usize, number: i64, image: i64| variation.0[by].numbers.double_value(&[image, number]) as i64;
        let (mut flips, mut moves) = (0, 0);
        for (place, &image) in chosen.iter().enumerate() {
            let (top, left, flipped) = (of(0, 0, image), of(0, 1, image), of(1, 0, image));
            flips += flipped;
            moves += i64::from((top, left) != (4, 4));
            for (row, column) in [(0, 0), (2, 3), (5, 4)] {
                let from = if flipped == 1 { 4 - column } else { column };
                let (row_from, column_from) = (row + top - 4, from + left - 4);
                let inside = (0..6).contains(&row_from) && (0..5).contains(&column_from);
                let truth =
                    if inside { images[(((image * 6 + row_from) * 5 + column_from) * 2 + 1) as usize] } else { 0 };
                let value = batch.int64_value(&[place as i64, row, column, 1]);
                assert_eq!(value, i64::from(truth), "image {image}, {row}, {column}");
            }
        }
        assert!(flips > 3 && flips < 27 && moves > 20);
    }

    #[test]
    fn pitfall_16_variation_belongs_to_the_image_not_to_its_batch() {
        let images = bytes(10);
        let variation = Variation::new(9, 1, 1, Device::Cpu);
        assert_eq!(varied(&variation, &images, &[5]).get(0), varied(&variation, &images, &[2, 5, 1]).get(1));
    }
}
