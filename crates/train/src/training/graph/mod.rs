//! CUDA graphs: work on a GPU that is captured once and replayed as a whole, which spares the processor some hundred calls
//! a training step.
//!
//! The few lines of C++ that this needs (`graph.cpp`) are a library inside this program, loaded only where libtorch's CUDA
//! part is; the program itself is linked to none of it. Whatever is missing is told as a reason, and training goes on without
//! graphs. `TOMBOLA_CUDA_GRAPHS=no` does so too.

mod private;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// The compiled `graph.cpp`; empty where the headers of CUDA were missing.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libtombola_graph.so"));

/// What the functions return: null, or the reason why it failed.
type Reason = *const c_char;

/// The functions of `graph.cpp`.
#[derive(Debug)]
struct Shim {
    own_stream: unsafe extern "C" fn(c_int) -> Reason,
    begin: unsafe extern "C" fn(*mut *mut c_void) -> Reason,
    end: unsafe extern "C" fn(*mut c_void) -> Reason,
    replay: unsafe extern "C" fn(*mut c_void) -> Reason,
    free: unsafe extern "C" fn(*mut c_void) -> Reason,
    free_memory: unsafe extern "C" fn(c_int, *mut usize) -> Reason,
}

/// The functions, once libtorch's CUDA part is loaded.
fn shim() -> Result<&'static Shim, String> {
    static SHIM: OnceLock<Result<Shim, String>> = OnceLock::new();
    SHIM.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Shim, String> {
    if LIBRARY.is_empty() {
        return Err("this program was built without the headers of CUDA".into());
    }
    // SAFETY: the library is the one compiled with this program; it has no initialisers of its own. It is never unloaded.
    let library = unsafe { private::load(LIBRARY) }?;
    // SAFETY: names and types are those of `graph.cpp`.
    let shim = unsafe {
        Shim {
            own_stream: *library.get(b"tombola_graph_own_stream\0").map_err(|error| error.to_string())?,
            begin: *library.get(b"tombola_graph_begin\0").map_err(|error| error.to_string())?,
            end: *library.get(b"tombola_graph_end\0").map_err(|error| error.to_string())?,
            replay: *library.get(b"tombola_graph_replay\0").map_err(|error| error.to_string())?,
            free: *library.get(b"tombola_graph_free\0").map_err(|error| error.to_string())?,
            free_memory: *library.get(b"tombola_graph_free_memory\0").map_err(|error| error.to_string())?,
        }
    };
    std::mem::forget(library);
    Ok(shim)
}

/// The first line of a reason: C++ adds where it came from.
fn done(reason: Reason) -> Result<(), String> {
    if reason.is_null() {
        return Ok(());
    }
    // SAFETY: a text that lives until the next call on this thread.
    let text = unsafe { CStr::from_ptr(reason) }.to_string_lossy();
    Err(text.lines().next().unwrap_or_default().to_string())
}

/// Lets this thread compute on a stream of its own on GPU `number`, which is what can be captured, and what lets several
/// trainings of a process share the GPU.
///
/// # Errors
/// The reason why there are no graphs here.
pub fn own_stream(number: usize) -> Result<(), String> {
    if std::env::var("TOMBOLA_CUDA_GRAPHS").is_ok_and(|wish| wish == "no") {
        return Err("`TOMBOLA_CUDA_GRAPHS` is `no`".into());
    }
    let number = c_int::try_from(number).map_err(|error| error.to_string())?;
    // SAFETY: the function takes a number, and catches what goes wrong.
    done(unsafe { (shim()?.own_stream)(number) })
}

/// Bytes of GPU `number` that nobody has taken.
///
/// # Errors
/// The reason why it cannot be told.
pub fn free_memory(number: usize) -> Result<usize, String> {
    let number = c_int::try_from(number).map_err(|error| error.to_string())?;
    let mut free = 0;
    // SAFETY: the function fills the number if it succeeds.
    done(unsafe { (shim()?.free_memory)(number, &mut free) })?;
    Ok(free)
}

/// Captured work.
#[derive(Debug)]
pub struct CudaGraph {
    shim: &'static Shim,
    handle: *mut c_void,
}

