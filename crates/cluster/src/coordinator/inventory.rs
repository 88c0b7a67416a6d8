//! What a run starts with: what earlier ones left behind in the results folder, as far as that is sound.
//!
//! It may not know of workers, or how anything is trained.

use std::collections::{BTreeMap, HashSet};

use super::demand::Demand;
use super::ledger::{BEST, PROGRESS, best_name, goes_on, progress_name};
use tombola_core::folder::Store;
use tombola_core::folder::journal::{History, StageHistory};
use tombola_core::folder::snapshots::file_name;
use tombola_core::plan::Plan;
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::value::{Moment, Value};

/// What a run starts with.
#[derive(Debug, Clone, Default)]
struct Inventory {
    /// Stages that it need not train.
    finished: HashSet<usize>,
    /// Snapshots that are there.
    kept: HashSet<(usize, Moment)>,
    /// Snapshots that their stages ended without: early birds of masks that never settled.
    absent: HashSet<(usize, Moment)>,
}

/// What a run starts with, by what earlier ones left behind; `spoilt` snapshots count as not there.
fn inventory(plan: &Plan, history: &History, store: &Store, spoilt: &HashSet<(usize, Moment)>) -> Inventory {
    let Inventory { mut finished, mut kept, mut absent } = Inventory::default();
    for (index, stage) in plan.stages.iter().enumerate() {
        let Some(known) = history.stages.get(&stage.id) else { continue };
        // Someone may have tidied up by hand: only what is really there counts.
        let there = |moment: &&Moment| {
            regular::may_be_there(&store.path(stage.id, &moment.show())) && !spoilt.contains(&(index, **moment))
        };
        let own: Vec<Moment> = known.kept.iter().filter(there).copied().collect();
        let never: Vec<Moment> =
            stage.birds.iter().filter(|bird| known.lacks(bird)).map(|bird| bird.moment()).collect();
        // What was asked for and is not there makes a training unfinished.
        let is_there = |moment: &Moment| own.contains(moment) || never.contains(moment);
        if known.is_finished(stage) && stage.kept.iter().all(is_there) {
            finished.insert(index);
            absent.extend(never.into_iter().map(|moment| (index, moment)));
        }
        kept.extend(own.into_iter().map(|moment| (index, moment)));
    }
    Inventory { finished, kept, absent }
}

/// What is left to do, given that only sound snapshots count: what cannot be read or has changed is trained again. Says which.
pub fn sound_demand(
    plan: &Plan,
    work: &[f64],
    history: &History,
    store: &Store,
    asked_for: &dyn Fn(usize) -> bool,
) -> (Demand, Vec<String>) {
    let (mut bad, mut checked, mut words) = (HashSet::new(), HashSet::new(), Vec::new());
    let mut found = spoilt_masks(plan, history, store);
    let demand = loop {
        // Said once of a mask that several snapshots have in common.
        let mut said: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
        for ((stage, moment), error) in found {
            said.entry((stage, error.message)).or_default().push(format!("`{}`", moment.show()));
            bad.insert((stage, moment));
        }
        words.extend(said.into_iter().map(|((stage, message), moments)| {
            format!("{message}; {}", count_as_absent(&moments, &plan.label(stage)))
        }));
        let Inventory { finished, kept, absent } = inventory(plan, history, store, &bad);
        let demand = Demand::of(plan, work, &finished, &kept, &absent, asked_for);
        let todo: Vec<usize> = demand.todo().collect();
        found = spoilt(plan, history, store, (&todo, &kept), &mut checked);
        if found.is_empty() {
            break demand;
        }
    };
    for index in demand.todo() {
        words.extend(missing(plan, history, store, index));
        if let Err(error) = check_progress(plan, history, store, index) {
            words.push(format!("{}; {} begins again", error.message, plan.label(index)));
        }
    }
    (demand, words)
}

/// Of the snapshots that `todo` starts from, those whose files are not what was written, each with what was found. What is in
/// `checked` is not read again.
fn spoilt(
    plan: &Plan,
    history: &History,
    store: &Store,
    (todo, kept): (&[usize], &HashSet<(usize, Moment)>),
    checked: &mut HashSet<(usize, Moment, bool)>,
) -> BTreeMap<(usize, Moment), Error> {
    let mut found = BTreeMap::new();
    for &index in todo {
        for (part, source, moment) in plan.parts(index) {
            let stage = &plan.stages[source];
            let Some(known) = history.stages.get(&stage.id).filter(|_| kept.contains(&(source, moment))) else {
                continue;
            };
            let expected = goes_on(known.expected(stage, moment), part, moment);
            // Who draws from a snapshot needs less of it than who goes back to it.
            if !checked.insert((source, moment, expected.optimizer)) {
                continue;
            }
            if let Err(error) = store.check(stage.id, &moment.show(), expected) {
                found.insert((source, moment), error);
            }
        }
    }
    found
}

/// Says which snapshots of a training that is wanted again are not there, though the journal names them.
fn missing(plan: &Plan, history: &History, store: &Store, index: usize) -> Option<String> {
    let id = plan.stages[index].id;
    let is_missing = |moment: &&Moment| !regular::may_be_there(&store.path(id, &moment.show()));
    let gone = history.stages.get(&id)?.kept.iter().filter(is_missing);
    let gone: Vec<String> = gone.map(|moment| format!("`{}`", moment.show())).collect();
    (!gone.is_empty()).then(|| {
        let folder = store.folder(id);
        format!("snapshots are missing in `{}`; {}", folder.display(), count_as_absent(&gone, &plan.label(index)))
    })
}

