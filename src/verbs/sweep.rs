//! From a sweep file and flags to a plan: what `run`, `plan` and `slurm` share. It may not know what is done with the plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{flags, network_file, original, own_data};
use tombola_core::folder::{complete, is_as_written, loaded_of};
use tombola_core::plan::{Asked, LoadedFiles, Plan, grow, loaded_anew};
use tombola_core::sweep::spec::{line_of_error, takes_rounded_rates};
use tombola_core::sweep::{Flag, NAME_FILES, Spec};
use tombola_core::trainable;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::regular;
use tombola_words::speech;

/// No sweep file is larger than this.
const MOST_SWEEP: u64 = 16 << 20;

/// Adds the sweep file and the settings to a verb.
pub fn arguments(command: Command) -> Command {
    let file = Arg::new("file")
        .value_name("SWEEP")
        .value_parser(value_parser!(PathBuf))
        .help("Sweep file (TOML). Settings given as flags win over it; without it the flags are the sweep");
    original::arguments(flags::add(command.arg(file)))
}

/// Reads what was asked to be trained and lays out its stages.
///
/// # Errors
/// When the file or a flag is wrong, a file that it loads is not the one that its results folder is of, or a network cannot
/// work on its data.
pub fn read(matches: &ArgMatches) -> Result<Asked> {
    read_with(matches, |spec, known| {
        let trials = spec.trials()?;
        let loaded = loaded_anew(spec, &trials, known)?;
        Plan::of(spec, trials, loaded)
    })
}

/// As [`read`], to look at it only: a file that its results folder was loaded from is not opened again.
///
/// # Errors
/// When the file or a flag is wrong, a network cannot work on its data, or a training could only fail.
pub fn look(matches: &ArgMatches) -> Result<Asked> {
    read_with(matches, grow)
}

fn read_with(matches: &ArgMatches, plan: impl Fn(&Spec, &LoadedFiles) -> Result<Plan>) -> Result<Asked> {
    let file = matches.get_one::<PathBuf>("file");
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().to_string()).collect();
    let (flags, notes) = original::meant(matches, flags::read(matches, &words)?)?;
    notes.into_iter().for_each(|note| speech::say(format!("note: {note}")));
    let defaults = original::defaults(matches);
    let text = match file {
        Some(path) => Some(regular::read_short(path, MOST_SWEEP).map_err(|error| missing(path, &error))?),
        None => None,
    };
    // The place of what only shows when settings meet, where no flag is one of them.
    let place = |error: Error| match (file, &text) {
        (Some(path), Some(text)) if error.kind == Kind::Input && !Spec::wrote(text) && flags.is_empty() => {
            match line_words(text, &error) {
                Some(line) => error.at(line).at(format!("`{}`", path.display())),
                None => error,
            }
        }
        _ => error,
    };
    let mut spec = match (file, &text) {
        (Some(path), Some(text)) => {
            let read = read_file(path, text, &flags, defaults);
            let mut spec = read.map_err(|error| {
                let error = match line_words(text, &error).filter(|_| flags.is_empty()) {
                    Some(line) => error.at(line),
                    None => error,
                };
                error.at(format!("`{}`", path.display()))
            })?;
            spec.name.get_or_insert_with(|| tombola_core::sweep::spec::name_of(path));
            spec
        }
        _ => Spec::read_over(defaults, None, &flags)?,
    };
    // As a flag, a path is relative to the shell's folder.
    for flag in flags.iter().filter(|flag| NAME_FILES.contains(&flag.field.key)) {
        let base = here()?;
        flag.values.iter().for_each(|word| spec.name_from(&base, word));
    }
    // As with files that are loaded: a flag is relative to the shell's folder.
    let as_flag = flags.iter().any(|flag| flag.field.key == "network");
    let base = spec.base.clone().filter(|_| !as_flag);
    spec.take_network_files(|path| network_file::read(base.as_deref(), path))?;
    let data_as_flag = flags.iter().any(|flag| flag.field.key == "dataset");
    let base = spec.base.clone().filter(|_| !data_as_flag).map_or_else(here, Ok)?;
    spec.take_data(|path, options| own_data::look(&base, path, options))?;
    let folder = match (&spec.run.out, &spec.name) {
        (Some(out), _) => out.clone(),
        (None, Some(name)) => results_of(Path::new("results"), name),
        (None, None) => Path::new("results").join(format!("run-{}", name_of_flags(&flags, defaults))),
    };
    // The parts of a sweep lie side by side in its folder.
    let folder = spec.run.shard.map_or(folder.clone(), |shard| folder.join(shard.folder()));
    if let Ok(began) = regular::read_short(&folder.join("sweep.toml"), MOST_SWEEP)
        && !takes_rounded_rates(&began)
    {
        spec.keep_rates_as_written();
    }
    let plan = plan(&spec, &loaded_of(&folder)?).map_err(place)?;
    trainable::check(&plan, &spec).map_err(place)?;
    Ok(Asked { spec, plan: Arc::new(plan), folder })
}

/// The line of a sweep file's text that an error is of, in words, where the message does not begin with it.
fn line_words(text: &str, error: &Error) -> Option<String> {
    let line = line_of_error(text, &error.message).filter(|_| !error.message.starts_with("line "));
    line.map(|line| format!("line {line}"))
}

/// The folder that the program runs in.
fn here() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::environment(format!("the folder that the program runs in is not there: {error}"))
            .hint("go to a folder that is")
    })
}

/// A sweep file of the user's, in which paths are relative to it, or a complete one, as results folders have them.
fn read_file(path: &Path, text: &str, flags: &[Flag], defaults: Option<&str>) -> Result<Spec> {
    if Spec::wrote(text) {
        if !is_as_written(text) {
            speech::say(format!(
                "note: `{}` was written by this program and changed since; what it asks for now is done",
                path.display()
            ));
        }
        return complete(text, flags);
    }
    let mut spec = Spec::read_over(defaults, Some(text), flags)?;
    spec.base = here()?.join(path).parent().map(Path::to_path_buf);
    Ok(spec)
}

/// The folder of a sweep's name. Names of files were once written without letters beyond ASCII: such a folder goes on.
fn results_of(results: &Path, name: &str) -> PathBuf {
    let folder = results.join(name);
    let former: String = name.chars().map(|letter| if letter.is_ascii() { letter } else { '-' }).collect();
    let former = results.join(former);
    if !folder.exists() && former.join("journal").exists() { former } else { folder }
}

fn missing(path: &Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::InvalidData {
        return Error::input(format!("`{}` is no text", path.display())).hint("give a sweep file (TOML)");
    }
    if error.kind() == std::io::ErrorKind::FileTooLarge {
        return Error::input(format!("cannot read `{}`: {error}", path.display())).hint("give a sweep file (TOML)");
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
fn name_of_flags(flags: &[Flag], defaults: Option<&str>) -> String {
    let mut text = defaults.map_or_else(String::new, |whose| format!("defaults={whose}\n"));
    for flag in flags.iter().filter(|flag| flag.field.decides != tombola_core::sweep::Decides::Run) {
        text.push_str(&format!("{}={}\n", flag.field.key, flag.values.join("|")));
    }
    blake3::hash(text.as_bytes()).to_hex()[..8].to_string()
}
