//! `tombola init`: writes a commented sweep file after a few questions, or one of the examples that the program carries.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use tombola_core::sweep::Spec;
use tombola_words::error::{Error, Result};
use tombola_words::speech;

const EXAMPLES: &str = "\
Examples:
  tombola init
  tombola init my-sweep.toml
  tombola init my-sweep.toml --yes && tombola plan my-sweep.toml
  tombola init quickstart.toml --example quickstart && tombola run quickstart.toml

An empty answer takes what stands in brackets; with --yes all of these are taken. Answers can also come from a pipe, one a line.";

/// The sweeps of the repository, by name, so that whoever has only the program has them too.
const SWEEPS: [(&str, &str); 16] = [
    ("quickstart", include_str!("../../sweeps/quickstart.toml")),
    ("lenet", include_str!("../../sweeps/lenet.toml")),
    ("rewinding", include_str!("../../sweeps/rewinding.toml")),
    ("early-bird", include_str!("../../sweeps/early-bird.toml")),
    ("mobilenet-v2", include_str!("../../sweeps/mobilenet-v2.toml")),
    ("vit", include_str!("../../sweeps/vit.toml")),
    ("early-bird-cifar-100", include_str!("../../sweeps/early-bird-cifar-100.toml")),
    ("open-lth-resnet-20", include_str!("../../sweeps/open-lth-resnet-20.toml")),
    ("lottery-ticket-lenet", include_str!("../../sweeps/lottery-ticket-lenet.toml")),
    ("open-lth-levels", include_str!("../../sweeps/open-lth-levels.toml")),
    ("lottery-ticket-pytorch", include_str!("../../sweeps/lottery-ticket-pytorch.toml")),
    ("scratch-b", include_str!("../../sweeps/scratch-b.toml")),
    ("own-network", include_str!("../../sweeps/own-network.toml")),
    ("experiment1", include_str!("../../sweeps/experiment1.toml")),
    ("experiment2", include_str!("../../sweeps/experiment2.toml")),
    ("experiment3", include_str!("../../sweeps/experiment3.toml")),
];

/// A question, what it is for, and the answer that an empty one means.
struct Question {
    asks: &'static str,
    key: &'static str,
    usual: &'static str,
}

const QUESTIONS: [Question; 6] = [
    Question {
        asks: "What is tried? 1: prune once and fine-tune, 2: lottery tickets, 3: early-bird tickets of channels",
        key: "experiment",
        usual: "2",
    },
    Question { asks: "Which data set? (`tombola data --help` lists them)", key: "dataset", usual: "fashion-mnist" },
    Question {
        asks: "Which network? lenet-300-100, lenet-5, conv-2 …, vgg-16, resnet, resnetb, resnet-18 …",
        key: "network",
        usual: "",
    },
    Question { asks: "How many epochs does a training have?", key: "epochs", usual: "10" },
    Question { asks: "Which shares are pruned, with commas between?", key: "pruning-ratio", usual: "0.5, 0.8, 0.95" },
    Question { asks: "Which seeds? Three or more give error bars", key: "seed", usual: "1, 2, 3" },
];

/// The verb.
pub fn command() -> Command {
    Command::new("init")
        .about("Write a commented sweep file after a few questions, or an example")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .default_value("sweep.toml")
                .value_parser(value_parser!(PathBuf))
                .help("The file to write; one that is there stays"),
        )
        .arg(Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help("Ask nothing"))
        .arg(
            Arg::new("example")
                .long("example")
                .value_name("NAME")
                .value_parser(SWEEPS.map(|(name, _)| name))
                .help("Ask nothing and write this example; its first lines say what it is for"),
        )
}

/// Asks and writes.
///
/// # Errors
/// When the file is there already or cannot be written, or an answer is wrong.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let path = matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    if path.exists() {
        return Err(
            Error::input(format!("`{}` is there already", path.display())).hint("give another name, or move it away")
        );
    }
    let text = match matches.get_one::<String>("example").and_then(|name| example(name)) {
        Some(text) => text.to_string(),
        None => asked(matches.get_flag("yes"))?,
    };
    let mut file = std::fs::File::create_new(&path).map_err(|error| Error::file("write", &path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| Error::file("write", &path, &error))?;
    super::print(&next(&path))
}

/// The text of an example.
fn example(name: &str) -> Option<&'static str> {
    SWEEPS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The sweep that the answers on standard input make, or with `yes` the usual answers.
fn asked(yes: bool) -> Result<String> {
    let mut input: Box<dyn BufRead> = match yes {
        true => Box::new(std::io::empty()),
        false => Box::new(std::io::stdin().lock()),
    };
    let loud = !yes && std::io::stdin().is_terminal();
    written(&mut answers(&mut input, loud)?)
}

fn next(path: &Path) -> String {
    let path = path.display();
    format!(
        "{path}\n\nNext:\n  tombola plan {path}    what it trains, and about how long that takes\n  tombola run {path}\n"
    )
}

