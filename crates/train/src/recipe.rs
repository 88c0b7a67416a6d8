//! What a recipe asks of its data and its network, looked at before anything is trained.

use tombola_core::net::Graph;
use tombola_core::sweep::Settings;
use tombola_data::{DataSet, Split, ValueKind};
use tombola_words::Shape;
use tombola_words::error::{Error, Result};
use tombola_words::value::{Augment, ClassWeights, LastBatch, Schedule, Value};

use crate::training::objective::wrong_count;
use crate::training::portions::Portions;

/// Refuses to vary images in ways that are not defined for them: of `channels` channels, and bytes or not.
///
/// # Errors
/// When an alteration takes bytes of one or three channels, and the images are others.
pub fn can_vary(augment: &Augment, channels: usize, are_bytes: bool) -> Result<()> {
    if are_bytes && [1, 3].contains(&channels) {
        return Ok(());
    }
    let unfit = augment.alterations().into_iter().find(|alteration| alteration.needs_bytes());
    let found = match are_bytes {
        true => format!("{channels} channels"),
        false => "numbers that are no bytes".to_string(),
    };
    unfit.map_or(Ok(()), |alteration| {
        Err(Error::input(format!(
            "`augment`: `{}` is defined for images of bytes with one or three channels; these have {found}",
            alteration.show()
        ))
        .hint("leave it out: `flip`, `crop:PIXELS` and `cutout:SIDE` are for all images"))
    })
}

