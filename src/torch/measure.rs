//! How fast this machine trains, alone or beside PyTorch, and what became slower; how many trainings at the same time are
//! best.

use std::path::PathBuf;

use clap::ArgMatches;
use tombola_train::Device;

use super::bench::peer::check_networks;
use super::bench::record::{BenchRecord, now, number};
use super::bench::step::{self, StepWish};
use super::bench::tune::{Candidate, TuneTrial};
use super::bench::whole::Whole;
use super::bench::{MeasuredFigure, start, target, tune};
use tombola::verbs::print;
use tombola_core::finding::{self, TuneFinding, TunedWork};
use tombola_core::machine::{cores, machine};
use tombola_core::own_folder::OwnFolder;
use tombola_core::trainable::no_tf32;
use tombola_train::device;
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::speech;
use tombola_words::value::Precision;
use tombola_words::value::Value;

/// What a measurement is of, from the flags of both verbs.
fn wish(matches: &ArgMatches) -> Result<StepWish> {
    let texts = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let networks: Result<Vec<String>> =
        texts("network").iter().map(|name| tombola_core::net::zoo::canonical_name(name).map(str::to_string)).collect();
    let precisions: Result<Vec<Precision>> = texts("precision").iter().map(|word| precision(word)).collect();
    let (precisions, device) =
        (precisions?, device::device(matches.get_one::<String>("device").map(String::as_str), 0)?);
    if device == Device::Cpu && precisions.contains(&Precision::Tf32) {
        return Err(no_tf32());
    }
    Ok(StepWish {
        networks: networks?,
        depth: matches.get_one::<u64>("depth").map(|depth| *depth as usize),
        precisions,
        batch: number_of(matches, "batch-size"),
        device,
        python: matches.try_get_one::<String>("python").ok().flatten().cloned(),
    })
}

fn precision(word: &str) -> Result<Precision> {
    Precision::parse(word).map_err(|what| Error::input(format!("`--precision`: {what}")))
}

fn number_of(matches: &ArgMatches, name: &str) -> usize {
    matches.get_one::<u64>(name).map_or(1, |number| *number as usize)
}

/// The machine and the device in words.
fn machine_of(wish: &StepWish) -> String {
    machine(&device::short(wish.device))
}

/// The program of the command line: `tombola`, which lies beside `tombola-torch`.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()
        .map_err(|error| Error::environment(format!("cannot find out where this program lies: {error}")))?;
    Ok(own.with_file_name("tombola"))
}

/// Measures, compares with earlier records, and writes one.
///
/// # Errors
/// When something cannot be measured, or the record cannot be written.
pub(super) fn bench(matches: &ArgMatches) -> Result<()> {
    let wish = wish(matches)?;
    let parts: Vec<&String> = matches.get_many("part").into_iter().flatten().collect();
    let wants = |part: &str| parts.iter().any(|asked| *asked == part);
    if wants("step") && wish.python.is_some() {
        check_networks(&wish.networks)?;
    }
    let name = machine_of(&wish);
    print(&format!("{name}\n\n"))?;
    let mut say = |row: &MeasuredFigure| {
        ignored(
            print(&format!("{:72} {:>9} {}\n", row.name, number(row.value), row.unit)),
            "the record has every figure too",
        );
    };
    // Not in memory, where `$XDG_RUNTIME_DIR` lies: whole sweeps are written into it.
    let own = OwnFolder::within(&std::env::temp_dir())?;
    let scratch = own.path().to_path_buf();
    let mut rows = Vec::new();
    let measured = (|| {
        if wants("step") {
            rows.extend(step::measure(&wish, &mut say)?);
        }
        if wants("target") {
            rows.extend(target::measure(&wish, &mut say)?);
        }
        if wants("start") {
            rows.extend(start::measure(&program()?, &scratch, &mut say)?);
        }
        if wants("pipeline") || wants("sweep") {
            let python = wish.python.clone().ok_or_else(|| {
                Error::input("`pipeline` and `sweep` compare with PyTorch, and no Python is named")
                    .hint("add `--python PATH`, a Python with torch 2.11.0, NumPy and torchvision")
            })?;
            let whole = Whole { program: program()?, python, folder: scratch.clone() };
            if wants("pipeline") {
                rows.extend(whole.pipeline(&wish.precisions, &mut say)?);
            }
            if wants("sweep") {
                rows.extend(whole.sweep(&wish.precisions, &mut say)?);
            }
        }
        Ok(())
    })();
    drop(own);
    // What was measured before something failed took its time.
    if rows.is_empty() {
        return measured;
    }
    let record = BenchRecord::new(name, rows);
    let folder = matches.get_one::<PathBuf>("records").cloned().unwrap_or_default();
    let worse = record.worse(&folder)?;
    let mut text = String::from("\n");
    for line in &worse {
        text.push_str(&format!("slower: {line}\n"));
    }
    if worse.is_empty() {
        text.push_str("Nothing is more than 5 % worse than when it was last measured on such a machine\n");
    }
    if !matches.get_flag("no-record") {
        text.push_str(&format!("Recorded in {}\n", record.save(&folder)?.display()));
    }
    print(&text)?;
    measured
}

