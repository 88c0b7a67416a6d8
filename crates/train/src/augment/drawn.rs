//! What is drawn for each image of an epoch, for one alteration: plain numbers. It may not know of tensors.

use rand::Rng;

use super::geometry::{Matrix, matrix, rotation};
use tombola_words::value::Alteration;

/// Ways to alter an image that [`Alteration::RandAugment`] chooses among, in torchvision's order.
pub const CHOICES: [&str; 14] = [
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
];
/// Numbers of one of its choices: which one, a matrix, a factor and one minus it.
pub const CHOICE_NUMBERS: usize = 9;
/// Magnitudes that it has.
const BINS: usize = 31;
/// Attempts at a part of an image before all of it is taken, as in torchvision.
const ATTEMPTS: usize = 10;

/// The numbers of one image, `[numbers]`: the same count for each.
pub fn of_image(alteration: Alteration, (height, width): (usize, usize), numbers: &mut impl Rng) -> Vec<f64> {
    match alteration {
        Alteration::Flip => vec![f64::from(numbers.random_range(0..2))],
        Alteration::Crop(padding) => [numbers.random_range(0..=2 * padding), numbers.random_range(0..=2 * padding)]
            .map(|place| place as f64)
            .to_vec(),
        Alteration::Cutout(side) => {
            let middle = (numbers.random_range(0..height.max(1)), numbers.random_range(0..width.max(1)));
            hidden(side, middle, (height, width)).map(|place| place as f64).to_vec()
        }
        Alteration::ResizedCrop(smallest) => {
            part(smallest, (height, width), numbers).map(|place| place as f64).to_vec()
        }
        Alteration::Rotate(degrees) => rotation(numbers.random_range(-degrees..=degrees)).to_vec(),
        Alteration::Colour(strength) => {
            let mut drawn = Vec::with_capacity(7);
            for _ in 0..3 {
                let factor = numbers.random_range((1.0 - strength).max(0.0)..=1.0 + strength);
                drawn.extend([factor, 1.0 - factor]);
            }
            drawn.push(f64::from(numbers.random_range(0..6)));
            drawn
        }
        Alteration::RandAugment(count, magnitude) => {
            let one = |_| {
                let choice = numbers.random_range(0..CHOICES.len());
                choice_numbers(choice, magnitude, numbers.random_range(0..2) == 1, (height, width))
            };
            (0..count).flat_map(one).collect()
        }
    }
}

/// First row of the square that is hidden, the row behind its last, and its columns likewise: around `middle`, cut off at the edges
/// (DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout", section 3.2).
pub fn hidden(side: usize, middle: (usize, usize), (height, width): (usize, usize)) -> [usize; 4] {
    let along = |middle: usize, length: usize| {
        let start = middle.saturating_sub(side / 2);
        (start, (middle + side - side / 2).min(length))
    };
    let ((top, bottom), (left, right)) = (along(middle.0, height), along(middle.1, width));
    [top, bottom, left, right]
}

/// First row, first column, height and width of a part of an image (`RandomResizedCrop.get_params`).
fn part(smallest: f64, (height, width): (usize, usize), numbers: &mut impl Rng) -> [usize; 4] {
    let (area, ratios) = ((height * width) as f64, (3.0f64 / 4.0, 4.0f64 / 3.0));
    for _ in 0..ATTEMPTS {
        let wanted = area * numbers.random_range(smallest..=1.0);
        let ratio = numbers.random_range(ratios.0.ln()..=ratios.1.ln()).exp();
        let side = |square: f64| square.sqrt().round_ties_even() as usize;
        let (own_width, own_height) = (side(wanted * ratio), side(wanted / ratio));
        if (1..=width).contains(&own_width) && (1..=height).contains(&own_height) {
            let (top, left) =
                (numbers.random_range(0..=height - own_height), numbers.random_range(0..=width - own_width));
            return [top, left, own_height, own_width];
        }
    }
    let ratio = width as f64 / height.max(1) as f64;
    let round = |value: f64| value.round_ties_even() as usize;
    let (own_height, own_width) = match ratio {
        ratio if ratio < ratios.0 => (round(width as f64 / ratios.0), width),
        ratio if ratio > ratios.1 => (height, round(height as f64 * ratios.1)),
        _ => (height, width),
    };
    [(height - own_height) / 2, (width - own_width) / 2, own_height, own_width]
}

/// The `place`-th of `BINS` even steps from `start` to `end`, as `torch.linspace` has it in float32.
pub fn step(start: f64, end: f64, place: usize) -> f64 {
    let (start, end) = (start as f32, end as f32);
    let width = (end - start) / (BINS - 1) as f32;
    f64::from(if place < BINS / 2 { start + width * place as f32 } else { end - width * (BINS - 1 - place) as f32 })
}

/// Bits that `Posterize` keeps.
pub fn bits(magnitude: usize) -> u32 {
    8 - (magnitude as f64 / ((BINS - 1) as f64 / 4.0)).round_ties_even() as u32
}

/// The numbers of one choice.
pub fn choice_numbers(choice: usize, magnitude: usize, negative: bool, (height, width): (usize, usize)) -> Vec<f64> {
    let sign = if negative { -1.0 } else { 1.0 };
    let signed = |end: f64| sign * step(0.0, end, magnitude);
    let corner = (-0.5 * width as f64, -0.5 * height as f64);
    let middle = (0.0, 0.0);
    let sheared = |x: f64, y: f64| matrix(corner, 0.0, middle, (x.atan().to_degrees(), y.atan().to_degrees()));
    let shift = |side: usize| signed(150.0 / 331.0 * side as f64).trunc();
    let map: Matrix = match CHOICES[choice] {
        "ShearX" => sheared(signed(0.3), 0.0),
        "ShearY" => sheared(0.0, signed(0.3)),
        "TranslateX" => matrix(middle, 0.0, (shift(width), 0.0), middle),
        "TranslateY" => matrix(middle, 0.0, (0.0, shift(height)), middle),
        "Rotate" => rotation(signed(30.0)),
        _ => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    };
    let factor = 1.0 + signed(0.9);
    let mut numbers = vec![choice as f64];
    numbers.extend(map);
    numbers.extend([factor, 1.0 - factor]);
    numbers
}