/// Refuses settings that the data cannot serve, and says what else the user should know, if anything.
///
/// # Errors
/// When class weights are of another number of classes, images of bytes are normalised by what no byte can be, or a schedule has no
/// images to look at. They name the data set.
pub fn check(settings: &Settings, data: &DataSet, split: &Split, graph: &Graph) -> Result<Option<String>> {
    let place = |error: Error| error.at(format!("data set `{}`", settings.dataset));
    if let ClassWeights::Numbers(numbers) = &settings.class_weights
        && numbers.len() != data.train.classes
    {
        return Err(place(wrong_count(numbers.len(), data.train.classes)));
    }
    if data.train.element == ValueKind::Byte {
        for (key, numbers) in ["input-mean", "input-std"].into_iter().zip(<[_; 2]>::from(settings.input_statistics())) {
            let numbers = numbers.unwrap_or_default();
            if let Some(number) = numbers.iter().find(|number| !(0.0..=1.0).contains(*number)) {
                return Err(place(
                    Error::input(format!(
                        "`{key}`: found {number}, expected numbers from 0 to 1: the values are bytes, which stand for such"
                    ))
                    .hint("divide what is of bytes from 0 to 255 by 255, or leave it out: `auto` measures it"),
                ));
            }
        }
    }
    if let Some(augment) = &settings.augment {
        let is_image = matches!(data.train.shape, Shape::Image(..));
        if !is_image && *augment != Augment::None {
            return Err(place(
                Error::input(format!(
                    "`augment`: `{}` varies images; these are examples of {}",
                    augment.show(),
                    data.train.shape
                ))
                .hint("say `augment = \"none\"`, which it also is where it is left out"),
            ));
        }
        can_vary(augment, data.train.shape.channels(), data.train.element == ValueKind::Byte).map_err(place)?;
    }
    if settings.cutmix > 0.0 && !matches!(data.train.shape, Shape::Image(..)) {
        return Err(place(
            Error::input(format!(
                "`cutmix` puts pieces of images into others; these are examples of {}",
                data.train.shape
            ))
            .hint("leave `cutmix` at 0; `mixup` is for all examples"),
        ));
    }
    // The loss over no images is 0 and never falls.
    if settings.schedule == Schedule::Plateau && split.validation.is_empty() && data.test.is_empty() {
        return Err(place(
            Error::input("`schedule`: `plateau` looks at the loss on held-out images, and there are none")
                .hint("hold images out with `--validation-size`, or take a schedule that looks at no loss"),
        ));
    }
    let portions = Portions::of(split.train.len(), settings, graph);
    if settings.last_batch == LastBatch::Drop && split.train.len() < settings.batch_size {
        return Ok(Some(format!(
            "data set `{}`: `last-batch = \"drop\"` would leave nothing: {} images are trained on, fewer than a batch of {}; they \
             are one short batch",
            settings.dataset,
            split.train.len(),
            settings.batch_size
        )));
    }
    let lone = graph.lone_norm().filter(|_| settings.last_batch == LastBatch::Auto && portions.is_joined());
    Ok(lone.map(|norm| {
        format!(
            "network `{}`: the last batch of an epoch would be one image, of which batch norm `{}` sees one value a channel, so \
             that there is no variance: it is trained on with the batch before it (`last-batch`)",
            settings.network, norm.name
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_core::net::{Builder, Op};
    use tombola_data::split;
    use tombola_words::Shape;
    use tombola_words::value::ChannelNumbers;

    /// Made-up images of two classes, and a network with a batch norm that sees one value of each.
    fn place(count: usize) -> (DataSet, Graph) {
        let data = tombola_data::synthetic((1, 4, 4), 2, count, 10).unwrap();
        let mut build = Builder::new(Shape::Image(1, 4, 4));
        let pool = build.add("pool", Op::GlobalAveragePool, &[0]).unwrap();
        let hidden = build.linear("hidden", pool, 3).unwrap();
        let norm = build.batch_norm("bn", hidden).unwrap();
        build.linear("fc", norm, 2).unwrap();
        (data, build.finish(2).unwrap())
    }

    #[test]
    fn a_joined_image_and_a_short_batch_are_told_and_weights_of_other_classes_are_refused() {
        let (data, graph) = place(30);
        let of = |settings: &Settings, validation| {
            check(settings, &data, &split(30, None, Some(validation)).unwrap(), &graph)
        };
        let settings = Settings { batch_size: 8, ..Settings::default() };
        assert!(of(&settings, 5).unwrap().unwrap().contains("batch norm `bn`"));
        assert_eq!(of(&settings, 6).unwrap(), None);
        assert_eq!(of(&Settings { last_batch: LastBatch::Join, ..settings.clone() }, 5).unwrap(), None);
        let dropped = Settings { last_batch: LastBatch::Drop, batch_size: 26, ..settings.clone() };
        assert_eq!(of(&dropped, 4).unwrap(), None);
        let note = of(&dropped, 5).unwrap().unwrap();
        assert!(note.contains("25 images are trained on, fewer than a batch of 26"), "{note}");
        let weights = |count| ClassWeights::Numbers(vec![1.0; count]);
        assert!(of(&Settings { class_weights: weights(2), ..settings.clone() }, 6).is_ok());
        let error = of(&Settings { class_weights: weights(3), ..settings }, 6).unwrap_err();
        assert!(error.message.contains("found 3 numbers, expected 2"), "{error}");
    }

    #[test]
    fn bytes_are_normalised_by_numbers_that_they_can_have_and_others_by_any() {
        let (mut data, graph) = place(30);
        let split = split(30, None, None).unwrap();
        let numbers = |numbers: &[f64]| Some(ChannelNumbers::Numbers(numbers.to_vec()));
        let with = |mean: &[f64], deviation: &[f64]| Settings {
            input_mean: numbers(mean),
            input_std: numbers(deviation),
            ..Settings::default()
        };
        assert!(check(&with(&[0.0], &[1.0]), &data, &split, &graph).is_ok());
        let unfit =
            [(with(&[-0.5], &[0.5]), "`input-mean`: found -0.5"), (with(&[0.5], &[58.4]), "`input-std`: found 58.4")];
        for (settings, said) in &unfit {
            let error = check(settings, &data, &split, &graph).unwrap_err();
            assert!(error.message.contains(said) && error.message.contains("bytes"), "{error}");
        }
        data.train.element = ValueKind::Float;
        assert!(unfit.iter().all(|(settings, _)| check(settings, &data, &split, &graph).is_ok()));
    }

    #[test]
    fn the_images_that_a_plan_counts_on_are_those_that_are_trained_on() {
        for (limit, validation_size) in [(None, None), (Some(700), None), (Some(7), None), (Some(700), Some(33))] {
            let settings = Settings { train_limit: limit, validation_size, ..Settings::default() };
            let split = split(50_000, limit, validation_size).unwrap();
            assert_eq!(settings.trained_images().unwrap(), split.train.len());
        }
    }

    #[test]
    fn colours_are_for_bytes_of_one_or_three_channels_and_places_for_all() {
        let of = |text: &str, channels, bytes| can_vary(&Augment::parse(text).unwrap(), channels, bytes);
        for (channels, bytes) in [(1, true), (3, true), (2, true), (3, false)] {
            assert!(of("[flip, crop:2, cutout:4]", channels, bytes).is_ok());
            assert!(of("crop-flip", channels, bytes).is_ok());
        }
        assert!(of("[flip, randaugment]", 3, true).is_ok() && of("[colour:0.4]", 1, true).is_ok());
        let error = of("[flip, rotate:15]", 2, true).unwrap_err();
        assert!(error.message.contains("`rotate:15.0`") && error.message.contains("2 channels"), "{error}");
        assert!(of("[randaugment]", 3, false).unwrap_err().message.contains("no bytes"));
    }
}
