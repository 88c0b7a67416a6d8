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
        let shim = shim()?;
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

    #[test]
    fn without_a_gpu_there_is_a_reason_and_no_graph() {
        if crate::device::gpus() == 0 {
            assert!(!own_stream(0).unwrap_err().is_empty());
            assert!(!CudaGraph::capture(|| ()).unwrap_err().is_empty());
        }
    }
}
