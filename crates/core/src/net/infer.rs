//! The shape that an operation gives, from the shapes that it reads; and why it cannot read them.

mod windows;

use self::windows::{transposed, windows};
use super::op::Op;
use tombola_words::{Axes, Shape};

/// The shape of what comes out. `listed` is the length of the list of a [`Op::Take`], and the axes of an [`Op::Constant`].
pub(super) fn infer(op: Op, inputs: &[Shape], listed: &Listed) -> Result<Shape, String> {
    match (op, inputs) {
        (Op::Add, [a, b]) if a == b => return Ok(*a),
        (Op::Add, [a, b]) => return Err(format!("cannot add {a} and {b}: both sides must have the same shape")),
        (Op::Pair { .. }, [a, b]) => return broadcast(*a, *b, 0),
        (Op::MatrixProduct, [a, b]) => return product(*a, *b),
        (Op::Attention { .. }, [q, k, v]) => return attention(*q, *k, *v),
        (Op::Attention { .. }, [q, k, v, mask]) => {
            let scores = product(*q, turned(*k)?)?;
            return match broadcast(scores, *mask, 0)? == scores {
                true => attention(*q, *k, *v),
                false => Err(format!("its mask of {mask} does not fit onto {scores}")),
            };
        }
        (Op::Concat { axis }, [_, _, ..]) => return concat(inputs, axis),
        (Op::Learned { shape, .. }, []) => return Ok(Shape::Shared(shape)),
        (Op::Constant { .. }, []) => return Ok(Shape::Shared(listed.axes)),
        _ => {}
    }
    match inputs {
        [one] if !matches!(op, Op::Input | Op::Add) => of_one(op, *one, listed),
        _ => Err("has the wrong number of inputs".to_string()),
    }
}

/// What an operation takes from a list of the network.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Axes of a constant.
    pub axes: Axes,
    /// Places that are taken.
    pub places: usize,
}

