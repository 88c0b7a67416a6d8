//! What an example of an array looks like: which of its axes are channels. It does not know where arrays lie.

use super::scalar::Stride;
use tombola_words::error::{Error, Result};
use tombola_words::{Axes, AxesOrder, Shape};

/// Channels that images have.
const CHANNELS: [usize; 3] = [1, 3, 4];

/// The shape of examples and where their values are, channels last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExampleForm {
    pub(super) shape: Shape,
    pub(super) strides: Vec<Stride>,
}

impl ExampleForm {
    /// The form of examples with these sizes: a row, a grey image or with `axes` a signal, an image.
    ///
    /// # Errors
    /// More or fewer sizes, and three of which none or two could be channels.
    pub(super) fn of(name: &str, sizes: &[Stride], axes: Option<AxesOrder>) -> Result<Self> {
        let one = Stride { size: 1, step: 0 };
        match *sizes {
            [row] => Ok(Self { shape: Shape::Vector(row.size), strides: vec![row] }),
            [height, width] => match axes {
                None => Ok(Self::image(height, width, one)),
                Some(AxesOrder::First) => signal(width, height),
                Some(AxesOrder::Last) => signal(height, width),
            },
            [first, second, third] => match axes.or_else(|| told(first.size, third.size)) {
                Some(AxesOrder::First) => Ok(Self::image(second, third, first)),
                Some(AxesOrder::Last) => Ok(Self::image(first, second, third)),
                None => Err(Error::input(format!(
                    "{name} has examples of {}x{}x{}; it cannot be told which axis has the channels",
                    first.size, second.size, third.size
                ))
                .hint("say it: `axes = \"first\"` if channels come before height and width, as in PyTorch, or `axes = \"last\"`")),
            },
            [] => Err(Error::input(format!("{name} has one number an example; expected rows, signals or images"))
                .hint("write an array of two axes, examples and features: `x.reshape(-1, 1)`")),
            _ => Err(Error::input(format!(
                "{name} has {} axes; expected 2 (rows), 3 (grey images or signals) or 4 (images)",
                sizes.len() + 1
            ))
            .hint("join or drop axes: Tombola has networks for rows, signals and images")),
        }
    }

    /// An image.
    pub(super) fn image(height: Stride, width: Stride, channels: Stride) -> Self {
        Self { shape: Shape::Image(channels.size, height.size, width.size), strides: vec![height, width, channels] }
    }
}

fn signal(length: Stride, channels: Stride) -> Result<ExampleForm> {
    let axes = Axes::of(&[1, channels.size, length.size]).unwrap_or_default();
    Ok(ExampleForm { shape: Shape::Block(axes), strides: vec![length, channels] })
}

/// Where channels are, if one end alone can be channels.
fn told(first: usize, last: usize) -> Option<AxesOrder> {
    match (CHANNELS.contains(&first), CHANNELS.contains(&last)) {
        (true, false) => Some(AxesOrder::First),
        (false, true) => Some(AxesOrder::Last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(sizes: &[usize], axes: Option<AxesOrder>) -> Result<ExampleForm> {
        let step = |axis: usize| sizes[axis + 1..].iter().product();
        let strides: Vec<Stride> =
            (0..sizes.len()).map(|axis| Stride { size: sizes[axis], step: step(axis) }).collect();
        ExampleForm::of("`x`", &strides, axes)
    }

    #[test]
    fn channels_are_told_by_their_number_and_asked_for_where_they_cannot_be() {
        let shape = |sizes: &[usize], axes| form(sizes, axes).unwrap().shape;
        assert_eq!(shape(&[3, 32, 30], None), Shape::Image(3, 32, 30));
        assert_eq!(shape(&[32, 30, 3], None), Shape::Image(3, 32, 30));
        assert_eq!(shape(&[28, 27], None), Shape::Image(1, 28, 27));
        assert_eq!(shape(&[7], None), Shape::Vector(7));
        assert_eq!(shape(&[12, 9, 100], Some(AxesOrder::First)), Shape::Image(12, 9, 100));
        for sizes in [[3, 32, 3], [5, 32, 32]] {
            assert!(form(&sizes, None).unwrap_err().hint.unwrap().contains("axes = \"first\""));
        }
        let signal = |axes| form(&[2, 100], Some(axes)).unwrap();
        assert_eq!(signal(AxesOrder::First).shape, Shape::Block(Axes::of(&[1, 2, 100]).unwrap()));
        assert_eq!(signal(AxesOrder::First).strides, [Stride { size: 100, step: 1 }, Stride { size: 2, step: 100 }]);
        assert_eq!(signal(AxesOrder::Last).shape, Shape::Block(Axes::of(&[1, 100, 2]).unwrap()));
        assert!(form(&[1, 2, 3, 4], None).unwrap_err().message.contains("has 5 axes"));
        assert!(form(&[], None).is_err());
    }
}
