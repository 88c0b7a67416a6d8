//! The status of a sweep in words.
//!
//! It may not know where it is printed. Nothing in it is coloured, and numbers stand where one looks for them.

use super::summary::{RunStatus, Status, Trainings, WorkerStatus};
use tombola_core::plan::estimate::{human, many};
use tombola_words::value::{Shard, Value};

/// Failures beyond this are counted.
const MOST_FAILURES: usize = 5;
/// Advice beyond this repeats itself, as with many shards.
const MOST_ADVICE: usize = 6;

/// The status, ending with a line break. `digits` is how much of a stage's name tells it from all others.
pub fn text(status: &Status, digits: usize) -> String {
    let mut text = String::new();
    match status.runs.as_slice() {
        [one] if one.shard.is_none() => text.push_str(&format!("{}: {}\n", status.folder, run(one, status.time))),
        _ => text.push_str(&shards(status)),
    }
    text.push_str(&format!("\n{}", columns(&counts(status), "")));
    let shown: Vec<&WorkerStatus> = status.workers.iter().filter(|worker| worker.state != "gone").collect();
    if !shown.is_empty() {
        let rows: Vec<Vec<String>> = shown.into_iter().map(|worker| row(worker, status.time, digits)).collect();
        text.push_str(&format!("\n{}", columns(&rows, "")));
    }
    if !status.warnings.is_empty() {
        text.push('\n');
        status.warnings.iter().for_each(|line| text.push_str(&format!("warning: {line}\n")));
    }
    if !status.failures.is_empty() {
        text.push_str("\nfailed\n");
        for failure in status.failures.iter().take(MOST_FAILURES) {
            let when = failure.time.map_or_else(String::new, |time| format!(", {} ago", human(status.time - time)));
            text.push_str(&format!(
                "  {}  {}, {}{when}\n    {}\n",
                &failure.stage[..digits.min(failure.stage.len())],
                failure.label,
                many(failure.attempts, "attempt"),
                failure.reason
            ));
        }
        if status.failures.len() > MOST_FAILURES {
            text.push_str(&format!("  … and {} more (`--json` lists all)\n", status.failures.len() - MOST_FAILURES));
        }
    }
    if !status.next.is_empty() {
        text.push_str("\nnext\n");
        status.next.iter().take(MOST_ADVICE).for_each(|line| text.push_str(&format!("  {line}\n")));
        if status.next.len() > MOST_ADVICE {
            text.push_str(&format!("  … and {} more (`--json` lists all)\n", status.next.len() - MOST_ADVICE));
        }
    }
    text
}

/// How far it is in one line, for a script's log.
pub fn line(status: &Status) -> String {
    let Trainings { total, done, failed, skipped, .. } = status.trainings;
    let mut line = format!("{}: {done} of {} done", status.folder, many(total, "training"));
    let spared = status.trainings.spared;
    for (count, word) in
        [(failed, "failed"), (skipped, "skipped"), (spared, "not needed"), (status.trainings.open(), "left")]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {word}"));
        }
    }
    line + "\n"
}

/// The last run in words.
fn run(run: &RunStatus, now: f64) -> String {
    let ago = |time: Option<f64>| time.map_or_else(|| "some time".to_string(), |time| human(now - time));
    let process = run.process.as_ref().map_or_else(String::new, |process| format!(" ({process})"));
    let begun = ago(run.begun.map(|time| time as f64));
    match run.state {
        "running" if run.begun.is_none() => format!("a run begins{process}"),
        "running" => format!("running for {begun}{process}"),
        "probably-running" => format!(
            "probably running for {begun}{process}: written to {} ago, but the lock of another machine cannot be seen here",
            ago(run.written)
        ),
        "none" => "nothing was trained yet".to_string(),
        "ended" => {
            format!("not running; the last run ended {} ago: {}", ago(run.ended), run.how.as_deref().unwrap_or("done"))
        }
        // Journals of before `Ended` do not tell, and nothing is missing.
        _ if run.trainings.open() == 0 => format!("not running; last written to {} ago", ago(run.written)),
        _ => format!(
            "not running; the last run began {begun} ago and was killed, or its machine went down, after writing {} ago",
            ago(run.written)
        ),
    }
}