fn of_one(op: Op, one: Shape, listed: &Listed) -> Result<Shape, String> {
    let axes = one.axes();
    let sizes = axes.as_slice();
    let has = |axis: usize| match sizes.get(axis) {
        Some(size) if axis > 0 || !one.is_of_images() => Ok(*size),
        _ => Err(format!("has no axis {axis} in an input of {one}")),
    };
    match op {
        Op::Conv { out: 0, .. } | Op::ConvTransposed { out: 0, .. } | Op::Linear { out: 0, .. } => {
            Err("needs at least one output".to_string())
        }
        Op::Conv { out, window, groups, .. } => {
            divides(one, out, groups)?;
            windows(one, Some(out), window, false)
        }
        Op::ConvTransposed { out, window, output_padding, groups, .. } => {
            divides(one, out, groups)?;
            transposed(one, out, window, output_padding)
        }
        Op::MaxPool { window, .. } if (0..2).any(|axis| 2 * window.padding[axis] > window.kernel[axis]) => {
            Err(format!(
                "a padding of {} is more than half a window of {}",
                window.padding[0].max(window.padding[1]),
                window.kernel[0].min(window.kernel[1])
            ))
        }
        Op::MaxPool { window, ceil } | Op::AvgPool { window, ceil, .. } => windows(one, None, window, ceil),
        Op::AdaptivePool { to, .. } | Op::Interpolate { to, .. } => match one {
            Shape::Image(channels, ..) if to[0] > 0 && to[1] > 0 => Ok(Shape::Image(channels, to[0], to[1])),
            _ => Err(format!("cannot bring {one} to {}x{}", to[0], to[1])),
        },
        Op::Linear { out, .. } => match one {
            Shape::Vector(_) => Ok(Shape::Vector(out)),
            Shape::Image(..) => {
                Err(format!("needs a vector, but its input is an image of {one}; flatten or pool it first"))
            }
            Shape::Block(_) | Shape::Shared(_) => with(one, sizes.len().saturating_sub(1), out),
        },
        Op::GlobalAveragePool => match one {
            Shape::Image(channels, ..) => Ok(Shape::Vector(channels)),
            _ => Err(format!("needs an image, but its input is {one}")),
        },
        Op::PadShortcut { stride, before, after } => match one {
            Shape::Image(channels, h, w) if stride > 0 => {
                Ok(Shape::Image(before + channels + after, h.div_ceil(stride), w.div_ceil(stride)))
            }
            _ => Err(format!("cannot pad {one} by {before} and {after} channels at a stride of {stride}")),
        },
        Op::Select { out: 0, .. } => Err("needs at least one channel".to_string()),
        Op::Select { out, .. } => with(one, 1, out),
        Op::Take { axis, .. } => {
            has(axis)?;
            with(one, axis, listed.places)
        }
        Op::Slice { axis, start, end, step } => match has(axis)? {
            size if start < end && end <= size && step > 0 => with(one, axis, (end - start).div_ceil(step)),
            size => Err(format!("cannot take the places {start} to {end} of an axis of {size}")),
        },
        Op::Flatten if one.is_of_images() && sizes.first() == Some(&1) => Ok(Shape::Vector(one.size())),
        Op::Flatten => Err(format!("cannot make {one} one vector for each image; reshape it")),
        Op::Reshape { to } => {
            let shape = if one.is_of_images() { Shape::of_images(to) } else { Shape::Shared(to) };
            let fits = to.product() == axes.product() && (!one.is_of_images() || !to.as_slice().is_empty());
            if fits { Ok(shape) } else { Err(format!("cannot give {one} the shape {shape}: their sizes differ")) }
        }
        Op::Permute { order } => permuted(one, order),
        Op::Expand { to, images } => expanded(one, to, images),
        Op::Reduce { axes: gone, keep, .. } => {
            let gone = gone.as_slice();
            if gone.is_empty() {
                return Err("reduces no axis".to_string());
            }
            gone.iter().try_for_each(|axis| has(*axis).map(|_| ()))?;
            let left = (0..sizes.len()).filter(|axis| keep || !gone.contains(axis));
            let left: Vec<usize> = left.map(|axis| if gone.contains(&axis) { 1 } else { sizes[axis] }).collect();
            shape_like(one, &left)
        }
        Op::Pad { around: [left, right, top, bottom], .. } => match one {
            Shape::Image(channels, height, width) => {
                Ok(Shape::Image(channels, height + top + bottom, width + left + right))
            }
            _ => Err(format!("needs an image, but its input is {one}")),
        },
        Op::Roll { axis, .. } | Op::Softmax { axis } => has(axis).map(|_| one),
        Op::LayerNorm { axes: count, .. } | Op::RmsNorm { axes: count, .. } => match sizes.len() {
            all if count > 0 && count < all => Ok(one),
            _ => Err(format!("cannot normalise the last {count} axes of {one}")),
        },
        Op::GroupNorm { groups, .. } if groups == 0 || !one.channels().is_multiple_of(groups) => {
            Err(format!("cannot divide {} channels into {groups} groups", one.channels()))
        }
        Op::Prelu { slopes } if slopes != 1 && slopes != one.channels() => {
            Err(format!("has {slopes} slopes, and its input {} channels", one.channels()))
        }
        Op::Dropout { rate, .. } if !(0.0..1.0).contains(&rate.0) => {
            Err(format!("drops a share of {}, expected one from 0 up to, but not, 1", rate.0))
        }
        Op::BatchNorm { .. } | Op::GroupNorm { .. } if sizes.len() < 2 || !one.is_of_images() => {
            Err(format!("has no channels of images in {one}"))
        }
        Op::BatchNorm { .. }
        | Op::GroupNorm { .. }
        | Op::Relu
        | Op::Activation { .. }
        | Op::Prelu { .. }
        | Op::Dropout { .. } => Ok(one),
        Op::Input
        | Op::Add
        | Op::Pair { .. }
        | Op::MatrixProduct
        | Op::Attention { .. }
        | Op::Concat { .. }
        | Op::Learned { .. }
        | Op::Constant { .. } => Err("has the wrong number of inputs".to_string()),
    }
}

fn divides(one: Shape, out: usize, groups: usize) -> Result<(), String> {
    let inputs = one.channels();
    match groups > 0 && inputs.is_multiple_of(groups) && out.is_multiple_of(groups) {
        true => Ok(()),
        false => {
            Err(format!("cannot divide {inputs} channels that go in and {out} that come out into {groups} groups"))
        }
    }
}

