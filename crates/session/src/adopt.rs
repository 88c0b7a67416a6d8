//! `load = auto`: dense trainings that a neighbouring results folder has already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tombola_core::folder::Store;
use tombola_core::folder::journal::{Chronicle, History};
use tombola_core::plan::Plan;
use tombola_train::workshop::{fingerprint, set_name};
use tombola_words::StageId;
use tombola_words::error::{Error, Result};
use tombola_words::record::Record;
use tombola_words::value::{Load, Moment, Value};

/// `load = auto`: takes finished dense trainings over from neighbouring results folders, of the same data as here (`data_dir`).
pub(super) fn adopt(
    plan: &Plan,
    data_dir: Option<&Path>,
    folder: &Path,
    store: &Store,
    chronicle: &mut Chronicle,
    say: &impl Fn(&str),
) -> Result<()> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let own = folder.file_name();
    let entries = std::fs::read_dir(parent).map_err(|error| Error::file("read", parent, &error))?;
    let mut neighbours: Vec<_> = entries.flatten().filter(|entry| Some(entry.file_name().as_os_str()) != own).collect();
    neighbours.sort_by_key(std::fs::DirEntry::file_name);
    let wanted = plan.stages.iter().filter(|stage| stage.level == 0 && stage.settings.load == Load::Auto);
    let wanted: Vec<_> = wanted.collect();
    let mut here = BTreeMap::new();
    for neighbour in neighbours.iter().map(std::fs::DirEntry::path).filter(|path| path.is_dir()) {
        let theirs = match History::read(&neighbour.join("journal")) {
            Ok(theirs) => theirs,
            Err(error) => {
                say(&format!("`load = auto`: {} is passed over: {}", neighbour.display(), error.message));
                continue;
            }
        };
        let mut others = BTreeSet::new();
        let their_store = Store::new(&neighbour);
        for stage in &wanted {
            let done = chronicle.history().stages.get(&stage.id).is_some_and(|known| known.is_finished(stage));
            let Some(known) = theirs.stages.get(&stage.id).filter(|known| known.is_finished(stage)) else {
                continue;
            };
            let sound =
                |moment: &Moment| their_store.check(stage.id, &moment.show(), known.expected(stage, *moment)).is_ok();
            if done || !stage.wanted.iter().all(|moment| known.kept.contains(moment) && sound(moment)) {
                continue;
            }
            let dataset = set_name(&stage.settings);
            let own = here.entry(dataset.clone()).or_insert_with(|| {
                // Where the data are not there, nothing is trained that could be mixed.
                chronicle.history().data.get(&dataset).cloned().or_else(|| fingerprint(&stage.settings, data_dir).ok())
            });
            // Nor where a journal lost the word of what data it is of.
            if own.is_some() && theirs.data.get(&dataset) != own.as_ref() {
                others.insert(dataset);
                continue;
            }
            for record in known.records(stage.id) {
                if let Record::Kept { moment, .. } = &record {
                    if !stage.wanted.contains(moment) {
                        continue;
                    }
                    // The journal knows of a training before there are files of it, and of a file after.
                    chronicle.sync()?;
                    store.copy_from(&their_store, stage.id, &moment.show())?;
                }
                chronicle.write(record)?;
            }
            if let (Some(fingerprint), false) =
                (theirs.data.get(&dataset), chronicle.history().data.contains_key(&dataset))
            {
                chronicle.write(Record::Data { dataset, fingerprint: fingerprint.clone() })?;
            }
            chronicle.sync()?;
            say(&format!("took the dense training {} over from {}", stage.id, neighbour.display()));
        }
        for dataset in others {
            say(&format!(
                "`load = auto`: the dense trainings of {} are not known to be of the files of `{dataset}` that are here, and are left",
                neighbour.display()
            ));
        }
    }
    let there = |id: &StageId| chronicle.history().stages.get(id).is_some_and(|known| known.outcome.is_some());
    let missing = wanted.iter().filter(|stage| !there(&stage.id)).count();
    if missing > 0 {
        say(&format!(
            "`load = auto`: no finished run beside {} has {missing} of the dense trainings with all the snapshots asked for; they are trained",
            folder.display()
        ));
    }
    Ok(())
}