/// A line for each shard, those that are missing included.
fn shards(status: &Status) -> String {
    let count =
        status.runs.iter().find_map(|run| Shard::parse(run.shard.as_deref()?).ok()).map_or(0, |shard| shard.count);
    let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
    for one in &status.runs {
        let Some(shard) = one.shard.as_deref().and_then(|shard| Shard::parse(shard).ok()) else { continue };
        let done = format!("{} of {} done", one.trainings.done, one.trainings.total);
        rows.push((shard.index, vec![format!("shard {}", shard.show()), done, run(one, status.time)]));
    }
    for &index in &status.missing_shards {
        let name = format!("shard {}", Shard { index, count }.show());
        rows.push((index, vec![name, String::new(), "not there yet".to_string()]));
    }
    rows.sort_by_key(|(index, _)| *index);
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    format!("{}\n{}", status.folder, columns(&rows, "  "))
}

fn counts(status: &Status) -> Vec<Vec<String>> {
    let share = |done: usize, total: usize| format!("{done} of {total} done");
    let Trainings { training, waiting, failed, skipped, .. } = status.trainings;
    let mut trainings = share(status.trainings.done, status.trainings.total);
    let begun = if status.active { "training" } else { "half way" };
    let spared = (status.trainings.spared, "not needed");
    for (count, word) in [(training, begun), (waiting, "waiting"), (failed, "failed"), (skipped, "skipped"), spared] {
        if count > 0 {
            trainings.push_str(&format!(" · {count} {word}"));
        }
    }
    let mut rows = vec![
        vec!["trials".to_string(), share(status.trials.done, status.trials.total)],
        vec!["trainings".to_string(), trainings],
        vec![
            "epochs".to_string(),
            format!(
                "{} ({:.0} %)",
                share(status.epochs.done, status.epochs.total),
                // Rounded down, so that 100 % means all.
                (100.0 * status.epochs.done as f64 / status.epochs.total.max(1) as f64).floor()
            ),
        ],
    ];
    if !status.computed_with.is_empty() {
        rows.push(vec!["computed".to_string(), status.computed_with.join(" · ")]);
    }
    if status.trainings.open() > 0 {
        let left = match status.seconds_left {
            Some(seconds) if status.active => format!("about {}", human(seconds)),
            Some(seconds) => format!("about {} on the workers of the last run", human(seconds)),
            None => "not known before the first epoch of a run".to_string(),
        };
        rows.push(vec!["time left".to_string(), left]);
    }
    rows
}

/// One line for a worker.
fn row(worker: &WorkerStatus, now: f64, digits: usize) -> Vec<String> {
    let name = match &worker.shard {
        Some(shard) => format!("shard {shard} worker {}", worker.worker),
        None => format!("worker {}", worker.worker),
    };
    let mut row = vec![name, worker.place.clone()];
    match (&worker.training, &worker.reason) {
        (Some(training), _) => row.extend([
            training.label.clone(),
            format!("{}/{} epochs", training.epochs.done, training.epochs.total),
            training.validation_accuracy.map_or_else(String::new, |share| format!("{:.2} %", 100.0 * share)),
            format!("for {}", human(now - training.since)),
            training.stage[..digits.min(training.stage.len())].to_string(),
        ]),
        (None, Some(reason)) => row.push(format!("lost: {reason}")),
        (None, None) => row.push("idle: nothing is ready to be trained".to_string()),
    }
    row
}

/// Rows with their cells below each other. The last cell of a row takes what room it needs.
pub(super) fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let wide = |cell: &String| cell.chars().count();
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            widths.resize(widths.len().max(column + 1), 0);
            widths[column] = widths[column].max(wide(cell));
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_string();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if column + 1 < row.len() {
                line.push_str(&" ".repeat(widths[column] + 2 - wide(cell)));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
