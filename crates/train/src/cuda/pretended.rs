//! In place of `cuda.cpp`, for tests: a machine with GPUs of which each thread sees what it called, and whose functions fail when asked
//! to, or where libtorch's would.
//!
//! A capture is refused where the thread's current GPU is another, or its stream the default one.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::shim::{Reason, Shim};

/// Bytes of each GPU, and what a graph takes of them.
const TOTAL: usize = 80 << 30;
const GRAPH: usize = 100 << 20;

thread_local! {
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static FAILS: RefCell<&'static str> = const { RefCell::new("") };
    /// The current GPU and stream; 0 is the default stream.
    static CURRENT: Cell<(c_int, usize)> = const { Cell::new((0, 0)) };
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static RESERVED: Cell<usize> = const { Cell::new(0) };
}

/// What was called on this thread since the last time, and by whom it was noted.
pub(super) fn calls() -> Vec<String> {
    CALLS.take()
}

/// Notes something that is not a call.
pub(super) fn note(what: &str) {
    CALLS.with_borrow_mut(|calls| calls.push(what.to_string()));
}

/// From now on this function fails on this thread.
pub(super) fn fail(name: &'static str) {
    FAILS.set(name);
}

/// The stream of this thread.
pub(super) fn stream() -> usize {
    CURRENT.get().1
}

/// Bytes that libtorch keeps in reserve.
pub(super) fn reserved() -> usize {
    RESERVED.get()
}

/// It keeps more.
pub(super) fn reserve(bytes: usize) {
    RESERVED.set(RESERVED.get() + bytes);
}

fn called(name: &'static str, what: &str) -> Reason {
    note(&format!("{name}{what}"));
    match FAILS.with_borrow(|fails| *fails == name) {
        true => c"it is out of order\nand this is where it came from".as_ptr(),
        false => std::ptr::null(),
    }
}

/// A number behind a handle: 0 is no handle.
fn handle(number: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(number + 1)
}

fn number(handle: *mut c_void) -> usize {
    handle.addr() - 1
}

extern "C" fn new_stream(device: c_int, stream: *mut *mut c_void) -> Reason {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    // SAFETY: callers pass the place of a stream.
    unsafe { *stream = handle(NEXT.fetch_add(1, Ordering::Relaxed)) };
    called("new stream", &format!(" {device}"))
}

extern "C" fn use_stream(device: c_int, stream: *mut c_void) -> Reason {
    CURRENT.set((device, number(stream)));
    called("use", &format!(" {device}"))
}

extern "C" fn begin(device: c_int, graph: *mut *mut c_void) -> Reason {
    let (current, stream) = CURRENT.get();
    if current != device || stream == 0 {
        return c"this thread computes on the default stream, which cannot be captured".as_ptr();
    }
    // SAFETY: callers pass the place of a handle.
    unsafe { *graph = handle(device as usize) };
    let reason = called("begin", &format!(" {device}"));
    if reason.is_null() {
        TAKEN.set(TAKEN.get() + GRAPH);
    }
    reason
}

extern "C" fn end(graph: *mut c_void) -> Reason {
    called("end", &format!(" {}", number(graph)))
}

extern "C" fn replay(graph: *mut c_void) -> Reason {
    called("replay", &format!(" {}", number(graph)))
}

extern "C" fn free(graph: *mut c_void) -> Reason {
    // With its memory: that could serve nothing else.
    TAKEN.set(TAKEN.get() - GRAPH);
    called("free", &format!(" {}", number(graph)))
}

extern "C" fn empty() -> Reason {
    RESERVED.set(0);
    called("empty", "")
}

extern "C" fn memory(_: c_int, free: *mut usize, total: *mut usize) -> Reason {
    // SAFETY: callers pass the places of two numbers.
    unsafe { (*free, *total) = (TOTAL - TAKEN.get() - RESERVED.get(), TOTAL) };
    called("memory", "")
}

extern "C" fn model(_: c_int, name: *mut c_char, _: usize) -> Reason {
    // SAFETY: callers pass the place of a text, which is longer than this.
    unsafe { std::ptr::copy_nonoverlapping(c"Pretended".as_ptr(), name, 10) };
    called("model", "")
}

/// The functions of the pretended machine.
pub(super) static PRETENDED: Shim = Shim { new_stream, use_stream, begin, end, replay, free, empty, memory, model };
