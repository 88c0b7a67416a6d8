//! Which training images are trained on and which validate, and the normalisation that follows from the former.

use std::ops::Range;

use super::images::Images;
use super::values::ValueKind;
use tombola_words::error::{Error, Result};
use tombola_words::parts::parted;

/// Classes that are listed.
const MOST_LISTED: usize = 10;

/// Positions among the training images. The test images are another part and never mixed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What is trained on: the first images.
    pub train: Range<usize>,
    /// What epochs are chosen on: the images after them. Empty if no validation was asked for.
    pub validation: Range<usize>,
    /// Whether those are images of a part of their own.
    pub has_own_validation: bool,
}

impl Split {
    /// These ranges of the training images.
    pub fn of(train: Range<usize>, validation: Range<usize>) -> Self {
        Self { train, validation, has_own_validation: false }
    }
}

/// Splits the first `limit` of `total` training images: the last `validation` of them validate, the rest is trained on.
///
/// Without `limit` all are used; without `validation` a tenth, at least 1 and at most 5000.
///
/// # Errors
/// A limit of 0 or above `total`, and a validation that leaves nothing to train on.
pub fn split(total: usize, limit: Option<usize>, validation: Option<usize>) -> Result<Split> {
    let (train, validation) = parted(total, limit, validation)?;
    Ok(Split::of(0..train, train..train + validation))
}

/// Chance below which the classes of a split are no accident.
const NO_ACCIDENT: f64 = 1e-6;

/// The first class that has images and none among those that are trained on, and how many there are.
pub fn untrained(images: &Images, split: &Split) -> Option<(usize, usize)> {
    let mut is_there = [vec![false; images.classes], vec![false; images.classes]];
    for (place, &label) in images.labels.iter().enumerate() {
        let class = usize::from(label);
        is_there[0][class] = true;
        is_there[1][class] |= split.train.contains(&place);
    }
    let [all, trained] = is_there;
    let mut missing = all.iter().zip(&trained).enumerate().filter(|(_, (there, trained))| **there && !**trained);
    let (first, _) = missing.next()?;
    Some((first, 1 + missing.count()))
}

