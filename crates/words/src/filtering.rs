//! Which images a filter is defined for: the rule for plans, which know shapes alone, and for data. It may not know of pixels.

use std::f64::consts::TAU;

use crate::Shape;
use crate::error::{Error, Result};
use crate::value::{ImageFilter, Value};

/// The share of its strongest wave that a filter leaves at least. Of weaker images nothing would be seen but the rounding of sums.
const LEAST_GAIN: f64 = 1e-6;

/// Refuses examples that have no grey to be filtered, and widths of the Gaussian that leave nothing of them.
///
/// # Errors
/// When a filter is given for examples that are no images of bytes with one or three channels, or for which `sigma` (pixels in the
/// domain of places, above 0) is too wide or too narrow.
pub fn check_filter(filter: ImageFilter, sigma: f64, shape: Shape, are_bytes: bool) -> Result<()> {
    if filter == ImageFilter::None {
        return Ok(());
    }
    let refused = |found: String| {
        Err(Error::input(format!(
            "`filter`: `{}` is defined for images of bytes with one channel or three; these are {found}",
            filter.show()
        ))
        .hint("say `filter = \"none\"`, which it also is where it is left out; of data of your own, `channels` brings images to 1 or 3"))
    };
    let (height, width) = match shape {
        Shape::Image(1 | 3, height, width) if are_bytes => (height, width),
        Shape::Image(..) if !are_bytes => return refused(format!("numbers that are no bytes, {shape} each")),
        Shape::Image(channels, ..) => return refused(format!("images of {channels} channels")),
        _ => return refused(format!("{} of {shape}, and no images", shape.called().0)),
    };
    if strongest_gain(filter, sigma, height, width) >= LEAST_GAIN {
        return Ok(());
    }
    let wrong = if filter == ImageFilter::LowPass { "wide" } else { "narrow" };
    Err(Error::input(format!(
        "`filter-sigma`: {} is so {wrong} that `{}` leaves nothing of images of {height}x{width} pixels",
        sigma.show(),
        filter.show()
    ))
    .hint("take a sigma from 0.5 to a few pixels: most of an image is left by either filter then"))
}

/// The factor of the wave that a filter weakens least, the mean of an image aside; 0 if there is no other wave.
fn strongest_gain(filter: ImageFilter, sigma: f64, height: usize, width: usize) -> f64 {
    let exponent = |waves: usize, length: usize| (sigma * TAU * waves as f64 / length.max(1) as f64).powi(2) / 2.0;
    match (filter, height.max(width)) {
        (_, 0 | 1) | (ImageFilter::None, _) => 0.0,
        (ImageFilter::LowPass, length) => (-exponent(1, length)).exp(),
        // 1 - exp(-x), without the digits that are lost where x is small.
        (ImageFilter::HighPass, _) => -(-exponent(height / 2, height) - exponent(width / 2, width)).exp_m1(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Axes;
    use crate::error::Kind;

    #[test]
    fn grey_and_colour_images_of_bytes_are_filtered_and_nothing_else() {
        let of = |shape, bytes| check_filter(ImageFilter::LowPass, 1.0, shape, bytes);
        assert!(of(Shape::Image(1, 28, 28), true).is_ok() && of(Shape::Image(3, 5, 64), true).is_ok());
        let signal = Shape::Block(Axes::of(&[1, 3, 64]).unwrap());
        for (shape, bytes, said) in [
            (Shape::Image(2, 8, 8), true, "images of 2 channels"),
            (Shape::Image(4, 8, 8), true, "images of 4 channels"),
            (Shape::Image(3, 8, 8), false, "numbers that are no bytes, 3x8x8 each"),
            (Shape::Vector(20), true, "rows of 20, and no images"),
            (signal, true, "signals of 3x64, and no images"),
        ] {
            let error = of(shape, bytes).unwrap_err();
            assert!(error.message.starts_with("`filter`: `low-pass`") && error.message.ends_with(said), "{error}");
            assert!(error.kind == Kind::Input && error.hint.is_some());
            assert!(check_filter(ImageFilter::None, 1.0, shape, bytes).is_ok());
        }
    }

    #[test]
    fn widths_that_leave_nothing_are_refused() {
        let of = |filter, sigma, height, width| check_filter(filter, sigma, Shape::Image(1, height, width), true);
        for sigma in [0.01, 0.5, 3.0, 20.0] {
            assert!(
                of(ImageFilter::LowPass, sigma, 28, 28).is_ok() && of(ImageFilter::HighPass, sigma, 28, 28).is_ok()
            );
        }
        let error = of(ImageFilter::LowPass, 100.0, 28, 28).unwrap_err();
        assert!(error.message.contains("100.0 is so wide") && error.message.ends_with("28x28 pixels"), "{error}");
        assert!(of(ImageFilter::LowPass, 100.0, 28, 280).is_ok(), "waves along the longer side are left");
        assert!(of(ImageFilter::HighPass, 100.0, 28, 28).is_ok());
        let error = of(ImageFilter::HighPass, 1e-6, 28, 28).unwrap_err();
        assert!(error.message.contains("so narrow"), "{error}");
        assert!(of(ImageFilter::LowPass, 1.0, 1, 1).is_err(), "one pixel is its own mean");
        assert!(of(ImageFilter::HighPass, 1.0, 1, 2).is_ok());
    }
}