fn shape_like(one: Shape, sizes: &[usize]) -> Result<Shape, String> {
    let axes = Axes::of(sizes).ok_or("has too many axes")?;
    Ok(if one.is_of_images() { Shape::of_images(axes) } else { Shape::Shared(axes) })
}

/// The same shape with another size of one axis.
fn with(one: Shape, axis: usize, size: usize) -> Result<Shape, String> {
    let mut sizes = Vec::from(one.axes());
    *sizes.get_mut(axis).ok_or_else(|| format!("has no axis {axis} in an input of {one}"))? = size;
    shape_like(one, &sizes)
}

fn permuted(one: Shape, order: Axes) -> Result<Shape, String> {
    let (axes, order) = (one.axes(), order.as_slice());
    let sizes = axes.as_slice();
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted != (0..sizes.len()).collect::<Vec<_>>() {
        return Err(format!("cannot put the {} axes of {one} into the order {order:?}", sizes.len()));
    }
    if one.is_of_images() && order.first() != Some(&0) {
        return Err("cannot move the axis of the images".to_string());
    }
    shape_like(one, &order.iter().map(|axis| sizes[*axis]).collect::<Vec<_>>())
}

fn expanded(one: Shape, to: Axes, images: bool) -> Result<Shape, String> {
    let (own, wanted) = (one.axes(), to.as_slice());
    let own = own.as_slice();
    let missing = wanted.len().checked_sub(own.len());
    let fits =
        missing.is_some_and(|missing| own.iter().zip(&wanted[missing..]).all(|(own, to)| *own == 1 || own == to));
    let repeats = images && !one.is_of_images() && wanted.first() != Some(&1);
    if !fits || repeats || one.is_of_images() && (!images || own.first() != wanted.first() || own.len() != wanted.len())
    {
        return Err(format!("cannot repeat {one} to {wanted:?}"));
    }
    Ok(if images { Shape::of_images(to) } else { Shape::Shared(to) })
}

/// The shape of a function of two shapes, all but the last `but` axes, which are left to the caller.
fn broadcast(a: Shape, b: Shape, but: usize) -> Result<Shape, String> {
    let wrong = || format!("cannot match {a} and {b}");
    let (first, second) = (Vec::from(a.axes()), Vec::from(b.axes()));
    let (first, second) = (&first[..first.len().saturating_sub(but)], &second[..second.len().saturating_sub(but)]);
    let count = first.len().max(second.len());
    // Axes are matched from the last on; one of 1 is repeated.
    let at = |sizes: &[usize], axis: usize| (axis + sizes.len()).checked_sub(count).map_or(1, |axis| sizes[axis]);
    let mut sizes = Vec::new();
    for axis in 0..count {
        match (at(first, axis), at(second, axis)) {
            (a, b) if a == b || b == 1 => sizes.push(a),
            (1, b) => sizes.push(b),
            _ => return Err(wrong()),
        }
    }
    // The axis of the images meets another one of images, or nothing.
    let of_images = |shape: Shape, own: &[usize]| shape.is_of_images() && own.len() == count;
    let meets = |other: Shape, own: &[usize]| other.is_of_images() || own.len() < count || own[0] == 1;
    let is_of_images = match (of_images(a, first), of_images(b, second)) {
        (true, true) => first[0] == second[0],
        (true, false) => !b.is_of_images() && meets(b, second),
        (false, true) => !a.is_of_images() && meets(a, first),
        (false, false) if !a.is_of_images() && !b.is_of_images() => {
            return Axes::of(&sizes).map(Shape::Shared).ok_or_else(wrong);
        }
        _ => false,
    };
    match (is_of_images, Axes::of(&sizes)) {
        (true, Some(axes)) => Ok(Shape::of_images(axes)),
        _ => Err(wrong()),
    }
}

