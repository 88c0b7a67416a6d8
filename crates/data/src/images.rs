//! Examples and labels in memory: images, signals or rows of features.
//!
//! Whatever the file format, this is what comes out. It knows nothing of files, tensors or training. A process
//! holds one copy of a data set, so neither type can be cloned.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::filter::FrequencyFilter;
use super::part_file::PartFile;
use super::values::{ValueKind, Values};
use tombola_words::Shape;
use tombola_words::error::{Error, Result};
use tombola_words::signals;
use tombola_words::value::ImageFilter;

/// More than this is not read into memory, whoever asks: no set of small images that has a name here comes near it.
pub const MOST_BYTES: u64 = 4 << 30;

/// Labels have two bytes, and one of their values is left free.
pub const MOST_CLASSES: usize = 65_535;

/// One part (training, validation or test) of a data set.
pub struct Images {
    /// Example after example, row major. Channels come last: an image is `[height, width, channels]`, a signal
    /// `[length, channels]`, a row `[features]`.
    ///
    /// Empty where they are read from `file` when they are needed.
    pub values: Values,
    /// Where values are read from that do not fit into memory.
    pub file: Option<Arc<PartFile>>,
    /// What is done to the values of `file` when they are read; those in `values` are as they should be.
    filter: Option<Arc<FrequencyFilter>>,
    /// What each of the values is.
    pub element: ValueKind,
    /// One label an example, each below `classes`.
    pub labels: Vec<u16>,
    /// Of every example: [`Shape::Image`], [`Shape::Block`] of channels and length for a signal, [`Shape::Vector`] for a row.
    pub shape: Shape,
    /// How many classes there can be, whether or not each occurs.
    pub classes: usize,
}

impl Images {
    /// Images of bytes. `dimensions` are channels, height and width.
    ///
    /// # Errors
    /// Pixels and labels that do not fit each other, and labels that are not below `classes`.
    pub fn new<L: Into<u16>>(
        pixels: Vec<u8>,
        labels: Vec<L>,
        dimensions: (usize, usize, usize),
        classes: usize,
    ) -> Result<Self> {
        let shape = Shape::Image(dimensions.0, dimensions.1, dimensions.2);
        let labels = labels.into_iter().map(Into::into).collect();
        Self::of(pixels.into(), ValueKind::Byte, labels, shape, classes)
    }

    /// Puts the parts together.
    ///
    /// # Errors
    /// As [`Images::new`].
    pub fn of(values: Values, element: ValueKind, labels: Vec<u16>, shape: Shape, classes: usize) -> Result<Self> {
        let expected = labels.len().checked_mul(shape.size()).and_then(|values| values.checked_mul(element.bytes()));
        if expected != Some(values.len()) {
            return Err(Error::input(format!(
                "{} bytes of pixels do not fit {} images of {shape}",
                values.len(),
                labels.len()
            )));
        }
        check_labels(&labels, classes)?;
        Ok(Self { values, file: None, filter: None, element, labels, shape, classes })
    }

    /// The examples of a file of the cache: mapped if they `fit` into memory, else read when they are needed.
    pub(crate) fn on_disk(
        file: Arc<PartFile>,
        fit: bool,
        element: ValueKind,
        labels: Vec<u16>,
        shape: Shape,
        classes: usize,
    ) -> Result<Self> {
        check_labels(&labels, classes)?;
        let (values, file) = if fit { (file.mapped()?, None) } else { (Vec::new().into(), Some(file)) };
        Ok(Self { values, file, filter: None, element, labels, shape, classes })
    }

    /// Copies the values of example `index` into `values`, which has the bytes of one.
    ///
    /// # Errors
    /// When there is no such example, or it cannot be read.
    pub fn read(&self, index: usize, values: &mut [u8]) -> Result<()> {
        match &self.file {
            Some(file) => self.read_from(file, index, values),
            None => {
                let example = self.example(index).filter(|example| example.len() == values.len());
                values.copy_from_slice(example.ok_or_else(|| self.none(&(index..index + 1)))?);
                Ok(())
            }
        }
    }

