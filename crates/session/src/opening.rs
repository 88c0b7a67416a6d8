//! From what was asked to a sweep that is ready to run: results folder, journal, networks and data. It may not know of command lines,
//! or in which threads and processes the workers are.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tombola_train::Device;

use super::adopt::adopt;
use super::closing::{Written, finish};
use tombola_cluster::coordinator::inventory::{sound_demand, tidy};
use tombola_cluster::coordinator::ledger::{Ledger, now};
use tombola_cluster::coordinator::serve::{Count, Sweep};
use tombola_cluster::coordinator::{Loudness, Progress, Rules, State, limit};
use tombola_cluster::link::Link;
use tombola_core::folder::journal::{Chronicle, History, Seal};
use tombola_core::folder::{Claim, Store, load_given_mask, load_weights_of, refuse_foreign, remove_torn, write_down};
use tombola_core::net::custom::OwnNetwork;
use tombola_core::plan::Plan;
use tombola_core::plan::{Advice, Asked, Demanded, Stage, estimate, near_misses};
use tombola_core::processor::slow_bf16;
use tombola_core::sweep::Settings;
use tombola_core::trainable;
use tombola_train::workshop::{self, Workshop, set_name};
use tombola_views::tables::{self, Style};
use tombola_words::StageId;
use tombola_words::error::{Error, Result};
use tombola_words::record::Record;
use tombola_words::seconds;
use tombola_words::speech;
use tombola_words::value::{Load, Precision};
use tombola_words::{catalogue, regular};

/// Trials that are gone are listed up to this many.
const MOST_LISTED: usize = 10;

/// What is said of a run that the system killed.
const STARVED: &str = "the run before this one was killed by the system because memory ran out";
const STARVED_CURE: &str =
    "use fewer `--workers` or a smaller `--batch-size`, or give the job more memory (Slurm: `--mem`)";

/// How a run is to be made, beside what the sweep says.
#[derive(Debug)]
pub(super) struct Manner {
    /// How much is told.
    pub loudness: Loudness,
    /// Where the log is written, if not into the results folder.
    pub log: Option<PathBuf>,
    /// The only stages to train, if not all that are missing.
    pub chosen: Option<HashSet<usize>>,
    /// Devices of the workers in this process.
    pub devices: Vec<Device>,
    /// Workers in other processes.
    pub remote: usize,
    /// The machine in words, for the record.
    pub machine: String,
    /// Asks to stop.
    pub stop: Arc<AtomicBool>,
    /// How the table at the end looks.
    pub style: Style,
}

/// A sweep that is ready to run.
#[derive(Debug)]
pub(super) struct Opened {
    pub sweep: Sweep,
    pub state: State,
    pub workshop: Arc<Workshop>,
    /// The dense stages whose networks and data are needed.
    #[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "only other ranks must be told"))]
    pub roots: Vec<usize>,
    own: BTreeMap<String, OwnNetwork>,
    style: Style,
    _claim: Claim,
}

/// What came of opening.
pub(super) enum Opening {
    /// There is something to train.
    Ready(Box<Opened>),
    /// There is nothing to train: the exit code.
    Nothing(u8),
}

