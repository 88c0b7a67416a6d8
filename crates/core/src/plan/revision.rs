//! Where a result changed although no setting did: a wrong formula put right, a case that was not thought of.
//!
//! A revision is part of the identity of the trainings whose results it changed, and of no others: old results of those are
//! not taken for new, and all others stay. It may not know of files, workers or torch.

use std::collections::BTreeMap;

use super::form::{data_form, network};
use super::pruning::Pruning;
use crate::sweep::settings::{Decides, Settings};
use tombola_words::value::{Control, Criterion, LastBatch, Moment, Rewind, Schedule, Streams};

/// One change of results.
struct Revision {
    /// What changed, in a word or two that stay for ever: it stands in identities.
    name: &'static str,
    /// Whether the outcome of every training of a trial changed, or what happens between two of them.
    decides: Decides,
    /// Whether it changed the results of trainings with these settings.
    acts: fn(&Settings) -> bool,
}

/// All of them, the oldest first. None is ever removed or renamed.
const REVISIONS: &[Revision] = &[
    Revision {
        name: GEOMETRIC_MEDIAN,
        decides: Decides::Pruning,
        acts: |settings| sums_of_distances_met(&Pruning::of(settings, settings.rate())),
    },
    Revision {
        // Its masks were shuffled before they were compared, and those of its ticket too where it came first.
        name: "a random-mask twin's early bird is its ticket's",
        decides: Decides::Pruning,
        acts: |settings| settings.control == Control::RandomMask && settings.draw.is_early_bird(),
    },
    Revision {
        // The rate was that of whatever epoch the dense training had come to meanwhile.
        name: "plateau up to the draw",
        decides: Decides::Pruning,
        acts: |settings| {
            let early = !matches!(settings.draw, Moment::Best | Moment::Last);
            // The twin on new weights follows the schedule from its start.
            let tunes = settings.rewind == Rewind::None && settings.control != Control::Reinit;
            let inherits = tunes && settings.fine_tune_lr.is_none();
            settings.schedule == Schedule::Plateau && inherits && early
        },
    },
    Revision {
        // The loss over no images was 0 and never fell, so the rate did.
        name: "plateau without validation",
        decides: Decides::Training,
        acts: |settings| settings.schedule == Schedule::Plateau && settings.validation_size == Some(0),
    },
    Revision {
        // Scales of residual streams were left alone where they are pruned.
        name: "slimming of streams",
        decides: Decides::Training,
        acts: |settings| settings.slimming > 0.0 && settings.slimmed_streams() == Streams::Group,
    },
    Revision {
        // It was a batch of its own: nothing was learnt of it, and variances came to be too small or no numbers.
        name: "last image joined where a norm sees one value",
        decides: Decides::Training,
        acts: joins_last_image,
    },
];

/// Whether the last batch of an epoch would be one image, of which a batch norm sees a single value. Of a network of the user's own
/// its settings do not say whether it has such a batch norm: then as if it had.
fn joins_last_image(settings: &Settings) -> bool {
    let rest = || {
        settings
            .trained_images()
            .map_or(0, |images| if images > settings.batch_size { images % settings.batch_size } else { 0 })
    };
    if settings.last_batch != LastBatch::Auto || settings.batch_size < 2 || rest() != 1 {
        return false;
    }
    let built_in = || {
        let (shape, classes, _) = data_form(settings)?;
        network(settings, &BTreeMap::new(), shape, classes)
    };
    settings.own_network || built_in().is_ok_and(|graph| graph.lone_norm().is_some())
}

/// Scores were sums of distances, so where layers met, their widths and the lengths of their filters decided what went.
const GEOMETRIC_MEDIAN: &str = "geometric-median per filter";

fn sums_of_distances_met(pruning: &Pruning) -> bool {
    pruning.criterion == Criterion::GeometricMedian && pruning.compares_layers()
}

/// Whether a revision changed the masks that a pruning draws.
type Acts = fn(&Pruning) -> bool;

/// Those that changed which mask is drawn, and where. Masks of every epoch lie beside a training whose own results stay, so
/// the key of those masks has to change.
const OF_MASKS: &[(&str, Acts)] = &[(GEOMETRIC_MEDIAN, sums_of_distances_met)];

/// The lines that those which act add to the key of the masks of every epoch.
pub(super) fn mask_revisions(pruning: &Pruning) -> String {
    let acting = OF_MASKS.iter().filter(|(_, acts)| acts(pruning));
    acting.map(|(name, _)| format!("revision={name}\n")).collect()
}

