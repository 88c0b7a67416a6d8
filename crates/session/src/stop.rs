//! Signals that ask a run to stop.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;
use tombola_words::error::{Error, Kind, Result};
use tombola_words::signals;

/// The first signal asks the running trainings to stop after their epoch; with `twice`, a second Ctrl-C ends the process
/// at once. Signals that were held back until now come through.
///
/// # Errors
/// When the system refuses.
pub(super) fn stop_on_signals(twice: bool) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let fail = |error: std::io::Error| Error::environment(format!("cannot listen for signals: {error}"));
    if twice {
        let code = c_int::from(Kind::Interrupted.exit_code());
        signal_hook::flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&stop)).map_err(fail)?;
    }
    for signal in signals::stops() {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(fail)?;
    }
    signals::release().map_err(fail)?;
    Ok(stop)
}