/// Takes the results folder, finds out what is to be trained, and loads what that needs.
///
/// # Errors
/// When the input is wrong or the machine lacks something. Then the folder is left as it was.
pub(super) fn open(asked: &Asked, manner: Manner) -> Result<Opening> {
    let Manner { loudness, log, chosen, devices, remote, machine, stop, style } = manner;
    let say = |line: &str| {
        if loudness > Loudness::Quiet {
            speech::say(line);
        }
    };
    let (plan, run) = (Arc::clone(&asked.plan), &asked.spec.run);
    let folder = &asked.folder;
    let epoch_work = estimate::epoch_work(&plan, &asked.spec)?;
    let work = estimate::stage_work(&plan, &epoch_work);
    say(&estimate::sharing(&plan));
    let near = near_misses(&plan);

    let mut claim = Claim::take(folder)?;
    let path = folder.join("journal");
    let seal = Seal::of(&path)?;
    let history = History::read(&path)?;
    let missing = seal.missing(&history);
    let cut = (missing > 0).then(|| {
        format!("the journal was cut: its last {missing} bytes are missing, and what they told of is trained anew")
    });
    cut.iter().for_each(|words| say(&format!("warning: {words}")));
    // A run that came to its end was not killed.
    let starved = history.ended.is_none() && claim.memory_ran_out();
    if starved {
        say(&format!("{STARVED}\nhint: {STARVED_CURE}"));
    }
    let store = Store::new(folder);
    refuse_foreign(&history, &store)?;
    say_changes(folder, &plan, &say);
    if history.torn > 0 {
        say(&format!(
            "the journal ends with {} bytes of a record that was never whole: `journal.torn` keeps them",
            history.torn
        ));
    }
    let mut chronicle = Chronicle::open(&path, history)?;
    if plan.chains.iter().any(|chain| chain.trial.settings.load == Load::Auto) {
        adopt(&plan, run.data_dir.as_deref(), folder, &store, &mut chronicle, &say)?;
    }
    let mine = run.shard.map(|shard| plan.in_shard(shard));
    // What no result can make needed is not trained.
    let needed = chronicle.history().needed(&plan);
    let asked_for = |stage: usize| {
        needed[stage].demanded != Demanded::Spared
            && mine.as_ref().is_none_or(|mine| mine[stage])
            && chosen.as_ref().is_none_or(|chosen| chosen.contains(&stage))
    };
    let (demand, words) = sound_demand(&plan, &work, chronicle.history(), &store, &asked_for);
    words.iter().for_each(|line| say(line));
    let todo: Vec<usize> = demand.todo().collect();
    let asked_count = (0..plan.stages.len()).filter(|stage| asked_for(*stage)).count();
    if let Some(shard) = run.shard {
        say(&format!("shard {} of {}: {asked_count} of the trainings", shard.index, shard.count));
    }
    // When nothing is left that could be wrong about the input: the folder is this sweep's.
    let settle = |claim: &mut Claim, chronicle: &mut Chronicle| {
        claim.keep();
        tidy(chronicle.history(), &store)?;
        remove_torn(folder)?;
        write_down(folder, &asked.spec, &plan.loaded)?;
        // After it: who has a seal has, or lost, a sweep file.
        chronicle.seal()
    };
    let uncounted = plan.stages.iter().filter(|stage| stage.counts_classes);
    let uncounted = uncounted.filter_map(|stage| chronicle.history().stages.get(&stage.id)?.outcome.as_ref());
    let uncounted = uncounted.filter(|outcome| outcome.classes.is_empty()).count();
    if uncounted > 0 {
        say(&format!(
            "note: {uncounted} trainings were done before `class-accuracy` was asked for, and have no rows in classes.csv"
        ));
    }
    if todo.is_empty() {
        settle(&mut claim, &mut chronicle)?;
        say(&format!("nothing to train: all {asked_count} trainings are in {}", folder.display()));
        let results = Written {
            folder,
            store: &store,
            own: &asked.spec.networks,
            plan: &plan,
            history: chronicle.history(),
            style: &style,
        };
        return finish(&results, Count::default()).map(Opening::Nothing);
    }
    if todo.len() < asked_count {
        let done = asked_count - todo.len();
        say(&format!("{done} of {asked_count} trainings are done, {} to go", todo.len()));
    }

    if devices.contains(&Device::Cpu) {
        trainable::check_processor(&plan, todo.iter().copied())?;
    }
    let mut advice = plan.idle(&asked.spec);
    advice.extend(plan.advice(todo.iter().copied()));
    let in_bf16 = |stage: &usize| plan.stages[*stage].settings.precision == Precision::Bf16;
    let on_processor = devices.contains(&Device::Cpu) && todo.iter().any(in_bf16);
    let slow = on_processor.then(slow_bf16).flatten();
    advice.extend(slow.map(|(said, cure)| Advice { said, cure }));
    for Advice { said, cure } in &advice {
        say(&format!("warning: {said}\nhint: {cure}"));
    }

    let roots: HashSet<usize> = todo.iter().map(|stage| plan.stages[*stage].root).collect();
    let mut roots: Vec<usize> = roots.into_iter().collect();
    roots.sort_unstable();
    let workshop = Workshop::open(Arc::clone(&plan), &roots, &asked.spec.networks, run, &devices)?;
    let notes = check_loaded(&plan, &todo, &workshop)?;
    notes.iter().for_each(|note| say(note));
    let mut warnings = near;
    warnings.extend(check_data(&workshop, run, &mut chronicle)?);
    warnings.extend(workshop.warnings.iter().cloned());
    warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    settle(&mut claim, &mut chronicle)?;
    chronicle.write(Record::Started {
        version: env!("CARGO_PKG_VERSION").into(),
        time: now() as u64,
        machine: machine.clone(),
    })?;
    let networks = workshop.networks.clone();
    let ledger = Ledger::new(Arc::clone(&plan), networks, chronicle, folder, run.snapshot_seconds);
    let total: f64 = todo.iter().map(|stage| ledger.course(*stage, epoch_work[*stage]).1).sum();
    let own_log = folder.join("log");
    // One that was named may be a terminal or a pipe.
    if log.is_none() {
        regular::check_place(&own_log).map_err(|error| Error::file("write", &own_log, &error))?;
    }
    let mut progress = Progress::new(loudness, &log.unwrap_or(own_log), todo.len(), total)?;
    progress.log(&format!("tombola {} on {machine}", env!("CARGO_PKG_VERSION")));
    if starved {
        progress.log(&format!("{STARVED}; {STARVED_CURE}"));
    }
    cut.iter().chain(&warnings).for_each(|warning| progress.log(&format!("warning: {warning}")));
    words.iter().chain(&notes).for_each(|line| progress.log(line));
    for Advice { said, cure } in &advice {
        progress.log(&format!("warning: {said}; {cure}"));
    }
    workshop.normalisations().iter().for_each(|line| progress.log(line));
    let deadline = limit::deadline(run);
    if let Some((_, words)) = &deadline {
        progress.log(words);
        say(words);
    }
    let lease = seconds(run.lease);
    let give_up_after = seconds(run.give_up_after);
    let rules = Rules { lease, give_up_after, retries: run.retries, on_fail: run.on_fail, max_fails: run.max_fails };
    let fingerprints = workshop.fingerprints.clone();
    let sweep = Sweep {
        ledger,
        progress,
        epoch_work,
        stop,
        deadline: deadline.map(|(at, _)| at),
        lease,
        until_ready: rules.until_ready(),
        remote: remote > 0,
        fingerprints,
        tables: tables::write_meanwhile,
    };
    let state = State::new(demand, rules);
    let workshop = Arc::new(workshop);
    Ok(Opening::Ready(Box::new(Opened {
        sweep,
        state,
        workshop,
        roots,
        own: asked.spec.networks.clone(),
        style,
        _claim: claim,
    })))
}

