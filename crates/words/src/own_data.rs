//! Data of the user's own, as a sweep says them and as they were found. It may not know of files or settings.

use serde::{Deserialize, Serialize};

use crate::Shape;

/// What a block `[datasets.NAME]` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataOptions {
    /// Height and width that images are brought to; none: all have one size.
    pub size: Option<(usize, usize)>,
    /// How they are brought to it.
    pub resize: Resize,
    /// Channels of images: 1 (grey), 3 (colour) or 4 (colour and alpha); none: 1 if all are grey, else 3.
    pub channels: Option<usize>,
    /// What becomes of alpha where images have no channel for it.
    pub alpha: Alpha,
    /// Share of the examples that are held out for the test, where a set has no such part.
    pub test_share: Option<f64>,
    /// What of the path is the part that is trained on, that validates, that tests: a folder, a file, a pattern with `*`, the value of a column.
    pub train: Option<String>,
    /// The same for validation.
    pub validation: Option<String>,
    /// The same for the test.
    pub test: Option<String>,
    /// The array or column of the values, where a file has several.
    pub values: Option<String>,
    /// The array or column of the labels.
    pub labels: Option<String>,
    /// Where channels are in arrays.
    pub axes: Option<AxesOrder>,
    /// Leave damaged images out and say how many.
    pub skip_damaged: bool,
}

/// How images are brought to a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resize {
    /// Height and width by themselves.
    #[default]
    Stretch,
    /// The shorter side to the size, then the middle is cut out.
    Crop,
}

/// What becomes of the alpha of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpha {
    /// Left out, as torchvision does: what is transparent has the colour that the file has there.
    #[default]
    Drop,
    /// Over white.
    White,
    /// Over black.
    Black,
}

/// Where the channels of arrays are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AxesOrder {
    /// Before the places: PyTorch's.
    First,
    /// After them: TensorFlow's and that of images.
    Last,
}

/// What was found in data of the user's own: all that a plan needs of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataForm {
    /// BLAKE3 in hexadecimal of everything decoded.
    pub content: String,
    /// Of every example.
    pub shape: DataShape,
    /// Whether values are bytes, which stand for numbers from 0 to 1, or numbers as they are.
    pub bytes: bool,
    /// How many classes.
    pub classes: usize,
    /// Training examples; validation is split off them unless there is a part of its own.
    pub train: usize,
    /// Examples of a validation part of its own; 0 if there is none.
    pub validation: usize,
    /// Test examples.
    pub test: usize,
}

/// The shape of an example, as it is written down: channels and length of a signal, channels, height and width of an image, or
/// the features of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataShape(pub Vec<usize>);

impl DataShape {
    /// Of a shape.
    pub fn of(shape: Shape) -> Self {
        Self(shape.dimensions().collect())
    }

    /// The shape of one example; none if there are other than one to three sizes, or one is 0.
    pub fn shape(&self) -> Option<Shape> {
        if self.0.contains(&0) {
            return None;
        }
        match *self.0.as_slice() {
            [features] => Some(Shape::Vector(features)),
            [channels, length] => crate::Axes::of(&[1, channels, length]).map(Shape::Block),
            [channels, height, width] => Some(Shape::Image(channels, height, width)),
            _ => None,
        }
    }
}
