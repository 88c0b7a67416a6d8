//! Images and labels in memory, as bytes.
//!
//! Whatever the file format, this is what comes out. It knows nothing of files, tensors or training. A process
//! holds one copy of a data set, so neither type can be cloned.

use std::fmt;

use tombola_words::Shape;
use tombola_words::error::{Error, Result};

/// More than this is refused, whoever asks: no known data set of small images comes near it.
pub const MOST_BYTES: u64 = 4 << 30;

/// Labels are bytes, so there cannot be more classes.
pub const MOST_CLASSES: usize = 256;

/// One part (training or test) of a data set.
#[derive(PartialEq, Eq)]
pub struct Images {
    /// Image after image, each `[height, width, channels]`, row major, 0 to 255.
    pub pixels: Vec<u8>,
    /// One label an image, each below `classes`.
    pub labels: Vec<u8>,
    /// [`Shape::Image`]: channels, height and width of every image.
    pub shape: Shape,
    /// How many classes there can be, whether or not each occurs.
    pub classes: usize,
}

impl Images {
    /// Puts the parts together. `dimensions` are channels, height and width.
    ///
    /// # Errors
    /// Pixels and labels that do not fit each other, and labels that are not below `classes`.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, dimensions: (usize, usize, usize), classes: usize) -> Result<Self> {
        let shape = Shape::Image(dimensions.0, dimensions.1, dimensions.2);
        let expected = labels.len().checked_mul(shape.size());
        if expected != Some(pixels.len()) {
            return Err(Error::input(format!(
                "{} bytes of pixels do not fit {} images of {shape}",
                pixels.len(),
                labels.len()
            )));
        }
        check_labels(&labels, classes)?;
        Ok(Self { pixels, labels, shape, classes })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height and width.
    pub fn dimensions(&self) -> (usize, usize, usize) {
        match self.shape {
            Shape::Image(channels, height, width) => (channels, height, width),
            shape => (shape.channels(), shape.size() / shape.channels().max(1), 1),
        }
    }

    /// The pixels of image `index`, `[height, width, channels]`; none if there is no such image.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let size = self.shape.size();
        self.pixels.get(index.checked_mul(size)?..index.checked_add(1)?.checked_mul(size)?)
    }

    /// Keeps the first `count` images and frees the memory of the others; nothing happens if there are fewer.
    pub fn truncate(&mut self, count: usize) {
        if count < self.len() {
            self.labels.truncate(count);
            self.labels.shrink_to_fit();
            self.pixels.truncate(count * self.shape.size());
            self.pixels.shrink_to_fit();
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

impl fmt::Debug for Images {
    // The pixels would fill the screen many times over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Images({} of {}, {} classes)", self.len(), self.shape, self.classes)
    }
}

/// Refuses the first label that is not below `classes`.
pub(crate) fn check_labels(labels: &[u8], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(index) => Err(Error::input(format!(
            "label {} of image {index} is out of range; expected 0 to {}",
            labels[index],
            classes.saturating_sub(1)
        ))),
    }
}

/// A data set: training images (from which validation is split off) and test images.
#[derive(Debug, PartialEq, Eq)]
pub struct DataSet {
    /// Its name in the catalogue.
    pub name: String,
    /// What may be trained on.
    pub train: Images,
    /// What is only reported on.
    pub test: Images,
    /// BLAKE3 in hexadecimal of everything decoded: shape, classes, pixels and labels of both parts. The same images
    /// give the same fingerprint, however the files were compressed and wherever they lay.
    pub fingerprint: String,
}

impl DataSet {
    /// Joins both parts and computes the fingerprint.
    ///
    /// # Errors
    /// An empty part, or parts that differ in shape or classes.
    pub fn new(name: impl Into<String>, train: Images, test: Images) -> Result<Self> {
        let name = name.into();
        for (part, images) in [("training", &train), ("test", &test)] {
            if images.is_empty() {
                return Err(Error::input(format!("`{name}` has no {part} images")));
            }
        }
        if (train.shape, train.classes) != (test.shape, test.classes) {
            return Err(Error::input(format!(
                "`{name}` has training images of {} in {} classes, but test images of {} in {} classes",
                train.shape, train.classes, test.shape, test.classes
            )));
        }
        let fingerprint = fingerprint(&train, &test);
        Ok(Self { name, train, test, fingerprint })
    }
}

fn fingerprint(train: &Images, test: &Images) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [train, test] {
        let (channels, height, width) = part.dimensions();
        // The sizes come first, so that no two data sets can be cut differently from the same bytes.
        for number in [part.len(), channels, height, width, part.classes] {
            hasher.update(&(number as u64).to_le_bytes());
        }
        hasher.update(&part.pixels);
        hasher.update(&part.labels);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Images {
        Images::new((0..12).collect(), vec![0, 1, 2], (1, 2, 2), 3).unwrap()
    }

    #[test]
    fn an_image_is_found_at_its_place_and_nowhere_else() {
        let images = three();
        assert_eq!(images.len(), 3);
        assert_eq!(images.image(1), Some(&[4, 5, 6, 7][..]));
        assert_eq!(images.image(3), None);
        assert_eq!(images.image(usize::MAX), None);
    }

    #[test]
    fn truncation_keeps_the_first_images_and_frees_the_rest() {
        let mut images = three();
        images.truncate(9);
        assert_eq!(images.len(), 3);
        images.truncate(2);
        assert_eq!((images.pixels.as_slice(), images.labels.as_slice()), (&[0, 1, 2, 3, 4, 5, 6, 7][..], &[0, 1][..]));
        assert_eq!(images.images_per_class(), [1, 1, 0]);
    }

    #[test]
    fn pixels_that_do_not_fit_the_labels_are_refused() {
        let error = Images::new(vec![0; 11], vec![0, 1, 2], (1, 2, 2), 3).unwrap_err();
        assert_eq!(error.message, "11 bytes of pixels do not fit 3 images of 1x2x2");
        let error = Images::new(vec![0; 12], vec![0, 3, 2], (1, 2, 2), 3).unwrap_err();
        assert_eq!(error.message, "label 3 of image 1 is out of range; expected 0 to 2");
    }

    #[test]
    fn the_fingerprint_sees_every_pixel_label_and_size() {
        let whole = DataSet::new("a", three(), three()).unwrap().fingerprint;
        assert_eq!(whole, DataSet::new("b", three(), three()).unwrap().fingerprint, "the name is not content");
        let mut pixel = three();
        pixel.pixels[11] += 1;
        let mut label = three();
        label.labels[0] = 2;
        let mut fewer = three();
        fewer.truncate(2);
        for other in [pixel, label, fewer] {
            assert_ne!(whole, DataSet::new("a", three(), other).unwrap().fingerprint);
        }
        let tall = || Images::new((0..12).collect(), vec![0, 1, 2], (1, 4, 1), 3).unwrap();
        assert_ne!(whole, DataSet::new("a", tall(), tall()).unwrap().fingerprint);
    }

    #[test]
    fn parts_that_differ_or_are_empty_are_refused() {
        let tall = Images::new((0..12).collect(), vec![0, 1, 2], (1, 4, 1), 3).unwrap();
        assert!(DataSet::new("a", three(), tall).unwrap_err().message.contains("1x2x2"));
        let mut none = three();
        none.truncate(0);
        assert_eq!(DataSet::new("a", three(), none).unwrap_err().message, "`a` has no test images");
    }
}
