//! Long or short waves of images: what is left of their grey by a Gaussian in the Fourier domain.
//!
//! Each image is filtered alone, from bytes to bytes, so that whatever comes afterwards need not know of it:
//!
//! 1. grey by ITU-R 601, as Pillow's `convert("L")` rounds it;
//! 2. the real part of `ifft2(fourier_gaussian(fft2(grey), sigma))` of SciPy, or the grey less that;
//! 3. stretched from its least and greatest number to 0 and 1, times 255, cut off to whole numbers;
//! 4. put into each channel that the image had.
//!
//! It may not know of files, or of where images lie.

use std::f64::consts::TAU;

use tombola_words::error::Result;
use tombola_words::value::ImageFilter;
use tombola_words::{Shape, check_filter};

/// Filtered grey that differs by less, in levels from 0 to 255, is of one value: the rest is the rounding of sums.
const LEAST_SPAN: f64 = 1e-8;
/// What the numbers of a kernel are multiples of.
const GRAIN: f64 = (1_u64 << 44) as f64;
/// What a byte of red, green and blue has of 65536 parts of grey (Pillow's `L24`).
const GREY: [u32; 3] = [19_595, 38_470, 7_471];

/// A filter for images of one size.
#[derive(Debug)]
pub struct FrequencyFilter {
    filter: ImageFilter,
    channels: usize,
    width: usize,
    /// `[height, height]`: what each row of the low image has of each row of the grey one.
    of_rows: Vec<f64>,
    /// `[width, width]`: likewise of columns.
    of_columns: Vec<f64>,
}

impl FrequencyFilter {
    /// A filter whose Gaussian has the standard deviation `sigma`, in pixels, for examples of `shape`; none where nothing is filtered.
    ///
    /// # Errors
    /// As [`check_filter`].
    pub fn of(filter: ImageFilter, sigma: f64, shape: Shape, are_bytes: bool) -> Result<Option<Self>> {
        check_filter(filter, sigma, shape, are_bytes)?;
        let (Shape::Image(channels, height, width), true) = (shape, filter != ImageFilter::None) else {
            return Ok(None);
        };
        let (of_rows, of_columns) = (circulant(sigma, height), circulant(sigma, width));
        Ok(Some(Self { filter, channels, width, of_rows, of_columns }))
    }

    /// Filters an image: bytes, `[height, width, channels]`. The same image gives the same bytes on every machine.
    pub fn apply(&self, image: &mut [u8]) {
        let grey: Vec<f64> = image.chunks_exact(self.channels).map(|pixel| f64::from(grey(pixel))).collect();
        let mut left = self.low(&grey);
        if self.filter == ImageFilter::HighPass {
            left.iter_mut().zip(&grey).for_each(|(low, grey)| *low = grey - *low);
        }
        let least = left.iter().copied().fold(f64::INFINITY, f64::min);
        let span = left.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
        for (pixel, left) in image.chunks_exact_mut(self.channels).zip(left) {
            let stretched = if span < LEAST_SPAN { 0.0 } else { (left - least) / span * 255.0 };
            pixel.fill(stretched as u8);
        }
    }

    /// The long waves of a grey image `[height, width]`.
    ///
    /// A Gaussian of two directions is the product of one of each, so that rows and columns are mixed one after the other.
    fn low(&self, grey: &[f64]) -> Vec<f64> {
        let mut mixed = vec![0.0; grey.len()];
        for (row, shares) in mixed.chunks_exact_mut(self.width).zip(self.of_rows.chunks_exact(grey.len() / self.width))
        {
            for (share, other) in shares.iter().zip(grey.chunks_exact(self.width)) {
                add(row, *share, other);
            }
        }
        let mut low = vec![0.0; grey.len()];
        for (row, mixed) in low.chunks_exact_mut(self.width).zip(mixed.chunks_exact(self.width)) {
            for (value, shares) in mixed.iter().zip(self.of_columns.chunks_exact(self.width)) {
                add(row, *value, shares);
            }
        }
        low
    }
}

/// Adds `factor` times `other`. Each place has its own sum, so the compiler may take several at once without changing the order of any.
fn add(row: &mut [f64], factor: f64, other: &[f64]) {
    row.iter_mut().zip(other).for_each(|(sum, value)| *sum += factor * value);
}

/// Grey of one byte, or of red, green and blue.
fn grey(pixel: &[u8]) -> u8 {
    match pixel {
        [grey] => *grey,
        colours => {
            let sum: u32 = colours.iter().zip(GREY).map(|(colour, part)| u32::from(*colour) * part).sum();
            ((sum + 0x8000) >> 16) as u8
        }
    }
}

/// The Gaussian of one axis as a matrix `[length, length]`, symmetric: an axis is periodic, so each row is the one before moved by one.
///
/// Number d of the first row is `1/n Σ exp(-(σ ω)² / 2) cos(ω d)` over `ω = 2π k / n`, k from -n/2 to n/2.
fn circulant(sigma: f64, length: usize) -> Vec<f64> {
    let gains: Vec<f64> = (0..length)
        .map(|number| {
            let waves = number.min(length - number) as f64;
            (-(sigma * TAU * waves / length as f64).powi(2) / 2.0).exp()
        })
        .collect();
    let first: Vec<f64> = (0..length)
        .map(|place| {
            let wave = |number: usize| (TAU * (number * place % length) as f64 / length as f64).cos();
            let sum: f64 = gains.iter().enumerate().map(|(number, gain)| gain * wave(number)).sum();
            // The last bits of exp and cos are not the same in every C library and on every processor. Those before them are.
            (sum / length as f64 * GRAIN).round() / GRAIN
        })
        .collect();
    (0..length * length).map(|index| first[(index / length).abs_diff(index % length)]).collect()
}

#[cfg(test)]
mod tests;
