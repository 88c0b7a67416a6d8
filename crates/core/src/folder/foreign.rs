//! Whether a journal and the trainings beside it belong together.

use std::path::Path;

use super::journal::History;
use super::snapshots::Store;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// Trainings on disk of which the journal tells nothing that are listed.
const MOST_LISTED: usize = 3;

/// Refuses a folder whose trainings on disk are not those that its journal tells of.
///
/// # Errors
/// When there are some, and the journal tells of none of them, or they cannot be listed.
pub fn refuse_foreign(history: &History, store: &Store) -> Result<()> {
    let mut there: Vec<_> = store.stages()?.into_iter().map(|(stage, _)| stage).collect();
    there.sort_unstable();
    if there.is_empty() || there.iter().any(|stage| history.stages.contains_key(stage)) {
        return Ok(());
    }
    let names: Vec<String> = there.iter().take(MOST_LISTED).map(|stage| format!("`{stage}`")).collect();
    let more = if there.len() > MOST_LISTED { ", …" } else { "" };
    Err(Error::input(format!(
        "the journal of this results folder is missing, or that of another sweep: `stages` holds {} trainings ({}{more}), and it tells of none of them",
        there.len(),
        names.join(", ")
    ))
    .hint("put the right `journal` back, write to another folder with `--out`, or `tombola repair` the folder, which moves these trainings aside"))
}

/// Refuses a results folder without its journal, which is there before its `sweep.toml` and its trainings: its tables would show
/// nothing.
///
/// # Errors
/// When there is a `sweep.toml`, or trainings are in `stages`, and there is no `journal`, or that cannot be told.
pub fn refuse_lost_journal(folder: &Path) -> Result<()> {
    if holds(folder, "journal")? {
        return Ok(());
    }
    refuse_unclaimed(folder)?;
    if !holds(folder, "sweep.toml")? {
        return Ok(());
    }
    Err(Error::input(format!(
        "the journal of the results folder `{}` is missing: `{}` tells what was asked, and nothing what came of it",
        folder.display(),
        folder.join("sweep.toml").display()
    ))
    .hint("put the right `journal` back, or write to another folder with `--out`"))
}

/// Refuses a folder without a journal that has trainings all the same, whatever else is in it.
///
/// # Errors
/// When it has some, or they cannot be listed.
pub fn refuse_unclaimed(folder: &Path) -> Result<()> {
    refuse_foreign(&History::default(), &Store::new(folder))
        .map_err(|error| error.at(format!("`{}`", folder.display())))
}

/// Whether anything of that name is in a folder.
///
/// # Errors
/// When that cannot be told: then it may not pass for absent.
pub fn holds(folder: &Path, name: &str) -> Result<bool> {
    let path = folder.join(name);
    regular::is_there(&path).map_err(|error| Error::file("look at", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::StageId;
    use tombola_words::record::Record;

    #[test]
    fn trainings_of_which_the_journal_tells_nothing_are_refused() {
        let (folder, stage) = (tempfile::tempdir().unwrap(), StageId::of("one"));
        let store = Store::new(folder.path());
        let mut history = History::default();
        refuse_foreign(&history, &store).unwrap();
        std::fs::create_dir_all(store.folder(stage)).unwrap();
        let error = refuse_foreign(&history, &store).unwrap_err();
        assert!(error.message.contains(&stage.to_string()) && error.hint.unwrap().contains("repair"));
        history.add(Record::Began { stage, worker: 0, epoch: 0, time: 0.0 });
        refuse_foreign(&history, &store).unwrap();
    }
}