/// What is wrong with the classes of a split, in words, if they cannot have come about by chance: of files that are sorted by class,
/// the last images are of one class, and the first of some.
pub fn unlike(images: &Images, split: &Split) -> Option<String> {
    let count = |range: Range<usize>| {
        let mut counts = vec![0usize; images.classes];
        for &label in images.labels.get(range).unwrap_or_default() {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        counts
    };
    let held_out = if split.has_own_validation { 0..0 } else { split.validation.clone() };
    let (trained_on, used) = (split.train.len(), split.train.start..held_out.end.max(split.train.end));
    let all = count(used.clone());
    let held_out = unlike_whole(&count(held_out), &all, &|count| {
        format!("{count} validation images, otherwise than in the {trained_on} that are trained on")
    });
    held_out.or_else(|| {
        let whole = images.labels.len();
        unlike_whole(&all, &count(0..whole), &|count| {
            format!("{count} images that `--train-limit` leaves, otherwise than in the {whole} of the data set")
        })
    })
}

/// How the classes of a part of some images differ from those of the whole, if that is no accident; `of` says what the part is.
fn unlike_whole(part: &[usize], whole: &[usize], of: &dyn Fn(usize) -> String) -> Option<String> {
    let (part_len, whole_len) = (part.iter().sum::<usize>(), whole.iter().sum::<usize>());
    let present = || part.iter().zip(whole).enumerate().filter(|(_, (_, all))| **all > 0);
    let is_odd = |found: usize, all: usize| chance(found, part_len, all as f64 / whole_len as f64) < NO_ACCIDENT;
    let odd: Vec<usize> =
        present().filter(|(_, (found, all))| is_odd(**found, **all)).map(|(class, _)| class).collect();
    if part_len == 0 || odd.is_empty() {
        return None;
    }
    let missing: Vec<usize> = present().filter(|(_, (found, _))| **found == 0).map(|(class, _)| class).collect();
    let (classes, what) = match missing.is_empty() {
        true => (odd, "have another share of the"),
        false => (missing, "are in none of the"),
    };
    let listed: Vec<String> = classes.iter().take(MOST_LISTED).map(ToString::to_string).collect();
    let more = if classes.len() > MOST_LISTED { ", …" } else { "" };
    let (count, all, of) = (classes.len(), present().count(), of(part_len));
    Some(format!("{count} of {all} classes {what} {of} (labels {}{more})", listed.join(", ")))
}

/// A bound on the chance that a random choice of `count` images has as many or as few as `found` of a class whose share is `share`:
/// exp(−n · KL) (Hoeffding 1963, theorem 1; it holds for choices without replacement too, section 6).
fn chance(found: usize, count: usize, share: f64) -> f64 {
    let part = found as f64 / count.max(1) as f64;
    let term = |part: f64, share: f64| if part > 0.0 { part * (part / share).ln() } else { 0.0 };
    // A class that is all there is can have no other share.
    if share >= 1.0 { 1.0 } else { (-(count as f64) * (term(part, share) + term(1.0 - part, 1.0 - share))).exp() }
}

/// Mean and standard deviation of each channel, of pixels in [0, 1], or of numbers as they are.
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
        if range.is_empty() || range.end > images.len() {
            return Err(Error::input(format!(
                "cannot normalise by images {} to {} of {}",
                range.start,
                range.end,
                images.len()
            )));
        }
        match images.element {
            ValueKind::Byte => Self::of_bytes(images, range),
            ValueKind::Float => Self::of_floats(images, range),
        }
    }

    fn of_bytes(images: &Images, range: Range<usize>) -> Result<Self> {
        let channels = images.shape.channels();
        // 64 bits hold the sum of the squares of 2^48 bytes.
        let (mut sums, mut squares) = (vec![0_u64; channels], vec![0_u64; channels]);
        let count = (range.len() * images.shape.pixels()) as u64;
        images.each_piece(range, &mut |values| {
            for pixel in values.chunks_exact(channels) {
                for (channel, &value) in pixel.iter().enumerate() {
                    sums[channel] += u64::from(value);
                    squares[channel] += u64::from(value) * u64::from(value);
                }
            }
        })?;
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

    /// In two passes and in one order: the same on every machine.
    fn of_floats(images: &Images, range: Range<usize>) -> Result<Self> {
        let channels = images.shape.channels();
        let count = (range.len() * images.shape.pixels()) as f64;
        let sums = |of: &dyn Fn(usize, f64) -> f64| -> Result<Vec<f64>> {
            let mut sums = vec![0.0_f64; channels];
            images.each_piece(range.clone(), &mut |values| {
                for (place, value) in values.as_chunks::<4>().0.iter().enumerate() {
                    let channel = place % channels;
                    sums[channel] += of(channel, f64::from(f32::from_le_bytes(*value)));
                }
            })?;
            Ok(sums)
        };
        let means: Vec<f64> = sums(&|_, value| value)?.into_iter().map(|sum| sum / count).collect();
        let squares = sums(&|channel, value| (value - means[channel]).powi(2))?;
        let deviation = |square: f64| match (square / count).sqrt() as f32 {
            0.0 => 1.0,
            deviation => deviation,
        };
        Ok(Self {
            standard_deviation: squares.into_iter().map(deviation).collect(),
            mean: means.into_iter().map(|mean| mean as f32).collect(),
        })
    }

    /// The same with other numbers where some are given: one for each channel, or one for all of them.
    ///
    /// # Errors
    /// Another count of numbers.
    pub fn replaced(self, mean: Option<&[f64]>, deviation: Option<&[f64]>) -> Result<Self> {
        let numbers = |given: Option<&[f64]>, own: Vec<f32>, key: &str| match given {
            None => Ok(own),
            Some([one]) => Ok(vec![*one as f32; own.len()]),
            Some(all) if all.len() == own.len() => Ok(all.iter().map(|number| *number as f32).collect()),
            Some(all) => Err(Error::input(format!(
                "`{key}`: found {} numbers, expected {}: one for each channel of the images",
                all.len(),
                own.len()
            ))
            .hint("give one number for all channels, as many as there are, or `auto`, which measures them")),
        };
        Ok(Self {
            mean: numbers(mean, self.mean, "input-mean")?,
            standard_deviation: numbers(deviation, self.standard_deviation, "input-std")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_splits_are_the_defaults() {
        assert_eq!(split(60_000, None, None).unwrap(), Split::of(0..55_000, 55_000..60_000));
        assert_eq!(split(50_000, None, None).unwrap(), Split::of(0..45_000, 45_000..50_000));
    }

    #[test]
    fn numbers_that_are_given_take_the_place_of_measured_ones() {
        let measured = || Normalisation { mean: vec![0.1, 0.2, 0.3], standard_deviation: vec![1.0; 3] };
        assert_eq!(measured().replaced(None, None).unwrap(), measured());
        let given = measured().replaced(Some(&[0.5]), Some(&[0.25, 0.5, 1.0])).unwrap();
        assert_eq!((given.mean, given.standard_deviation), (vec![0.5; 3], vec![0.25, 0.5, 1.0]));
        let error = measured().replaced(None, Some(&[0.5, 0.5])).unwrap_err();
        assert!(error.message.contains("`input-std`: found 2 numbers, expected 3"), "{error}");
    }

    #[test]
    fn the_limit_comes_before_the_split() {
        assert_eq!(split(60_000, Some(1000), None).unwrap(), Split::of(0..900, 900..1000));
        assert_eq!(split(60_000, Some(109), Some(9)).unwrap(), Split::of(0..100, 100..109));
        assert_eq!(split(60_000, Some(2), None).unwrap(), Split::of(0..1, 1..2));
        assert_eq!(split(100, None, Some(0)).unwrap(), Split::of(0..100, 100..100));
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
            if let Ok(Split { train, validation: held_out, .. }) = split(total, Some(limit), validation) {
                prop_assert_eq!((train.start, train.end, held_out.end), (0, held_out.start, limit));
                prop_assert!(!train.is_empty() && limit <= total);
                prop_assert!(validation.is_none_or(|asked| asked == held_out.len()));
            }
        }
    }

    fn two_channels(values: &[[u8; 2]]) -> Images {
        Images::new(values.concat(), vec![0_u8; values.len()], (2, 1, 1), 1).unwrap()
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
    fn labelled(labels: Vec<u8>) -> Images {
        Images::new(vec![0; labels.len()], labels, (1, 1, 1), 10).unwrap()
    }

    #[test]
    fn files_sorted_by_class_are_told_from_those_that_are_not() {
        let said = |labels: Vec<u8>, validation| {
            let split = split(labels.len(), None, validation).unwrap();
            unlike(&labelled(labels), &split)
        };
        let sorted = || (0..1000u32).map(|image| (image / 100) as u8).collect::<Vec<u8>>();
        let text = said(sorted(), None).unwrap();
        assert!(text.starts_with("9 of 10 classes are in none of the 100 validation images"), "{text}");
        let text = said(sorted(), Some(350)).unwrap();
        assert!(text.contains("6 of 10 classes") && text.ends_with("(labels 0, 1, 2, 3, 4, 5)"), "{text}");
        // One class alone is held out, and none of the others is missing from what is left.
        let mut skewed: Vec<u8> = (0..900u32).map(|image| (image % 10) as u8).collect();
        skewed.extend((0..100u32).map(|image| if image < 50 { 3 } else { (image % 10) as u8 }));
        assert!(said(skewed, None).unwrap().contains("have another share of the 100 validation images"));
        assert_eq!(said((0..1000u32).map(|image| (image % 10) as u8).collect(), None), None);
        assert_eq!(said(sorted(), Some(0)), None, "nothing is held out");
        // The first thirty are all of one class.
        let few = unlike(&labelled(sorted()), &split(1000, Some(30), None).unwrap()).unwrap();
        assert!(few.starts_with("9 of 10 classes are in none of the 30 images that `--train-limit` leaves"), "{few}");
        let mixed = (0..1000u32).map(|image| (image * 7 % 10) as u8).collect();
        assert_eq!(unlike(&labelled(mixed), &split(1000, Some(30), None).unwrap()), None);
        // A few images say nothing: some class is missing from ten of ten classes nearly always.
        assert_eq!(said((0..100u32).map(|image| (image * 7 % 10) as u8).collect(), Some(5)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn random_orders_are_not_suspected(numbers in proptest::collection::vec(any::<u8>(), 50..3000), classes in 2u8..10) {
            let images = numbers.len();
            let labels: Vec<u8> = numbers.into_iter().map(|number| number % classes).collect();
            prop_assert_eq!(unlike(&labelled(labels), &split(images, None, None).unwrap()), None);
        }
    }
}