    /// Gives the values of the examples in `range` to `see`, some at a time.
    ///
    /// # Errors
    /// When there are no such examples, or they cannot be read.
    pub fn each_piece(&self, range: Range<usize>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let size = self.example_bytes();
        match &self.file {
            None => {
                let bytes = range.start.checked_mul(size).zip(range.end.checked_mul(size));
                let values =
                    bytes.and_then(|(start, end)| self.values.get(start..end)).ok_or_else(|| self.none(&range))?;
                see(values);
            }
            Some(file) => {
                let mut values = vec![0; size];
                for index in range {
                    self.read_from(file, index, &mut values)?;
                    see(&values);
                }
            }
        }
        Ok(())
    }

    fn read_from(&self, file: &PartFile, index: usize, values: &mut [u8]) -> Result<()> {
        file.read(index, values)?;
        if let Some(filter) = &self.filter {
            filter.apply(values);
        }
        Ok(())
    }

    /// These images, each filtered: now, or where they are read from a file, each time that one is read.
    fn filtered(mut self, filter: &Arc<FrequencyFilter>) -> Result<Self> {
        if self.file.is_some() {
            self.filter = Some(Arc::clone(filter));
            return Ok(self);
        }
        let size = self.example_bytes();
        let mut bytes = self.values.into_bytes();
        for image in bytes.chunks_exact_mut(size) {
            signals::check("the filtering of the images")?;
            filter.apply(image);
        }
        self.values = bytes.into();
        Ok(self)
    }

    fn none(&self, range: &Range<usize>) -> Error {
        Error::input(format!("there are no images {} to {} of {}", range.start, range.end, self.len()))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one example.
    pub fn example_bytes(&self) -> usize {
        self.shape.size() * self.element.bytes()
    }

    /// The sizes of an example as its values lie, channels last.
    pub fn layout(&self) -> Vec<usize> {
        layout(self.shape)
    }

    /// The values of example `index`, channels last; none if there is no such example.
    pub fn example(&self, index: usize) -> Option<&[u8]> {
        let size = self.example_bytes();
        self.values.get(index.checked_mul(size)?..index.checked_add(1)?.checked_mul(size)?)
    }

    /// Keeps the first `count` images and frees the memory of the others; nothing happens if there are fewer.
    pub fn truncate(&mut self, count: usize) {
        if count < self.len() {
            self.labels.truncate(count);
            self.labels.shrink_to_fit();
            self.values.truncate(count * self.example_bytes());
        }
    }

    /// How many images each class has.
    pub fn images_per_class(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        counts
    }
}

/// The sizes of an example of some shape as its values lie, channels last.
pub fn layout(shape: Shape) -> Vec<usize> {
    let mut sizes: Vec<usize> = shape.dimensions().collect();
    // Channels come first in a shape.
    if sizes.len() > 1 {
        sizes.rotate_left(1);
    }
    sizes
}

impl PartialEq for Images {
    fn eq(&self, other: &Self) -> bool {
        let read = |images: &Self| (images.file.as_ref().map(Arc::as_ptr), images.filter.as_ref().map(Arc::as_ptr));
        let form = |images: &Self| (images.element, images.shape, images.classes, read(images));
        form(self) == form(other) && self.labels == other.labels && self.values == other.values
    }
}

impl Eq for Images {}

impl fmt::Debug for Images {
    // The pixels would fill the screen many times over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Images({} of {}, {} classes)", self.len(), self.shape, self.classes)
    }
}

/// Refuses the first label that is not below `classes`.
pub(crate) fn check_labels(labels: &[u16], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(index) => Err(Error::input(format!(
            "label {} of image {index} is out of range; expected 0 to {}",
            labels[index],
            classes.saturating_sub(1)
        ))),
    }
}

/// A data set: training images (from which validation is split off, unless there are some of its own) and test images.
#[derive(Debug)]
pub struct DataSet {
    /// Its name in the catalogue, or the user's.
    pub name: String,
    /// What may be trained on.
    pub train: Images,
    /// What epochs are chosen on, where the publisher says so.
    pub validation: Option<Images>,
    /// What is only reported on.
    pub test: Images,
    /// BLAKE3 in hexadecimal of everything decoded: shape, classes, values and labels of all parts. The same images
    /// give the same fingerprint, however the files were compressed and wherever they lay.
    pub fingerprint: String,
}