impl CudaGraph {
    /// Captures `work`, which is not done by that: it is noted. It may not wait for the GPU, nor copy to it.
    ///
    /// # Errors
    /// The reason why it could not be captured; it has not been done then either.
    pub fn capture(work: impl FnOnce()) -> Result<Self, String> {
        Self::capture_by(shim()?, work)
    }

    fn capture_by(shim: &'static Shim, work: impl FnOnce()) -> Result<Self, String> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: `begin` fills the handle if it succeeds.
        done(unsafe { (shim.begin)(&mut handle) })?;
        let graph = Self { shim, handle };
        // A tensor operation that cannot be captured panics; the capture must be ended all the same.
        let panicked = catch_unwind(AssertUnwindSafe(work)).err();
        // SAFETY: the handle comes from `begin`, and its capture has not ended.
        let ended = done(unsafe { (shim.end)(graph.handle) });
        match panicked {
            Some(panic) => {
                let text = panic.downcast_ref::<String>().map_or("a tensor operation failed", String::as_str);
                Err(text.lines().next().unwrap_or_default().to_string())
            }
            None => ended.map(|()| graph),
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
        let _ = unsafe { (self.shim.free)(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::RefCell;

    thread_local! {
        /// What was called of the pretended functions, and which of them fails.
        static CALLS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
        static FAILS: RefCell<&'static str> = const { RefCell::new("") };
    }

    fn called(name: &'static str) -> Reason {
        CALLS.with_borrow_mut(|calls| calls.push(name));
        match FAILS.with_borrow(|fails| *fails == name) {
            true => c"it is out of order\nand this is where it came from".as_ptr(),
            false => std::ptr::null(),
        }
    }

    extern "C" fn pretended_stream(_: c_int) -> Reason {
        called("stream")
    }

    extern "C" fn pretended_begin(handle: *mut *mut c_void) -> Reason {
        // SAFETY: callers pass the place of a handle.
        unsafe { *handle = std::ptr::dangling_mut() };
        called("begin")
    }

    extern "C" fn pretended_end(_: *mut c_void) -> Reason {
        called("end")
    }

    extern "C" fn pretended_replay(_: *mut c_void) -> Reason {
        called("replay")
    }

    extern "C" fn pretended_free(_: *mut c_void) -> Reason {
        called("free")
    }

    extern "C" fn pretended_memory(_: c_int, _: *mut usize) -> Reason {
        called("memory")
    }

    /// In place of `graph.cpp`, which needs a GPU.
    static PRETENDED: Shim = Shim {
        own_stream: pretended_stream,
        begin: pretended_begin,
        end: pretended_end,
        replay: pretended_replay,
        free: pretended_free,
        free_memory: pretended_memory,
    };

    /// What is called, and what comes of it, when the function `fails` does and `work` is captured and replayed once.
    fn tried(fails: &'static str, work: impl FnOnce()) -> (Vec<&'static str>, Result<(), String>) {
        FAILS.set(fails);
        let outcome = CudaGraph::capture_by(&PRETENDED, work).and_then(|graph| graph.replay());
        (CALLS.take(), outcome)
    }

    #[test]
    fn what_is_begun_is_ended_and_freed_whatever_goes_wrong_between() {
        let work = || {
            called("work");
        };
        assert_eq!(tried("", work), (vec!["begin", "work", "end", "replay", "free"], Ok(())));
        let why = || Err("it is out of order".to_string());
        assert_eq!(tried("begin", work), (vec!["begin"], why()), "work that is not captured is not done");
        assert_eq!(tried("end", work), (vec!["begin", "work", "end", "free"], why()));
        assert_eq!(tried("replay", work), (vec!["begin", "work", "end", "replay", "free"], why()));
        let panics = || panic!("{}", "an operation failed\nwith a stack");
        assert_eq!(tried("", panics), (vec!["begin", "end", "free"], Err("an operation failed".to_string())));
    }

    #[test]
    fn without_a_gpu_there_is_a_reason_and_nothing_is_done() {
        if crate::device::gpus() == 0 {
            let mut done = false;
            let reasons = [own_stream(0).unwrap_err(), CudaGraph::capture(|| done = true).unwrap_err()];
            assert!(!done, "work that is not captured is not done");
            for reason in reasons {
                let fits = if LIBRARY.is_empty() { "without the headers of CUDA" } else { "" };
                assert!(!reason.is_empty() && !reason.contains('\n') && reason.contains(fits), "{reason}");
            }
        }
    }
}
