//! Two images in one: mixup and cutmix, and what becomes of their labels.
//!
//! Each image is mixed with the one before it in its batch, the first with the last, by one share for the whole batch, as
//! torchvision's `MixUp` and `CutMix` do. The order of an epoch is random, so partners are. What is drawn belongs to the step of an
//! epoch.

use rand::Rng;
use rand_distr::{Beta, Distribution};
use tch::{Kind, Tensor};

use tombola_core::sweep::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::stream::stream;

/// How the images of a training are mixed.
#[derive(Debug, Clone, Copy)]
pub struct Mixing {
    mixup: Option<Beta<f64>>,
    cutmix: Option<Beta<f64>>,
    seed: u64,
    /// Height and width of an image.
    size: (usize, usize),
}

/// The numbers of one batch: the share of the own image outside a rectangle, in which it is 0, the rectangle's first row, the row
/// behind its last, the same of columns, and the own share of the label. Six float32 on a device.
#[derive(Debug)]
pub struct Mixture(Tensor);

/// Places of the numbers.
const OUTSIDE: i64 = 0;
const ROWS: i64 = 1;
const COLUMNS: i64 = 3;
const SHARE: i64 = 5;

impl Mixing {
    /// What the settings ask for, for images of `size` (height, width); nothing if images are not mixed.
    ///
    /// # Errors
    /// When an alpha is none of a beta distribution.
    pub fn of(settings: &Settings, seed: u64, size: (usize, usize)) -> Result<Option<Self>> {
        let beta = |alpha: f64, key: &str| match alpha > 0.0 {
            false => Ok(None),
            true => Beta::new(alpha, alpha).map(Some).map_err(|error| {
                Error::input(format!("`{key}`: found {alpha}, of which there is no beta distribution: {error}"))
                    .hint("give a number such as 0.2 or 1.0")
            }),
        };
        let (mixup, cutmix) = (beta(settings.mixup, "mixup")?, beta(settings.cutmix, "cutmix")?);
        Ok((mixup.is_some() || cutmix.is_some()).then_some(Self { mixup, cutmix, seed, size }))
    }

    /// The numbers of one step of an epoch.
    fn numbers(&self, epoch: usize, step: usize) -> [f32; 6] {
        let mut numbers = stream(self.seed, "mixing", &[epoch as u64, step as u64]);
        // Drawn in any case, so that one recipe has the draws of the other.
        let second = numbers.random::<f64>() < 0.5;
        match (&self.mixup, &self.cutmix) {
            (Some(beta), None) => mixup_numbers(beta.sample(&mut numbers)),
            (Some(beta), Some(_)) if !second => mixup_numbers(beta.sample(&mut numbers)),
            (_, Some(beta)) => {
                let share = beta.sample(&mut numbers);
                let (height, width) = self.size;
                let middle = (numbers.random_range(0..height.max(1)), numbers.random_range(0..width.max(1)));
                cutmix_numbers(share, middle, self.size)
            }
            (None, None) => mixup_numbers(1.0),
        }
    }

    /// What is drawn for one step of an epoch, on a device.
    pub fn mixture(&self, epoch: usize, step: usize, device: tch::Device) -> Mixture {
        Mixture(Tensor::from_slice(&self.numbers(epoch, step)).to_device(device))
    }
}

/// Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 1: all of the image has one share.
fn mixup_numbers(share: f64) -> [f32; 6] {
    [share as f32, 0.0, 0.0, 0.0, 0.0, share as f32]
}

/// Yun et al. 2019, "CutMix", section 3.1: the rectangle has sides in proportion to the root of the other's share, around any pixel,
/// and ends at the image's edge; the label's share is that of the pixels that are left. Rounded as torchvision does.
fn cutmix_numbers(share: f64, middle: (usize, usize), (height, width): (usize, usize)) -> [f32; 6] {
    let ratio = 0.5 * (1.0 - share).sqrt();
    let side = |middle: usize, length: usize| {
        let half = (ratio * length as f64) as usize;
        (middle.saturating_sub(half), (middle + half).min(length))
    };
    let ((top, bottom), (left, right)) = (side(middle.0, height), side(middle.1, width));
    let share = 1.0 - ((bottom - top) * (right - left)) as f64 / (height * width).max(1) as f64;
    [1.0, top as f32, bottom as f32, left as f32, right as f32, share as f32]
}

impl Mixture {
    /// Of a share of mixup.
    pub fn mixup(share: f64) -> Self {
        Self(Tensor::from_slice(&mixup_numbers(share)))
    }

    /// Of a share of cutmix and the middle of its rectangle, in images of some height and width.
    pub fn cutmix(share: f64, middle: (usize, usize), size: (usize, usize)) -> Self {
        Self(Tensor::from_slice(&cutmix_numbers(share, middle, size)))
    }

    /// The same numbers in a tensor of their own.
    pub fn copy(&self) -> Self {
        Self(self.0.copy())
    }

