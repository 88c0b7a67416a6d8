//! Where a result changed although no setting did: a wrong formula put right, a case that was not thought of.
//!
//! A revision is part of the identity of the trainings whose results it changed, and of no others: old results of those are
//! not taken for new, and all others stay. It may not know of files, workers or torch.

use crate::sweep::settings::{Decides, Settings};
use tombola_words::value::{Criterion, Moment, Rewind, Schedule, Streams};

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
        // Scores were sums over distances, so a layer's width decided what went under global scope.
        name: "geometric-median per filter",
        decides: Decides::Pruning,
        acts: |settings| settings.criterion == Some(Criterion::GeometricMedian),
    },
    Revision {
        // The rate was that of whatever epoch the dense training had come to meanwhile.
        name: "plateau up to the draw",
        decides: Decides::Pruning,
        acts: |settings| {
            let early = !matches!(settings.draw, Moment::Best | Moment::Last);
            let inherits = settings.rewind == Rewind::None && settings.fine_tune_lr.is_none();
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
];

/// The lines that those which act add to an identity.
pub(super) fn revisions(settings: &Settings, decides: Decides) -> String {
    let acting = REVISIONS.iter().filter(|revision| revision.decides == decides && (revision.acts)(settings));
    acting.map(|revision| format!("revision={}\n", revision.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice_and_none_acts_by_default() {
        let names: std::collections::BTreeSet<_> = REVISIONS.iter().map(|revision| revision.name).collect();
        assert_eq!(names.len(), REVISIONS.len());
        for decides in [Decides::Training, Decides::Pruning] {
            assert_eq!(revisions(&Settings::default(), decides), "");
        }
    }
}
