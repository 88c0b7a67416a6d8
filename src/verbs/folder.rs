//! From a results folder to its sweep, plan and history: what all verbs about a folder share.
//!
//! A folder without a journal of its own may hold those of the shards of one sweep; they are joined. Nothing in it is
//! written or locked.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgMatches, value_parser};

use tombola_core::folder::journal::{History, Seal};
use tombola_core::folder::{
    Holder, Lock, Store, holds, loaded_of, refuse_foreign, refuse_lost_journal, refuse_unclaimed, spec_of,
};
use tombola_core::plan::{LoadedFile, LoadedFiles, Plan};
use tombola_core::sweep::Spec;
use tombola_views::status::{Basis, Run};
use tombola_words::error::{Error, Result};
use tombola_words::value::{Shard, Value};

/// Names listed when the beginning of a stage's name fits several.
const MOST_LISTED: usize = 5;

/// What a results folder holds.
#[derive(Debug)]
pub struct Results {
    /// The folder.
    pub folder: PathBuf,
    /// What was asked; for shards that are joined, without the shard.
    pub spec: Spec,
    /// The stages of the whole sweep.
    pub plan: Plan,
    /// What is known of them.
    pub history: History,
    /// The last run, or that of each shard.
    pub runs: Vec<Run>,
    /// Whether the journals of several shards were joined.
    pub joined: bool,
    /// The shards that were.
    shards: Vec<Shard>,
}

/// The argument that names a results folder.
pub fn argument() -> Arg {
    Arg::new("folder").value_name("RESULTS").required(true).value_parser(value_parser!(PathBuf))
}

/// The folder that was given.
pub fn given(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>("folder").cloned().unwrap_or_default()
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Results {
    /// Reads a results folder, finished or not, also while a run writes to it.
    ///
    /// # Errors
    /// When the folder holds no sweep, a file is damaged, or it holds shards that are not of one sweep.
    pub fn read(folder: &Path) -> Result<Self> {
        let shards = if holds(folder, "journal")? { Vec::new() } else { shards_in(folder)? };
        if !shards.is_empty() {
            refuse_unclaimed(folder)?;
            return Self::join(folder, &shards);
        }
        refuse_lost_journal(folder)?;
        let spec = spec_of(folder)?;
        let shard = spec.run.shard;
        let known = loaded_of(folder)?;
        let (plan, (history, run)) = beside_plan(&spec, &known, || journal_of(folder, shard))?;
        check_loaded(&plan, &history, &known)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            spec,
            plan,
            history,
            runs: vec![run],
            joined: false,
            shards: Vec::new(),
        })
    }

    /// Reads the shards of a sweep and joins them.
    fn join(folder: &Path, shards: &[Shard]) -> Result<Self> {
        if let Some(other) = shards.iter().find(|shard| shard.count != shards[0].count) {
            return Err(Error::input(format!(
                "`{}` holds shards of different divisions: `{}` and `{}`",
                folder.display(),
                shards[0].folder(),
                other.folder()
            ))
            .hint("move those away that do not belong to this sweep"));
        }
        let mut spec: Option<(Shard, Spec)> = None;
        let (mut there, mut known) = (Vec::new(), LoadedFiles::new());
        for &shard in shards {
            let own = folder.join(shard.folder());
            refuse_lost_journal(&own)?;
            // A run that has only just begun has nothing to tell yet.
            if !has_begun(&own)? {
                continue;
            }
            let mut found = spec_of(&own)?;
            let told = found.run.shard.take();
            if told != Some(shard) {
                return Err(Error::input(format!(
                    "`{}` is of {}, expected shard {}",
                    own.join("sweep.toml").display(),
                    told.map_or_else(|| "the whole sweep".to_string(), |told| format!("shard {}", told.show())),
                    shard.show()
                ))
                .hint("give the folder the name that the run gave it"));
            }
            match &mut spec {
                None => spec = Some((shard, found)),
                Some((first, known)) => {
                    agree(folder, (*first, known), (shard, &found))?;
                    if known.run.out != found.run.out {
                        known.run.out = None;
                    }
                }
            }
            for (word, file) in loaded_of(&own)? {
                same_file(folder, shard, &word, known.get(&word), &file)?;
                known.insert(word, file);
            }
            there.push((shard, own));
        }
        let Some((_, spec)) = spec else {
            return Err(Error::input(format!("no shard in `{}` has results yet", folder.display()))
                .hint("wait until a run has begun its first training"));
        };
        let joined = there.iter().map(|(shard, _)| *shard).collect();
        let (plan, (history, runs)) = beside_plan(&spec, &known, || {
            let (mut history, mut runs) = (History::default(), Vec::new());
            for (shard, own) in there {
                let (theirs, mut run) = journal_of(&own, Some(shard))?;
                run.workers = history.merge(theirs).map_err(|error| error.at(format!("`{}`", own.display())))?;
                runs.push(run);
            }
            Ok((history, runs))
        })?;
        check_loaded(&plan, &history, &known)?;
        Ok(Self { folder: folder.to_path_buf(), spec, plan, history, runs, joined: true, shards: joined })
    }

    /// Where snapshots lie: in this folder, or in those of its shards.
    pub fn stores(&self) -> Vec<Store> {
        match self.joined {
            true => self.shards.iter().map(|shard| Store::new(&self.folder.join(shard.folder()))).collect(),
            false => vec![Store::new(&self.folder)],
        }
    }

    /// What status and explanations are made from. `work` is the guess for an epoch of each stage.
    pub fn facts<'a>(&'a self, work: &'a [f64], folder: &'a str) -> Basis<'a> {
        let whole = self.joined || self.spec.run.shard.is_none();
        Basis { plan: &self.plan, history: &self.history, runs: &self.runs, whole, work, folder, now: now() }
    }
}

