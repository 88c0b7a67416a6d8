//! What code an input has reached, where the code was compiled with counters (`scripts/fuzz`, `-C passes=sancov-module`): an
//! input that reaches something new is worth changing further. Without counters nothing is ever new.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static FIRST: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// Called before `main` by each piece of code that was compiled with counters: all of one program have one row of them.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(first: *mut u8, end: *mut u8) {
    FIRST.store(first as usize, Relaxed);
    END.store(end as usize, Relaxed);
}

/// What all inputs so far have reached.
pub(crate) struct Coverage {
    /// For each counter the classes of counts that were seen, one a bit.
    seen: Vec<u8>,
}

impl Coverage {
    pub(crate) fn new() -> Self {
        Self { seen: vec![0; counters().len()] }
    }

    /// How many counters there are.
    pub(crate) fn all(&self) -> usize {
        self.seen.len()
    }

    /// How many were reached.
    pub(crate) fn reached(&self) -> usize {
        self.seen.iter().filter(|classes| **classes != 0).count()
    }

    /// Before an input.
    pub(crate) fn begin() {
        counters().fill(0);
    }

    /// Whether the input since [`Coverage::begin`] has reached something, or reached it more often, than any before.
    pub(crate) fn is_new(&mut self) -> bool {
        let mut new = false;
        let counters = counters();
        for (counts, seen) in counters.chunks(16).zip(self.seen.chunks_mut(16)) {
            // Nearly all are 0: they are passed over together.
            if counts.iter().fold(0, |any, count| any | count) == 0 {
                continue;
            }
            for (count, seen) in counts.iter().zip(seen) {
                let class = class(*count);
                new |= class & !*seen != 0;
                *seen |= class;
            }
        }
        new
    }
}

/// Counts that are worth telling apart, as in AFL: 1, 2, 3, 4 to 7, to 15, to 31, to 127, more.
fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..8 => 8,
        8..16 => 16,
        16..32 => 32,
        32..128 => 64,
        _ => 128,
    }
}

fn counters() -> &'static mut [u8] {
    let (first, end) = (FIRST.load(Relaxed), END.load(Relaxed));
    if end <= first {
        return &mut [];
    }
    // SAFETY: the bytes between the two addresses are the counters, which live as long as the program. The code under test adds to
    // them on this thread only while no slice of them is used, and the other thread of this program has none.
    unsafe { std::slice::from_raw_parts_mut(first as *mut u8, end - first) }
}
