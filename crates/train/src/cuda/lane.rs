//! The GPU and the stream that a thread computes on. A thread that trains has one of each for its life: so trainings of several
//! threads never meet on a stream, and what one of them leaves in libtorch's reserve serves the next on the same thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;

use super::shim::{Shim, done, index, shim};
use super::trials;

thread_local! {
    /// This thread's stream on each GPU that it has computed on.
    static STREAMS: RefCell<BTreeMap<usize, *mut c_void>> = const { RefCell::new(BTreeMap::new()) };
}

/// From now on this thread computes on GPU `number`, on a stream that is its own: the default stream can be captured by nobody, and
/// whoever shares a stream waits for the others.
///
/// # Errors
/// The reason why it cannot. The thread then computes where it did before.
pub fn enter(number: usize) -> Result<(), String> {
    enter_by(shim()?, number)?;
    trials::let_cudnn_choose();
    Ok(())
}

pub(super) fn enter_by(shim: &Shim, number: usize) -> Result<(), String> {
    let device = index(number)?;
    let stream = match STREAMS.with_borrow(|streams| streams.get(&number).copied()) {
        Some(stream) => stream,
        None => {
            let mut stream = std::ptr::null_mut();
            // SAFETY: the function fills the stream if it succeeds.
            done(unsafe { (shim.new_stream)(device, &mut stream) })?;
            STREAMS.with_borrow_mut(|streams| streams.insert(number, stream));
            stream
        }
    };
    // SAFETY: the stream is one of this GPU, and is never destroyed.
    done(unsafe { (shim.use_stream)(device, stream) })
}
