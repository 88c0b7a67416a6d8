//! The checks of `tombola selftest`: this process does them one after another, and tells of each on its output, where another process
//! listens (`src/selftest`). A check that panics fails, and the next one follows.

mod devices;
mod memory;
mod networks;
mod programs;
mod rates;
mod steps;
mod sweeps;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use clap::ArgMatches;

use tombola::selftest::told::{CheckResult, CheckWord};
use tombola::selftest::{CHECKS, INNER, SelftestWish};
use tombola::verbs::selftest::read;
use tombola_cluster::worker::explain;
use tombola_train::{Device, device};
use tombola_words::error::{Error, Result, ignored};
use tombola_words::process::kill_group;

/// What checks share.
#[derive(Debug)]
struct CheckBench {
    /// Where trainings are checked.
    device: Device,
    /// What was asked.
    wish: SelftestWish,
    /// A folder for whatever is written.
    scratch: PathBuf,
    /// The program of the command line.
    program: PathBuf,
}

/// One check: what came of it, or an error, which counts as a failure.
type Check = fn(&CheckBench) -> Result<CheckResult>;

impl CheckBench {
    /// Says where a check is: what is told of it should it never end.
    fn step(&self, what: impl Into<String>) {
        tell(&CheckWord::Step(what.into()));
    }

    fn on_gpu(&self) -> bool {
        self.device != Device::Cpu
    }
}

/// Does the checks that are named.
///
/// # Errors
/// When the flags are wrong, or a device is asked for that is not there.
pub(super) fn run(matches: &ArgMatches) -> Result<u8> {
    let wish = read(matches)?;
    let scratch = matches.get_one::<PathBuf>(INNER).cloned().unwrap_or_default();
    let program = std::env::current_exe()
        .map_err(|error| Error::environment(format!("cannot find out where this program lies: {error}")))?
        .with_file_name("tombola");
    end_when_nobody_watches(scratch.clone());
    let device = device::device(wish.device.as_deref(), 0)?;
    // Sums come out the same on every processor with as many.
    device::use_threads(1);
    let bench = CheckBench { device, wish, scratch, program };
    for check in CHECKS.iter().filter(|check| bench.wish.only.contains(&check.name)) {
        tell(&CheckWord::Begin(check.name.to_string()));
        let done =
            catch_unwind(AssertUnwindSafe(|| work(check.name)(&bench))).unwrap_or_else(|panic| Err(explain(&*panic)));
        let mut result = done.unwrap_or_else(|error| {
            let cure = error.hint.as_deref().unwrap_or("`tombola doctor` looks at libraries and drivers");
            CheckResult::fail(error.message.as_str(), cure)
        });
        result.check = check.name.to_string();
        tell(&CheckWord::Done(result));
    }
    Ok(0)
}

/// Ends this process and all that it has started, as soon as the one that watches it is gone: nobody would hear of them, nor end what
/// hangs.
fn end_when_nobody_watches(scratch: PathBuf) {
    let watch = move || {
        // Nothing is ever sent.
        ignored(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()), "either way it is over");
        ignored(std::fs::remove_dir_all(&scratch), "the system clears that place some day");
        ignored(kill_group(std::process::id()), "it leads its group; if it does not, it was started by hand");
    };
    ignored(std::thread::Builder::new().name("watched".into()).spawn(watch), "then it goes on, as without this");
}

fn work(name: &str) -> Check {
    match name {
        "device" => devices::device,
        "networks" => networks::networks,
        "half" => networks::half,
        "steps" => steps::steps,
        "gpus" => steps::gpus,
        "together" => steps::together,
        "sweep" => sweeps::sweep,
        "memory" => memory::memory,
        "too-large" => memory::too_large,
        "fashion-mnist" => sweeps::fashion_mnist,
        "rate" => rates::rate,
        "workers" => rates::workers,
        _ => |_| Err(Error::environment("the process that does the checks does not know this one")),
    }
}

fn tell(told: &CheckWord) {
    let mut output = std::io::stdout().lock();
    ignored(writeln!(output, "{}", told.line()), "whoever listened is gone");
    ignored(output.flush(), "as above");
}
