//! Varied images against those of torchvision, given what it would draw, and trainings on them.
//!
//! Recorded by `crates/train/tests/reference/augment.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use tombola_core::sweep::Settings;
use tombola_train::augment::Variation;
use tombola_train::augment::drawn::{choice_numbers, hidden};
use tombola_train::augment::geometry::rotation;
use tombola_words::value::{Alteration, Augment, Moment, Value};

use super::inputs::{hashes, recorded};
use super::place::{Place, Start, dense, settings};

const SIZE: (usize, usize) = (9, 7);

#[derive(Deserialize)]
struct Varied {
    alteration: String,
    channels: usize,
    numbers: Vec<f64>,
    pixels: Vec<i64>,
}

/// The image of `augment.py`: `[height, width, channels]`.
fn image(channels: usize) -> Tensor {
    let (height, width) = SIZE;
    let noise = hashes(&format!("augment {channels}")).take(channels * height * width);
    let place = |index: usize| 40 + 5 * (index / width % height) + 4 * (index % width);
    let bytes: Vec<u8> = noise.enumerate().map(|(index, hash)| (hash >> 58) as u8 + place(index) as u8).collect();
    Tensor::from_slice(&bytes).view([channels as i64, height as i64, width as i64]).permute([1, 2, 0]).contiguous()
}

/// What an alteration would have drawn where torchvision has these numbers.
fn drawn(alteration: Alteration, numbers: &[f64]) -> Vec<f64> {
    match (alteration, numbers) {
        (Alteration::Rotate(_), [angle]) => rotation(*angle).to_vec(),
        (Alteration::Colour(_), [b, c, s, order]) => vec![*b, 1.0 - b, *c, 1.0 - c, *s, 1.0 - s, *order],
        (Alteration::RandAugment(_, magnitude), [choice, sign]) => {
            choice_numbers(*choice as usize, magnitude, *sign < 0.0, SIZE)
        }
        (Alteration::Cutout(side), [y, x]) => {
            hidden(side, (*y as usize, *x as usize), SIZE).map(|place| place as f64).to_vec()
        }
        _ => numbers.to_vec(),
    }
}

/// What may be off by one: sums over many pixels are added in another order, and a byte is what is left of them.
fn is_rounded(alteration: Alteration, numbers: &[f64]) -> bool {
    let sums = |choice: f64| choice == 8.0 || choice == 9.0;
    match alteration {
        Alteration::ResizedCrop(_) | Alteration::Colour(_) => true,
        Alteration::RandAugment(..) => sums(numbers[0]),
        _ => false,
    }
}

#[test]
fn every_alteration_does_what_torchvision_does_with_the_same_numbers() {
    let mut groups: BTreeMap<(String, usize), Vec<Varied>> = BTreeMap::new();
    for varied in recorded::<Vec<Varied>>("augment.json") {
        groups.entry((varied.alteration.clone(), varied.channels)).or_default().push(varied);
    }
    assert!(groups.len() > 14);
    for ((name, channels), all) in groups {
        let alteration = Alteration::parse(&name).unwrap();
        let draws: Vec<Vec<f64>> = all.iter().map(|varied| drawn(alteration, &varied.numbers)).collect();
        let variation = Variation::given(&[(alteration, draws)]);
        let count = all.len() as i64;
        let indices = Tensor::arange(count, (Kind::Int64, Device::Cpu));
        let result = match alteration {
            Alteration::Cutout(_) => {
                let ones = Tensor::ones([count, 1, SIZE.0 as i64, SIZE.1 as i64], tch::kind::FLOAT_CPU);
                variation.hide(ones, &indices)
            }
            _ => {
                let images = image(channels).unsqueeze(0).repeat([count, 1, 1, 1]);
                variation.apply(&images, &indices).permute([0, 3, 1, 2])
            }
        };
        for (place, varied) in all.iter().enumerate() {
            let found = result.get(place as i64).contiguous().view([-1]).to_kind(Kind::Int64);
            let found = Vec::<i64>::try_from(found).unwrap();
            let furthest = found.iter().zip(&varied.pixels).map(|(a, b)| (a - b).abs()).max().unwrap();
            let allowed = i64::from(is_rounded(alteration, &varied.numbers));
            assert!(furthest <= allowed, "{name}, {channels} channels, {:?}: {furthest}", varied.numbers);
        }
    }
}

/// Everything that can be asked for, one by one and together.
fn variations() -> Vec<Augment> {
    let all = "[flip, crop:2, random-resized-crop, rotate:15, colour:0.4, randaugment, cutout:4]";
    let each = all.trim_matches(['[', ']']).split(", ");
    each.chain([all]).map(|text| Augment::parse(text).unwrap()).collect()
}

#[test]
fn pitfall_16_what_is_drawn_belongs_to_the_image_and_the_epoch() {
    let images = image(3).unsqueeze(0).repeat([12, 1, 1, 1]);
    for augment in variations() {
        let of = |seed, epoch| Variation::of(&augment, SIZE, 12, seed, epoch, Device::Cpu).unwrap();
        let vary = |variation: &Variation, chosen: &[i64]| {
            let indices = Tensor::from_slice(chosen);
            let pixels = variation.apply(&images.index_select(0, &indices), &indices);
            variation.hide(pixels.permute([0, 3, 1, 2]).to_kind(Kind::Float), &indices)
        };
        let all: Vec<i64> = (0..12).collect();
        let name = augment.show();
        let whole = vary(&of(1, 2), &all);
        assert_eq!(vary(&of(1, 2), &[7, 3]).get(1), whole.get(3), "{name}");
        assert_ne!(vary(&of(1, 3), &all), whole, "{name}");
        assert_ne!(vary(&of(2, 2), &all), whole, "{name}");
        let mut other = of(2, 2);
        other.take(&of(1, 2));
        assert_eq!(vary(&other.copy(), &all), whole, "{name}");
    }
}

#[test]
fn trainings_on_varied_images_differ_and_are_resumed_to_the_bit() {
    let place = Place::new("resnet");
    let mut seen = Vec::new();
    for augment in variations() {
        let name = augment.show();
        let settings = Settings { augment: Some(augment), epochs: 2, ..settings() };
        let stage = dense(&settings);
        let whole = place.run(&stage, Start::default()).unwrap();
        let mut told = place.run_until(&stage, Start::default(), 1).unwrap();
        let resume = told.progress.pop().unwrap();
        let again = place.run(&stage, Start { resume: Some(resume), told, ..Start::default() }).unwrap();
        assert!(again.fingerprint() == whole.fingerprint(), "{name}");
        let checksum = whole.snapshot(Moment::Last).checksum();
        assert!(!seen.contains(&checksum), "{name}");
        seen.push(checksum);
    }
}
