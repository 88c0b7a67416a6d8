//! From a sweep file and flags to a plan: what `run`, `plan` and `slurm` share. It may not know what is done with the plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::flags;
use tombola_core::plan::{Asked, grow};
use tombola_core::sweep::{Flag, Spec};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// No sweep file is larger than this.
const MOST_SWEEP: u64 = 16 << 20;

/// Adds the sweep file and the settings to a verb.
pub fn arguments(command: Command) -> Command {
    let file = Arg::new("file")
        .value_name("SWEEP")
        .value_parser(value_parser!(PathBuf))
        .help("Sweep file (TOML). Settings given as flags win over it; without it the flags are the sweep");
    flags::add(command.arg(file))
}

/// Reads what was asked and lays out its stages.
///
/// # Errors
/// When the file or a flag is wrong, or a network cannot work on its data.
pub fn read(matches: &ArgMatches) -> Result<Asked> {
    let file = matches.get_one::<PathBuf>("file");
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().to_string()).collect();
    let flags = flags::read(matches, &words)?;
    let spec = match file {
        Some(path) => {
            let text = regular::read_short(path, MOST_SWEEP).map_err(|error| missing(path, &error))?;
            let mut spec =
                Spec::read(Some(&text), &flags).map_err(|error| error.at(format!("`{}`", path.display())))?;
            spec.name.get_or_insert_with(|| tombola_core::sweep::spec::name_of(path));
            spec
        }
        None => Spec::read(None, &flags)?,
    };
    let plan = grow(&spec)?;
    let folder = match (&spec.run.out, &spec.name) {
        (Some(out), _) => out.clone(),
        (None, Some(name)) => Path::new("results").join(name),
        (None, None) => Path::new("results").join(format!("run-{}", name_of_flags(&flags))),
    };
    // The parts of a sweep lie side by side in its folder.
    let folder = spec.run.shard.map_or(folder.clone(), |shard| folder.join(shard.folder()));
    Ok(Asked { spec, plan: Arc::new(plan), folder })
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::InvalidData {
        return Error::input(format!("`{}` is no text", path.display())).hint("give a sweep file (TOML)");
    }
    let error = Error::file("read", path, error);
    let sweeps: Vec<String> = std::fs::read_dir("sweeps")
        .map(|entries| entries.flatten().map(|entry| entry.path().display().to_string()).collect())
        .unwrap_or_default();
    match tombola_words::error::nearest(&path.display().to_string(), sweeps.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// A name for what only flags describe: the same flags give the same folder.
fn name_of_flags(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags.iter().filter(|flag| flag.field.decides != tombola_core::sweep::Decides::Run) {
        text.push_str(&format!("{}={}\n", flag.field.key, flag.values.join("|")));
    }
    blake3::hash(text.as_bytes()).to_hex()[..8].to_string()
}
