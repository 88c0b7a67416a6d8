//! `tombola run`: trains what a sweep asks for and is not in its results folder yet.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::sweep;
use crate::coordinator::Loudness;
use crate::error::Result;

const EXAMPLES: &str = "\
Examples:
  tombola run sweeps/quickstart.toml
  tombola run sweeps/quickstart.toml --seed 1,2,3 --out results/three-seeds
  tombola run --network resnet --depth 20 --dataset cifar-10 --priter 4 --pr 0.9 --reinit init,epoch:10
  tombola run --model resnetb --depth 20 --priter 1 --pr 0.7 --prunety u --load auto --save

A setting with several values (0.5,0.7) is an axis: every combination is a trial, and trials share their trainings.
Running the same command again continues where it stopped; adding values trains only what is new.
`tombola plan` shows what would be trained. All settings: docs/settings.md.";

/// The verb.
pub fn command() -> Command {
    let flag = |name: &'static str, short: char, help: &'static str| {
        Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
    };
    let command = Command::new("run")
        .about("Train what a sweep asks for, and write its tables")
        .after_help(EXAMPLES)
        .arg(flag("quiet", 'q', "Print nothing but errors and the final table").conflicts_with("verbose"))
        .arg(flag("verbose", 'v', "Print a line for every epoch"));
    sweep::arguments(command)
}

/// Trains and prints the table; the exit code is 0, or 1 if some training failed.
///
/// # Errors
/// When the input is wrong, the machine lacks something, or (kind `Interrupted`) it was asked to stop.
pub fn run(matches: &ArgMatches) -> Result<u8> {
    let loudness = match (matches.get_flag("quiet"), matches.get_flag("verbose")) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    };
    let asked = sweep::read(matches)?;
    with_torch::run(asked, loudness)
}

#[cfg(not(feature = "torch"))]
mod with_torch {
    use super::{Loudness, Result, sweep};
    use crate::error::Error;

    pub(super) fn run(_: sweep::Asked, _: Loudness) -> Result<u8> {
        Err(Error::environment("this program was built without torch: it plans and shows, but does not train")
            .hint("build it with `cargo build --release`, or use `scripts/tombola`"))
    }
}

#[cfg(feature = "torch")]
mod with_torch {
    use std::collections::HashSet;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::SystemTime;

    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use tch::Device;

    use super::{Loudness, Result, sweep};
    use crate::coordinator::serve::{Count, Sweep, label, standing, tidy};
    use crate::coordinator::{Progress, State};
    use crate::error::{Error, Kind};
    use crate::journal::{History, Journal, Record};
    use crate::plan::{Plan, StageId};
    use crate::store::{Claim, Store, snapshots, write_atomically};
    use crate::sweep::Settings;
    use crate::sweep::value::{Load, Value};
    use crate::tables;
    use crate::worker::{Workshop, device};

    /// Trials that are gone are listed up to this many.
    const MOST_LISTED: usize = 10;

