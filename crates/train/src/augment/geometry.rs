//! Images moved, turned and stretched: bytes `[images, height, width, channels]`, each image by numbers of its own.
//!
//! Each is a few tensor operations of fixed shapes over a whole batch. What torchvision's functions on tensors do with the same
//! numbers (`torchvision.transforms.functional`, 0.26), these do.

use tch::{Kind, Tensor};

/// The numbers of an affine map: `x' = n0 x + n1 y + n2`, `y' = n3 x + n4 y + n5`, from pixels of the result to those of the image, both
/// counted from the middle.
pub type Matrix = [f64; 6];

/// Height and width of images.
fn sides(pixels: &Tensor) -> (i64, i64) {
    pixels.size4().map_or((0, 0), |(_, height, width, _)| (height, width))
}

/// Pads by `padding` zeros, crops from `top` and `left` to the size that the image had, and mirrors where `flipped` is 1; `[images]`
/// each, 64-bit integers.
pub fn placed(pixels: &Tensor, padding: i64, top: &Tensor, left: &Tensor, flipped: &Tensor) -> Tensor {
    let (count, (height, width)) = (pixels.size().first().copied().unwrap_or(0), sides(pixels));
    let device = pixels.device();
    let of_image = |numbers: &Tensor| numbers.unsqueeze(1);
    let rows = Tensor::arange(height, (Kind::Int64, device)).unsqueeze(0) + of_image(top);
    let columns = Tensor::arange(width, (Kind::Int64, device)).unsqueeze(0);
    // A flipped image reads its columns from the right: width - 1 - column.
    let columns: Tensor = &columns + of_image(flipped) * (width - 1 - &columns * 2) + of_image(left);
    let images = Tensor::arange(count, (Kind::Int64, device)).view([count, 1, 1]);
    let padded = match padding {
        0 => pixels.shallow_clone(),
        _ => pixels.constant_pad_nd([0, 0, padding, padding, padding, padding]),
    };
    padded.index(&[Some(images), Some(rows.unsqueeze(2)), Some(columns.unsqueeze(1))])
}

/// Reads each pixel from where its image's matrix (`[images, 6]`, float32) says, from the nearest pixel; black beyond the edge. As
/// `affine` and `rotate` with `InterpolationMode.NEAREST`, their default.
pub fn mapped(pixels: &Tensor, matrices: &Tensor) -> Tensor {
    let (count, (height, width)) = (pixels.size().first().copied().unwrap_or(0), sides(pixels));
    let options = (Kind::Float, pixels.device());
    let along = |length: i64| Tensor::arange(length, options) + (0.5 - 0.5 * length as f64);
    let x = along(width).unsqueeze(0).expand([height, width], false);
    let y = along(height).unsqueeze(1).expand([height, width], false);
    let base = Tensor::stack(&[&x, &y, &Tensor::ones([height, width], options)], 2).view([1, height * width, 3]);
    // Made where it lies: a tensor from the processor would not be captured.
    let half = Tensor::stack(
        &[Tensor::full([], 0.5 * width as f64, options), Tensor::full([], 0.5 * height as f64, options)],
        0,
    );
    let scaled = matrices.view([count, 2, 3]).transpose(1, 2) / half;
    let grid = base.expand([count, height * width, 3], false).bmm(&scaled).view([count, height, width, 2]);
    let images = pixels.permute([0, 3, 1, 2]).to_kind(Kind::Float);
    // Nearest (1), zeros beyond the edge (0).
    let found = images.grid_sampler(&grid, 1, 0, false);
    found.round().to_kind(Kind::Uint8).permute([0, 2, 3, 1])
}

/// Cuts each image to a part of it (`[images, 4]`, float32: first row, first column, height, width) and makes that as large as the image
/// was: bilinear, smoothed where it shrinks, as `resized_crop` with its default `antialias=True`.
pub fn resized(pixels: &Tensor, parts: &Tensor) -> Tensor {
    let (height, width) = sides(pixels);
    let number = |place: i64| parts.select(1, place).view([-1, 1, 1]);
    let rows = weights(&number(0), &number(2), height);
    let columns = weights(&number(1), &number(3), width);
    let images = pixels.permute([0, 3, 1, 2]).to_kind(Kind::Float);
    let across = images.matmul(&columns.transpose(1, 2).unsqueeze(1));
    let both = rows.unsqueeze(1).matmul(&across);
    both.round().clamp(0.0, 255.0).to_kind(Kind::Uint8).permute([0, 2, 3, 1])
}

/// How much each of `length` old pixels counts in each new one, where `length` new ones are made of `count` old ones from `first`
/// (`[images, 1, 1]` both): a triangle around the place of the new one, one old pixel wide to each side, or one new pixel where there
/// are fewer of these.
fn weights(first: &Tensor, count: &Tensor, length: i64) -> Tensor {
    let places = Tensor::arange(length, (Kind::Float, first.device()));
    let scale = count / length as f64;
    let middle = (places.view([1, -1, 1]) + 0.5) * &scale;
    let old = places.view([1, 1, -1]) - first;
    let distance = (&old - middle + 0.5) / scale.clamp_min(1.0);
    let inside = old.ge(0.0).logical_and(&old.lt_tensor(count));
    let height: Tensor = 1.0 - distance.abs();
    let triangle = height.clamp_min(0.0) * inside.to_kind(Kind::Float);
    let sum = triangle.sum_dim_intlist([2i64].as_slice(), true, Kind::Float);
    triangle / sum
}

/// The map that turns by `angle` degrees, shears by `shear` degrees and moves by `shift` pixels around `middle`, backwards: from a
/// pixel of the result to where it comes from (torchvision's `_get_inverse_affine_matrix`).
pub fn matrix(middle: (f64, f64), angle: f64, shift: (f64, f64), shear: (f64, f64)) -> Matrix {
    let (turn, (sx, sy)) = (angle.to_radians(), (shear.0.to_radians(), shear.1.to_radians()));
    let a = (turn - sy).cos() / sy.cos();
    let b = -(turn - sy).cos() * sx.tan() / sy.cos() - turn.sin();
    let c = (turn - sy).sin() / sy.cos();
    let d = -(turn - sy).sin() * sx.tan() / sy.cos() + turn.cos();
    let (x, y) = (-middle.0 - shift.0, -middle.1 - shift.1);
    [d, -b, d * x + -b * y + middle.0, -c, a, -c * x + a * y + middle.1]
}

/// The map of `rotate`, which counts angles the other way round.
pub fn rotation(angle: f64) -> Matrix {
    matrix((0.0, 0.0), -angle, (0.0, 0.0), (0.0, 0.0))
}
