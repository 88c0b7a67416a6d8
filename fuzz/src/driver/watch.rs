//! Starts a process for each target, reads what it says, and starts another when it dies: what it died of is a finding.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::tally::{FuzzRow, FuzzTally};
use super::trial::FuzzFinding;
use super::work::{self, FuzzWork, HUNG};
use tombola_fuzz::{FuzzTarget, scratch};
use tombola_words::error::{Error, Result};
use tombola_words::speech;

/// A target whose process has died so often is left.
const MOST_DEATHS: usize = 10;

/// Fuzzes some targets, so many at a time, and gives a row for each.
///
/// # Errors
/// When a process cannot be started or a finding cannot be kept.
pub(crate) fn all(targets: &[&'static FuzzTarget], jobs: usize, work: &FuzzWork) -> Result<Vec<FuzzRow>> {
    let waiting = Mutex::new(targets.iter().enumerate());
    let done: Mutex<Vec<(usize, Result<FuzzRow>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().ok().and_then(|mut waiting| waiting.next());
                    let Some((place, target)) = next else { break };
                    let row = one(target, work);
                    if let Ok(mut done) = done.lock() {
                        done.push((place, row));
                    }
                }
            });
        }
    });
    let mut rows = done.into_inner().map_err(|_| Error::environment("a thread of the fuzzing has panicked"))?;
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn one(target: &'static FuzzTarget, work: &FuzzWork) -> Result<FuzzRow> {
    let began = Instant::now();
    let mut row =
        FuzzRow { name: target.name.to_string(), tally: FuzzTally::default(), time: Duration::ZERO, findings: vec![] };
    for death in 0..=MOST_DEATHS {
        let left = work.time.saturating_sub(began.elapsed());
        let inputs = work.inputs.saturating_sub(row.tally.inputs);
        if left.is_zero() || inputs == 0 {
            break;
        }
        let work = FuzzWork { time: left, inputs, seed: work.seed.wrapping_add(death as u64 * 1000), ..work.clone() };
        let (tally, findings, died) = process(target, &work)?;
        row.tally.add(&tally);
        row.findings.extend(findings);
        if !died {
            break;
        }
    }
    row.time = began.elapsed();
    Ok(row)
}

/// Runs one process to its end: its figures, a line for each finding, and whether it died.
fn process(target: &'static FuzzTarget, work: &FuzzWork) -> Result<(FuzzTally, Vec<String>, bool)> {
    let fail =
        |error: std::io::Error| Error::environment(format!("cannot start a process for `{}`: {error}", target.name));
    let program = std::env::current_exe().map_err(fail)?;
    let mut command = Command::new(program);
    command.arg("work").arg(target.name).arg("--corpus").arg(&work.corpus).arg("--findings").arg(&work.findings);
    command.args(["--seconds", &work.time.as_secs_f64().to_string()]);
    command.args(["--inputs", &work.inputs.to_string(), "--seed", &work.seed.to_string()]);
    if let Some(folder) = &work.keep {
        command.arg("--keep").arg(folder);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(fail)?;
    let (mut tally, mut findings) = (FuzzTally::default(), Vec::new());
    if let Some(said) = child.stdout.take() {
        for line in BufReader::new(said).lines().map_while(std::result::Result::ok) {
            if let Some(told) = line.strip_prefix("tally ").and_then(FuzzTally::read) {
                tally = told;
            } else if let Some(finding) = line.strip_prefix("finding ") {
                let finding = format!("{}: {finding}\n", target.name);
                speech::print(&finding)?;
                findings.push(finding);
            }
        }
    }
    let ended = child.wait().map_err(fail)?;
    let input = last_input(&work::current(child.id()));
    let folder = scratch::of_process(child.id());
    let died = !ended.success();
    if died {
        let kind = if ended.code() == Some(HUNG) { "hang" } else { "crash" };
        let finding = FuzzFinding { kind, place: String::new(), reason: ended.to_string() };
        let path = work::save(&work.findings, target, &input, &finding)?;
        let finding =
            format!("{}: {} {kind}: {ended}; the input: {}\n", target.name, path.display(), work::shown(&input));
        speech::print(&finding)?;
        findings.push(finding);
    }
    remove(&folder)?;
    Ok((tally, findings, died))
}

pub(crate) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", folder, &error)),
        _ => Ok(()),
    }
}

/// The input that a process was at.
fn last_input(path: &PathBuf) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let Some((length, rest)) = bytes.split_first_chunk() else { return Vec::new() };
    rest[..rest.len().min(u64::from_le_bytes(*length) as usize)].to_vec()
}
