//! `tombola bench` and `tombola tune`: their command lines.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

const EXAMPLES: &str = "\
Examples:
  tombola bench
  tombola bench step --network resnet,vgg-16 --precision bf16 --batch-size 128
  tombola bench step start --python ~/venv/bin/python
  tombola bench pipeline sweep --python ~/venv/bin/python
  tombola bench step --device cuda --batch-size 128

Parts: `step`, one training step on one thread or GPU; `start`, from the command line to the first trained images; `target`, how
long tickets take that are pruned to a time (`target = \"time:0.5\"`), as measured again; and,
beside PyTorch alone, `pipeline`, images a second of the whole machine with reading, augmentation and evaluation; `sweep`, the
published experiments in small, end to end (half an hour). Each run is written as a dated file, and compared with the last
one on the same type of machine.";

const TUNE_EXAMPLES: &str = "\
Examples:
  tombola tune --network resnetb
  tombola tune --network resnet --precision bf16 --batch-size 128 --device cuda
  tombola tune --network resnet --precision bf16 --batch-size 128 --device cuda --ranks

Each line is measured in a process of its own, with that many trainings in its threads at the same time, as `tombola run` has
them. `tombola run` on this machine, where no `--workers` is given, then takes the best number for the costliest network of its
sweep, if that was measured in the same precision, with the same size of a batch and as many `--threads`; results do not depend
on it. With `--ranks` each training is a process of its own, as under `mpirun`; on a GPU start the Multi-Process Service first
(`nvidia-cuda-mps-control -d`), as for the sweep itself.";

/// `tombola bench`.
pub fn command() -> Command {
    let command = Command::new("bench")
        .about("Measure how fast this machine trains, alone or beside PyTorch, and tell what became slower")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("part")
                .value_name("PART")
                .num_args(0..)
                .value_parser(["step", "start", "target", "pipeline", "sweep"])
                .default_values(["step", "start"])
                .help("What to measure"),
        )
        .arg(Arg::new("python").long("python").value_name("PATH").help("A Python with PyTorch, to be measured beside"))
        .arg(
            Arg::new("records")
                .long("records")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .default_value("results/bench")
                .help("Where records are"),
        )
        .arg(Arg::new("no-record").long("no-record").action(ArgAction::SetTrue).help("Compare only, write nothing"));
    work(command, "resnet,resnetb", "fp32,bf16")
}

/// `tombola tune`.
pub fn tune_command() -> Command {
    let hidden = |name: &'static str| Arg::new(name).long(name).hide(true);
    let command = Command::new("tune")
        .about("Find out how many trainings at the same time are best for a network and a device")
        .after_help(TUNE_EXAMPLES)
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_name("NUMBER")
                .value_parser(seconds)
                .default_value("6")
                .help("How long each number of trainings is measured"),
        )
        .arg(
            Arg::new("ranks")
                .long("ranks")
                .action(ArgAction::SetTrue)
                .help("Measure processes instead of threads of one, for sweeps under `mpirun`"),
        )
        // A measuring process of its own.
        .arg(hidden("alone").action(ArgAction::SetTrue))
        .arg(hidden("together").value_parser(value_parser!(usize)))
        .arg(hidden("threads").value_parser(value_parser!(usize)));
    work(command, "resnet", "fp32")
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number from 0.1 to 86400".to_string())
}

/// What is trained.
fn work(command: Command, networks: &'static str, precisions: &'static str) -> Command {
    let list = |name: &'static str, value: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).value_delimiter(',').default_value(default).help(help)
    };
    let count = |name: &'static str, default: Option<&'static str>, help: &'static str| {
        let parser = value_parser!(u64).range(1..1_000_000);
        Arg::new(name).long(name).value_name("NUMBER").value_parser(parser).default_value(default).help(help)
    };
    command
        .arg(list("network", "LIST", networks, "Built-in networks, for images of 3x32x32 in ten classes"))
        .arg(count("depth", None, "Layers of a network that has several depths [default: its usual one]"))
        .arg(list("precision", "LIST", precisions, "Numbers that networks compute with: fp32, bf16, tf32"))
        .arg(count("batch-size", Some("64"), "Images of a batch"))
        .arg(Arg::new("device").long("device").value_name("DEVICE").default_value("cpu").help("cpu, cuda or cuda:N"))
}
