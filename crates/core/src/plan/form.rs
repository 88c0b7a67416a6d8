//! What settings alone say of a network and of the data that it is trained on: no file is read.
//!
//! It may not know of plans, files or torch.

use std::collections::BTreeMap;

use crate::net::custom::OwnNetwork;
use crate::net::{Graph, zoo};
use crate::sweep::Settings;
use tombola_words::error::Result;
use tombola_words::{Shape, catalogue};

/// The network of some settings for images of a given form: a built-in one, or one of the user's `own`.
///
/// # Errors
/// When the network is unknown or cannot work on such images.
pub fn network(settings: &Settings, own: &BTreeMap<String, OwnNetwork>, input: Shape, classes: usize) -> Result<Graph> {
    if let Some(layers) = own.get(&settings.network) {
        return layers.build(input, classes);
    }
    zoo::build(&settings.choice(), input, classes)
}

/// Shape, classes and training images of a data set, as its publisher states them: no file is read.
///
/// # Errors
/// When the data set is unknown.
pub fn data_form(settings: &Settings) -> Result<(Shape, usize, usize)> {
    let known = catalogue::find(&settings.dataset)?;
    Ok(match (settings.dataset.as_str(), settings.synthetic_shape.as_slice()) {
        ("synthetic", &[channels, height, width]) => {
            (Shape::Image(channels, height, width), settings.synthetic_classes, settings.synthetic_size)
        }
        _ => (known.shape, known.classes, known.train_images),
    })
}

/// Images that are trained on, of a data set as its publisher states it: without those that validate, of which there are a tenth, at
/// least 1 and at most 5000, unless the settings say how many.
///
/// # Errors
/// When the data set is unknown.
pub fn trained_on(settings: &Settings) -> Result<usize> {
    let (_, _, images) = data_form(settings)?;
    let used = settings.train_limit.unwrap_or(images).min(images);
    Ok(used.saturating_sub(settings.validation_size.unwrap_or((used / 10).clamp(1, 5000))))
}
