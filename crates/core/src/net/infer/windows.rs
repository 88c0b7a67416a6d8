//! The sizes that windows give: of convolutions and poolings, over images and signals.

use super::super::op::Window;
use super::shape_like;
use tombola_words::Shape;

/// Positions of a window along one axis.
fn positions(size: usize, window: Window, axis: usize, ceil: bool) -> Result<usize, String> {
    let name = ["height", "width"][axis];
    let (kernel, stride, padding) = (window.kernel[axis], window.stride[axis], window.padding[axis]);
    if kernel == 0 || stride == 0 || window.dilation[axis] == 0 {
        return Err("kernel and stride must be at least 1".to_string());
    }
    let kernel = window.dilation[axis].saturating_mul(kernel - 1).saturating_add(1);
    let whole = size + 2 * padding;
    let further = if ceil { stride - 1 } else { 0 };
    let Some(steps) = (whole + further).checked_sub(kernel) else {
        return Err(format!("a window of {kernel} does not fit into a {name} of {whole}"));
    };
    let found = steps / stride + 1;
    // The last one must begin inside of the image or the padding before it.
    Ok(found - usize::from(ceil && (found - 1) * stride >= size + padding))
}

/// An image, or a signal `[1, channels, length]`, by windows.
pub(super) fn windows(one: Shape, channels: Option<usize>, window: Window, ceil: bool) -> Result<Shape, String> {
    match (one, one.axes().as_slice()) {
        (Shape::Image(c, h, w), _) => {
            Ok(Shape::Image(channels.unwrap_or(c), positions(h, window, 0, ceil)?, positions(w, window, 1, ceil)?))
        }
        (Shape::Block(_), &[n, c, h, w]) => {
            shape_like(one, &[n, channels.unwrap_or(c), positions(h, window, 0, ceil)?, positions(w, window, 1, ceil)?])
        }
        (Shape::Block(_), _) if one.axes().as_slice().len() == 3 && (window.kernel[0], window.padding[0]) != (1, 0) => {
            let ([rows, columns], [above, _]) = (window.kernel, window.padding);
            Err(format!(
                "its window has {rows} rows and {columns} columns and a padding of {above} rows, and its input is a signal of \
                 {one}, which has one row: images are needed, or windows of one row"
            ))
        }
        (Shape::Block(_), &[n, c, length]) => {
            shape_like(one, &[n, channels.unwrap_or(c), positions(length, window, 1, ceil)?])
        }
        (Shape::Vector(n), _) => Err(format!("needs an image, but its input is a vector of {n}")),
        _ => Err(format!("needs an image, but its input is {one}")),
    }
}

pub(super) fn transposed(one: Shape, out: usize, window: Window, extra: [usize; 2]) -> Result<Shape, String> {
    let side = |size: usize, axis: usize| {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        if kernel == 0 || stride == 0 || window.dilation[axis] == 0 {
            return Err("kernel and stride must be at least 1".to_string());
        }
        let whole = (size.saturating_sub(1)) * stride + window.dilation[axis] * (kernel - 1) + extra[axis] + 1;
        let side = whole.checked_sub(2 * window.padding[axis]).filter(|side| *side > 0);
        side.ok_or_else(|| format!("a padding of {} leaves nothing", window.padding[axis]))
    };
    match one {
        Shape::Image(_, height, width) => Ok(Shape::Image(out, side(height, 0)?, side(width, 1)?)),
        _ => Err(format!("needs an image, but its input is {one}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::op::Op;
    use super::super::{Listed, infer};
    use super::*;
    use tombola_words::Axes;

    fn of(sizes: &[usize]) -> Shape {
        Shape::of_images(Axes::of(sizes).unwrap())
    }

    #[test]
    fn windows_of_images_do_not_move_over_signals() {
        let signal = of(&[1, 4, 12]);
        let square = |padding| Window::square(3, 1, padding);
        for op in [
            Op::conv(8, 3, 1, 1, true),
            Op::MaxPool { window: square(0), ceil: false },
            Op::AvgPool { window: square(0), ceil: false, counts_padding: true },
        ] {
            let reason = infer(op, &[signal], &Listed::default()).unwrap_err();
            assert!(reason.contains("3 rows") && reason.contains("a signal of 4x12"), "{reason}");
        }
        let flat = Window { kernel: [1, 3], ..square(0) };
        assert_eq!(
            infer(Op::MaxPool { window: flat, ceil: false }, &[signal], &Listed::default()).unwrap(),
            of(&[1, 4, 10])
        );
    }
}
