//! Signals that ask a run to stop, from its first moment on: they are held back until somebody listens for them.
//!
//! `tombola` becomes another program in order to train, and loading that takes a good part of a second. A signal that is held
//! back waits meanwhile, in the new program too; one that came earlier would end the process without a word. From then on a flag is set,
//! which whatever takes long looks at.

use std::ffi::c_int;
use std::io::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};

use crate::error::{self, Kind};

/// Those that ask a run to stop after its running epochs: also a terminal that is closed, and the soft limit of processor time.
const STOPS: [c_int; 6] = [SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU];

/// Those that ask a run to stop after its running epochs; without a closed terminal where the run was started to ignore that, as by
/// `nohup`. That a shell starts what runs in its background to ignore Ctrl-C is no wish of anybody's.
fn stops() -> impl Iterator<Item = c_int> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let ignores_hup = mask.is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0);
    STOPS.into_iter().filter(move |signal| *signal != SIGHUP || !ignores_hup)
}

/// Set as soon as a signal came, once somebody listens.
static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The first signal of `stops` sets the flag that is given; with `twice`, a second Ctrl-C ends the process at once. Signals that were
/// held back until now come through. A process listens once, and has one flag.
///
/// # Errors
/// When the system refuses.
pub fn listen(twice: bool) -> error::Result<Arc<AtomicBool>> {
    let stop = Arc::clone(ASKED.get_or_init(|| Arc::new(AtomicBool::new(false))));
    let fail = |error: Error| error::Error::environment(format!("cannot listen for signals: {error}"));
    if twice {
        let code = c_int::from(Kind::Interrupted.exit_code());
        signal_hook::flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&stop)).map_err(fail)?;
    }
    for signal in stops() {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(fail)?;
    }
    release().map_err(fail)?;
    Ok(stop)
}

/// Ends long work between two of its steps if the process was asked to stop; where nobody listens, a signal has ended the process itself.
///
/// # Errors
/// When it was: of kind `Interrupted`, with `what` was not finished.
pub fn check(what: &str) -> error::Result<()> {
    if ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed)) {
        return Err(error::Error::interrupted(format!("asked to stop before {what} was over"))
            .hint("run the same command again: it begins that anew"));
    }
    Ok(())
}

/// A set of signals as Linux's C libraries lay it out: 1024 bits, which their functions fill in.
#[repr(C)]
struct SignalSet([u64; 16]);

/// What to do with the signals of a set.
#[derive(Clone, Copy)]
#[repr(i32)]
enum Masking {
    /// `SIG_BLOCK`
    Add = 0,
    /// `SIG_UNBLOCK`
    Remove = 1,
}

unsafe extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
}

/// Holds the signals of `stops` back, in this thread, those that it starts, and the program that it becomes.
///
/// # Errors
/// When the system refuses.
pub fn hold() -> std::io::Result<()> {
    mask(Masking::Add)
}

/// Lets them through, those that came meanwhile first.
///
/// # Errors
/// When the system refuses.
pub fn release() -> std::io::Result<()> {
    mask(Masking::Remove)
}

/// A file that is larger than the user's limit (`ulimit -f`) becomes an error of the write, not the end of the process.
///
/// # Errors
/// When the system refuses.
pub fn survive_large_files() -> std::io::Result<()> {
    // A signal that is handled, by whatever, does not end the process; the write fails with EFBIG.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(|_| ())
}

fn mask(how: Masking) -> std::io::Result<()> {
    let mut set = SignalSet([0; 16]);
    // SAFETY: the set is as large as Linux's C libraries have it, lives during the calls, and the third argument may be null.
    let code = unsafe {
        sigemptyset(&mut set);
        for signal in STOPS {
            sigaddset(&mut set, signal);
        }
        pthread_sigmask(how as c_int, &set, std::ptr::null_mut())
    };
    if code == 0 { Ok(()) } else { Err(Error::from_raw_os_error(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_held_back_are_those_that_stop_and_no_others() {
        // The mask belongs to a thread: that of this test alone is touched.
        std::thread::spawn(|| {
            let held = || {
                let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
                let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim().to_string();
                u64::from_str_radix(&mask, 16).unwrap()
            };
            let before = held();
            hold().unwrap();
            assert_eq!(held(), STOPS.iter().fold(before, |mask, signal| mask | 1 << (signal - 1)));
            release().unwrap();
            assert_eq!(held(), before);
        })
        .join()
        .unwrap();
    }
}
