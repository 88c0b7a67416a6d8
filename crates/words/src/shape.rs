//! The shape of what flows through a network. It may not know of networks.

use serde::{Deserialize, Serialize};

/// The most axes of a shape.
pub const MOST_AXES: usize = 8;

/// A short list of sizes, or of the numbers of axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "Vec<usize>", try_from = "Vec<usize>")]
pub struct Axes {
    sizes: [usize; MOST_AXES],
    count: usize,
}

impl Axes {
    /// A list of at most [`MOST_AXES`] numbers; none if there are more.
    pub fn of(sizes: &[usize]) -> Option<Self> {
        let mut axes = Self { sizes: [0; MOST_AXES], count: sizes.len() };
        axes.sizes.get_mut(..sizes.len())?.copy_from_slice(sizes);
        Some(axes)
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[usize] {
        &self.sizes[..self.count]
    }

    /// Their product, saturating.
    pub fn product(&self) -> usize {
        self.as_slice().iter().fold(1, |product, size| product.saturating_mul(*size))
    }
}

impl From<Axes> for Vec<usize> {
    fn from(axes: Axes) -> Self {
        axes.as_slice().to_vec()
    }
}

impl TryFrom<Vec<usize>> for Axes {
    type Error = String;

    fn try_from(sizes: Vec<usize>) -> Result<Self, String> {
        Self::of(&sizes).ok_or_else(|| format!("found {} axes, expected at most {MOST_AXES}", sizes.len()))
    }
}

/// What one image looks like between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Channels, height and width.
    Image(usize, usize, usize),
    /// A flat list of features.
    Vector(usize),
    /// Anything else that there is once for each image: the first axis of the tensor has this many places for each image (1, or
    /// the number of windows that an image was cut into), the others are what they are.
    Block(Axes),
    /// What is the same for all images: a tensor that was learned, or a constant.
    Shared(Axes),
}

impl Shape {
    /// The shape of a tensor whose first axis has `axes[0]` places for each image.
    pub fn of_images(axes: Axes) -> Self {
        match *axes.as_slice() {
            [1, channels, height, width] => Shape::Image(channels, height, width),
            [1, features] => Shape::Vector(features),
            _ => Shape::Block(axes),
        }
    }

    /// The axes of the tensor; where there is one for each image, the first of them counted for one image.
    pub fn axes(self) -> Axes {
        let list = match self {
            Shape::Image(channels, height, width) => Axes::of(&[1, channels, height, width]),
            Shape::Vector(features) => Axes::of(&[1, features]),
            Shape::Block(axes) | Shape::Shared(axes) => Some(axes),
        };
        list.unwrap_or_default()
    }

    /// Whether there is one for each image.
    pub fn is_of_images(self) -> bool {
        !matches!(self, Shape::Shared(_))
    }

    /// Channels of an image, features of a vector: what batch norm counts, the second axis of the tensor.
    pub fn channels(self) -> usize {
        match self {
            Shape::Image(channels, ..) | Shape::Vector(channels) => channels,
            Shape::Block(axes) | Shape::Shared(axes) => axes.as_slice().get(1).copied().unwrap_or(1),
        }
    }

    /// Pixels of each channel; 1 for a feature.
    pub fn pixels(self) -> usize {
        match self {
            Shape::Image(_, height, width) => height * width,
            Shape::Vector(_) => 1,
            Shape::Block(axes) | Shape::Shared(axes) => axes.product() / self.channels().max(1),
        }
    }

    /// Its sizes as other programs write them: channels, height and width, or features; of anything else all axes but the first,
    /// and that too where an image has several places in it.
    pub fn dimensions(self) -> impl Iterator<Item = usize> {
        let axes = self.axes();
        let skipped = usize::from(self.is_of_images() && axes.as_slice().first() == Some(&1));
        Vec::from(axes).into_iter().skip(skipped)
    }

    /// What examples of this shape are called, and a place of which they have several: each is normalised by numbers of its own.
    pub fn called(self) -> (&'static str, &'static str) {
        match self {
            Shape::Image(..) => ("images", "channel"),
            Shape::Vector(_) => ("rows", "feature"),
            Shape::Block(axes) | Shape::Shared(axes) => {
                (if axes.as_slice().len() == 3 { "signals" } else { "examples" }, "channel")
            }
        }
    }

    /// Number of values.
    pub fn size(self) -> usize {
        match self {
            Shape::Image(channels, height, width) => channels * height * width,
            Shape::Vector(features) => features,
            Shape::Block(axes) | Shape::Shared(axes) => axes.product(),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes: Vec<String> = self.dimensions().map(|size| size.to_string()).collect();
        f.write_str(&sizes.join("x"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_images_and_vectors_are_told_by_their_axes() {
        let shape = |sizes: &[usize]| Shape::of_images(Axes::of(sizes).unwrap());
        assert_eq!(shape(&[1, 3, 8, 8]), Shape::Image(3, 8, 8));
        assert_eq!(shape(&[1, 10]), Shape::Vector(10));
        let windows = shape(&[4, 49, 96]);
        assert_eq!((windows.to_string(), windows.size(), windows.channels()), ("4x49x96".to_string(), 4 * 49 * 96, 49));
        assert_eq!(shape(&[1, 49, 96]).to_string(), "49x96");
        assert_eq!(Shape::Image(3, 8, 9).to_string(), "3x8x9");
        let called = |sizes: &[usize]| shape(sizes).called();
        assert_eq!((called(&[1, 3, 8, 8]), called(&[1, 10])), (("images", "channel"), ("rows", "feature")));
        assert_eq!((called(&[1, 3, 64]), called(&[1, 3, 4, 4, 4]).0), (("signals", "channel"), "examples"));
        assert!(Axes::of(&[1; 9]).is_none());
    }
}
