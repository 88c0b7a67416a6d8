//! The shape of what flows through a network. It may not know of networks.

/// What one image looks like between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Channels, height and width.
    Image(usize, usize, usize),
    /// A flat list of features.
    Vector(usize),
}

impl Shape {
    /// Channels of an image, features of a vector: what batch norm and pruning count.
    pub fn channels(self) -> usize {
        match self {
            Shape::Image(channels, ..) | Shape::Vector(channels) => channels,
        }
    }

    /// Pixels of each channel; 1 for a feature.
    pub fn pixels(self) -> usize {
        match self {
            Shape::Image(_, height, width) => height * width,
            Shape::Vector(_) => 1,
        }
    }

    /// Its sizes as other programs write them: channels, height and width, or features.
    pub fn dimensions(self) -> impl Iterator<Item = usize> {
        let (sizes, count) = match self {
            Shape::Image(channels, height, width) => ([channels, height, width], 3),
            Shape::Vector(features) => ([features, 0, 0], 1),
        };
        sizes.into_iter().take(count)
    }

    /// Number of values.
    pub fn size(self) -> usize {
        match self {
            Shape::Image(channels, height, width) => channels * height * width,
            Shape::Vector(features) => features,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::Image(channels, height, width) => write!(f, "{channels}x{height}x{width}"),
            Shape::Vector(features) => write!(f, "{features}"),
        }
    }
}