impl DataSet {
    /// Bytes of all its examples.
    pub fn bytes(&self) -> u64 {
        let parts = [Some(&self.train), self.validation.as_ref(), Some(&self.test)];
        parts.into_iter().flatten().map(|part| (part.len() * part.example_bytes()) as u64).sum()
    }

    /// Whether its values are read when they are needed, because they do not fit into memory.
    pub fn reads_ahead(&self) -> bool {
        self.train.file.is_some()
    }

    /// Joins both parts and computes the fingerprint.
    ///
    /// # Errors
    /// An empty part, or parts that differ in shape or classes.
    pub fn new(name: impl Into<String>, train: Images, test: Images) -> Result<Self> {
        Self::of(name, train, None, test)
    }

    /// As [`DataSet::new`], with images that validate.
    ///
    /// # Errors
    /// As there.
    pub fn of(name: impl Into<String>, train: Images, validation: Option<Images>, test: Images) -> Result<Self> {
        let name = name.into();
        let parts = [("training", Some(&train)), ("validation", validation.as_ref()), ("test", Some(&test))];
        let parts: Vec<(&str, &Images)> =
            parts.into_iter().filter_map(|(part, images)| Some((part, images?))).collect();
        for (part, images) in &parts {
            if images.is_empty() {
                return Err(Error::input(format!("`{name}` has no {part} images")));
            }
        }
        for (part, images) in &parts {
            if (train.shape, train.classes, train.element) != (images.shape, images.classes, images.element) {
                return Err(Error::input(format!(
                    "`{name}` has training images of {} in {} classes, but {part} images of {} in {} classes",
                    train.shape, train.classes, images.shape, images.classes
                )));
            }
        }
        let fingerprint = fingerprint(&parts);
        Ok(Self { name, train, validation, test, fingerprint })
    }

    /// The same set with each image of each part filtered, by a Gaussian of `sigma` pixels. The fingerprint stays: it is of what
    /// the images were made of.
    ///
    /// # Errors
    /// As [`check_filter`](tombola_words::check_filter), naming the set, and when the program is asked to stop.
    pub fn filtered(self, filter: ImageFilter, sigma: f64) -> Result<Self> {
        let Images { shape, element, .. } = self.train;
        let filter = FrequencyFilter::of(filter, sigma, shape, element == ValueKind::Byte)
            .map_err(|error| error.at(format!("data set `{}`", self.name)))?;
        let Some(filter) = filter.map(Arc::new) else { return Ok(self) };
        Ok(Self {
            train: self.train.filtered(&filter)?,
            validation: self.validation.map(|images| images.filtered(&filter)).transpose()?,
            test: self.test.filtered(&filter)?,
            ..self
        })
    }
}

fn fingerprint(parts: &[(&str, &Images)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (_, part) in parts {
        fingerprint_head(&mut hasher, part.len(), part.element, part.shape, part.classes);
        hasher.update(&part.values);
        fingerprint_labels(&mut hasher, &part.labels, part.classes);
    }
    hasher.finalize().to_hex().to_string()
}

/// Adds what comes before the values of a part. Sizes come first, so that no two data sets can be cut differently from the same bytes.
pub(crate) fn fingerprint_head(
    hasher: &mut blake3::Hasher,
    count: usize,
    element: ValueKind,
    shape: Shape,
    classes: usize,
) {
    // Sets of bytes keep the fingerprints that they had when there was nothing else.
    if element == ValueKind::Float {
        hasher.update(b"floats");
    }
    for number in [count].into_iter().chain(shape.dimensions()).chain([classes]) {
        hasher.update(&(number as u64).to_le_bytes());
    }
}

/// Adds what comes after the values of a part.
pub(crate) fn fingerprint_labels(hasher: &mut blake3::Hasher, labels: &[u16], classes: usize) {
    let bytes: Vec<u8> = match classes {
        ..=256 => labels.iter().map(|label| *label as u8).collect(),
        _ => labels.iter().flat_map(|label| label.to_le_bytes()).collect(),
    };
    hasher.update(&bytes);
}

#[cfg(test)]
mod tests;
