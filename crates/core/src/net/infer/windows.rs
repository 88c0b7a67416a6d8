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
