//! `tombola slurm`: a sweep as a Slurm job. Prints the script, or hands it to `sbatch`.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{run, sweep};
use tombola_cluster::slurm::{Job, NOTICE, REQUEUES, script};
use tombola_words::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  tombola slurm sweeps/lenet.toml --nodes 2 --ranks-per-node 16 --time 04:00:00 > lenet.sbatch
  tombola slurm sweeps/lenet.toml --nodes 4 --gpus-per-node 4 --cpus-per-rank 8 --submit
  tombola slurm sweeps/lenet.toml --gpus-per-node 1 --ranks-per-gpu 4 --submit
  tombola slurm sweeps/lenet.toml --array 8 --submit -- --seed 1,2,3

What the script does and what to do when something fails: docs/clusters.md.";

/// The verb.
pub fn command() -> Command {
    let number = |name: &'static str, letter: &'static str, help: String| {
        Arg::new(name).long(name).value_name(letter).value_parser(value_parser!(usize)).help(help)
    };
    let text = |name: &'static str, word: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(word).help(help)
    };
    Command::new("slurm")
        .about("Print the Slurm job script of a sweep, or submit it")
        .after_help(EXAMPLES)
        .arg(Arg::new("file").value_name("SWEEP").required(true).help("Sweep file (TOML)"))
        .arg(number("nodes", "N", "Nodes [default: 1]".into()))
        .arg(number("gpus-per-node", "G", "GPUs of each node; 0 trains on processors [default: 0]".into()))
        .arg(number("ranks-per-node", "R", "Ranks on each node [default: one for each GPU, or one]".into()))
        .arg(number("ranks-per-gpu", "K", "Ranks that share a GPU [default: 1]".into()))
        .arg(number("cpus-per-rank", "C", "Processors, and so threads, of each rank [default: 1]".into()))
        .arg(text("time", "LIMIT", "Time limit, such as 04:00:00 or 2-12 [default: the partition's]"))
        .arg(text("partition", "NAME", "Partition [default: the cluster's]"))
        .arg(text("account", "NAME", "Account [default: yours]"))
        .arg(text("qos", "NAME", "Quality of service [default: the cluster's]"))
        .arg(text("job-name", "NAME", "Name of the job [default: that of the sweep file]"))
        .arg(number("array", "N", "An array of N jobs without MPI, each for one part of the sweep".into()))
        .arg(number("max-requeues", "M", format!("How often the job may go back into the queue [default: {REQUEUES}]")))
        .arg(
            number("stop-before", "SECONDS", format!("Time before the limit to stop at [default: {NOTICE}]"))
                .value_parser(value_parser!(u64)),
        )
        .arg(text("log", "FILE", "Where the job writes what it says [default: NAME-JOB.log]"))
        .arg(text("program", "PATH", "The program on the nodes [default: this one]"))
        .arg(
            Arg::new("submit")
                .long("submit")
                .action(ArgAction::SetTrue)
                .help("Give it to sbatch instead of printing it"),
        )
        .arg(
            Arg::new("further")
                .value_name("ARGUMENTS")
                .last(true)
                .num_args(0..)
                .help("Further arguments of `tombola run`"),
        )
}

/// Prints the script or submits it.
///
/// # Errors
/// When the sweep or a flag is wrong, or there is no `sbatch` or it refuses the job.
pub fn run(matches: &ArgMatches) -> Result<()> {
    let mut job = job(matches)?;
    job.check()?;
    job.results = results_of(&job)?;
    let text = script::text(&job);
    if matches.get_flag("submit") {
        return submit(&text);
    }
    super::print(&text)
}

fn job(matches: &ArgMatches) -> Result<Job> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let number = |name: &str| matches.get_one::<usize>(name).copied();
    let program = match text("program") {
        Some(program) => program,
        None => this_program()?.display().to_string(),
    };
    let usual = Job::new(text("file").unwrap_or_default(), program);
    Ok(Job {
        nodes: number("nodes").unwrap_or(usual.nodes),
        gpus_per_node: number("gpus-per-node").unwrap_or(usual.gpus_per_node),
        ranks_per_node: number("ranks-per-node"),
        ranks_per_gpu: number("ranks-per-gpu").unwrap_or(usual.ranks_per_gpu),
        cpus_per_rank: number("cpus-per-rank").unwrap_or(usual.cpus_per_rank),
        time: text("time"),
        partition: text("partition"),
        account: text("account"),
        qos: text("qos"),
        name: text("job-name"),
        array: number("array"),
        max_requeues: number("max-requeues").unwrap_or(usual.max_requeues),
        stop_before: matches.get_one::<u64>("stop-before").copied().unwrap_or(usual.stop_before),
        log: text("log"),
        further: matches.get_many::<String>("further").into_iter().flatten().cloned().collect(),
        ..usual
    })
}

/// What a job calls: the command by which this program was called, where that does something for it (the command of the
/// Python package tells the loader where libtorch lies), or else this program.
fn this_program() -> Result<PathBuf> {
    if let Some(command) = std::env::var_os("TOMBOLA_COMMAND").filter(|command| !command.is_empty()) {
        return Ok(PathBuf::from(command));
    }
    std::env::current_exe().map_err(|error| {
        Error::environment(format!("cannot tell where this program lies: {error}")).hint("say it with `--program PATH`")
    })
}

/// The results folder. A mistake in the sweep is found now, and not after hours in the queue.
fn results_of(job: &Job) -> Result<String> {
    let mut words = script::arguments(job);
    if let Some(tasks) = job.array {
        words.extend(["--shard".to_string(), format!("1/{tasks}")]);
    }
    let matches = run::command().try_get_matches_from(words).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Error::input(format!("arguments behind `--`: {first}")).hint("they are those of `tombola run`")
    })?;
    let folder = sweep::read(&matches)?.folder;
    // A task's own folder lies in it.
    let folder = if job.array.is_some() { folder.parent().unwrap_or(&folder) } else { &folder };
    Ok(folder.display().to_string())
}

/// Gives the script to sbatch, whose answer goes where ours would.
fn submit(text: &str) -> Result<()> {
    let mut sbatch = Process::new("sbatch").stdin(Stdio::piped()).spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::environment("there is no `sbatch` on this machine")
            .hint("run this where Slurm is, or without `--submit` and take the script there"),
        _ => Error::environment(format!("cannot start `sbatch`: {error}")),
    })?;
    if let Some(mut input) = sbatch.stdin.take()
        && let Err(error) = input.write_all(text.as_bytes())
        // It may have refused the job before it has read all of it, and says why.
        && error.kind() != ErrorKind::BrokenPipe
    {
        return Err(Error::environment(format!("cannot give the script to `sbatch`: {error}")));
    }
    let status = sbatch.wait().map_err(|error| Error::environment(format!("cannot wait for `sbatch`: {error}")))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::environment(format!("`sbatch` did not take the job: {status}"))
            .hint("its reason stands above; partition, account, time and nodes have to be ones that the cluster has")),
    }
}
