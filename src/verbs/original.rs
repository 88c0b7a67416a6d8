//! What the original script's command lines have and settings do not: switches that mean nothing here, its defaults, and paths of
//! its checkpoints, which mean trainings.
//!
//! It may not know how a sweep is trained.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use tombola_core::sweep::{Field, Flag};
use tombola_words::error::{Error, Result};

/// The heading in the help.
const HEADING: &str = "Of the original script";

/// A flag that is taken and changes nothing.
struct Unused {
    flag: &'static str,
    /// Whether a value belongs to it.
    takes_value: bool,
    /// Why it changes nothing.
    why: &'static str,
}

const UNUSED: [Unused; 6] = [
    Unused { flag: "nw", takes_value: true, why: "images are in memory, or read ahead by a thread of each training" },
    Unused {
        flag: "test-batch-size",
        takes_value: true,
        why: "what is counted on held-out images does not depend on how many are looked at together",
    },
    Unused { flag: "no-mps", takes_value: false, why: "Apple's GPUs are never used; `--device` says where to train" },
    Unused {
        flag: "dry-run",
        takes_value: false,
        why: "as in the original script; `tombola plan` shows what would be trained",
    },
    Unused {
        flag: "print-freq",
        takes_value: true,
        why: "progress is shown all the time, and every epoch is in epochs.csv",
    },
    Unused { flag: "sparsity_gt", takes_value: true, why: "as in the original script" },
];

/// Adds these flags to a verb.
pub(super) fn arguments(mut command: Command) -> Command {
    for unused in &UNUSED {
        let argument = Arg::new(unused.flag).long(unused.flag).help(format!("Changes nothing: {}", unused.why));
        command = command.arg(
            match unused.takes_value {
                true => argument.num_args(1).action(ArgAction::Append).value_name("VALUE"),
                false => argument.action(ArgAction::SetTrue),
            }
            .help_heading(HEADING),
        );
    }
    let number = |flag: &'static str, help: &'static str| {
        let argument = Arg::new(flag).long(flag).value_name("NUMBER").help(help).help_heading(HEADING);
        argument.action(ArgAction::Append).value_parser(clap::value_parser!(usize))
    };
    command
        .arg(number("start-pr-iter", "Pruning to begin with: 1 without `--load` prunes the network before it is trained"))
        .arg(number("ann-train", "Epoch up to which the best weights of the dense training are pruned: `--draw best-until:EPOCH`"))
        .arg(
            Arg::new("defaults")
                .long("defaults")
                .value_name("WHOSE")
                .action(ArgAction::Append)
                .help("Defaults of settings that are not given: tombola, original for those of the script that Tombola replaces (batches of 256, no schedule, no pruning unless `--priter` says so, convolutions only, drawn at the best epoch), lottery-ticket for those of LeNet in that paper, open-lth for those of that program's ResNets")
                .help_heading(HEADING),
        )
}

/// The defaults that are asked for.
pub(super) fn defaults(matches: &ArgMatches) -> Option<&str> {
    matches.get_many::<String>("defaults")?.next_back().map(String::as_str)
}