impl Opened {
    /// Trains on the workers at the other end of `link`, writes the tables, and gives the exit code.
    ///
    /// # Errors
    /// When the results folder cannot be written, or (kind `Interrupted`) something is left for another run.
    pub(super) fn run(self, link: &mut dyn Link) -> Result<u8> {
        let Self { mut sweep, state, own, style, _claim, .. } = self;
        let count = sweep.run(link, state).map_err(|error| match sweep.ledger.chronicle.check_place() {
            // Whatever else fails in a folder that is gone fails because of that.
            Err(gone) => gone,
            Ok(()) => error,
        })?;
        sweep.progress.finish();
        let stages = count.finished + count.failed;
        let each = count.busy.as_secs_f64() * 1e3 / stages.max(1) as f64;
        sweep.progress.log(&format!("coordinator: {each:.3} ms a training, {stages} trainings"));
        let Sweep { mut ledger, .. } = sweep;
        let Ledger { folder, store, plan, chronicle, .. } = &ledger;
        let history = chronicle.history();
        let result = finish(&Written { folder, store, own: &own, plan, history, style: &style }, count);
        let how = match &result {
            Ok(0) => "all done".to_string(),
            Ok(_) => "some trainings failed".to_string(),
            Err(error) => error.message.clone(),
        };
        ledger.write(Record::Ended { how, time: now() })?;
        ledger.sync()?;
        ledger.chronicle.seal()?;
        result
    }
}

