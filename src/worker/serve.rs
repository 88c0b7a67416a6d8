//! A worker: a thread that trains one stage after another and reports.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tch::Device;

use super::workshop::Workshop;
use crate::error::{Error, Kind, Result};
use crate::journal::Outcome;
use crate::prune::Sources;
use crate::train::{self, Flow, Report, Resume, Task};

/// One stage for one worker.
#[derive(Debug)]
pub struct Assignment {
    /// Index of the stage in the plan.
    pub stage: usize,
    /// The snapshots that it starts from.
    pub sources: Sources,
    /// Validation losses of its dense training.
    pub dense_losses: Vec<f64>,
    /// Where it was when it was interrupted.
    pub resume: Option<Resume>,
}

/// What a worker tells the coordinator.
#[derive(Debug)]
pub enum Message {
    /// A training goes on.
    Report(Report),
    /// A training ended.
    Done(Result<Outcome>),
}

/// A worker as the coordinator sees it. Dropping the sender of assignments ends it.
#[derive(Debug)]
pub struct Handle {
    /// Takes assignments.
    pub assignments: Sender<Assignment>,
    /// Ends when the worker does.
    pub thread: JoinHandle<()>,
}

/// Starts worker `number`, which reports `(number, stage, message)`.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    number: usize,
    workshop: Arc<Workshop>,
    device: Device,
    stop: Arc<AtomicBool>,
    messages: Sender<(usize, usize, Message)>,
) -> Result<Handle> {
    let (assignments, inbox) = channel();
    let work = move || serve(number, &workshop, device, &stop, &inbox, &messages);
    let thread = std::thread::Builder::new()
        .name(format!("worker {number}"))
        .spawn(work)
        .map_err(|error| Error::environment(format!("cannot start a worker thread: {error}")))?;
    Ok(Handle { assignments, thread })
}

fn serve(
    number: usize,
    workshop: &Workshop,
    device: Device,
    stop: &AtomicBool,
    inbox: &Receiver<Assignment>,
    messages: &Sender<(usize, usize, Message)>,
) {
    for assignment in inbox {
        let stage = assignment.stage;
        // A failing tensor operation panics; it costs this stage, not the sweep.
        let outcome =
            catch_unwind(AssertUnwindSafe(|| train_one(workshop, device, assignment, stop, number, messages)))
                .unwrap_or_else(|panic| Err(explain(&*panic)));
        if messages.send((number, stage, Message::Done(outcome))).is_err() {
            return;
        }
    }
}

fn train_one(
    workshop: &Workshop,
    device: Device,
    assignment: Assignment,
    stop: &AtomicBool,
    number: usize,
    messages: &Sender<(usize, usize, Message)>,
) -> Result<Outcome> {
    let index = assignment.stage;
    let missing = || Error::environment("the stage's network or data were not loaded");
    let network = workshop.network(index).ok_or_else(missing)?;
    let parts = workshop.parts(index, device).ok_or_else(missing)?;
    let task = Task {
        stage: &workshop.plan.stages[index],
        graph: &network.graph,
        layout: &network.layout,
        parts: &parts,
        device,
        sources: assignment.sources,
        dense_losses: assignment.dense_losses,
        resume: assignment.resume,
        snapshot_every: workshop.snapshot_every,
    };
    train::run(task, &mut |report| {
        // Nobody listens any more: as good as a stop.
        let gone = messages.send((number, index, Message::Report(report))).is_err();
        if gone || stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue }
    })
}

/// A panic of a tensor operation as an error with a cure.
fn explain(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason");
    // Torch appends its own stack; the first line says what happened.
    let line = text.split("\\n").next().unwrap_or(text).lines().next().unwrap_or(text);
    let line = line.trim_start_matches("called `Result::unwrap()` on an `Err` value: ").trim_start_matches("Torch(\"");
    let error = Error { kind: Kind::Training, message: line.to_string(), hint: None };
    match text.contains("out of memory") || text.contains("can't allocate memory") {
        true => error.at("out of memory").hint("use a smaller `--batch-size`, fewer `--workers`, or a smaller network"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torchs_errors_are_cut_to_what_happened() {
        let panic: Box<dyn std::any::Any + Send> = Box::new(
            "called `Result::unwrap()` on an `Err` value: Torch(\"DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\\nException raised from alloc\")"
                .to_string(),
        );
        let error = explain(&*panic);
        assert!(
            error.message.starts_with("out of memory: DefaultCPUAllocator") && !error.message.contains("Exception")
        );
        assert!(error.hint.unwrap().contains("batch-size"));
    }
}
