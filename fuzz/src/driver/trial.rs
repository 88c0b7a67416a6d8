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
    pub(crate) fault: Option<Fault>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
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
    let mut measured = once(target, input);
    // A busy machine takes time, too: what counts is the shortest of some tries. The counters are those of the last.
    for _ in 0..3 {
        if measured.fault.is_some() || measured.time < MOST_TIME / 20 {
            break;
        }
        let again = once(target, input);
        measured = Measured { time: measured.time.min(again.time), ..again };
    }
    let most = (target.memory)(input.len()).min(MOST_MEMORY);
    let fault = |kind, reason| Some(Fault { kind, place: String::new(), reason });
    measured.fault = match measured.fault {
        Some(fault) => Some(fault),
        None if measured.time > MOST_TIME => {
            fault("slow", format!("{:.2} s for {} bytes", measured.time.as_secs_f64(), input.len()))
        }
        None if measured.memory > most => {
            fault("memory", format!("{} bytes for {} bytes, of which {most} may be", measured.memory, input.len()))
        }
        None => None,
    };
    measured
}

fn once(target: &FuzzTarget, input: &[u8]) -> Measured {
    Coverage::begin();
    let began = Instant::now();
    let (ended, memory) = memory::measured(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    let time = began.elapsed();
    let fault = ended.err().map(|_| {
        let kept = PANICKED.lock().ok().and_then(|mut kept| kept.take());
        let (place, reason) = kept.unwrap_or_default();
        Fault { kind: "panic", reason: format!("{place}: {reason}"), place }
    });
    Measured { time, memory, fault }
}