/// The plan of a sweep, and what is read meanwhile: with very many trials each takes a second.
fn beside_plan<T>(spec: &Spec, known: &LoadedFiles, read: impl FnOnce() -> Result<T>) -> Result<(Plan, T)> {
    std::thread::scope(|scope| {
        let plan = scope.spawn(|| tombola_core::plan::grow(spec, known));
        let read = read();
        let plan = plan.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((plan?, read?))
    })
}

/// The stage that a word means: the last one of a trial, or the one whose name begins with it.
///
/// # Errors
/// When there is none, or there are several.
pub fn find(plan: &Plan, word: &str) -> Result<usize> {
    // Names are 20 digits and letters: their beginning can look like a number, but hardly like that of a trial.
    let Some(number) = word.parse::<usize>().ok().filter(|number| *number <= plan.chains.len() + plan.repeated) else {
        return stage_of(plan, word);
    };
    let chain = plan.chains.iter().find(|chain| chain.trial.number == number);
    match chain.and_then(|chain| chain.stages.last()) {
        Some(stage) => Ok(*stage),
        None if number == 0 => Err(Error::input("there is no trial `0`").hint("trials are counted from 1")),
        None => {
            Err(Error::input(format!("trial {number} means the same as one before it, so it has no rows of its own"))
                .hint("`tombola tables` lists the trials that differ, in `results.csv`"))
        }
    }
}

/// The stage whose name begins with these digits.
///
/// # Errors
/// When there is none, or there are several.
pub fn stage_of(plan: &Plan, digits: &str) -> Result<usize> {
    let found = if digits.is_empty() { Vec::new() } else { plan.beginning_with(digits) };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::input(format!("no training of this sweep has a name that begins with `{digits}`"))
            .hint("`results.csv` has the names in its column `stage`; `tombola tables` makes it anew")),
        several => {
            let names: Vec<String> =
                several.iter().take(MOST_LISTED).map(|stage| format!("`{}`", plan.stages[*stage].id)).collect();
            let more = several.len() - names.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Err(Error::input(format!(
                "`{digits}` begins the names of {} trainings: {}{more}",
                several.len(),
                names.join(", ")
            ))
            .hint("give more digits"))
        }
    }
}

/// The folders with a journal that a results folder stands for: itself, or those of its shards.
///
/// # Errors
/// When the folder cannot be listed.
pub fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut parts: Vec<PathBuf> = shards_in(folder)?.iter().map(|shard| folder.join(shard.folder())).collect();
    if has_run(folder)? || parts.is_empty() {
        parts.insert(0, folder.to_path_buf());
    }
    Ok(parts)
}

/// Whether a folder has a journal or trainings of its own.
///
/// # Errors
/// When that cannot be told.
pub fn has_run(folder: &Path) -> Result<bool> {
    Ok(holds(folder, "journal")? || !Store::new(folder).stages()?.is_empty())
}

/// The folders of shards that lie beside a run of the whole sweep, and that nothing is read of.
///
/// # Errors
/// When the folder cannot be listed.
pub fn left_out(folder: &Path) -> Result<Vec<String>> {
    let shards = if holds(folder, "journal")? { shards_in(folder)? } else { Vec::new() };
    Ok(shards.iter().map(|shard| format!("`{}`", folder.join(shard.folder()).display())).collect())
}

