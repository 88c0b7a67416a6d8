//! Which training images are trained on and which validate, and the normalisation that follows from the former.

use std::ops::Range;

use super::images::Images;
use tombola_words::error::{Error, Result};

/// Validation images unless asked otherwise, where there are enough: MNIST-like sets become 55,000 + 5,000,
/// CIFAR 45,000 + 5,000.
const DEFAULT_VALIDATION: usize = 5000;

/// Positions among the training images. The test images are another part and never mixed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What is trained on: the first images.
    pub train: Range<usize>,
    /// What epochs are chosen on: the images after them. Empty if no validation was asked for.
    pub validation: Range<usize>,
}

/// Splits the first `limit` of `total` training images: the last `validation` of them validate, the rest is trained on.
///
/// Without `limit` all are used; without `validation` a tenth, at least 1 and at most 5000.
///
/// # Errors
/// A limit of 0 or above `total`, and a validation that leaves nothing to train on.
pub fn split(total: usize, limit: Option<usize>, validation: Option<usize>) -> Result<Split> {
    let used = limit.unwrap_or(total);
    if used == 0 || used > total {
        return Err(Error::input(format!(
            "{used} training images are asked for; expected 1 to {total}, which the data set has"
        ))
        .hint("give another `--train-limit`, or leave it out to use all"));
    }
    let validation = validation.unwrap_or_else(|| (used / 10).clamp(1, DEFAULT_VALIDATION));
    if validation >= used {
        return Err(Error::input(format!(
            "{validation} validation images of {used} training images leave nothing to train on; expected at most {}",
            used - 1
        ))
        .hint("take fewer validation images or a larger `--train-limit`"));
    }
    Ok(Split { train: 0..used - validation, validation: used - validation..used })
}

/// Mean and standard deviation of each channel, of pixels in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// One value a channel.
    pub mean: Vec<f32>,
    /// One value a channel (of the whole population, not a sample); 1 where all pixels are equal.
    pub standard_deviation: Vec<f32>,
}

impl Normalisation {
    /// Measures the images at the positions `range`, which should be those trained on: neither validation nor test images
    /// may decide anything. The sums are exact integers, so the result is the same on every machine.
    ///
    /// # Errors
    /// A range that is empty or goes beyond the images.
    pub fn of(images: &Images, range: Range<usize>) -> Result<Self> {
        let (channels, height, width) = images.dimensions();
        let size = images.shape.size();
        let pixels = range
            .start
            .checked_mul(size)
            .zip(range.end.checked_mul(size))
            .and_then(|(start, end)| images.pixels.get(start..end))
            .filter(|pixels| !pixels.is_empty())
            .ok_or_else(|| {
                Error::input(format!("cannot normalise by images {} to {} of {}", range.start, range.end, images.len()))
            })?;
        // At most 2^32 bytes are ever loaded, so 64 bits hold the sum of their squares.
        let (mut sums, mut squares) = (vec![0_u64; channels], vec![0_u64; channels]);
        for pixel in pixels.chunks_exact(channels) {
            for (channel, &value) in pixel.iter().enumerate() {
                sums[channel] += u64::from(value);
                squares[channel] += u64::from(value) * u64::from(value);
            }
        }
        let count = (range.len() * height * width) as u64;
        let (mut mean, mut standard_deviation) = (Vec::new(), Vec::new());
        for (sum, square) in sums.into_iter().zip(squares) {
            mean.push((sum as f64 / (count as f64 * 255.0)) as f32);
            // n Σx² − (Σx)² = n² variance, exactly, and never below 0.
            let scaled = u128::from(count) * u128::from(square) - u128::from(sum) * u128::from(sum);
            standard_deviation.push(match scaled {
                0 => 1.0,
                _ => ((scaled as f64).sqrt() / (count as f64 * 255.0)) as f32,
            });
        }
        Ok(Self { mean, standard_deviation })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_splits_are_the_defaults() {
        assert_eq!(split(60_000, None, None).unwrap(), Split { train: 0..55_000, validation: 55_000..60_000 });
        assert_eq!(split(50_000, None, None).unwrap(), Split { train: 0..45_000, validation: 45_000..50_000 });
    }

    #[test]
    fn the_limit_comes_before_the_split() {
        assert_eq!(split(60_000, Some(1000), None).unwrap(), Split { train: 0..900, validation: 900..1000 });
        assert_eq!(split(60_000, Some(109), Some(9)).unwrap(), Split { train: 0..100, validation: 100..109 });
        assert_eq!(split(60_000, Some(2), None).unwrap(), Split { train: 0..1, validation: 1..2 });
        assert_eq!(split(100, None, Some(0)).unwrap(), Split { train: 0..100, validation: 100..100 });
    }

    #[test]
    fn splits_that_leave_nothing_are_refused_with_a_cure() {
        for (total, limit, validation, part) in [
            (100, Some(0), None, "0 training images are asked for; expected 1 to 100"),
            (100, Some(101), None, "101 training images"),
            (
                100,
                Some(10),
                Some(10),
                "10 validation images of 10 training images leave nothing to train on; expected at most 9",
            ),
            (100, None, Some(usize::MAX), "leave nothing"),
            (100, Some(1), None, "leave nothing"),
        ] {
            let error = split(total, limit, validation).unwrap_err();
            assert!(error.message.contains(part) && error.hint.is_some(), "{error}");
        }
    }

    proptest! {
        #[test]
        fn parts_touch_and_never_overlap(
            total in 1usize..100_000, limit in 1usize..100_000, validation in proptest::option::of(0usize..1000),
        ) {
            if let Ok(Split { train, validation: held_out }) = split(total, Some(limit), validation) {
                prop_assert_eq!((train.start, train.end, held_out.end), (0, held_out.start, limit));
                prop_assert!(!train.is_empty() && limit <= total);
                prop_assert!(validation.is_none_or(|asked| asked == held_out.len()));
            }
        }
    }

    fn two_channels(values: &[[u8; 2]]) -> Images {
        Images::new(values.concat(), vec![0; values.len()], (2, 1, 1), 1).unwrap()
    }

    #[test]
    fn normalisation_is_by_channel_and_by_the_given_range_only() {
        let images = two_channels(&[[0, 51], [255, 51], [7, 200]]);
        let found = Normalisation::of(&images, 0..2).unwrap();
        assert_eq!(found, Normalisation { mean: vec![0.5, 0.2], standard_deviation: vec![0.5, 1.0] });
    }

    #[test]
    fn a_constant_channel_has_a_standard_deviation_of_one() {
        let found = Normalisation::of(&two_channels(&[[0, 255], [0, 255]]), 0..2).unwrap();
        assert_eq!(found, Normalisation { mean: vec![0.0, 1.0], standard_deviation: vec![1.0, 1.0] });
    }

    #[test]
    fn ranges_outside_the_images_are_refused() {
        let images = two_channels(&[[0, 1]]);
        for range in [0..0, 0..2, 1..2, 0..usize::MAX] {
            assert!(Normalisation::of(&images, range).is_err());
        }
    }
}
