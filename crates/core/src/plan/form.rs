//! What settings alone say of a network and of the data that it is trained on: no file is read.
//!
//! It may not know of plans, files or torch.

use std::collections::BTreeMap;

use crate::net::custom::OwnNetwork;
use crate::net::{Graph, zoo};
use crate::sweep::Settings;
use tombola_words::error::{Error, Result};
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

/// Shape, classes and training images of a data set, as its publisher states them or as they were found: no file is read.
///
/// # Errors
/// When the data set is unknown.
pub fn data_form(settings: &Settings) -> Result<(Shape, usize, usize)> {
    let images = settings.published_images()?;
    if let Some(own) = &settings.own_set {
        let form = own.form()?;
        let shape =
            form.shape.shape().ok_or_else(|| Error::input(format!("`{}` has a shape that cannot be", own.name)))?;
        return Ok((shape, form.classes, images));
    }
    let known = catalogue::find(&settings.dataset)?;
    Ok(match (settings.dataset.as_str(), settings.synthetic_shape.as_slice()) {
        ("synthetic", &[channels, height, width]) => {
            (Shape::Image(channels, height, width), settings.synthetic_classes, images)
        }
        _ => (known.shape, known.classes, images),
    })
}