/// The settings that a command line of the original script means, and a line about each part that means nothing here or something
/// else.
///
/// # Errors
/// When a checkpoint's path names another training than the other flags.
pub(super) fn meant(matches: &ArgMatches, mut flags: Vec<Flag>) -> Result<(Vec<Flag>, Vec<String>)> {
    let mut notes = Vec::new();
    let has_file = matches.get_one::<std::path::PathBuf>("file").is_some();
    let drawn = one_value(&flags, "draw");
    let twice = |flag: &str, draw: &str| {
        Err(Error::input(format!("`{flag}` and `--draw {draw}` both say when the mask is drawn"))
            .hint("leave one of them out"))
    };
    for unused in &UNUSED {
        let given = match unused.takes_value {
            true => matches.get_many::<String>(unused.flag).is_some(),
            false => matches.get_flag(unused.flag),
        };
        if given {
            notes.push(format!("`--{}` changes nothing: {}", unused.flag, unused.why));
        }
    }
    let last = |flag: &str| matches.get_many::<usize>(flag).and_then(|mut values| values.next_back()).copied();
    let mut annotated = last("ann-train");
    if let (Some(epoch), Some(draw)) = (annotated, &drawn) {
        return twice(&format!("--ann-train {epoch}"), draw);
    }
    if let Some(word) = one_value(&flags, "load")
        && let Some(checkpoint) = Checkpoint::read(&word)?
    {
        if Path::new(&word).is_file() {
            annotated = None;
        } else {
            if has_file {
                return Err(Error::input(format!("`--load {word}` names a training, and so does the sweep file"))
                    .hint(format!("leave the file out, or say `--load auto --draw {}`", checkpoint.draw())));
            }
            if let Some(draw) = &drawn {
                return twice(&format!("--load {word}"), draw);
            }
            let draw = annotated.take().map_or(checkpoint.draw(), |epoch| format!("best-until:{epoch}"));
            checkpoint.put(&mut flags, &draw)?;
            notes.push(format!(
                "`--load {word}` is the dense training that it names, drawn at `{draw}`: as `--load auto`"
            ));
        }
    }
    if let Some(epoch) = annotated {
        give(&mut flags, "draw", &format!("best-until:{epoch}"));
    }
    match last("start-pr-iter") {
        None | Some(0) => {}
        Some(1) if one_value(&flags, "load").is_some() => {
            notes.push("`--start-pr-iter 1` is what `--load` means".to_string());
        }
        Some(1) => {
            if let Some(draw) = &drawn {
                return twice("--start-pr-iter 1", draw);
            }
            let several =
                one_value(&flags, "prune-iterations").filter(|count| count.parse().is_ok_and(|count: usize| count > 1));
            if let Some(count) = several {
                return Err(Error::input(format!(
                    "`--start-pr-iter 1` prunes the network before it is trained, which can be done once, and `--priter` is {count}"
                ))
                .hint("say `--priter 1`, or leave `--start-pr-iter` out"));
            }
            give(&mut flags, "draw", "epoch:0");
        }
        Some(more) => {
            return Err(Error::input(format!("`--start-pr-iter`: found {more}, expected 0 or 1"))
                .hint("leave it out: prunings that the results folder has are not done again"));
        }
    }
    Ok((flags, notes))
}

