//! A worker: a thread that trains one stage after another and reports.
//!
//! It may not know who gives the orders, in which process, or how a stage is trained.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::link::local::{Hand, Words};
use crate::link::{Assignment, Order, Ready, Word, Worker};
use tombola_core::net::Snapshot;
use tombola_core::plan::Part;
use tombola_core::prune::Sources;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_words::error::{Error, Kind, Result};
use tombola_words::fault::Slowness;
use tombola_words::record::Outcome;
use tombola_words::value::Moment;

/// Time between two reports of how far an epoch is: what a display can show.
const IMAGES_EVERY: Duration = Duration::from_millis(200);

/// Trains stages: torch, or something that pretends to.
pub trait Trainer {
    /// Trains one stage to its end. `sources` are the snapshots that the assignment names.
    ///
    /// # Errors
    /// When it goes wrong, or (kind `Interrupted`) when the listener asked to stop.
    fn train(
        &mut self,
        assignment: Assignment,
        sources: Sources,
        listen: &mut dyn FnMut(TrainingEvent) -> Flow,
    ) -> Result<Outcome>;
}

/// A worker as its process sees it.
#[derive(Debug)]
pub struct Handle {
    orders: Sender<Order>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Hand for Handle {
    fn give(&self, order: Order) {
        // The thread reads its orders between two trainings; a stop concerns the one that runs.
        if order == Order::Stop {
            self.stop.store(true, Ordering::Relaxed);
        }
        let _ = self.orders.send(order);
    }

    fn lives(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// Starts worker `number`. `begin` runs in its thread and makes what trains: loading data takes time.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn<T, B>(number: Worker, words: Words, begin: B) -> Result<Handle>
where
    T: Trainer,
    B: FnOnce() -> Result<(T, Ready)> + Send + 'static,
{
    let (orders, inbox) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name(format!("worker {number}"))
        .spawn(move || {
            WorkerThread { number, words, stop: asked, held: HashMap::new(), slow: Slowness::of(number) }
                .serve(begin, &inbox)
        })
        .map_err(|error| Error::environment(format!("cannot start a worker thread: {error}")))?;
    Ok(Handle { orders, stop, thread })
}

/// A worker: what its thread holds.
struct WorkerThread {
    number: Worker,
    words: Words,
    stop: Arc<AtomicBool>,
    /// Copies of snapshots that the next stages may start from. The coordinator says when to let go of one.
    held: HashMap<(usize, Moment), Arc<Snapshot>>,
    /// For tests alone.
    slow: Option<Slowness>,
}

impl WorkerThread {
    fn serve<T: Trainer>(mut self, begin: impl FnOnce() -> Result<(T, Ready)>, inbox: &Receiver<Order>) {
        let begun = catch_unwind(AssertUnwindSafe(begin)).unwrap_or_else(|panic| Err(explain(&*panic)));
        let mut trainer = match begun {
            Ok((trainer, ready)) => {
                self.say(Word::Ready(Box::new(ready)));
                trainer
            }
            Err(error) => {
                self.say(Word::Unable(error));
                return;
            }
        };
        for order in inbox {
            match order {
                Order::Start(assignment) => {
                    let attempt = assignment.attempt;
                    // A failing tensor operation panics; it costs this stage, not the sweep.
                    let outcome = catch_unwind(AssertUnwindSafe(|| self.train(&mut trainer, *assignment)))
                        .unwrap_or_else(|panic| Err(explain(&*panic)));
                    let broken = outcome.as_ref().err().filter(|error| breaks_device(error)).cloned();
                    let gone = !self.say(Word::Done { attempt, outcome });
                    if let Some(error) = broken {
                        self.say(Word::Unable(error.at("its device can no longer be used")));
                        return;
                    }
                    if gone {
                        return;
                    }
                }
                Order::Forget(stage, moment) => {
                    self.held.remove(&(stage, moment));
                }
                Order::End { .. } => return,
                Order::Welcome(_) | Order::Stop | Order::Alive => {}
            }
        }
    }

    /// Whether anybody still listens.
    fn say(&self, word: Word) -> bool {
        self.words.send((self.number, word)).is_ok()
    }

    fn train(&mut self, trainer: &mut impl Trainer, mut assignment: Assignment) -> Result<Outcome> {
        let sources = self.sources(&mut assignment)?;
        let (attempt, stage) = (assignment.attempt, assignment.stage);
        let mut last_images = Instant::now();
        trainer.train(assignment, sources, &mut |report| {
            let asked = || if self.stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue };
            match &report {
                TrainingEvent::Images { .. } if last_images.elapsed() < IMAGES_EVERY => return asked(),
                TrainingEvent::Images { .. } => last_images = Instant::now(),
                TrainingEvent::Epoch(_) => self.slow.iter_mut().for_each(Slowness::dawdle),
                TrainingEvent::Snapshot(moment, snapshot) => {
                    self.held.insert((stage, *moment), Arc::clone(snapshot));
                }
                _ => {}
            }
            // Nobody listens any more: as good as a stop.
            if self.say(Word::Report { attempt, report }) { asked() } else { Flow::Stop }
        })
    }

    /// The snapshots that an assignment names: those that came with it, and copies held from before.
    fn sources(&mut self, assignment: &mut Assignment) -> Result<Sources> {
        let mut sources = Sources { drawn: assignment.loaded.take(), ..Sources::default() };
        for source in assignment.sources.drain(..) {
            let key = (source.stage, source.moment);
            let snapshot = match source.snapshot {
                Some(snapshot) => {
                    self.held.insert(key, Arc::clone(&snapshot));
                    snapshot
                }
                None => self.held.get(&key).cloned().ok_or_else(|| {
                    Error::environment(format!("worker {} holds no copy of snapshot `{}`", self.number, source.moment))
                })?,
            };
            let place = match source.part {
                Part::Draw => &mut sources.drawn,
                Part::Rewind => &mut sources.rewound,
                Part::Sibling => &mut sources.sibling,
            };
            *place = Some(snapshot);
        }
        Ok(sources)
    }
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

/// Whether an error leaves the GPU unusable for this process: after these, every later call fails too.
fn breaks_device(error: &Error) -> bool {
    let fatal = ["device-side assert", "illegal memory access", "unspecified launch failure", "uncorrectable ECC"];
    error.message.contains("CUDA error") && fatal.iter().any(|text| error.message.contains(text))
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

    #[test]
    fn only_errors_that_stay_retire_a_worker() {
        let error = |text: &str| Error::training(text);
        assert!(breaks_device(&error("CUDA error: device-side assert triggered")));
        assert!(!breaks_device(&error("out of memory: CUDA out of memory. Tried to allocate 2 GiB")));
        assert!(!breaks_device(&error("diverged: the training loss is NaN")));
    }
}