    pub(super) fn run(asked: sweep::Asked, loudness: Loudness) -> Result<u8> {
        let say = |line: &str| {
            if loudness > Loudness::Quiet {
                eprintln!("{line}");
            }
        };
        let (plan, folder) = (Arc::clone(&asked.plan), asked.folder.clone());
        let epoch_work = sweep::epoch_work(&plan, &asked.spec)?;
        let devices = devices(&asked.spec.run)?;
        say(&crate::cli::plan::sharing(&plan));

        let stop = stop_on_signals()?;
        let mut claim = Claim::take(&folder)?;
        let path = folder.join("journal");
        let mut history = History::read(&path)?;
        say_changes(&folder, &plan, &say);
        let store = Store::new(&folder);
        let mut journal = Journal::open(&path, history.end)?;
        tidy(&history, &store)?;
        if plan.chains.iter().any(|chain| chain.trial.settings.load == Load::Auto) {
            adopt(&plan, &folder, &store, &mut history, &mut journal, &say)?;
        }
        let (finished, kept) = standing(&plan, &history, &store);
        let state = State::new(Arc::clone(&plan), &finished, kept);
        let todo: Vec<usize> = (0..plan.stages.len()).filter(|stage| state.is_todo(*stage)).collect();
        let write_down =
            || write_atomically(&folder.join("sweep.toml"), |file| file.write_all(asked.spec.to_toml().as_bytes()));
        if todo.is_empty() {
            claim.keep();
            write_down()?;
            say(&format!("nothing to train: all {} trainings are in {}", plan.stages.len(), folder.display()));
            return finish(&folder, &plan, &history, Count::default());
        }
        if todo.len() < plan.stages.len() {
            say(&format!(
                "{} of {} trainings are done, {} to go",
                plan.stages.len() - todo.len(),
                plan.stages.len(),
                todo.len()
            ));
        }

        let threads = asked.spec.run.threads;
        tch::set_num_threads(threads as i32);
        let roots: HashSet<usize> = todo.iter().map(|stage| plan.stages[*stage].root).collect();
        let mut roots: Vec<usize> = roots.into_iter().collect();
        roots.sort_unstable();
        let workshop = Workshop::open(Arc::clone(&plan), &roots, &asked.spec.networks, &asked.spec.run, &devices)?;
        check_loaded(&plan, &roots, &workshop)?;
        check_data(&workshop, &mut history, &mut journal)?;
        // Nothing that could still be wrong about the input is known only later.
        claim.keep();
        write_down()?;
        let machine = describe(&devices, threads);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        journal.append(&Record::Started {
            version: env!("CARGO_PKG_VERSION").into(),
            time,
            machine: machine.clone(),
        })?;
        let total: f64 = todo.iter().map(|stage| epoch_work[*stage] * plan.stages[*stage].epochs().len() as f64).sum();
        let log = folder.join("log");
        let mut progress = Progress::new(loudness, &log, todo.len(), total, devices.len())?;
        progress.log(&format!("tombola {} on {machine}", env!("CARGO_PKG_VERSION")));
        let workshop = Arc::new(workshop);
        let mut sweep = Sweep {
            plan: Arc::clone(&plan),
            history,
            journal,
            store,
            folder: folder.clone(),
            workshop,
            progress,
            epoch_work,
            stop,
            threads,
        };
        let count = sweep.run(&devices, state)?;
        sweep.progress.finish();
        finish(&folder, &plan, &sweep.history, count)
    }

    /// Writes the tables, prints the readable one, and says how it ended.
    fn finish(folder: &Path, plan: &Plan, history: &History, count: Count) -> Result<u8> {
        tables::write_all(folder, plan, history)?;
        if count.open > 0 {
            return Err(Error::interrupted(format!("{} trainings are left in {}", count.open, folder.display()))
                .hint("run the same command again: it continues where this stopped"));
        }
        print!("{}", tables::render(plan, history, &crate::cli::tables::style()));
        println!("\nTables in {}", folder.display());
        if count.failed > 0 {
            eprintln!(
                "{} trainings failed and {} were left out because of them; the reasons are in {}",
                count.failed,
                count.skipped,
                folder.join("results.csv").display()
            );
            return Ok(Kind::Training.exit_code());
        }
        Ok(0)
    }

    /// The device of each worker.
    fn devices(run: &Settings) -> Result<Vec<Device>> {
        let first = device::device(run.device.as_deref(), 0)?;
        let count = run.workers.unwrap_or_else(|| match first {
            Device::Cpu => std::thread::available_parallelism().map_or(1, usize::from) / run.threads,
            _ if run.device.is_none() || run.device.as_deref() == Some("cuda") => device::gpus(),
            _ => 1,
        });
        (0..count.max(1)).map(|worker| device::device(run.device.as_deref(), worker)).collect()
    }

    fn describe(devices: &[Device], threads: usize) -> String {
        let each: Vec<String> = devices.iter().map(|one| device::describe(*one, threads)).collect();
        format!("{} worker(s): {}", devices.len(), each.join("; "))
    }