/// The answers by key.
fn answers(input: &mut dyn BufRead, loud: bool) -> Result<Vec<(&'static str, String)>> {
    let mut answers: Vec<(&'static str, String)> = Vec::new();
    for question in &QUESTIONS {
        let early_birds = answers.first().is_some_and(|(_, experiment)| experiment == "3");
        let usual = match (question.key, early_birds) {
            ("network", true) => "resnet",
            ("network", false) => "lenet-5",
            ("pruning-ratio", true) => "0.3, 0.5",
            _ => question.usual,
        };
        if loud {
            speech::prompt(format!("{}\n  [{usual}] ", question.asks));
        }
        let mut line = String::new();
        input.read_line(&mut line).map_err(|error| Error::environment(format!("cannot read the answer: {error}")))?;
        let answer = if line.trim().is_empty() { usual } else { line.trim() };
        answers.push((question.key, answer.to_string()));
    }
    Ok(answers)
}

/// The sweep file, if it is one.
fn written(answers: &mut [(&'static str, String)]) -> Result<String> {
    let get = |key: &str| answers.iter().find(|(known, _)| *known == key).map_or("", |(_, answer)| answer.as_str());
    let word = |key: &str| format!("{key} = \"{}\"\n", get(key).replace(['"', '\\'], ""));
    let list = |key: &str| format!("{key} = [{}]\n", get(key));
    let experiment = get("experiment");
    let (title, rest) = match experiment {
        "1" => ("Networks that are pruned once and fine-tuned", ONE_SHOT),
        "2" => ("Lottery tickets, beside networks with the same masks and new weights", LOTTERY),
        "3" => ("Early-bird tickets of channels, beside those drawn at the end", EARLY_BIRD),
        other => {
            return Err(Error::input(format!("what is tried: found `{other}`, expected 1, 2 or 3")));
        }
    };
    let text = format!(
        "# {title}.\n#\n# A setting with one value is fixed, one with several is an axis: every combination is a trial, and trials share\n\
         # their trainings. `tombola plan` shows them. All settings: docs/settings.md, or `tombola run --help`.\n\n\
         {dataset}{network}{depth}epochs = {epochs}\n\n# The learning rate at the start, and how it falls.\nlearning-rate = {rate}\nschedule = \"cosine\"\n\n\
         # Each seed is a training of its own; tables show means and standard deviations over them.\n{seed}\n\
         # The share of the weights (or channels) that is pruned.\n{ratio}\n{rest}",
        dataset = word("dataset"),
        network = word("network"),
        depth = match get("network") {
            "resnet" | "resnetb" => "depth = 20\n",
            _ => "",
        },
        epochs = get("epochs"),
        rate = if get("network").starts_with("resnet") { "0.1" } else { "0.05" },
        seed = list("seed"),
        ratio = list("pruning-ratio"),
    );
    let spec = Spec::read(Some(&text), &[])
        .and_then(|spec| tombola_core::trainable::check(&tombola_core::plan::grow(&spec, &Default::default())?, &spec));
    spec.map_err(|error| error.at("these answers make no sweep"))?;
    Ok(text)
}

const ONE_SHOT: &str = r#"# Weights of the smallest magnitude go, over all layers together.
criterion = "magnitude"
scope = "global"
prune-iterations = 1

# What is left is trained on: at the last learning rate (`none`), or with the schedule from its start (`lr`).
reinit = ["none", "lr"]
"#;

const LOTTERY: &str = r#"# Weights of the smallest magnitude go, over all layers together.
criterion = "magnitude"
scope = "global"

# Pruned at once, and in four rounds of training, pruning and rewinding.
prune-iterations = [1, 4]

# What is left goes back to its first weights (the ticket), or to new ones (what it is compared with).
reinit = ["init", "random"]
"#;

const EARLY_BIRD: &str = r#"# Whole channels go, by the scale of their batch norm.
pruning-type = "structured"
criterion = "bn-scale"
bn-init = "uniform"
prune-iterations = 1

# Masks are drawn after every epoch; the ticket is drawn when they have settled (You et al. 2020), or at the end.
draw = ["early-bird", "last"]
reinit = "lr"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(lines: &str) -> Result<String> {
        written(&mut answers(&mut lines.as_bytes(), false)?)
    }

    #[test]
    fn every_experiment_makes_a_sweep_with_what_was_answered() {
        for (experiment, word) in [("1", "fine-tuned"), ("2", "ticket"), ("3", "early-bird")] {
            let text = made(&format!("{experiment}\n\n\n7\n\n4, 5\n")).unwrap();
            assert!(text.contains(word) && text.contains("epochs = 7\n") && text.contains("seed = [4, 5]"), "{text}");
        }
        assert!(made("").unwrap().contains("prune-iterations = [1, 4]"));
    }

    #[test]
    fn every_sweep_of_the_repository_is_carried_and_can_be_planned() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps")).unwrap();
        for file in folder.map(|entry| entry.unwrap().path()) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_string();
            let text = example(&name).unwrap_or_else(|| panic!("`{name}` is not carried: add it to SWEEPS"));
            assert_eq!(text, std::fs::read_to_string(&file).unwrap());
            Spec::read(Some(text), &[]).and_then(|spec| tombola_core::plan::grow(&spec, &Default::default())).unwrap();
        }
    }

    #[test]
    fn a_wrong_answer_is_told_before_anything_is_written() {
        assert!(made("5\n").unwrap_err().message.contains("found `5`"));
        let error = made("2\nfashion\n").unwrap_err();
        assert!(error.message.contains("these answers make no sweep") && error.message.contains("fashion"), "{error}");
        assert!(made("2\n\n\nmany\n").is_err());
    }
}
