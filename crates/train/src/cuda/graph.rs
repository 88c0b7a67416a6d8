//! CUDA graphs: work on a GPU that is captured once and replayed as a whole, which spares the processor some hundred calls
//! a training step.
//!
//! Whatever is missing is told as a reason, and training goes on without graphs. `TOMBOLA_CUDA_GRAPHS=no` does so too.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::lane;
use super::shim::{Shim, done, index, shim};
use tombola_words::error::{first_line, ignored};

/// Whether work can be captured in this process.
///
/// # Errors
/// The reason why it cannot: it was asked not to, or something is missing.
pub fn possible() -> Result<(), String> {
    if std::env::var("TOMBOLA_CUDA_GRAPHS").is_ok_and(|wish| wish == "no") {
        return Err("`TOMBOLA_CUDA_GRAPHS` is `no`".into());
    }
    shim().map(|_| ())
}

/// Captured work.
#[derive(Debug)]
pub struct CudaGraph {
    shim: &'static Shim,
    handle: *mut c_void,
}

/// Why work was not captured. None of it was done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureFailure {
    /// No capture was begun, or it ended in good order: everything is as it was.
    Refused(String),
    /// The GPU or libtorch could not end it: nobody knows what this process can still do there.
    Unended(String),
}

impl CudaGraph {
    /// Captures `work` on GPU `number`, which is not done by that: it is noted. It may not wait for the GPU, nor copy to it.
    ///
    /// # Errors
    /// The reason why it could not be captured; it has not been done then either.
    pub fn capture(number: usize, work: impl FnOnce()) -> Result<Self, CaptureFailure> {
        let prepared = possible().and_then(|()| lane::enter(number)).and_then(|()| shim());
        Self::capture_by(prepared.map_err(CaptureFailure::Refused)?, number, work)
    }

    pub(super) fn capture_by(shim: &'static Shim, number: usize, work: impl FnOnce()) -> Result<Self, CaptureFailure> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: `begin` fills the handle if it succeeds.
        let begun = index(number).and_then(|device| done(unsafe { (shim.begin)(device, &mut handle) }));
        begun.map_err(CaptureFailure::Refused)?;
        let graph = Self { shim, handle };
        // A tensor operation that cannot be captured panics; the capture must be ended all the same.
        let panicked = catch_unwind(AssertUnwindSafe(work)).err();
        // SAFETY: the handle comes from `begin`, and its capture has not ended.
        let ended = done(unsafe { (shim.end)(graph.handle) });
        let reason = panicked.map(|panic| {
            let text = panic.downcast_ref::<String>().map_or("a tensor operation failed", String::as_str);
            first_line(text).to_string()
        });
        match (ended, reason) {
            (Ok(()), None) => Ok(graph),
            (Ok(()), Some(reason)) => Err(CaptureFailure::Refused(reason)),
            // What went wrong first explains more.
            (Err(end), reason) => {
                Err(CaptureFailure::Unended(reason.map_or(end.clone(), |first| format!("{first}; {end}"))))
            }
        }
    }

    /// Does the captured work, once more, with what lies in its tensors now.
    ///
    /// # Errors
    /// When the GPU is in trouble.
    pub fn replay(&self) -> Result<(), String> {
        // SAFETY: the handle is that of a graph whose capture has ended.
        done(unsafe { (self.shim.replay)(self.handle) })
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: the handle is used by nothing after this.
        let freed = done(unsafe { (self.shim.free)(self.handle) });
        ignored(freed, "whatever comes next on this GPU says that it is in trouble");
    }
}

#[cfg(test)]
mod tests {
    use super::super::gpu;
    use super::super::pretended::{self, PRETENDED};
    use super::super::shim::LIBRARY;
    use super::*;

    /// What is called, and what comes of it, when the function `fails` does and `work` is captured and replayed once.
    fn tried(fails: &'static str, work: impl FnOnce()) -> (Vec<String>, Result<(), CaptureFailure>) {
        lane::enter_by(&PRETENDED, 1).unwrap();
        pretended::calls();
        pretended::fail(fails);
        let outcome = CudaGraph::capture_by(&PRETENDED, 1, work)
            .and_then(|graph| graph.replay().map_err(CaptureFailure::Refused));
        pretended::fail("");
        (pretended::calls(), outcome)
    }

    const REASON: &str = "it is out of order";