    /// The same tensor.
    pub fn shared(&self) -> Self {
        Self(self.0.shallow_clone())
    }

    /// Takes the numbers of another batch, in the tensor that it has.
    pub fn take(&mut self, other: &Self) {
        self.0.copy_(&other.0);
    }

    fn number(&self, place: i64) -> Tensor {
        self.0.select(0, place)
    }

    /// Mixes `images` (`[images, channels, height, width]`, or signals or rows, which have no rectangles), each with the one before it.
    pub fn apply(&self, images: &Tensor) -> Tensor {
        let Ok((_, _, height, width)) = images.size4() else {
            let share = self.number(OUTSIDE);
            return images.roll(1, 0) * (1.0 - &share) + images * share;
        };
        let inside = |length: i64, first: i64| {
            let places = Tensor::arange(length, (Kind::Float, images.device()));
            places.ge_tensor(&self.number(first)).logical_and(&places.lt_tensor(&self.number(first + 1)))
        };
        let rectangle = inside(height, ROWS).unsqueeze(1).logical_and(&inside(width, COLUMNS).unsqueeze(0));
        let share = self.number(OUTSIDE) * rectangle.logical_not().to_kind(Kind::Float);
        images.roll(1, 0) * (1.0 - &share) + images * share
    }

    /// The share of each class in the labels of mixed images: `[images, classes]`, float32.
    pub fn shares(&self, labels: &Tensor, classes: i64) -> Tensor {
        let all = Tensor::arange(classes, (Kind::Int64, labels.device()));
        let own = labels.unsqueeze(1).eq_tensor(&all).to_kind(Kind::Float);
        let share = self.number(SHARE);
        own.roll(1, 0) * (1.0 - &share) + own * share
    }

    /// The labels of the larger shares; the own one of halves.
    pub fn larger(&self, labels: &Tensor) -> Tensor {
        labels.where_self(&self.number(SHARE).ge(0.5), &labels.roll(1, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_mixed_as_the_same_numbers_in_images_are() {
        let mixture = mixing(0.4, 0.0).mixture(1, 2, tch::Device::Cpu);
        let images = Tensor::rand([5, 1, 8, 6], (Kind::Float, tch::Device::Cpu));
        let (mixed, rows) = (mixture.apply(&images), mixture.apply(&images.view([5, 48])));
        assert!(mixed.view([5, 48]).equal(&rows) && !rows.equal(&images.view([5, 48])));
    }

    fn mixing(mixup: f64, cutmix: f64) -> Mixing {
        Mixing::of(&Settings { mixup, cutmix, ..Settings::default() }, 3, (8, 6)).unwrap().unwrap()
    }

    #[test]
    fn a_batch_gets_one_of_both_evenly_and_each_step_its_own() {
        let both = mixing(0.4, 1.0);
        let all: Vec<[f32; 6]> = (0..400).map(|step| both.numbers(2, step)).collect();
        let cut = all.iter().filter(|numbers| numbers[0] == 1.0 && numbers[2] > 0.0).count();
        assert!((150..250).contains(&cut), "{cut}");
        assert!(all[..20].iter().enumerate().all(|(place, numbers)| !all[..place].contains(numbers)));
        assert_eq!(both.numbers(2, 7), all[7]);
        assert_ne!(both.numbers(3, 7), all[7]);
        assert!(Mixing::of(&Settings::default(), 3, (8, 6)).unwrap().is_none());
    }

    #[test]
    fn shares_of_a_beta_distribution_have_its_mean_and_variance() {
        let mixup = mixing(0.2, 0.0);
        let shares: Vec<f64> = (0..4000).map(|step| f64::from(mixup.numbers(0, step)[5])).collect();
        let mean = shares.iter().sum::<f64>() / 4000.0;
        let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 4000.0;
        // Beta(a, a): 1/2, and 1 / (4 (2a + 1)).
        assert!((mean - 0.5).abs() < 0.02 && (variance - 1.0 / 5.6).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn the_share_of_a_label_is_that_of_the_pixels() {
        let cutmix = mixing(0.0, 1.0);
        for step in 0..50 {
            let numbers = cutmix.numbers(1, step);
            let mixture = Mixture(Tensor::from_slice(&numbers));
            let images = Tensor::from_slice(&[0f32, 1.0]).view([2, 1, 1, 1]).expand([2, 3, 8, 6], false);
            let mixed = mixture.apply(&images);
            let own = f64::try_from(mixed.select(0, 1).mean(Kind::Double)).unwrap();
            assert!((own - f64::from(numbers[5])).abs() < 1e-6);
        }
    }

    #[test]
    fn hits_are_counted_by_the_larger_share() {
        let labels = Tensor::from_slice(&[4i64, 5, 6]);
        let larger = |share| Vec::<i64>::try_from(Mixture::mixup(share).larger(&labels)).unwrap();
        assert_eq!((larger(0.6), larger(0.5), larger(0.4)), (vec![4, 5, 6], vec![4, 5, 6], vec![6, 4, 5]));
    }
}