/// The shards that a folder has folders of, in order; none where there is no folder.
fn shards_in(folder: &Path) -> Result<Vec<Shard>> {
    let fail = |error: std::io::Error| Error::file("read", folder, &error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut shards = Vec::new();
    for entry in entries {
        shards.extend(Shard::of_folder(&entry.map_err(fail)?.file_name().to_string_lossy()));
    }
    shards.sort_by_key(|shard| (shard.count, shard.index));
    Ok(shards)
}

/// Whether the run of a shard has anything to tell, or had: a journal is sealed when its sweep file is there.
fn has_begun(shard: &Path) -> Result<bool> {
    let journal = shard.join("journal");
    Ok(holds(shard, "sweep.toml")?
        || holds(shard, "journal.end")?
        || !Store::new(shard).stages()?.is_empty()
        || !History::read(&journal)?.stages.is_empty())
}

/// Refuses shards that ask for different sweeps.
fn agree(folder: &Path, (first, known): (Shard, &Spec), (shard, found): (Shard, &Spec)) -> Result<()> {
    let Some((found, expected)) = known.difference(found) else { return Ok(()) };
    let line = |line: &str| if line.is_empty() { "nothing more".to_string() } else { format!("`{line}`") };
    Err(Error::input(format!(
        "`{}` asks for another sweep than `{}`: found {}, expected {}",
        folder.join(shard.folder()).join("sweep.toml").display(),
        first.folder(),
        line(&found),
        line(&expected)
    ))
    .hint("run every shard with the same sweep file and flags, but for `--shard`"))
}

/// Refuses shards that were loaded from files of one name that differ.
fn same_file(folder: &Path, shard: Shard, word: &str, known: Option<&LoadedFile>, found: &LoadedFile) -> Result<()> {
    match known.filter(|known| known.checksum != found.checksum) {
        None => Ok(()),
        Some(known) => Err(Error::input(format!(
            "`{}` was loaded from another `{word}` than the shards before it: found the checksum {}, expected {}",
            folder.join(shard.folder()).display(),
            found.checksum,
            known.checksum
        ))
        .hint("the shards are of different sweeps: move that one elsewhere, and run it again with the same file")),
    }
}

/// Refuses to show results as missing because a file was changed. Programs of earlier versions did not note what they loaded:
/// then the names of trainings say whether the file is still the same.
fn check_loaded(plan: &Plan, history: &History, known: &LoadedFiles) -> Result<()> {
    let strange = || history.stages.keys().any(|stage| plan.find(*stage).is_none());
    let missing = |stage: &usize| !history.stages.contains_key(&plan.stages[*stage].id);
    let roots = (0..plan.stages.len()).filter(|stage| plan.stages[*stage].level == 0);
    for root in roots.filter(missing) {
        let word = plan.stages[root].settings.load.show();
        if let Some(file) = plan.loaded_file(root).filter(|_| !known.contains_key(&word) && strange()) {
            return Err(Error::input(format!(
                "`{}` is not the file that the results in this folder are of: no training in its journal began with the checksum {}",
                file.place.display(),
                file.checksum
            ))
            .hint("restore that file: this folder is of a program that did not note what it loaded"));
        }
    }
    Ok(())
}

/// What the journal of a folder tells, and the last run on it.
fn journal_of(folder: &Path, shard: Option<Shard>) -> Result<(History, Run)> {
    let before = Lock::look(folder);
    let path = folder.join("journal");
    // Before the journal: a run that ends meanwhile seals a longer one.
    let seal = Seal::of(&path)?;
    let history = History::read(&path)?;
    refuse_foreign(&history, &Store::new(folder))?;
    seal.check(&path, &history)?;
    let holder = match Lock::look(folder) {
        // A run that came to its end meanwhile has not told so in what was read.
        Holder::Nobody if history.ended.is_none() => before,
        after => after,
    };
    let seconds = |name: &str| {
        let time = std::fs::metadata(folder.join(name)).and_then(|metadata| metadata.modified()).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    };
    let written = ["journal", "log"].into_iter().filter_map(seconds).reduce(f64::max);
    let run = Run::of(&history, shard, holder, written);
    Ok((history, run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_core::plan::outside::Outside;
    use tombola_core::sweep::Spec;

    #[test]
    fn a_trial_is_found_by_its_number_and_a_training_by_its_name() {
        let spec = Spec::read(Some("pr = [0.5, 0.7]\n[[grid]]\n[[grid]]\nseed = 2"), &[]).unwrap();
        let plan = Plan::grow(spec.trials().unwrap(), &spec.run, &Outside::default()).unwrap();
        assert_eq!(plan.repeated, 0);
        assert_eq!(find(&plan, "2").unwrap(), plan.chains[1].stages[1]);
        let name = plan.stages[1].id.to_string();
        assert_eq!(find(&plan, &name).unwrap(), 1);
        assert_eq!(find(&plan, &name[..10]).unwrap(), 1);
        assert!(find(&plan, "0").unwrap_err().message.contains("`0`"));
        assert!(find(&plan, "none").unwrap_err().message.contains("begins with `none`"));
        assert!(stage_of(&plan, "").is_err());
    }
}