    /// The first signal asks the running trainings to stop after their epoch; a second Ctrl-C ends the process at once.
    fn stop_on_signals() -> Result<Arc<AtomicBool>> {
        let stop = Arc::new(AtomicBool::new(false));
        let fail = |error: std::io::Error| Error::environment(format!("cannot listen for signals: {error}"));
        let code = i32::from(Kind::Interrupted.exit_code());
        signal_hook::flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&stop)).map_err(fail)?;
        for signal in [SIGINT, SIGTERM, SIGUSR1, SIGUSR2] {
            signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(fail)?;
        }
        Ok(stop)
    }

    /// Refuses files of other networks before anything is trained.
    fn check_loaded(plan: &Plan, roots: &[usize], workshop: &Workshop) -> Result<()> {
        for &root in roots {
            if let (Load::Path(path), Some(network)) = (&plan.stages[root].settings.load, workshop.network(root)) {
                snapshots::load_weights(path, &network.layout).map_err(|error| error.at("`load`"))?;
            }
        }
        Ok(())
    }

    /// Refuses to mix results of different data, and notes what data the results are of.
    fn check_data(workshop: &Workshop, history: &mut History, journal: &mut Journal) -> Result<()> {
        for (dataset, fingerprint) in &workshop.fingerprints {
            match history.data.get(dataset) {
                Some(known) if known != fingerprint => {
                    return Err(Error::input(format!(
                        "the files of `{dataset}` are not those that the results in this folder are of: their checksum is {}, it was {}",
                        short(fingerprint),
                        short(known)
                    ))
                    .hint("restore the data (`tombola data check`), or write to another folder with `--out`"));
                }
                Some(_) => {}
                None => {
                    let record = Record::Data { dataset: dataset.clone(), fingerprint: fingerprint.clone() };
                    journal.append(&record)?;
                    history.add(record);
                }
            }
        }
        Ok(())
    }

    fn short(checksum: &str) -> &str {
        checksum.get(..12).unwrap_or(checksum)
    }

    /// Says how many trials are new, and which are no longer asked for.
    fn say_changes(folder: &Path, plan: &Plan, say: &impl Fn(&str)) {
        let Ok(before) = crate::cli::tables::plan_of(folder) else { return };
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
            say(&format!("  gone: {}", label(&before, stage)));
        }
        if lost.len() > MOST_LISTED {
            say(&format!("  … and {} more", lost.len() - MOST_LISTED));
        }
    }

    /// `load = auto`: takes finished dense trainings over from neighbouring results folders.
    fn adopt(
        plan: &Plan,
        folder: &Path,
        store: &Store,
        history: &mut History,
        journal: &mut Journal,
        say: &impl Fn(&str),
    ) -> Result<()> {
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let own = folder.file_name();
        let entries = std::fs::read_dir(parent).map_err(|error| Error::file("read", parent, &error))?;
        let mut neighbours: Vec<_> =
            entries.flatten().filter(|entry| Some(entry.file_name().as_os_str()) != own).collect();
        neighbours.sort_by_key(std::fs::DirEntry::file_name);
        let wanted = plan.stages.iter().filter(|stage| stage.level == 0 && stage.settings.load == Load::Auto);
        let wanted: Vec<_> = wanted.collect();
        for neighbour in neighbours.iter().map(std::fs::DirEntry::path) {
            // A folder that is no results folder, or of another version, has nothing to give.
            let Ok(theirs) = History::read(&neighbour.join("journal")) else { continue };
            let their_store = Store::new(&neighbour);
            for stage in &wanted {
                let done = history.stages.get(&stage.id).is_some_and(|known| known.outcome.is_some());
                let Some(known) = theirs.stages.get(&stage.id).filter(|known| known.outcome.is_some()) else {
                    continue;
                };
                let there = |name: &str| their_store.path(stage.id, name).exists();
                if done || !stage.wanted.iter().all(|moment| known.kept.contains(moment) && there(&moment.show())) {
                    continue;
                }
                for moment in &stage.wanted {
                    store.copy_from(&their_store, stage.id, &moment.show())?;
                }
                for record in known.records(stage.id) {
                    journal.append(&record)?;
                    history.add(record);
                }
                for (dataset, fingerprint) in &theirs.data {
                    let record = Record::Data { dataset: dataset.clone(), fingerprint: fingerprint.clone() };
                    if !history.data.contains_key(dataset) {
                        journal.append(&record)?;
                        history.add(record);
                    }
                }
                journal.sync()?;
                say(&format!("took the dense training {} over from {}", stage.id, neighbour.display()));
            }
        }
        let there = |id: &StageId| history.stages.get(id).is_some_and(|known| known.outcome.is_some());
        let missing = wanted.iter().filter(|stage| !there(&stage.id)).count();
        if missing > 0 {
            say(&format!(
                "`load = auto`: no finished run beside {} has {missing} of the dense trainings with all the snapshots asked for; they are trained",
                folder.display()
            ));
        }
        Ok(())
    }
}
