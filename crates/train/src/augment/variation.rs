//! What varies the images of one epoch: numbers of each image, and what they do to the bytes of a batch.

use rand::Rng;
use tch::{Device, Kind, Tensor};

use tombola_words::stream::stream;

/// Pixels that are added on each side before cropping.
const PADDING: i64 = 4;

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
    pub fn apply(&self, pixels: &Tensor, indices: &Tensor) -> Tensor {
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
        let of = |numbers: &Tensor, image: i64| numbers.int64_value(&[image]);
        let (mut flips, mut moves) = (0, 0);
        for (place, &image) in chosen.iter().enumerate() {
            let (top, left, flipped) =
                (of(&variation.top, image), of(&variation.left, image), of(&variation.flipped, image));
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