/// The lines that those which act add to an identity.
pub(super) fn revisions(settings: &Settings, decides: Decides) -> String {
    let acting = REVISIONS.iter().filter(|revision| revision.decides == decides && (revision.acts)(settings));
    acting.map(|revision| format!("revision={}\n", revision.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::value::{PruningType, Select};

    #[test]
    fn what_changed_is_renamed_and_nothing_beside_it() {
        let plateau = || Settings { schedule: Schedule::Plateau, ..Settings::default() };
        let early = || Settings { rewind: Rewind::None, draw: Moment::Epoch(1), ..plateau() };
        let unvalidated = || Settings { validation_size: Some(0), select: Select::Test, ..Settings::default() };
        let group = |network: &str| Settings {
            network: network.into(),
            slimming: 1e-4,
            pruning_type: PruningType::Structured,
            streams: Streams::Group,
            ..Settings::default()
        };
        // 46 images, 5 of which validate: in batches of 8 there is one left, of which VGG-11 on 16 pixels has single values.
        let lone = |network: &str| Settings {
            network: network.into(),
            dataset: "synthetic".into(),
            synthetic_shape: vec![1, 16, 16],
            train_limit: Some(46),
            validation_size: Some(5),
            batch_size: 8,
            ..Settings::default()
        };
        let training = [
            (lone("vgg-11"), "revision=last image joined where a norm sees one value\n"),
            (lone("resnet"), ""),
            (Settings { last_batch: LastBatch::Keep, ..lone("vgg-11") }, ""),
            (Settings { validation_size: Some(4), ..lone("vgg-11") }, ""),
            (Settings { batch_size: 64, ..lone("vgg-11") }, ""),
            (Settings { schedule: Schedule::Plateau, ..unvalidated() }, "revision=plateau without validation\n"),
            (group("resnet"), "revision=slimming of streams\n"),
            (group("own"), "revision=slimming of streams\n"),
            (unvalidated(), ""),
            (plateau(), ""),
            (group("vgg-16"), ""),
            (Settings { slimming: 0.0, ..group("resnet") }, ""),
            (Settings { pruning_type: PruningType::Unstructured, ..group("resnet") }, ""),
        ];
        for (settings, expected) in training {
            assert_eq!(revisions(&settings, Decides::Training), expected, "{settings:?}");
        }
        let pruning = [
            (early(), "revision=plateau up to the draw\n"),
            (Settings { draw: Moment::EarlyBird(0), ..early() }, "revision=plateau up to the draw\n"),
            (Settings { draw: Moment::Best, ..early() }, ""),
            (Settings { draw: Moment::Last, ..early() }, ""),
            (Settings { rewind: Rewind::Init, ..early() }, ""),
            (Settings { fine_tune_lr: Some(0.01), ..early() }, ""),
            (Settings { control: Control::Reinit, ..early() }, ""),
            (Settings { schedule: Schedule::Cosine, ..early() }, ""),
        ];
        for (settings, expected) in pruning {
            assert_eq!(revisions(&settings, Decides::Pruning), expected, "{settings:?}");
        }
    }

    #[test]
    fn no_name_stands_twice_and_none_acts_by_default() {
        let names: std::collections::BTreeSet<_> = REVISIONS.iter().map(|revision| revision.name).collect();
        assert_eq!(names.len(), REVISIONS.len());
        for decides in [Decides::Training, Decides::Pruning] {
            assert_eq!(revisions(&Settings::default(), decides), "");
        }
    }
    #[test]
    fn the_geometric_median_is_revised_where_layers_meet_and_nowhere_else() {
        use tombola_words::value::{PruningType, Scope, Streams};
        let revised = |criterion, scope, streams| {
            let pruning_type = PruningType::Structured;
            let settings = Settings { pruning_type, criterion, scope, streams, ..Settings::default() };
            let settings = settings.resolve().unwrap();
            let lines = revisions(&settings, Decides::Pruning);
            // What is drawn of a training and what is watched of it agree.
            assert_eq!(lines, mask_revisions(&Pruning::of(&settings, 0.5)));
            !lines.is_empty()
        };
        let (median, l2) = (Some(Criterion::GeometricMedian), Some(Criterion::L2));
        assert!(revised(median, Some(Scope::Global), Streams::Whole));
        assert!(
            revised(median, Some(Scope::Layer), Streams::Group),
            "a stream's channel has filters in several layers"
        );
        assert!(!revised(median, Some(Scope::Layer), Streams::Whole));
        assert!(!revised(median, None, Streams::Whole), "the default is its layer");
        assert!(!revised(l2, Some(Scope::Global), Streams::Group));
    }
}
