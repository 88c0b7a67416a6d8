//! A worker: a thread that trains one stage after another and reports.
//!
//! It may not know who gives the orders, in which process, or how a stage is trained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::held::HeldSnapshots;
use crate::link::local::Hand;
use crate::link::queue::Words;
use crate::link::{Assignment, Order, Ready, Word, Worker};
use tombola_core::gpu_faults::is_fatal;
use tombola_core::plan::Part;
use tombola_core::prune::Sources;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_words::error::{Error, Kind, Result, first_line, ignored};
use tombola_words::fault::{Fault, Slowness};
use tombola_words::record::Outcome;

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
    held: HeldSnapshots,
    thread: JoinHandle<()>,
}

impl Hand for Handle {
    fn give(&self, mut order: Order) {
        // The thread reads its orders between two trainings; a stop concerns the one that runs, and so does memory.
        match &mut order {
            Order::Stop => return self.stop.store(true, Ordering::Relaxed),
            Order::Forget(stage, moment) => return self.held.forget(*stage, *moment),
            Order::Start(assignment) => self.held.complete(assignment),
            Order::Welcome(_) | Order::Alive | Order::End { .. } => {}
        }
        ignored(self.orders.send(order), "a thread that has ended swallows it");
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
    let held = HeldSnapshots::default();
    let slow = Slowness::of(number);
    let worker = WorkerThread { number, words, stop: Arc::clone(&stop), held: held.clone(), slow };
    let thread = std::thread::Builder::new()
        .name(format!("worker {number}"))
        .spawn(move || worker.serve(begin, &inbox))
        .map_err(|error| Error::environment(format!("cannot start a worker thread: {error}")))?;
    Ok(Handle { orders, stop, held, thread })
}

/// A worker: what its thread holds.
struct WorkerThread {
    number: Worker,
    words: Words,
    stop: Arc<AtomicBool>,
    /// Copies of snapshots that the next stages may start from.
    held: HeldSnapshots,
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
                    let broken = outcome.as_ref().err().filter(|error| is_fatal(&error.message)).cloned();
                    let gone = !self.say(Word::Done { attempt, outcome });
                    if let Some(error) = broken {
                        self.say(Word::Unable(error.at("its device can no longer be used")));
                        return;
                    }
                    if gone {
                        return;
                    }
                }
                Order::End { .. } => return,
                // What was to be done about these is done.
                Order::Welcome(_) | Order::Stop | Order::Alive | Order::Forget(..) => {}
            }
        }
    }

    /// Whether anybody still listens.
    fn say(&self, word: Word) -> bool {
        self.words.say(self.number, word)
    }

    fn train(&mut self, trainer: &mut impl Trainer, mut assignment: Assignment) -> Result<Outcome> {
        let sources = self.sources(&mut assignment)?;
        let (attempt, stage, until) = (assignment.attempt, assignment.stage, assignment.until);
        let (fault, mut epochs) = (Fault::of(self.number), 0);
        let mut last_images = Instant::now();
        let Self { number, words, stop, held, slow } = self;
        trainer.train(assignment, sources, &mut |report| {
            fault.iter().for_each(|fault| fault.strike_training(epochs));
            // Results of others decide what comes after that epoch.
            let ends =
                matches!(&report, TrainingEvent::Epoch(epoch) if until.is_some_and(|until| epoch.epoch >= until));
            let asked = || if ends || stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue };
            match &report {
                TrainingEvent::Images { .. } if last_images.elapsed() < IMAGES_EVERY => return asked(),
                TrainingEvent::Images { .. } => last_images = Instant::now(),
                TrainingEvent::Epoch(_) => {
                    epochs += 1;
                    slow.iter_mut().for_each(Slowness::dawdle);
                }
                TrainingEvent::Snapshot(moment, snapshot) => {
                    held.keep(stage, *moment, snapshot);
                }
                _ => {}
            }
            // Nobody listens any more: as good as a stop.
            if words.say(*number, Word::Report { attempt, report }) { asked() } else { Flow::Stop }
        })
    }

    /// The snapshots that an assignment names.
    fn sources(&self, assignment: &mut Assignment) -> Result<Sources> {
        let mut sources =
            Sources { drawn: assignment.loaded.take(), mask: assignment.mask.take(), ..Sources::default() };
        for source in assignment.sources.drain(..) {
            let snapshot = source.snapshot.ok_or_else(|| {
                Error::environment(format!("worker {} holds no copy of snapshot `{}`", self.number, source.moment))
            })?;
            let place = match source.part {
                Part::Draw => &mut sources.drawn,
                Part::Rewind => &mut sources.rewound,
                Part::Sibling => &mut sources.sibling,
                Part::Teacher => &mut sources.teacher,
            };
            *place = Some(snapshot);
        }
        Ok(sources)
    }
}

