//! Keeps the memory that tensors free, instead of giving it back to the system after every operation.
//!
//! A training step makes and drops some hundred tensors of a few MiB. The GNU C library gives such blocks back at once,
//! and the system fills each new one with zeros, page by page: 10 to 15 % of a step of ResNet-20 on CPU, and as much
//! again where several threads train. The peak stays the same, since the next step needs the same blocks again. It may
//! not know of torch.

use std::sync::Once;

/// Applies to the whole process, from now on; to be called before other threads start, which may otherwise keep a heap of
/// their own. Calling it again does nothing.
pub fn keep_freed_memory() {
    static DONE: Once = Once::new();
    DONE.call_once(tune);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn tune() {
    use std::ffi::c_int;

    // From the GNU C library's `malloc.h`.
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_MAX: c_int = -4;
    const M_ARENA_MAX: c_int = -8;
    /// More than this is not kept at the end of the heap.
    const MOST_KEPT: c_int = 1 << 30;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    // SAFETY: `mallopt` takes two numbers, takes the allocator's lock, and reports bad values by returning 0.
    unsafe {
        // Heaps of other threads are of 64 MiB at most, and go back to the system whenever they are empty: all threads
        // share the first one. Blocks of its own for large tensors would go back when they are freed.
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_MMAP_MAX, 0);
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn tune() {}
