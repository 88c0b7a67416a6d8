//! Gives one input to a target, and says what came of it: time, memory, and what went wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::memory;
use tombola_fuzz::{FuzzTarget, MOST_MEMORY};

/// No input may take longer.
pub(crate) const MOST_TIME: Duration = Duration::from_secs(1);

/// What an input did.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Its time.
    pub(crate) time: Duration,
    /// The bytes that it held at most.
    pub(crate) memory: usize,
    /// What was wrong with it.
    pub(crate) finding: Option<FuzzFinding>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FuzzFinding {
    /// `panic`, `slow`, `memory`, `crash` or `hang`.
    pub(crate) kind: &'static str,
    /// What tells one defect from another of its kind: the place of a panic.
    pub(crate) place: String,
    /// In words.
    pub(crate) reason: String,
}

static PANICKED: Mutex<Option<(String, String)>> = Mutex::new(None);

/// Panics say nothing on the terminal: they are kept for the input that they belong to.
pub(crate) fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
        let reason = text.unwrap_or("a panic without words").to_string();
        if let Ok(mut kept) = PANICKED.lock() {
            *kept = Some((place, reason));
        }
    }));
}

/// Runs one input.
pub(crate) fn run(target: &FuzzTarget, input: &[u8]) -> Measured {
    let mut measured = once(target, input, Instant::now, |began| began.elapsed());
    // A busy machine takes time, too: what counts is the least of some tries, and of their processor time where the system tells
    // it. The counters are those of the last.
    for _ in 0..3 {
        if measured.finding.is_some() || measured.time < MOST_TIME / 20 {
            break;
        }
        let again = match processor_time() {
            Some(_) => once(target, input, processor_time, |began| {
                processor_time().zip(began).map_or(Duration::MAX, |(end, began)| end.saturating_sub(began))
            }),
            None => once(target, input, Instant::now, |began| began.elapsed()),
        };
        measured = Measured { time: measured.time.min(again.time), ..again };
    }
    let most = (target.memory)(input.len()).min(MOST_MEMORY);
    let finding = |kind, reason| Some(FuzzFinding { kind, place: String::new(), reason });
    measured.finding = match measured.finding {
        Some(finding) => Some(finding),
        None if measured.time > MOST_TIME => {
            finding("slow", format!("{:.2} s for {} bytes", measured.time.as_secs_f64(), input.len()))
        }
        None if measured.memory > most => {
            finding("memory", format!("{} bytes for {} bytes, of which {most} may be", measured.memory, input.len()))
        }
        None => None,
    };
    measured
}

/// Runs an input once, by a clock: what it shows at the beginning, and the time since.
fn once<C>(target: &FuzzTarget, input: &[u8], clock: impl Fn() -> C, since: impl Fn(C) -> Duration) -> Measured {
    Coverage::begin();
    let began = clock();
    let (ended, memory) = memory::measured(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    let time = since(began);
    let finding = ended.err().map(|_| {
        let kept = PANICKED.lock().ok().and_then(|mut kept| kept.take());
        let (place, reason) = kept.unwrap_or_default();
        FuzzFinding { kind: "panic", reason: format!("{place}: {reason}"), place }
    });
    Measured { time, memory, finding }
}

/// How long this thread has run on a processor, as Linux counts it.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