/// Refuses files that were changed, of other networks or with values that are no numbers, before anything is trained. Trainings
/// that are there already need theirs no more. Returns what the user should know of each file, once.
fn check_loaded(plan: &Plan, todo: &[usize], workshop: &Workshop) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for &stage in todo {
        let Some(network) = workshop.network(stage) else { continue };
        let weights = load_weights_of(plan, stage, network)?.map(|taken| taken.notes);
        let mask = load_given_mask(plan, stage, network)?.map(|taken| taken.notes);
        for (part, told) in [(plan.loaded_weights(stage), weights), (plan.loaded_mask(stage), mask)] {
            let told = told.unwrap_or_default();
            if let (Some(part), false) = (part, told.is_empty()) {
                notes.push(format!("`{}`: {}", part.file.place.display(), told.join("; ")));
            }
        }
    }
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    Ok(notes)
}

/// Refuses to mix results of different data, and data that are not what they are called, unless that was asked for; then each is a
/// warning. Notes what data the results are of. Those that the folder knows already are not looked at again.
fn check_data(workshop: &Workshop, run: &Settings, chronicle: &mut Chronicle) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (dataset, fingerprint) in &workshop.fingerprints {
        match chronicle.history().data.get(dataset) {
            Some(known) if known != fingerprint => {
                return Err(Error::input(format!(
                    "the files of `{dataset}` are not those that the results in this folder are of: their checksum is {}, it was {}",
                    short(fingerprint),
                    short(known)
                ))
                .hint("restore the data (`tombola data check` and `tombola data look` say what is there), or write to another folder with `--out`"));
            }
            Some(_) => {}
            None => {
                let of_it = |stage: &&Stage| set_name(&stage.settings) == *dataset;
                // Data of the user's own have no publisher.
                if !workshop.plan.stages.iter().filter(of_it).any(|stage| stage.settings.own_set.is_some()) {
                    warnings.extend(strangers(dataset, run)?);
                }
                let history = chronicle.history();
                let trained =
                    |stage: &Stage| history.stages.get(&stage.id).is_some_and(|known| !known.epochs.is_empty());
                if workshop.plan.stages.iter().filter(of_it).any(trained) {
                    warnings.push(format!(
                        "the journal does not tell what data its trainings of `{dataset}` are of, as after a repair: they count as being \
                         of those that are there now"
                    ));
                }
                let record = Record::Data { dataset: dataset.clone(), fingerprint: fingerprint.clone() };
                chronicle.write(record)?;
            }
        }
    }
    Ok(warnings)
}

/// A warning for each file of a data set that is not its publisher's.
fn strangers(dataset: &str, run: &Settings) -> Result<Vec<String>> {
    // One that is made carries its form in its name.
    if dataset.starts_with(catalogue::SYNTHETIC) {
        return Ok(Vec::new());
    }
    let mut strangers = workshop::strangers(dataset, run.data_dir.as_deref())?;
    if run.own_data || strangers.is_empty() {
        let text = |stranger| format!("data set `{dataset}`: {stranger}");
        return Ok(strangers.into_iter().map(text).collect());
    }
    let (first, more) = (strangers.swap_remove(0), strangers.len());
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    Err(Error::input(format!("data set `{dataset}`: not the publisher's files: {first}{more}")).hint(format!(
        "`tombola data check {dataset}` lists them, `tombola data fetch {dataset}` gets the right ones; if these are meant (your own, or \
         cut down), add `--own-data`"
    )))
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

/// Says how many trials are new, and which are no longer asked for.
fn say_changes(folder: &Path, plan: &Plan, say: &impl Fn(&str)) {
    let Ok(before) = tombola_core::folder::plan_of(folder) else { return };
    let leaves = |plan: &Plan| -> HashSet<StageId> {
        plan.chains.iter().filter_map(|chain| chain.stages.last()).map(|stage| plan.stages[*stage].id).collect()
    };
    let (old, new) = (leaves(&before), leaves(plan));
    let (added, gone) = (new.difference(&old).count(), old.difference(&new).count());
    if added + gone > 0 {
        say(&format!(
            "the sweep has changed: {added} trials are new, {} stay, {gone} are no longer asked for (the journal keeps them)",
            new.len() - added
        ));
    }
    let mut lost: Vec<usize> = old.difference(&new).filter_map(|id| before.find(*id)).collect();
    lost.sort_unstable();
    for &stage in lost.iter().take(MOST_LISTED) {
        say(&format!("  gone: {}", before.label(stage)));
    }
    if lost.len() > MOST_LISTED {
        say(&format!("  … and {} more", lost.len() - MOST_LISTED));
    }
}