    #[test]
    fn what_is_begun_is_ended_and_freed_whatever_goes_wrong_between() {
        let work = || pretended::note("work");
        let (refused, unended) = (CaptureFailure::Refused(REASON.into()), CaptureFailure::Unended(REASON.into()));
        let whole = ["begin 1", "work", "end 1", "replay 1", "free 1"];
        assert_eq!(tried("", work), (whole.map(String::from).to_vec(), Ok(())));
        let (calls, outcome) = tried("begin", work);
        assert_eq!((calls.as_slice(), outcome), (["begin 1".to_string()].as_slice(), Err(refused.clone())));
        let (calls, outcome) = tried("end", work);
        assert_eq!((calls.join(" "), outcome), ("begin 1 work end 1 free 1".into(), Err(unended)));
        let (calls, outcome) = tried("replay", work);
        assert_eq!((calls.join(" "), outcome), (whole.join(" "), Err(refused)));
        let panics = || {
            panic!("{}", "called `Result::unwrap()` on an `Err` value: Torch(\"an operation failed\\nwith a stack\")")
        };
        let (calls, outcome) = tried("", panics);
        let refused = CaptureFailure::Refused("an operation failed".into());
        assert_eq!((calls.join(" "), outcome), ("begin 1 end 1 free 1".into(), Err(refused)));
        let (_, outcome) = tried("end", panics);
        assert_eq!(outcome, Err(CaptureFailure::Unended(format!("an operation failed; {REASON}"))));
    }

    #[test]
    fn steps_are_captured_on_every_gpu_of_a_machine_by_the_thread_that_trains_there() {
        let captured = |number: usize| {
            std::thread::spawn(move || {
                // As a worker does: a dense training, then a ticket.
                let graphs = [0, 1].map(|_| {
                    lane::enter_by(&PRETENDED, number).unwrap();
                    CudaGraph::capture_by(&PRETENDED, number, || {}).map(drop)
                });
                (pretended::calls(), graphs)
            })
        };
        for (number, thread) in [0, 1, 7].map(|number| (number, captured(number))) {
            let (calls, graphs) = thread.join().unwrap();
            assert_eq!(graphs, [Ok(()), Ok(())], "GPU {number}");
            // Or none, where a thread that has ended left one behind.
            let streams = calls.iter().filter(|call| call.starts_with("new stream")).count();
            assert!(streams <= 1, "one stream for the life of the thread: {calls:?}");
        }
        // libtorch looks at the current GPU of the thread: without a lane that is 0, on its default stream.
        let without = std::thread::spawn(|| CudaGraph::capture_by(&PRETENDED, 1, || {}).map(drop)).join().unwrap();
        assert!(matches!(without, Err(CaptureFailure::Refused(reason)) if reason.contains("default stream")));
    }

    #[test]
    fn two_threads_never_share_a_stream() {
        let all = std::sync::Arc::new(std::sync::Barrier::new(40));
        let threads: Vec<_> = (0..40)
            .map(|_| {
                let all = std::sync::Arc::clone(&all);
                std::thread::spawn(move || {
                    lane::enter_by(&PRETENDED, 0).unwrap();
                    all.wait();
                    pretended::stream()
                })
            })
            .collect();
        let streams: std::collections::BTreeSet<usize> =
            threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(streams.len(), 40);
    }

    #[test]
    fn two_hundred_trainings_leave_the_memory_free_that_was_free_before() {
        lane::enter_by(&PRETENDED, 0).unwrap();
        let before = gpu::free_memory_by(&PRETENDED, 0, 0).unwrap();
        for _ in 0..200 {
            lane::enter_by(&PRETENDED, 0).unwrap();
            drop(CudaGraph::capture_by(&PRETENDED, 0, || {}).unwrap());
            assert_eq!(pretended::reserved(), 0, "what is kept in reserve is taken from other processes");
        }
        assert_eq!(gpu::free_memory_by(&PRETENDED, 0, 0).unwrap(), before);
        // What others keep in reserve in this process is given back where it is needed, and only there.
        pretended::reserve(1 << 30);
        assert_eq!(gpu::free_memory_by(&PRETENDED, 0, 1 << 20).unwrap(), before - (1 << 30));
        assert_eq!(gpu::free_memory_by(&PRETENDED, 0, before).unwrap(), before);
    }

    #[test]
    fn without_a_gpu_there_is_a_reason_and_nothing_is_done() {
        if super::super::part::gpus() == 0 {
            let mut done = false;
            let captured = CudaGraph::capture(0, || done = true).map(drop);
            assert!(!done, "work that is not captured is not done");
            let Err(CaptureFailure::Refused(refused)) = captured else { panic!("{captured:?}") };
            for reason in
                [refused, lane::enter(0).unwrap_err(), gpu::free_memory(0, 0).unwrap_err(), possible().unwrap_err()]
            {
                let fits = if LIBRARY.is_empty() { "without the headers of CUDA" } else { "finds no GPU" };
                assert!(!reason.contains('\n') && reason.contains(fits), "{reason}");
            }
        }
    }
}
