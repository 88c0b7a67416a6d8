//! The GPU and the stream that a thread computes on. A thread that trains has one of each for its life: so trainings of several
//! threads never meet on a stream, and what one of them leaves in libtorch's reserve serves the next on the same thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use super::shim::{Shim, done, index, shim};
use super::trials;

/// The streams of a thread, by GPU. Threads that come after it take them: each stream has memory of libraries that is never given back.
#[derive(Default)]
struct OwnStreams(BTreeMap<usize, usize>);

/// Streams of threads that have ended, by GPU: addresses, which any thread may use.
static LEFT: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

impl Drop for OwnStreams {
    fn drop(&mut self) {
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).extend(std::mem::take(&mut self.0));
    }
}

thread_local! {
    /// This thread's stream on each GPU that it has computed on.
    static STREAMS: RefCell<OwnStreams> = const { RefCell::new(OwnStreams(BTreeMap::new())) };
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
    let own = STREAMS.with_borrow(|streams| streams.0.get(&number).copied()).or_else(|| left(number));
    let stream = match own {
        Some(stream) => stream,
        None => {
            let mut stream: *mut c_void = std::ptr::null_mut();
            // SAFETY: the function fills the stream if it succeeds.
            done(unsafe { (shim.new_stream)(device, &mut stream) })?;
            stream.expose_provenance()
        }
    };
    STREAMS.with_borrow_mut(|streams| streams.0.insert(number, stream));
    // SAFETY: the stream is one of this GPU, and is never destroyed.
    done(unsafe { (shim.use_stream)(device, std::ptr::with_exposed_provenance_mut(stream)) })
}

/// A stream on GPU `number` that a thread left which has ended.
fn left(number: usize) -> Option<usize> {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let place = left.iter().position(|(gpu, _)| *gpu == number)?;
    Some(left.swap_remove(place).1)
}