fn product(a: Shape, b: Shape) -> Result<Shape, String> {
    let (first, second) = (Vec::from(a.axes()), Vec::from(b.axes()));
    let wrong = || format!("cannot multiply {a} and {b} as matrices");
    let ([.., rows, inner], [.., other, columns]) = (&*first, &*second) else { return Err(wrong()) };
    // The first of three axes may be that of the images, never one of the last two.
    let reads_images = |shape: Shape, sizes: &[usize]| shape.is_of_images() && sizes.len() < 3;
    if inner != other || reads_images(a, &first) && b.is_of_images() || reads_images(b, &second) {
        return Err(wrong());
    }
    if reads_images(a, &first) {
        return with(a, first.len() - 1, *columns);
    }
    let before = broadcast(a, b, 2).map_err(|_| wrong())?;
    let mut sizes = Vec::from(before.axes());
    sizes.extend([*rows, *columns]);
    shape_like(before, &sizes)
}

/// With its last two axes changed over.
fn turned(one: Shape) -> Result<Shape, String> {
    let mut sizes = Vec::from(one.axes());
    match sizes.len() {
        0 | 1 => Err(format!("has no places in {one}")),
        count => {
            sizes.swap(count - 1, count - 2);
            // A matrix for each image stays one, whatever its sizes.
            let axes = Axes::of(&sizes).ok_or("has too many axes")?;
            Ok(if one.is_of_images() { Shape::of_images(axes) } else { Shape::Shared(axes) })
        }
    }
}

fn attention(q: Shape, k: Shape, v: Shape) -> Result<Shape, String> {
    product(product(q, turned(k)?)?, v)
}

fn concat(inputs: &[Shape], axis: usize) -> Result<Shape, String> {
    let first = inputs[0];
    if axis == 0 && first.is_of_images() {
        return Err("cannot join along the axis of the images".to_string());
    }
    let mut size = 0;
    for shape in inputs {
        let sizes = shape.axes();
        let others = |shape: Shape| {
            let mut sizes = Vec::from(shape.axes());
            (axis < sizes.len()).then(|| sizes.remove(axis)).map(|_| sizes)
        };
        if others(*shape).is_none_or(|own| Some(own) != others(first)) || shape.is_of_images() != first.is_of_images() {
            return Err(format!(
                "cannot join {first} and {shape} along axis {axis}: their other axes must be the same"
            ));
        }
        size += sizes.as_slice()[axis];
    }
    with(first, axis, size)
}

#[cfg(test)]
mod tests {
    use super::super::op::{Interpolation, Pairing, Real, Reduction, Window};
    use super::*;

    fn of(sizes: &[usize]) -> Shape {
        Shape::of_images(Axes::of(sizes).unwrap())
    }

    fn shared(sizes: &[usize]) -> Shape {
        Shape::Shared(Axes::of(sizes).unwrap())
    }

    fn axes(sizes: &[usize]) -> Axes {
        Axes::of(sizes).unwrap()
    }

    fn given(op: Op, inputs: &[Shape]) -> Result<Shape, String> {
        infer(op, inputs, &Listed { axes: axes(&[2, 3]), places: 5 })
    }

    #[test]
    fn shapes_are_those_of_pytorch() {
        let window = Window { kernel: [3, 5], stride: [2, 1], padding: [1, 0], dilation: [1, 2] };
        let conv = Op::Conv { out: 8, window, groups: 2, bias: false };
        assert_eq!(given(conv, &[Shape::Image(4, 9, 12)]).unwrap(), Shape::Image(8, 5, 4));
        let window = Window { kernel: [1, 5], padding: [0, 0], ..window };
        let of_signals = Op::Conv { out: 8, window, groups: 2, bias: false };
        assert_eq!(given(of_signals, &[of(&[1, 4, 12])]).unwrap(), of(&[1, 8, 4]));
        let up = Op::ConvTransposed {
            out: 2,
            window: Window::square(3, 2, 1),
            output_padding: [1, 0],
            groups: 1,
            bias: true,
        };
        assert_eq!(given(up, &[Shape::Image(4, 5, 5)]).unwrap(), Shape::Image(2, 10, 9));
        let pool = |ceil| Op::MaxPool { window: Window::square(3, 2, 0), ceil };
        assert_eq!(given(pool(false), &[Shape::Image(4, 8, 8)]).unwrap(), Shape::Image(4, 3, 3));
        assert_eq!(given(pool(true), &[Shape::Image(4, 8, 8)]).unwrap(), Shape::Image(4, 4, 4));
        assert_eq!(given(pool(true), &[Shape::Image(4, 2, 7)]).unwrap(), Shape::Image(4, 1, 3));
        assert!(given(pool(false), &[Shape::Image(4, 2, 7)]).is_err());
        let linear = Op::Linear { out: 7, bias: true };
        assert_eq!(given(linear, &[of(&[1, 49, 96])]).unwrap(), of(&[1, 49, 7]));
        assert_eq!(given(linear, &[of(&[4, 49, 96])]).unwrap(), of(&[4, 49, 7]));
        let resize = Op::Interpolate { mode: Interpolation::Bilinear, to: [6, 7], align_corners: false };
        assert_eq!(given(resize, &[Shape::Image(2, 3, 3)]).unwrap(), Shape::Image(2, 6, 7));
        let mean = |keep| Op::Reduce { reduction: Reduction::Mean, axes: axes(&[2, 3]), keep };
        assert_eq!(given(mean(false), &[Shape::Image(2, 3, 3)]).unwrap(), Shape::Vector(2));
        assert_eq!(given(mean(true), &[Shape::Image(2, 3, 3)]).unwrap(), Shape::Image(2, 1, 1));
        assert_eq!(given(Op::Take { axis: 0, list: 0 }, &[shared(&[169, 4])]).unwrap(), shared(&[5, 4]));
        assert_eq!(given(Op::Constant { list: 0 }, &[]).unwrap(), shared(&[2, 3]));
    }

