//! Counts the memory that this process holds: how much an input took, at most, is the difference to what was held before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// More than this is refused, as by a machine that has no more: the process ends, and that is a finding.
const MOST: usize = 4 << 30;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a counter.
pub(crate) struct CountedAllocator;

fn taken(size: usize) {
    let held = HELD.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(held, Relaxed);
}

// SAFETY: every call goes to the system's allocator with the arguments that it came with, and what that gives is given on;
// nothing is given, which is allowed, where too much is asked for.
unsafe impl GlobalAlloc for CountedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST {
            taken(layout.size());
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        let place = unsafe { System.alloc(layout) };
        if !place.is_null() {
            taken(layout.size());
        }
        place
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST {
            taken(layout.size());
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        let place = unsafe { System.alloc_zeroed(layout) };
        if !place.is_null() {
            taken(layout.size());
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > MOST {
            taken(size);
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(place, layout, size) };
        if !moved.is_null() {
            HELD.fetch_sub(layout.size(), Relaxed);
            taken(size);
        }
        moved
    }
}

/// Runs something, and gives the bytes that it held at most beyond those that were held before.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (result, PEAK.load(Relaxed).saturating_sub(before))
}
