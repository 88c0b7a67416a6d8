//! Libraries of others that panic at damaged files: then the file is damaged, and the program has no defect.
//!
//! It knows no library and no file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives; nothing if it panics, of which nothing is said. Whatever it changed must not be used then.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    done.ok()
}

/// Whether a panic of this thread is one that [`guarded`] takes.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_and_is_guarded_only_meanwhile() {
        assert_eq!(guarded(is_guarded), Some(true));
        assert!(!is_guarded());
        assert_eq!(guarded(|| [1, 2][std::hint::black_box(2)]), None);
        assert!(!is_guarded());
    }
}