/// Which snapshots of a training count as absent, in words.
fn count_as_absent(moments: &[String], training: &str) -> String {
    let count = if moments.len() == 1 { "counts" } else { "count" };
    format!("{} of {training} {count} as absent", moments.join(" and "))
}

/// Of the snapshots that finished tickets left on the disk, those whose mask is not what was written: tables read it.
fn spoilt_masks(plan: &Plan, history: &History, store: &Store) -> BTreeMap<(usize, Moment), Error> {
    let mut found = BTreeMap::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let Some(known) = history.stages.get(&stage.id).filter(|known| known.outcome.is_some()) else { continue };
        let Some(Err(error)) = known.mask_sum().map(|sum| store.check_mask(stage.id, Some(sum))) else { continue };
        found.extend(known.kept.iter().map(|moment| ((index, *moment), error.clone())));
    }
    found
}

/// Why a stage that was interrupted cannot go on from where it was, if it cannot: then it begins again.
///
/// # Errors
/// When a file of its state is missing or has changed since it was written.
fn check_progress(plan: &Plan, history: &History, store: &Store, index: usize) -> Result<()> {
    let stage = &plan.stages[index];
    let Some((known, (epoch, best))) = history.stages.get(&stage.id).and_then(|known| Some((known, known.progress?)))
    else {
        return Ok(());
    };
    if !known.has_masks_until(stage, epoch) {
        return Err(Error::environment(
            "the journal does not tell of all its masks: it was repaired, or they were asked for later",
        ));
    }
    let (state, best_state) = known.expected_progress(stage);
    store.check(stage.id, &progress_name(epoch), state)?;
    best.map_or(Ok(()), |best| store.check(stage.id, &best_name(best), best_state))
}

/// Removes what killed processes left half done, and snapshots of which the journal says that nothing needs them any more. What
/// the journal does not tell of stays.
///
/// # Errors
/// When a file cannot be removed.
pub fn tidy(history: &History, store: &Store) -> Result<()> {
    store.tidy(|id, name| history.stages.get(&id).is_some_and(|known| is_past(known, name)))
}

/// Whether a stage has left a snapshot behind, by the name of its file.
fn is_past(known: &StageHistory, name: &str) -> bool {
    if known.freed.iter().any(|moment| file_name(&moment.show()) == name) {
        return true;
    }
    let of = |prefix: &str| name.strip_prefix(prefix)?.parse::<usize>().ok();
    match (known.progress, known.outcome.is_some()) {
        // A finished training goes on from nothing.
        (None, finished) => finished && (of(PROGRESS).is_some() || of(BEST).is_some()),
        (Some((epoch, best)), _) => {
            let best = best.unwrap_or(0);
            of(PROGRESS).is_some_and(|at| at < epoch) || of(BEST).is_some_and(|at| at < best)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::StageId;
    use tombola_words::record::{Outcome, Record};

    fn known(records: impl IntoIterator<Item = Record>) -> History {
        let mut history = History::default();
        records.into_iter().for_each(|record| history.add(record));
        history
    }

    fn stage() -> StageId {
        StageId::of("one")
    }

    fn folder(names: &[&str]) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        std::fs::create_dir_all(store.folder(stage())).unwrap();
        for name in names {
            std::fs::write(store.folder(stage()).join(name), "bytes").unwrap();
        }
        (folder, store)
    }

    fn left(store: &Store) -> Vec<String> {
        let entries = std::fs::read_dir(store.folder(stage())).map(|all| all.flatten().collect::<Vec<_>>());
        let mut names: Vec<String> =
            entries.unwrap_or_default().iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_removed_that_the_journal_does_not_tell_of() {
        // The first is that of a program that brings folders from one machine to another.
        let names = [".sync.last.safetensors.tmp", "epoch-3.safetensors", "last.safetensors", "mask.safetensors"];
        let (_folder, store) = folder(&names);
        tidy(&History::default(), &store).unwrap();
        assert_eq!(left(&store), names);
        let began = Record::Began { stage: stage(), worker: 0, epoch: 0, time: 0.0 };
        tidy(&known([began]), &store).unwrap();
        assert_eq!(left(&store), names);
    }

    #[test]
    fn what_a_kill_left_between_the_journal_and_the_removal_is_removed() {
        let names = [
            ".last.safetensors.7-0.tmp",
            "epoch-3.optimizer.safetensors",
            "epoch-3.safetensors",
            "epoch-4.safetensors",
            "progress-2.safetensors",
            "progress-3.safetensors",
            "progress-best-1.safetensors",
        ];
        let (_folder, store) = folder(&names);
        let freed = Record::Freed { stage: stage(), moment: Moment::Epoch(3) };
        let progress = Record::Progress { stage: stage(), epoch: 3, best: Some(3), sums: None, best_sums: None };
        tidy(&known([freed.clone(), progress]), &store).unwrap();
        assert_eq!(left(&store), ["epoch-4.safetensors", "progress-3.safetensors"]);
        let finished = Record::Finished {
            stage: stage(),
            outcome: Outcome::default(),
            images_per_second: 1.0,
            place: String::new(),
            attempts: 1,
            time: 0.0,
        };
        tidy(&known([freed, finished]), &store).unwrap();
        assert_eq!(left(&store), ["epoch-4.safetensors"]);
    }
}
