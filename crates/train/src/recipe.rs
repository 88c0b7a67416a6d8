//! What a recipe asks of its data and its network, looked at before anything is trained.

use tombola_core::net::Graph;
use tombola_core::sweep::Settings;
use tombola_data::{DataSet, Split};
use tombola_words::error::{Error, Result};
use tombola_words::value::{ClassWeights, LastBatch, Schedule};

use crate::training::objective::wrong_count;
use crate::training::portions::Portions;

/// Refuses settings that the data cannot serve, and says what else the user should know, if anything.
///
/// # Errors
/// When class weights are of another number of classes, or a schedule has no images to look at. They name the data set.
pub fn check(settings: &Settings, data: &DataSet, split: &Split, graph: &Graph) -> Result<Option<String>> {
    let place = |error: Error| error.at(format!("data set `{}`", settings.dataset));
    if let ClassWeights::Numbers(numbers) = &settings.class_weights
        && numbers.len() != data.train.classes
    {
        return Err(place(wrong_count(numbers.len(), data.train.classes)));
    }
    // The loss over no images is 0 and never falls.
    if settings.schedule == Schedule::Plateau && split.validation.is_empty() && data.test.len() == 0 {
        return Err(place(
            Error::input("`schedule`: `plateau` looks at the loss on held-out images, and there are none")
                .hint("hold images out with `--validation-size`, or take a schedule that looks at no loss"),
        ));
    }
    let portions = Portions::of(split.train.len(), settings, graph);
    let lone = graph.lone_norm().filter(|_| settings.last_batch == LastBatch::Auto && portions.is_joined());
    Ok(lone.map(|norm| {
        format!(
            "network `{}`: the last batch of an epoch would be one image, of which batch norm `{}` sees one value a channel, so \
             that there is no variance: it is trained on with the batch before it (`last-batch`)",
            settings.network, norm.name
        )
    }))
}