/// `tombola tune`.
///
/// # Errors
/// When nothing could be measured.
pub(super) fn tune(matches: &ArgMatches) -> Result<()> {
    let wish = wish(matches)?;
    let seconds: f64 = matches.get_one("seconds").copied().unwrap_or(6.0);
    let (Some(network), Some(&precision)) = (wish.networks.first(), wish.precisions.first()) else {
        return Err(Error::input("no network or precision is named"));
    };
    if wish.networks.len() > 1 || wish.precisions.len() > 1 {
        return Err(Error::input("`tune` measures one network in one precision, but several are named")
            .hint("call it once for each"));
    }
    // What cannot be built is no matter of how many.
    tombola_core::net::zoo::build(&wish.choice(network), tombola_words::Shape::Image(3, 32, 32), 10)?;
    if matches.get_flag("alone") {
        let hidden = |name: &str| matches.get_one(name).copied().unwrap_or(1);
        let candidate = Candidate { together: hidden("together"), threads: hidden("threads") };
        return tune::measure(&wish, precision, candidate, seconds);
    }
    let arguments: Vec<String> = ["tune", "--alone"].map(String::from).into_iter().chain(passed(matches)).collect();
    let ranks = matches.get_flag("ranks");
    print(&format!(
        "{network}, {}, batch {}, on {}, by {}: {seconds} s each\n\ntrainings  threads  images/s\n",
        precision.show(),
        wish.batch,
        machine_of(&wish),
        if ranks { "processes" } else { "threads of one process" }
    ))?;
    let mut trials = Vec::new();
    for candidate in tune::candidates(wish.device, cores()) {
        let trial = tune::together(&program()?, &arguments, candidate, ranks)?;
        print(&format!("{:>9}  {:>7}  {}\n", candidate.together, candidate.threads, trial.words()))?;
        let failed = !trial.errors.is_empty();
        trials.push(trial);
        // More trainings want more memory still.
        if failed && wish.device != Device::Cpu {
            break;
        }
    }
    let best = tune::best(&trials).ok_or_else(|| Error::environment("none of them could be measured"))?;
    let all_gpus = device::gpus();
    // What a run takes by itself need not be said.
    let (gpus, place) = match matches.get_one::<String>("device").map_or("cuda", String::as_str) {
        "cuda" => (all_gpus, String::new()),
        "cpu" if all_gpus == 0 => (0, String::new()),
        word => (1, format!(" --device {word}")),
    };
    print(&format!("\nBest: {}{place}\n", tune::command(best.of, ranks, wish.device, gpus)))?;
    // A rank has one worker, whatever was found.
    if ranks { Ok(()) } else { keep(&wish, network, precision, &tune::best_by_threads(&trials)) }
}

/// Keeps what was found for runs that are not told how many workers to take. It is worth nothing that could be lost: where it
/// cannot be kept, that is said.
fn keep(wish: &StepWish, network: &str, precision: Precision, best: &[&TuneTrial]) -> Result<()> {
    let Some(folder) = finding::folder() else {
        speech::say("warning: no folder to keep this in is known: `HOME` is not set");
        return Ok(());
    };
    for trial in best {
        let (choice, threads) = (wish.choice(network), trial.of.threads);
        let work = TunedWork::of(machine_of(wish), &choice, precision, wish.batch, threads);
        let found = work.map(|work| TuneFinding::new(now(), work, trial.of.together, trial.rate));
        if let Some(Err(error)) = found.map(|found| found.save(&folder)) {
            speech::say(format!("warning: `tombola run` will not know of it: {error}"));
            return Ok(());
        }
    }
    print("`tombola run` without `--workers` takes the best number for its `--threads` from now on\n")
}

/// The flags that the measuring processes are given too.
fn passed(matches: &ArgMatches) -> Vec<String> {
    let text = |name: &str| -> Option<String> {
        let values: Vec<String> = matches.get_raw(name)?.map(|value| value.to_string_lossy().to_string()).collect();
        Some(format!("--{name}={}", values.join(",")))
    };
    ["network", "depth", "precision", "batch-size", "device", "seconds"].into_iter().filter_map(text).collect()
}