/// The value of a setting that is given with one.
fn one_value(flags: &[Flag], key: &str) -> Option<String> {
    match flags.iter().find(|flag| flag.field.key == key)?.values.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Gives a setting a value, unless it has one.
fn give(flags: &mut Vec<Flag>, key: &str, value: &str) {
    let missing = flags.iter().all(|flag| flag.field.key != key);
    if let Some(field) = Field::find(key).filter(|_| missing) {
        flags.push(Flag { field, values: vec![value.to_string()] });
    }
}

/// What the path of a checkpoint of the original script says.
#[derive(Debug, PartialEq)]
struct Checkpoint {
    /// Settings of the dense training.
    named: Vec<(&'static str, String)>,
    epoch: Option<usize>,
    best: bool,
}

impl Checkpoint {
    /// Of a path in the form `MODEL_DATASET_depth=D_batch=B_epoch=N[_prty=P]/priter=0[_epoch=E][_best].pth.tar`; nothing for others.
    ///
    /// # Errors
    /// When it is of a network that was pruned.
    fn read(path: &str) -> Result<Option<Self>> {
        let path = Path::new(path);
        let word = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_string);
        let folder = word(path.parent().and_then(Path::file_name));
        let (Some(name), Some(folder)) = (word(path.file_name()), folder) else { return Ok(None) };
        let Some(name) = name.strip_suffix(".pth.tar").and_then(|name| name.strip_prefix("priter=")) else {
            return Ok(None);
        };
        let mut parts = name.split('_');
        let level = parts.next().unwrap_or_default();
        let (mut epoch, mut best) = (None, false);
        for part in parts {
            match part.strip_prefix("epoch=").map(str::parse::<usize>) {
                Some(Ok(number)) => epoch = Some(number),
                None if part == "best" => best = true,
                _ => return Ok(None),
            }
        }
        let Some((start, numbers)) = folder.split_once("_depth=") else { return Ok(None) };
        let Some((model, dataset)) = start.split_once('_') else { return Ok(None) };
        let mut named = vec![("network", model.to_string()), ("dataset", dataset.to_string())];
        let numbers = format!("depth={numbers}");
        for part in numbers.split('_') {
            let key = match part.split_once('=') {
                Some(("depth", _)) => "depth",
                Some(("batch", _)) => "batch-size",
                Some(("epoch", _)) => "epochs",
                // What is pruned does not decide the dense training.
                Some(("prty", _)) => continue,
                _ => return Ok(None),
            };
            named.push((key, part.split_once('=').map_or("", |(_, value)| value).to_string()));
        }
        if level != "0" {
            return Err(Error::input(format!("`--load {}` is of a network that was pruned {level} times", path.display()))
                .hint("leave `--load` out and ask for `--priter` prunings: those that a results folder has are not done again"));
        }
        Ok(Some(Self { named, epoch, best }))
    }

    /// The moment of the training that it was kept at.
    fn draw(&self) -> String {
        match (self.epoch, self.best) {
            (Some(epoch), true) => format!("best-until:{epoch}"),
            (Some(epoch), false) => format!("epoch:{epoch}"),
            (None, true) => "best".to_string(),
            (None, false) => "last".to_string(),
        }
    }

    /// Has flags mean that training.
    fn put(&self, flags: &mut Vec<Flag>, draw: &str) -> Result<()> {
        for (key, value) in &self.named {
            let Some(field) = Field::find(key) else { continue };
            if let Some(given) = one_value(flags, key) {
                let same = shown(field, &given)? == shown(field, value)?;
                if !same {
                    return Err(Error::input(format!(
                        "`--load` names a training with `{key}` {value}, and the command has {given}"
                    ))
                    .hint("give the path that belongs to the other flags, or `--load auto`"));
                }
            }
            give(flags, key, value);
        }
        flags
            .iter_mut()
            .filter(|flag| flag.field.key == "load")
            .for_each(|flag| flag.values = vec!["auto".to_string()]);
        give(flags, "draw", draw);
        Ok(())
    }
}

/// A value as the settings have it, by its one name.
fn shown(field: &Field, text: &str) -> Result<String> {
    let mut settings = tombola_core::sweep::Settings::default();
    field.assign(&mut settings, text)?;
    Ok(match field.key {
        "dataset" => {
            tombola_words::catalogue::find(text).map_or_else(|_| text.to_string(), |known| known.name.to_string())
        }
        "network" => tombola_core::net::zoo::canonical_name(text).map_or_else(|_| text.to_string(), str::to_string),
        _ => (field.show)(&settings),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str =
        "./checkpoints/resnetb_cifar10_depth=20_batch=64_epoch=160_prty=s/priter=0_epoch=30_best.pth.tar";

    #[test]
    fn a_path_in_the_form_of_the_original_script_names_a_dense_training_and_a_moment() {
        let checkpoint = Checkpoint::read(PATH).unwrap().unwrap();
        let named: Vec<String> = checkpoint.named.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(named, ["network=resnetb", "dataset=cifar10", "depth=20", "batch-size=64", "epochs=160"]);
        assert_eq!(checkpoint.draw(), "best-until:30");
        for (name, draw) in [("priter=0_best", "best"), ("priter=0_epoch=10", "epoch:10"), ("priter=0", "last")] {
            let path = format!("c/resnetb_cifar10_depth=20_batch=64_epoch=160/{name}.pth.tar");
            assert_eq!(Checkpoint::read(&path).unwrap().unwrap().draw(), draw);
        }
        for other in ["auto", "c.pth", "checkpoints/x/priter=0_best.pth.tar", "a_b_depth=1_odd/priter=0.pth.tar"] {
            assert_eq!(Checkpoint::read(other).unwrap(), None, "{other}");
        }
        assert!(Checkpoint::read(&PATH.replace("priter=0", "priter=2")).is_err());
    }
}
