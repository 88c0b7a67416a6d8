//! What a stage trains on and how long that will take, guessed before anything runs. It may not know of torch.

use std::collections::BTreeMap;

use super::stage::Stage;
use crate::data::catalogue;
use crate::error::Result;
use crate::net::cost::Cost;
use crate::net::custom::Layers;
use crate::net::{Graph, Shape, zoo};
use crate::sweep::Settings;
use crate::sweep::value::ShortcutOption;

/// Arithmetic of one thread of a current server core in fp32 convolutions of small networks, multiply-adds times two a
/// second: ResNet-20 in TOOLCHAIN's measurements, 0.246 GFLOP an image at 650 images/s.
const FLOPS_PER_SECOND: f64 = 1.6e11;
/// Time that each layer of each step takes whatever its size: starting some fifteen tensor operations.
const SECONDS_PER_NODE: f64 = 2.5e-5;

/// The network of some settings for images of a given form: a built-in one, or one of the user's `own`.
///
/// # Errors
/// When the network is unknown or cannot work on such images.
pub fn network(settings: &Settings, own: &BTreeMap<String, Layers>, input: Shape, classes: usize) -> Result<Graph> {
    if let Some(layers) = own.get(&settings.network) {
        return layers.build(input, classes);
    }
    let shortcut = match settings.shortcut {
        ShortcutOption::A => zoo::Shortcut::A,
        ShortcutOption::B => zoo::Shortcut::B,
    };
    let choice =
        zoo::Choice { depth: settings.depth, width: settings.width, shortcut, ..zoo::Choice::named(&settings.network) };
    zoo::build(&choice, input, classes)
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

/// Seconds of one epoch on one CPU thread: a guess within a factor of about two.
///
/// # Errors
/// As [`network`] and [`data_form`].
pub fn epoch_seconds(stage: &Stage, own: &BTreeMap<String, Layers>) -> Result<f64> {
    let settings = &stage.settings;
    let (shape, classes, images) = data_form(settings)?;
    let graph = network(settings, own, shape, classes)?;
    let images = settings.train_limit.unwrap_or(images).min(images) as f64;
    // Backward costs twice what forward does.
    let arithmetic = 3.0 * Cost::of(&graph).flops() as f64 * images / FLOPS_PER_SECOND;
    let steps = (images / settings.batch_size as f64).ceil();
    Ok(arithmetic + steps * graph.nodes.len() as f64 * SECONDS_PER_NODE)
}

/// A length of time for people: "45 s", "12 min", "3.5 h", "2.1 days".
pub fn human(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".to_string(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_a_fitting_unit() {
        let told = [0.2, 45.0, 720.0, 12_600.0, 181_440.0].map(human);
        assert_eq!(told, ["under 1 s", "45 s", "12 min", "3.5 h", "2.1 days"]);
    }

    #[test]
    fn a_network_that_cannot_work_on_the_data_is_refused_before_any_file_is_read() {
        let settings = Settings { network: "vgg-16".into(), dataset: "synthetic".into(), ..Settings::default() };
        let (shape, classes, _) = data_form(&settings).unwrap();
        assert!(network(&settings, &BTreeMap::new(), shape, classes).is_err());
    }
}
