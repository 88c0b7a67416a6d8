//! What readers of all formats give: one example after the other, and how the parts of a set are put together.
//!
//! A reader knows its format and nothing else: not which classes there are in the whole set, not what size images are to have,
//! not where the values go. It gives the same examples in the same order each time that it is asked.

use tombola_words::Shape;
use tombola_words::error::Result;

/// One thing to learn from, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What the user would look for: a path within the set, or `row 17 of FILE`.
    pub name: String,
    /// What it is.
    pub label: Label,
    /// What it looks like.
    pub content: Content,
}

/// The class of an example, as its file says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// A number; classes are counted from the lowest that the publisher uses.
    Number(i64),
    /// A word: the name of a folder, a text in a column.
    Word(String),
}

/// The cure of a part whose labels nobody published.
pub(crate) const UNLABELLED: &str = "labels of -1 are those of a part that has none: leave it aside, as `test = \"\"` does in a block `[datasets.NAME]`";

/// The values of an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The bytes of a file of an image (PNG, JPEG, WebP, BMP, TIFF), not yet decoded.
    File(Vec<u8>),
    /// A file that could not be read, and why: an error, unless damaged ones are skipped.
    Damaged(String),
    /// Values, channels last: `[height, width, channels]`, `[length, channels]` or `[features]`.
    Array(Array),
}

/// Values of one example.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// [`Shape::Image`], [`Shape::Block`] of channels and length for a signal, [`Shape::Vector`] for a row.
    pub shape: Shape,
    /// As many as the shape has, channels last.
    pub numbers: Numbers,
}

/// Numbers in one of the types that files have.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Bytes: an image of 8 bits a value.
    Bytes(Vec<u8>),
    /// Whole numbers of other types. A set all of whose numbers are from 0 to 255 is one of bytes.
    Whole(Vec<i64>),
    /// Anything else.
    Floats(Vec<f32>),
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Whole(numbers) => numbers.len(),
            Self::Floats(numbers) => numbers.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes one example after the other; an error ends the reading.
pub type Take<'a> = dyn FnMut(Example) -> Result<()> + 'a;

/// One part of a set in some format.
pub trait Reader: Send + Sync {
    /// Gives every example to `take`. Nothing is held that was given: a part may be larger than memory.
    ///
    /// # Errors
    /// Files that cannot be read or are not of the format; what `take` says.
    fn read(&self, take: &mut Take) -> Result<()>;
}

/// Where a reader found which examples belong.
pub struct SetParts {
    /// How the format is called for people: `folders of images`, `arrays of NumPy (.npz)`.
    pub format: &'static str,
    /// What may be trained on.
    pub train: Box<dyn Reader>,
    /// What epochs are chosen on, if the set has such a part.
    pub validation: Option<Box<dyn Reader>>,
    /// What is reported, if the set has such a part.
    pub test: Option<Box<dyn Reader>>,
    /// All classes in their order, where the format says them: names of folders, a file of names. Else they follow from the labels.
    pub classes: Option<Vec<Label>>,
    /// What is odd, in words: files that were left aside, a part without labels.
    pub notes: Vec<String>,
}
