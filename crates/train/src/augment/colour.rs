//! Images in other colours: bytes `[images, height, width, channels]` of one or three channels, each image by numbers of its own.
//!
//! What torchvision's functions on tensors do with the same numbers (`torchvision.transforms.functional`, 0.26), these do; a mean or a
//! blur may be off by a rounding, and a byte then by one.

use tch::{Kind, Tensor};

/// Luminance of red, green and blue, as torchvision has it.
const LUMINANCE: [f64; 3] = [0.2989, 0.587, 0.114];

fn floats(pixels: &Tensor) -> Tensor {
    pixels.to_kind(Kind::Float)
}

/// Float32 numbers as bytes, cut off as torchvision does.
fn bytes(values: &Tensor) -> Tensor {
    values.clamp(0.0, 255.0).to_kind(Kind::Uint8)
}

fn channels(pixels: &Tensor) -> i64 {
    pixels.size().last().copied().unwrap_or(1)
}

/// `share · pixels + rest · other`, where `shares` (`[images, 2]`, float32) has share and rest of each image. `1 − share` is taken before
/// it is rounded to float32, so both are given.
fn blended(pixels: &Tensor, other: &Tensor, shares: &Tensor) -> Tensor {
    let number = |place: i64| shares.select(1, place).view([-1, 1, 1, 1]);
    bytes(&(floats(pixels) * number(0) + other * number(1)))
}

/// Luminance as float32 numbers that are bytes: `[images, height, width, 1]`.
fn grey(pixels: &Tensor) -> Tensor {
    if channels(pixels) != 3 {
        return floats(pixels);
    }
    let part = |channel: i64| floats(&pixels.narrow(3, channel, 1)) * LUMINANCE[channel as usize];
    floats(&(part(0) + part(1) + part(2)).to_kind(Kind::Uint8))
}

/// `adjust_brightness`: a factor and 1 − factor for each image, `[images, 2]`, here and below.
pub fn brightness(pixels: &Tensor, factors: &Tensor) -> Tensor {
    blended(pixels, &pixels.zeros_like().to_kind(Kind::Float), factors)
}

/// `adjust_contrast`.
pub fn contrast(pixels: &Tensor, factors: &Tensor) -> Tensor {
    let mean = grey(pixels).mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
    blended(pixels, &mean, factors)
}

/// `adjust_saturation`: nothing where there is one channel.
pub fn saturation(pixels: &Tensor, factors: &Tensor) -> Tensor {
    match channels(pixels) {
        3 => blended(pixels, &grey(pixels), factors),
        _ => pixels.shallow_clone(),
    }
}

/// `adjust_sharpness`: nothing where an image has no inner pixels.
pub fn sharpness(pixels: &Tensor, factors: &Tensor) -> Tensor {
    let (height, width) = pixels.size4().map_or((0, 0), |(_, height, width, _)| (height, width));
    if height <= 2 || width <= 2 {
        return pixels.shallow_clone();
    }
    let all = floats(pixels);
    let at = |row: i64, column: i64| all.narrow(1, row, height - 2).narrow(2, column, width - 2);
    // Nine pixels, of which the middle one counts five times.
    let mut sum = at(1, 1) * (5.0 / 13.0);
    for row in 0..3 {
        for column in (0..3).filter(|column| (row, *column) != (1, 1)) {
            sum += at(row, column) * (1.0 / 13.0);
        }
    }
    let inner = sum.round().constant_pad_nd([0, 0, 1, 1, 1, 1]);
    let ones = Tensor::ones([1, height - 2, width - 2, 1], (Kind::Float, pixels.device()));
    let is_inner = ones.constant_pad_nd([0, 0, 1, 1, 1, 1]).gt(0.5);
    blended(pixels, &inner.where_self(&is_inner, &all), factors)
}

/// `posterize`: the first bits of each byte.
pub fn posterized(pixels: &Tensor, bits: u32) -> Tensor {
    let low = (1i64 << (8 - bits.min(8))) - 1;
    pixels.bitwise_and(255 - low)
}

/// `solarize`: bytes of at least `threshold` inverted.
pub fn solarized(pixels: &Tensor, threshold: f64) -> Tensor {
    let values = floats(pixels);
    let inverted: Tensor = 255.0 - &values;
    inverted.where_self(&values.ge(threshold), &values).to_kind(Kind::Uint8)
}

/// `autocontrast`: each channel stretched to all bytes.
pub fn autocontrasted(pixels: &Tensor) -> Tensor {
    let values = floats(pixels);
    let dimensions = [1i64, 2];
    let (least, most) = (values.amin(dimensions.as_slice(), true), values.amax(dimensions.as_slice(), true));
    let range = &most - &least;
    let flat = range.eq(0.0);
    let scale = range.where_self(&flat.logical_not(), &range.ones_like()).reciprocal() * 255.0;
    let (scale, least) =
        (scale.where_self(&flat.logical_not(), &range.ones_like()), least.where_self(&flat.logical_not(), &range));
    bytes(&((values - least) * scale))
}

/// `equalize`: each channel with as many pixels of each byte as of any other, as far as that goes.
pub fn equalized(pixels: &Tensor) -> Tensor {
    let (count, height, width, channels) = pixels.size4().unwrap_or((0, 0, 0, 0));
    let area = height * width;
    let places = pixels.permute([0, 3, 1, 2]).reshape([count * channels, area]).to_kind(Kind::Int64);
    let options = (Kind::Int64, pixels.device());
    let ones = Tensor::ones([1], options).expand([count * channels, area], false);
    let counts = Tensor::zeros([count * channels, 256], options).scatter_add(1, &places, &ones);
    // All but those of the largest byte that there is.
    let largest = counts.gather(1, &places.amax([1i64].as_slice(), true), false);
    let step = (area - largest).divide_scalar_mode(255, "floor").to_kind(Kind::Int64);
    let safe = step.clamp_min(1);
    let sums = counts.cumsum(1, Kind::Int64) + safe.divide_scalar_mode(2, "floor").to_kind(Kind::Int64);
    let table = sums.divide_tensor_mode(&safe, "floor").to_kind(Kind::Int64);
    let table = table.narrow(1, 0, 255).constant_pad_nd([1, 0]).clamp(0, 255);
    let found = table.gather(1, &places, false);
    let found = places.where_self(&step.eq(0), &found).to_kind(Kind::Uint8);
    found.view([count, channels, height, width]).permute([0, 2, 3, 1])
}
