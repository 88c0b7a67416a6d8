use super::*;
use crate::images::{DataSet, Images};
use crate::synthetic;
use crate::values::ValueKind;
use tombola_words::error::Kind;

fn filter(filter: ImageFilter, sigma: f64, shape: (usize, usize, usize)) -> FrequencyFilter {
    FrequencyFilter::of(filter, sigma, Shape::Image(shape.0, shape.1, shape.2), true).unwrap().unwrap()
}

fn filtered(kind: ImageFilter, sigma: f64, shape: (usize, usize, usize), image: &[u8]) -> Vec<u8> {
    let mut bytes = image.to_vec();
    filter(kind, sigma, shape).apply(&mut bytes);
    bytes
}

/// The squares of the places modulo 251, as `tests/outside/filters.py --record` has them.
fn squares(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place * place % 251) as u8).collect()
}

#[test]
fn bytes_are_those_of_scipy_and_pillow() {
    // Recorded by `tests/outside/filters.py --record`: SciPy 1.17.1, Pillow 13.0.0, NumPy 2.4.6.
    let recorded: [(usize, ImageFilter, [u8; 20]); 4] = [
        (
            1,
            ImageFilter::LowPass,
            [52, 1, 0, 33, 64, 68, 57, 85, 120, 122, 204, 149, 171, 227, 255, 196, 90, 76, 134, 198],
        ),
        (
            1,
            ImageFilter::HighPass,
            [14, 46, 51, 39, 31, 41, 64, 66, 67, 90, 69, 132, 152, 155, 178, 255, 0, 55, 72, 87],
        ),
        (
            3,
            ImageFilter::LowPass,
            [8, 0, 107, 168, 175, 90, 134, 218, 185, 139, 224, 255, 227, 139, 153, 147, 142, 149, 136, 192],
        ),
        (
            3,
            ImageFilter::HighPass,
            [0, 27, 40, 103, 216, 95, 126, 255, 125, 112, 203, 143, 87, 84, 74, 101, 159, 195, 65, 193],
        ),
    ];
    for (channels, kind, expected) in recorded {
        let found = filtered(kind, 0.75, (channels, 4, 5), &squares(20 * channels));
        let expected: Vec<u8> = expected.iter().flat_map(|value| vec![*value; channels]).collect();
        assert_eq!(found, expected, "{channels} {kind:?}");
    }
}

#[test]
fn grey_is_rounded_as_pillow_does() {
    for (colours, level) in
        [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([255; 3], 255), ([10, 20, 30], 18)]
    {
        assert_eq!(grey(&colours), level, "{colours:?}");
    }
    assert_eq!(grey(&[7]), 7);
}

#[test]
fn an_image_is_periodic_and_filtered_alone() {
    let shape = (1, 6, 7);
    let image = squares(42);
    let whole = filtered(ImageFilter::LowPass, 1.0, shape, &image);
    assert_eq!((whole.iter().min(), whole.iter().max()), (Some(&0), Some(&255)));
    // Moved by two rows round the edge, it gives what is moved by two rows.
    let mut moved = image.clone();
    moved.rotate_left(14);
    let mut expected = whole.clone();
    expected.rotate_left(14);
    let found = filtered(ImageFilter::LowPass, 1.0, shape, &moved);
    assert!(found.iter().zip(&expected).all(|(one, other)| one.abs_diff(*other) <= 1), "{found:?} {expected:?}");
}

#[test]
fn an_image_of_one_value_is_black() {
    for kind in [ImageFilter::LowPass, ImageFilter::HighPass] {
        for (channels, height, width) in [(1, 5, 6), (3, 32, 32), (1, 28, 28)] {
            let found = filtered(kind, 1.0, (channels, height, width), &vec![77; channels * height * width]);
            assert!(found.iter().all(|value| *value == 0), "{kind:?}");
        }
    }
}

#[test]
fn all_parts_are_filtered_and_the_fingerprint_stays() {
    let data = || synthetic((3, 8, 8), 3, 12, 6).unwrap();
    let with_validation = || {
        let validating = Images::new(data().test.values.to_vec(), data().test.labels.clone(), (3, 8, 8), 3).unwrap();
        DataSet::of("set", data().train, Some(validating), data().test).unwrap()
    };
    let plain = with_validation();
    let found = with_validation().filtered(ImageFilter::HighPass, 0.5).unwrap();
    assert_eq!(found.fingerprint, plain.fingerprint);
    let one = filter(ImageFilter::HighPass, 0.5, (3, 8, 8));
    let parts =
        |set: &DataSet| [&set.train, set.validation.as_ref().unwrap(), &set.test].map(|part| part.values.to_vec());
    for (plain, found) in parts(&plain).into_iter().zip(parts(&found)) {
        assert_ne!(plain, found);
        let mut expected = plain;
        expected.chunks_exact_mut(3 * 64).for_each(|image| one.apply(image));
        assert_eq!(found, expected);
    }
    assert_eq!(found.train.labels, plain.train.labels);
    let same = with_validation().filtered(ImageFilter::None, 0.5).unwrap();
    assert_eq!(parts(&same), parts(&plain));
}

#[test]
fn a_set_that_has_no_grey_is_refused_by_name() {
    let error = synthetic((2, 4, 4), 2, 4, 2).unwrap().filtered(ImageFilter::LowPass, 1.0).unwrap_err();
    assert_eq!(error.kind, Kind::Input);
    assert!(error.message.starts_with("data set `synthetic`: `filter`: `low-pass`"), "{error}");
    let floats = || Images::of(vec![0; 64].into(), ValueKind::Float, vec![0], Shape::Image(1, 4, 4), 1).unwrap();
    let set = DataSet::new("floats", floats(), floats()).unwrap();
    assert!(set.filtered(ImageFilter::LowPass, 1.0).unwrap_err().message.contains("no bytes"));
}