/// A panic of a tensor operation as an error with a cure.
pub fn explain(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown reason");
    let error = Error { kind: Kind::Training, message: first_line(text).to_string(), hint: None };
    match text.contains("out of memory") || text.contains("can't allocate memory") {
        true => error.at("out of memory").hint("use a smaller `--batch-size`, fewer `--workers`, or a smaller network"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::SourceSnapshot;
    use crate::link::queue::queue;
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};
    use tombola_core::net::Snapshot;
    use tombola_core::plan::dense_id;
    use tombola_core::sweep::Settings;
    use tombola_words::value::Moment;

    /// Takes a snapshot after an epoch whenever it is told to.
    struct OnDemand(Receiver<()>);

    impl Trainer for OnDemand {
        fn train(
            &mut self,
            _: Assignment,
            _: Sources,
            listen: &mut dyn FnMut(TrainingEvent) -> Flow,
        ) -> Result<Outcome> {
            for (number, ()) in self.0.iter().enumerate() {
                listen(TrainingEvent::Snapshot(Moment::Epoch(number), snapshot(number)));
            }
            Ok(Outcome::default())
        }
    }

    fn snapshot(epoch: usize) -> Arc<Snapshot> {
        let (parameters, buffers) = (vec![0.5; 8], Vec::new());
        Arc::new(Snapshot { epoch, step: 0, batches: 0, parameters, buffers, optimizer: None, mask: None })
    }

    fn assignment(sources: Vec<SourceSnapshot>) -> Order {
        Order::Start(Box::new(Assignment {
            attempt: 1,
            stage: 0,
            id: dense_id(&Settings::default(), None, None),
            sources,
            loaded: None,
            mask: None,
            dense_losses: Vec::new(),
            measured: None,
            resume: None,
            snapshot_seconds: 1.0,
            until: None,
        }))
    }

    fn hear(inbox: &crate::link::queue::WordsInbox) -> std::result::Result<Word, RecvTimeoutError> {
        inbox.take(Duration::from_secs(60)).map(|(_, word)| word)
    }

    #[test]
    fn a_worker_lets_go_of_snapshots_while_it_trains() {
        let (words, inbox) = queue();
        let (demand, demanded) = sync_channel(0);
        let handle = spawn(0, words, move || Ok((OnDemand(demanded), Ready::default()))).unwrap();
        assert!(matches!(hear(&inbox).unwrap(), Word::Ready(_)));
        handle.give(assignment(Vec::new()));
        for number in 0..40 {
            demand.send(()).unwrap();
            let Word::Report { report: TrainingEvent::Snapshot(moment, told), .. } = hear(&inbox).unwrap() else {
                panic!("not a snapshot");
            };
            assert_eq!((moment, handle.held.len()), (Moment::Epoch(number), 1));
            handle.give(Order::Forget(0, moment));
            assert_eq!(handle.held.len(), 0, "the training still runs");
            // Nobody but this test and the training, which is about to let go of it, has it.
            assert!(Arc::strong_count(&told) <= 2);
        }
        drop(demand);
        assert!(matches!(hear(&inbox).unwrap(), Word::Done { outcome: Ok(_), .. }));
    }

    #[test]
    fn copies_are_held_and_forgotten_in_the_order_of_the_orders() {
        let held = HeldSnapshots::default();
        let source = |snapshot| SourceSnapshot { stage: 7, moment: Moment::Last, part: Part::Draw, snapshot };
        let complete = |snapshot| {
            let Order::Start(mut order) = assignment(vec![source(snapshot)]) else { panic!("not a start") };
            held.complete(&mut order);
            order.sources[0].snapshot.clone()
        };
        assert!(complete(Some(snapshot(1))).is_some());
        assert!(complete(None).is_some(), "it came with the one before");
        held.forget(7, Moment::Last);
        assert!(complete(None).is_none());
        held.keep(7, Moment::Last, &snapshot(1));
        assert!(complete(None).is_some());
    }

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

    /// Fails with a text, as often as it is asked to train.
    struct Failing(&'static str);

    impl Trainer for Failing {
        fn train(&mut self, _: Assignment, _: Sources, _: &mut dyn FnMut(TrainingEvent) -> Flow) -> Result<Outcome> {
            panic!("{}", self.0);
        }
    }

    #[test]
    fn only_errors_that_stay_retire_a_worker() {
        for (text, stays) in [
            ("CUDA error: an illegal instruction was encountered", true),
            ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", true),
            ("CUDA out of memory. Tried to allocate 2 GiB", false),
        ] {
            let (words, inbox) = queue();
            let handle = spawn(0, words, move || Ok((Failing(text), Ready::default()))).unwrap();
            assert!(matches!(hear(&inbox).unwrap(), Word::Ready(_)));
            handle.give(assignment(Vec::new()));
            assert!(matches!(hear(&inbox).unwrap(), Word::Done { outcome: Err(_), .. }));
            handle.give(assignment(Vec::new()));
            match hear(&inbox).unwrap() {
                Word::Unable(error) => assert!(stays && error.message.contains("can no longer be used"), "{text}"),
                Word::Done { outcome, .. } => assert!(!stays && outcome.is_err(), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