    #[test]
    fn windows_of_an_image_lie_on_the_axis_of_the_images() {
        let cut = Op::Reshape { to: axes(&[1, 2, 7, 2, 7, 96]) };
        let cut = given(cut, &[of(&[1, 196, 96])]).unwrap();
        let turned = given(Op::Permute { order: axes(&[0, 1, 3, 2, 4, 5]) }, &[cut]).unwrap();
        assert_eq!(given(Op::Reshape { to: axes(&[4, 49, 96]) }, &[turned]).unwrap(), of(&[4, 49, 96]));
        assert!(given(Op::Permute { order: axes(&[1, 0, 3, 2, 4, 5]) }, &[cut]).is_err());
        let heads = of(&[4, 3, 49, 32]);
        let attention = Op::Attention { scale: Real(0.1), causal: false };
        assert_eq!(given(attention, &[heads, heads, heads]).unwrap(), heads);
        assert_eq!(given(attention, &[heads, heads, heads, shared(&[3, 49, 49])]).unwrap(), heads);
        assert!(given(attention, &[heads, heads, heads, shared(&[4, 3, 49, 49])]).is_err());
        let one = of(&[1, 3, 49, 32]);
        assert_eq!(given(attention, &[one, one, one]).unwrap(), one);
    }

    #[test]
    fn axes_are_matched_from_the_last_on() {
        let pair = |a, b| given(Op::Pair { function: Pairing::Multiply }, &[a, b]);
        assert_eq!(pair(Shape::Image(8, 4, 4), Shape::Image(8, 1, 1)).unwrap(), Shape::Image(8, 4, 4));
        assert_eq!(pair(shared(&[8, 1, 1]), Shape::Image(8, 4, 4)).unwrap(), Shape::Image(8, 4, 4));
        assert_eq!(pair(of(&[1, 49, 96]), shared(&[1, 49, 96])).unwrap(), of(&[1, 49, 96]));
        assert_eq!(pair(shared(&[1, 3]), shared(&[2, 1])).unwrap(), shared(&[2, 3]));
        assert!(pair(Shape::Vector(8), Shape::Image(8, 4, 4)).is_err(), "the images would meet the rows");
        assert!(pair(shared(&[2, 49, 96]), of(&[1, 49, 96])).is_err());
        assert_eq!(
            given(Op::Concat { axis: 1 }, &[Shape::Image(3, 2, 2), Shape::Image(5, 2, 2)]).unwrap(),
            Shape::Image(8, 2, 2)
        );
        assert!(given(Op::Concat { axis: 1 }, &[Shape::Image(3, 2, 2), Shape::Image(5, 2, 3)]).is_err());
        let token = given(Op::Expand { to: axes(&[1, 1, 96]), images: true }, &[shared(&[1, 1, 96])]).unwrap();
        assert_eq!(given(Op::Concat { axis: 1 }, &[token, of(&[1, 49, 96])]).unwrap(), of(&[1, 50, 96]));
    }
}
